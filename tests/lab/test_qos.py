"""Classes on networks that are known to treat them differently, or alike."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator, Mapping

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue
from streamswarm_core.probespecs import SPECS
from tests.lab import parts
from tests.lab.namespace import Namespace
from tests.lab.topology import Path, PathBuilder

pytestmark = pytest.mark.needs("nft", "nftables")
FAMILIES = pytest.mark.parametrize("family", ["ipv4", "ipv6"])
Fields = Mapping[str, FieldValue]


async def measure(line: Path, family: str = "ipv4", **options: object) -> tuple[Fields, dict[str, Fields]]:
    """The summary, and each class by its name."""
    chosen = {"count": 8, "spacing": 0.02, "budget": 0, "wait": 1.0, **options}
    engines = Engines()
    with line.near.entered():
        try:
            target = line.target if family == "ipv4" else line.target6
            summary, *classes = await PROBES["qos"].run(
                target, SPECS["qos"].params.model_validate(chosen), Context(engines)
            )
        finally:
            engines.close()
    return summary.fields, {point.tags["dscp"]: point.fields for point in classes}


def addresses(line: Path, family: str) -> list[str]:
    """Of every hop, the target last."""
    if family == "ipv4":
        return [*(router.v4 for router in line.routers), line.target]
    return [*(router.v6 for router in line.routers), line.target6]


def where(fields: Fields, prefix: str) -> tuple[FieldValue | None, ...]:
    return tuple(fields.get(f"{prefix}_{name}") for name in ("hop", "address", "after"))


# Markings


@FAMILIES
async def test_on_a_clean_path_everything_is_kept(path: PathBuilder, family: str) -> None:
    summary, classes = await measure(path(hops=4, relay=False), family)
    assert (summary["up"], summary["loss"], summary["hops"], summary["quoting"]) == (1, 0.0, 5, 5)
    assert (summary["bleached"], summary["rewritten"]) == (0, 0)
    assert (summary["ecn"], summary["ecn_capable"], summary["ce_ratio"]) == ("kept", 1, 0.0)
    assert "ecn_hop" not in summary
    assert list(classes) == ["BE", "EF", "AF41", "CS1"]
    for name, dscp in (("BE", 0), ("EF", 46), ("AF41", 34), ("CS1", 8)):
        fields = classes[name]
        assert (fields["marking"], fields["marking_dscp"], fields["marking_seen"]) == ("kept", dscp, 5)
        assert fields["reply_dscp"] == dscp
        assert "marking_hop" not in fields


@FAMILIES
@pytest.mark.parametrize("at", [1, 2, 4])
@pytest.mark.parametrize(("to", "verdict"), [(0, "bleached"), (8, "rewritten")])
async def test_a_rewritten_class_is_told_with_the_hops_between_which_it_is(
    path: PathBuilder, family: str, at: int, to: int, verdict: str
) -> None:
    line = path(hops=4, relay=False)
    rule = parts.rewrite_dscp(line.routers[at - 1], to, only=46)
    summary, classes = await measure(line, family)
    assert rule.packets > 0
    # Linux looks at the TTL before it rewrites, so the router itself still quotes what was sent.
    hops = addresses(line, family)
    assert (classes["EF"]["marking"], classes["EF"]["marking_dscp"]) == (verdict, to)
    assert where(classes["EF"], "marking") == (at + 1, hops[at], hops[at - 1])
    assert classes["EF"]["reply_dscp"] == to
    assert [classes[name]["marking"] for name in ("BE", "AF41", "CS1")] == ["kept"] * 3
    assert (summary["bleached"], summary["rewritten"]) == ((1, 0) if to == 0 else (0, 1))


async def test_changes_one_after_the_other_are_all_told(path: PathBuilder) -> None:
    line = path(hops=4, relay=False)
    parts.rewrite_dscp(line.routers[0], 10, only=46)
    parts.rewrite_dscp(line.routers[2], 0, only=10)
    _, classes = await measure(line)
    assert (classes["EF"]["marking"], classes["EF"]["marking_path"]) == ("bleached", "2:AF11 4:BE")


async def test_a_silent_router_leaves_the_place_open_and_says_so(path: PathBuilder) -> None:
    line = path(hops=4, relay=False)
    parts.rewrite_dscp(line.routers[1], 0)
    parts.silence(line.routers[2])
    summary, classes = await measure(line)
    hops = addresses(line, "ipv4")
    assert (summary["hops"], summary["quoting"]) == (5, 4)
    assert where(classes["EF"], "marking") == (4, hops[3], hops[1])


async def test_the_way_back_is_told_apart_from_the_way_there(path: PathBuilder) -> None:
    line = path(hops=3, relay=False)
    # What comes back to near only.
    line.routers[1].run(
        ["nft", "-f", "-"],
        feed="add table ip back\nadd chain ip back c { type filter hook forward priority -150; }\n"
        f"add rule ip back c ip daddr {line.near_address} ip protocol icmp icmp type echo-reply ip dscp set 0\n",
    )
    _, classes = await measure(line)
    assert (classes["EF"]["marking"], classes["EF"]["reply_dscp"]) == ("kept", 0)


async def test_a_target_that_answers_no_datagram_leaves_the_last_hop_unknown(path: PathBuilder) -> None:
    line = path(hops=3, relay=False)
    parts.refuse(line.far, "meta l4proto udp")
    parts.rewrite_dscp(line.routers[2], 0)
    summary, classes = await measure(line, wait=0.2)
    # The last router's change would only show at the target: nothing is claimed but what was seen.
    assert (classes["EF"]["marking"], classes["EF"]["marking_seen"], classes["EF"]["reply_dscp"]) == ("kept", 3, 0)
    assert "ecn_capable" not in summary


@FAMILIES
async def test_ecn_that_is_cleared_is_located(path: PathBuilder, family: str) -> None:
    line = path(hops=3, relay=False)
    rule = parts.clear_ecn(line.routers[1])
    summary, classes = await measure(line, family)
    assert rule.packets > 0
    hops = addresses(line, family)
    assert (summary["ecn"], summary["ecn_capable"]) == ("cleared", 0)
    assert where(summary, "ecn") == (3, hops[2], hops[1])
    assert classes["EF"]["marking"] == "kept"


@FAMILIES
async def test_congestion_experienced_is_located(path: PathBuilder, family: str) -> None:
    line = path(hops=3, relay=False)
    rule = parts.mark_congestion(line.routers[0])
    summary, _ = await measure(line, family)
    assert rule.packets > 0
    hops = addresses(line, family)
    assert (summary["ecn"], summary["ecn_capable"], summary["ce_ratio"]) == ("congestion", 1, 1.0)
    assert where(summary, "ecn") == (2, hops[1], hops[0])


@FAMILIES
async def test_tcp_takes_up_ecn_unless_the_target_does_not_speak_it(path: PathBuilder, family: str) -> None:
    line = path(hops=1, relay=False)
    target, kind = (line.target, socket.AF_INET) if family == "ipv4" else (line.target6, socket.AF_INET6)
    with line.far.entered(), socket.create_server((target, 80), family=kind):
        assert (await measure(line, family, marking=False, tcp_port=80))[0]["tcp_ecn"] == 1
        line.far.sysctl({"ipv4/tcp_ecn": 0})
        assert (await measure(line, family, marking=False, tcp_port=80))[0]["tcp_ecn"] == 0
    assert "tcp_ecn" not in (await measure(line, family, marking=False, tcp_port=80))[0]


# Classes side by side


@contextlib.contextmanager
def load(near: Namespace, target: str, rate: float, size: int = 1_000) -> Iterator[None]:
    """Best effort datagrams at a rate, bits per second."""
    with near.entered():
        sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    stop = threading.Event()

    def send() -> None:
        begun, sent = time.monotonic(), 0
        while not stop.wait(0.002):
            while sent < (time.monotonic() - begun) * rate / 8:
                with contextlib.suppress(OSError):
                    sender.sendto(bytes(size - 28), (target, 9))
                sent += size

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        sender.close()


@pytest.mark.needs("tc", "iproute2")
async def test_a_priority_class_is_better_under_load_and_the_others_are_not(path: PathBuilder) -> None:
    line = path(hops=2, relay=False)
    rule = parts.prioritise(line.routers[0], 46, "1mbit", queue_packets=50)
    # UDP to a closed port would be answered.
    parts.refuse(line.far, "udp dport 9")
    with load(line.near, line.target, 1.5e6):
        _, classes = await measure(line, marking=False, count=40, classes="EF,AF41", wait=2)
    assert rule.packets > 0
    ef, af = classes["EF"], classes["AF41"]
    # 50 packets of 1,000 bytes before a link of 1 Mbit/s are 400 ms; EF waits for one packet and htb's burst at most.
    assert ef["loss"] == 0.0
    assert float(ef["rtt_difference"]) < -0.05
    assert float(ef["rtt_difference"]) + float(ef["rtt_difference_error"]) < 0
    assert float(classes["BE"]["loss"]) > 0 or float(classes["BE"]["rtt_mean"]) > 0.1
    assert abs(float(af["rtt_difference"])) < abs(float(ef["rtt_difference"])) / 2


async def test_classes_that_are_treated_alike_differ_by_chance_only(path: PathBuilder) -> None:
    line = path(hops=1, delay_ms=10, jitter_ms=8)
    _, classes = await measure(line, marking=False, count=60, classes="EF", policy={"EF": {"max_rtt": 0.01}})
    ef = classes["EF"]
    # An interval of 95 % misses zero in one run of twenty; twice its width doesn't.
    assert abs(float(ef["rtt_difference"])) <= 2 * float(ef["rtt_difference_error"])
    assert float(ef["rtt_min"]) >= 0.020
    assert ef["compliant"] == 0
    assert str(ef["violations"]).endswith("ms exceeds 10.000 ms")


async def test_loss_of_one_class_is_told_with_its_error_and_breaks_its_policy(path: PathBuilder) -> None:
    line = path(hops=2, relay=False)
    rule = parts.lose(line.routers[1], 0.5, "ip dscp 34")
    policy = {"AF41": {"max_loss": 0.1}, "EF": {"max_loss": 0.1, "keep_marking": True}}
    summary, classes = await measure(line, count=40, spacing=0.01, policy=policy)
    lost = rule.packets
    af = classes["AF41"]
    assert 0 < float(af["loss"]) * 40 <= lost
    assert float(af["loss_difference"]) - float(af["loss_difference_error"]) > 0
    assert (af["compliant"], classes["EF"]["compliant"], summary["compliant"]) == (0, 1, 0)
    assert "compliant" not in classes["BE"]


async def test_a_silent_target_is_down(path: PathBuilder) -> None:
    line = path(hops=1, relay=False)
    parts.refuse(line.far, "meta l4proto icmp")
    summary, classes = await measure(line, wait=0.2, budget=100_000)
    assert (summary["up"], summary["error"]) == (0, Fault.TIMEOUT)
    assert summary["error_detail"] == "no reply to 32 requests of any class"
    assert classes["EF"]["loss"] == 1.0
    assert "rtt_mean" not in classes["EF"]


# Reflectors


@contextlib.contextmanager
def reflector(far: Namespace, target: str, *, stamp: bool) -> Iterator[int]:
    """An echo service, or one that answers as section 4.3.1 of RFC 8762 says; it answers with the class it was sent."""
    v6 = ":" in target
    level, name, receive = (
        (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, socket.IPV6_RECVTCLASS)
        if v6
        else (socket.IPPROTO_IP, socket.IP_TOS, socket.IP_RECVTOS)
    )
    with far.entered():
        opened = socket.socket(socket.AF_INET6 if v6 else socket.AF_INET, socket.SOCK_DGRAM)
    opened.settimeout(0.1)
    opened.setsockopt(level, receive, 1)
    opened.bind((target, 0))
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                packet, ancillary, _, sender = opened.recvmsg(2_000, 100)
            except TimeoutError:
                continue
            opened.setsockopt(level, name, ancillary[0][2][0])
            if stamp:
                head = packet[:4] + bytes(8) + packet[12:14] + bytes(2) + bytes(8) + packet[:14] + bytes(2) + b"\x40"
                packet = (head + bytes(3)).ljust(len(packet), b"\0")
            opened.sendto(packet, sender)

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield opened.getsockname()[1]
    finally:
        stop.set()
        thread.join()
        opened.close()


@FAMILIES
@pytest.mark.parametrize("stamp", [False, True])
async def test_a_reflector_answers_in_place_of_icmp(path: PathBuilder, family: str, stamp: bool) -> None:
    line = path(hops=2, delay_ms=5)
    parts.refuse(line.far, "icmp type echo-request")
    parts.refuse(line.far, "icmpv6 type echo-request")
    with reflector(line.far, line.target if family == "ipv4" else line.target6, stamp=stamp) as port:
        summary, classes = await measure(line, family, method="udp", port=port, marking=False)
    assert (summary["up"], summary["loss"]) == (1, 0.0)
    assert all(float(fields["rtt_min"]) >= 0.010 for fields in classes.values())
    assert [fields["reply_dscp"] for fields in classes.values()] == [0, 46, 34, 8]


async def test_a_port_without_a_reflector_is_unreachable(path: PathBuilder) -> None:
    summary, _ = await measure(path(hops=1, relay=False), method="udp", port=5, marking=False)
    assert (summary["up"], summary["error"]) == (0, Fault.UNREACHABLE)


# Policers and shapers


async def limited(line: Path, family: str = "ipv4", **options: object) -> tuple[Fields, Fields]:
    """The summary and best effort, of the first of three runs that sees a limit.

    A sender that doesn't get the processor can't hold a rate, and then honestly sees none.
    """
    for _ in range(3):
        summary, classes = await measure(
            line, family, marking=False, classes="BE", **{"budget": 800_000, "count": 2, **options}
        )
        if summary["limited"]:
            break
    return summary, classes["BE"]


async def test_a_path_without_limits_shows_none(path: PathBuilder) -> None:
    _, classes = await measure(path(hops=2, relay=False), marking=False, classes="BE", budget=400_000, max_rate=16e6)
    assert "limit" not in classes["BE"]
    assert "limit_rate" not in classes["BE"]
    assert float(classes["BE"]["queue_delay"]) >= 0


@FAMILIES
@pytest.mark.parametrize("rate", ["1mbit", "6mbit"])
async def test_a_policer_is_told_with_its_rate(path: PathBuilder, family: str, rate: str) -> None:
    line = path(hops=2, relay=False)
    rule = parts.police(line.routers[0], rate, packet_bytes=1_000)
    summary, found = await limited(line, family)
    assert rule.packets > 0
    assert (found["limit"], summary["limited"]) == ("policer", 1)
    assert float(found["limit_rate"]) == pytest.approx(float(rate[:-4]) * 1e6, rel=0.25)
    assert float(found["limit_confidence"]) >= 0.75
    assert 4_000 < float(found["limit_burst"]) < 30_000


@FAMILIES
@pytest.mark.needs("tc", "iproute2")
@pytest.mark.parametrize("rate", ["1mbit", "6mbit"])
async def test_a_shaper_is_told_with_its_rate_and_its_queue(path: PathBuilder, family: str, rate: str) -> None:
    line = path(hops=2, relay=False)
    parts.shape(line.routers[0], rate, queue_ms=300)
    summary, found = await limited(line, family, wait=1)
    assert (found["limit"], summary["limited"]) == ("shaper", 1)
    # tbf counts Ethernet's 14 bytes too: 1,000 of 1,014.
    assert float(found["limit_rate"]) == pytest.approx(float(rate[:-4]) * 1e6 / 1.014, rel=0.15)
    assert float(found["queue_delay"]) > 0.003


async def test_a_narrow_link_with_a_short_queue_is_a_shaper_though_it_drops(path: PathBuilder) -> None:
    line = path(hops=2, there={"rate": "4mbit", "queue_ms": 20}, delay_ms=10)
    _, found = await limited(line)
    assert found["limit"] == "shaper"
    assert float(found["limit_rate"]) == pytest.approx(4e6, rel=0.15)


async def test_loss_by_chance_is_no_policer(path: PathBuilder) -> None:
    line = path(hops=2, loss=0.05, delay_ms=2, seed=7)
    _, classes = await measure(line, marking=False, classes="BE", budget=400_000, max_rate=16e6)
    assert line.truth.there.lost > 0
    assert "limit" not in classes["BE"]


async def test_jitter_is_no_shaper(path: PathBuilder) -> None:
    line = path(hops=2, jitter_ms=5, jitter="exponential", delay_ms=5, seed=8)
    _, classes = await measure(line, marking=False, classes="BE", budget=400_000, wait=1)
    assert "limit" not in classes["BE"]


async def test_a_policer_of_one_class_leaves_the_others_alone(path: PathBuilder) -> None:
    line = path(hops=2, relay=False)
    parts.police(line.routers[0], "2mbit", packet_bytes=1_000, match="ip dscp 46")
    for _ in range(3):
        _, classes = await measure(
            line, marking=False, classes="EF", limit_classes="BE,EF", budget=500_000, max_rate=16e6, count=2
        )
        if "limit" in classes["EF"]:
            break
    assert classes["EF"]["limit"] == "policer"
    assert "limit" not in classes["BE"]
    assert float(classes["BE"]["delivered_rate"]) > 3e6


async def test_no_more_is_sent_than_the_budget_allows(path: PathBuilder) -> None:
    line = path(hops=1, relay=False)
    summary, _ = await measure(line, marking=False, classes="BE", budget=50_000, count=2)
    assert int(summary["sent_bytes"]) <= 50_000 + 2 * 100
