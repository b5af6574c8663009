"""The icmp probe against networks whose truth is known."""

import asyncio
import ipaddress
import json
import shutil
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path as FilePath

import pytest

from streamswarm_agent.budget import Budget
from streamswarm_agent.faults import Fault
from streamswarm_agent.latest import LatestPoints
from streamswarm_agent.net.icmp import channel
from streamswarm_agent.planner import Planner
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_agent.runbook import RunBook
from streamswarm_agent.schedule import Scheduler
from streamswarm_agent.spool import Flush, Spool
from streamswarm_core.assignment import Assignment
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.lineprotocol import parse_line, split_lines
from streamswarm_core.point import Point
from streamswarm_core.probespecs import IcmpParams
from streamswarm_core.sketch import Sketch
from tests.lab.parts import Refusal, refuse
from tests.lab.topology import Path, PathBuilder
from tests.lab.wire import Record
from tests.support import until
from tests.unit.agent.scheduling import quiet

Measure = Callable[..., Awaitable[list[Point]]]
IPV4_DF = 0x40


@pytest.fixture(params=["raw", "datagram"])
async def measure(request: pytest.FixtureRequest) -> AsyncIterator[Measure]:
    """Runs the probe in near, by a raw socket or as a user who has no right but to ping; one assignment a test."""
    context = Context(Engines())

    async def run(line: Path, target: str, *, times: int = 1, **options: object) -> list[Point]:
        if request.param == "datagram":
            line.near.sysctl({"ipv4/ping_group_range": "0 2147483647"})
        params = IcmpParams.model_validate({"spacing": 0.01, **options})
        with line.near.entered():
            runs = await asyncio.gather(*(PROBES["icmp"].run(target, params, context) for _ in range(times)))
        assert all(one._opened.raw == (request.param == "raw") for one in context.icmp._channels.values())
        return [point for points in runs for point in points]

    yield run
    context.engines.close()


both_families = pytest.mark.parametrize("family", ["target", "target6"])


@both_families
async def test_no_round_trip_is_shorter_than_the_delay_of_both_directions(
    path: PathBuilder, measure: Measure, family: str
) -> None:
    line = path(there={"delay_ms": 12}, back={"delay_ms": 7}, hops=3)
    point, distribution = await measure(line, getattr(line, family), count=10, wait=5)
    assert (point.fields["received"], point.fields["loss"], point.fields["ttl"]) == (10, 0.0, 64 - 3)
    assert float(point.fields["rtt_min"]) >= 0.019
    found = Sketch.from_fields(distribution.fields).quantile(0.5)
    assert found is not None
    assert found.high >= 0.019


@both_families
async def test_every_round_trip_takes_at_least_what_the_wire_took_by_its_own_clock(
    path: PathBuilder, measure: Measure, family: str
) -> None:
    line = path(there={"delay_ms": 2, "jitter_ms": 8, "jitter": "exponential"}, back={"delay_ms": 3}, record=True)
    point, *_ = await measure(line, getattr(line, family), count=100, wait=5)
    there, back = line.records("there"), line.records("back")
    assert point.fields["received"] == len(there) == len(back) == 100
    least = [reply.arrived_ns - request.arrived_ns + 3e6 for request, reply in zip(there, back, strict=True)]
    assert float(point.fields["rtt_mean"]) >= sum(least) / 100 / 1e9
    assert float(point.fields["rtt_max"]) >= max(least) / 1e9
    assert float(point.fields["rtt_p99"]) >= sorted(least)[98] / 1e9
    assert float(point.fields["jitter"]) > 0


@both_families
async def test_replies_that_are_read_together_late_have_the_times_at_which_they_came(
    path: PathBuilder, measure: Measure, family: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(channel, "_CLOSE_SECONDS", 30.0)
    monkeypatch.setattr(channel, "_REST_SECONDS", 30.0)
    line = path(there={"delay_ms": 20}, record=True)
    point, *_ = await measure(line, getattr(line, family), count=20, wait=0.8)
    truth = [record.arrived_ns for record in line.records("back")]
    assert (len(truth), point.fields["received"], point.fields["loss"], point.fields["late"]) == (20, 20, 0.0, 0)
    # All but the first few were read when the last one's wait was over.
    assert 0.02 <= float(point.fields["rtt_min"]) <= float(point.fields["rtt_max"]) < 0.8
    assert float(point.fields["duration"]) >= 0.8


@both_families
async def test_loss_is_what_both_directions_lost_together(path: PathBuilder, measure: Measure, family: str) -> None:
    line = path(there={"loss": 0.3}, back={"loss": 0.1})
    point, *_ = await measure(line, getattr(line, family), count=100)
    truth = line.truth
    lost = truth.there.lost + truth.back.lost
    assert (truth.there.received, point.fields["sent"], point.fields["received"]) == (100, 100, 100 - lost)
    assert point.fields["loss"] == pytest.approx(lost / 100)
    assert lost > 0


@both_families
async def test_every_copy_is_counted_though_the_last_comes_when_its_run_has_ended(
    path: PathBuilder, measure: Measure, family: str
) -> None:
    line = path(back={"duplicate": 1})
    target = getattr(line, family)
    point, *_ = await measure(line, target, count=20)
    line.set(back={"duplicate": 0})
    after, *_ = await measure(line, target, count=2)
    duplicates = int(point.fields["duplicates"]) + int(after.fields["duplicates"])
    assert duplicates == line.truth.back.duplicated == 20
    assert (point.fields["loss"], point.fields["received"]) == (0.0, 20)


@both_families
async def test_reordering_is_counted_as_the_wire_counts_it(path: PathBuilder, measure: Measure, family: str) -> None:
    line = path(there={"reorder": 0.3, "reorder_ms": 80})
    point, *_ = await measure(line, getattr(line, family), count=50, wait=5)
    assert point.fields["reordered"] == line.truth.there.reordered > 0
    assert (point.fields["loss"], point.fields["duplicates"]) == (0.0, 0)


@both_families
async def test_a_late_reply_counts_as_loss_and_not_as_the_next_round_trip(
    path: PathBuilder, measure: Measure, family: str
) -> None:
    line = path(there={"delay_ms": 400})
    target = getattr(line, family)
    (point,) = await measure(line, target, count=3, wait=0.1)
    assert (point.fields["up"], point.fields["error"], point.fields["loss"]) == (0, Fault.TIMEOUT, 1.0)
    line.set(there={"delay_ms": 1})
    late, deadline = int(point.fields["late"]), time.monotonic() + 20
    while late < 3 and time.monotonic() < deadline:
        after, *_ = await measure(line, target, count=1, wait=5)
        assert (after.fields["received"], after.fields["duplicates"]) == (1, 0)
        late += int(after.fields["late"])
    assert late == 3


@both_families
async def test_a_used_up_ttl_names_the_router_where_it_was(path: PathBuilder, measure: Measure, family: str) -> None:
    line = path(hops=3)
    for ttl, router in enumerate(line.routers, 1):
        (point,) = await measure(line, getattr(line, family), count=2, ttl=ttl)
        named = router.v6 if family == "target6" else router.v4
        assert (point.fields["error"], point.fields["reporter"]) == (Fault.TTL_EXCEEDED, named)
        assert named in str(point.fields["error_detail"])
        assert (point.fields["sent"], point.fields["loss"]) == (2, 1.0)


@pytest.mark.needs("nft", "nftables")
@both_families
@pytest.mark.parametrize(
    ("how", "fault"),
    [("prohibited", Fault.PROHIBITED), ("port-unreachable", Fault.UNREACHABLE), ("drop", Fault.TIMEOUT)],
)
async def test_a_firewall_on_the_way_is_named_if_it_says_anything(
    path: PathBuilder, measure: Measure, family: str, how: Refusal, fault: Fault
) -> None:
    line = path()
    firewall = line.routers[1]
    rules = [refuse(firewall, f"{ip} type echo-request", how) for ip in ("icmp", "icmpv6")]
    (point,) = await measure(line, getattr(line, family), count=2, wait=0.3)
    assert point.fields["error"] == fault
    named = firewall.v6 if family == "target6" else firewall.v4
    assert point.fields.get("reporter") == (None if how == "drop" else named)
    assert sum(rule.packets for rule in rules) == 2


async def test_a_network_without_a_route_is_unreachable_and_nothing_was_sent(
    path: PathBuilder, measure: Measure
) -> None:
    line = path(hops=0, relay=False)
    for target in ("198.19.255.1", "2001:2:0:ffff::1"):
        (point,) = await measure(line, target, count=2)
        assert (point.fields["error"], point.fields["sent"], point.fields["loss"]) == (Fault.UNREACHABLE, 0, 1.0)


@both_families
async def test_a_request_too_large_for_the_path_is_an_error_when_it_must_not_be_cut(
    path: PathBuilder, measure: Measure, family: str
) -> None:
    line = path(mtu=1300)
    target, router = getattr(line, family), line.routers[0]
    (point,) = await measure(line, target, count=2, size=1400, df=True)
    assert (point.fields["error"], point.fields["received"]) == (Fault.TOO_BIG, 0)
    assert point.fields["reporter"] == (router.v6 if family == "target6" else router.v4)
    assert "1300 bytes" in str(point.fields["error_detail"])
    fitting, *_ = await measure(line, target, count=2, size=1200, df=True, wait=5)
    assert fitting.fields["received"] == 2
    (local,) = await measure(line, target, count=2, size=2000, df=True)
    assert (local.fields["error"], local.fields["sent"]) == (Fault.TOO_BIG, 0)


async def test_a_request_that_may_be_cut_arrives(path: PathBuilder, measure: Measure) -> None:
    line = path(mtu=1300)
    for size in (1400, 4000):
        point, *_ = await measure(line, line.target, count=2, size=size)
        assert point.fields["received"] == 2


async def requests_of(line: Path, measure: Measure, target: str, **options: object) -> list[Record]:
    before = len(line.records("there"))
    point, *_ = await measure(line, target, **options)
    assert point.fields["received"] == point.fields["sent"]
    found = line.records("there")[before:]
    assert len(found) >= int(point.fields["sent"]) > 0
    return found


@pytest.mark.parametrize("dscp", [0, 46, 63])
async def test_the_dscp_stands_in_the_packets(path: PathBuilder, measure: Measure, dscp: int) -> None:
    line = path(record=True)
    for record in await requests_of(line, measure, line.target, count=2, dscp=dscp):
        assert record.head[1] == dscp << 2
    for record in await requests_of(line, measure, line.target6, count=2, dscp=dscp):
        assert int.from_bytes(record.head[:2]) >> 4 & 0xFF == dscp << 2


async def test_dont_fragment_ttl_and_size_stand_in_the_packets(path: PathBuilder, measure: Measure) -> None:
    line = path(record=True)
    for df in (True, False):
        for record in await requests_of(line, measure, line.target, count=2, df=df, size=100, ttl=9):
            # The router between took one off the TTL.
            assert (record.head[6] & IPV4_DF, record.head[8], record.size) == (IPV4_DF * df, 8, 128)
        for record in await requests_of(line, measure, line.target6, count=2, df=df, size=100, ttl=9):
            assert (record.head[7], record.size) == (8, 148)


async def test_all_requests_look_the_same_to_a_router_that_spreads_by_the_first_bytes(
    path: PathBuilder, measure: Measure
) -> None:
    line = path(record=True)
    for target, header in ((line.target, 20), (line.target6, 40)):
        found = {record.head[header : header + 4] for record in await requests_of(line, measure, target, count=20)}
        assert len(found) == 1


@pytest.mark.parametrize(
    ("family", "source", "begins"), [("target", "198.19.0.7", 12), ("target6", "2001:2:0:ff00::7", 8)]
)
async def test_the_source_can_be_chosen(
    path: PathBuilder, measure: Measure, family: str, source: str, begins: int
) -> None:
    line = path(hops=0, record=True)
    line.near.configure([f"addr add {source} dev to-far" + (" nodad" if ":" in source else "")])
    # By way of near's own address: for a new one near may not answer yet, and far asks again after a second only.
    line.far.configure([f"route add {source} via {line.near_address6 if ':' in source else line.near_address}"])
    packed = ipaddress.ip_address(source).packed
    for record in await requests_of(line, measure, getattr(line, family), count=2, source=source):
        assert record.head[begins : begins + len(packed)] == packed
    assert await requests_of(line, measure, getattr(line, family), count=2, source="to-far")


async def test_an_interface_that_comes_back_is_used_again(path: PathBuilder, measure: Measure) -> None:
    line = path(hops=0, relay=False)
    for expected in (1, 0, 1):
        if expected:
            line.near.configure(
                [
                    "link add tun7 type veth peer name tun8",
                    "link set tun7 up",
                    "link set tun8 up",
                    "addr add 198.19.7.1/24 dev tun7",
                ]
            )
        point, *_ = await measure(line, "198.19.7.1", count=1, wait=0.1, source="tun7")
        assert point.fields["sent"] == expected
        if expected:
            line.near.configure(["link del tun7"])


@pytest.mark.needs("ping", "iputils-ping")
async def test_other_programs_pings_are_not_ours(path: PathBuilder, measure: Measure) -> None:
    line = path(delay_ms=1)
    ping = line.near.popen(["ping", "-n", "-q", "-i", "0.002", line.target])
    point, *_ = await measure(line, line.target, count=50)
    assert ping.poll() is None
    assert (point.fields["received"], point.fields["duplicates"], point.fields["reordered"]) == (50, 0, 0)


async def test_many_targets_share_the_loss_of_one_wire(path: PathBuilder, measure: Measure) -> None:
    line = path(there={"loss": 0.1}, delay_ms=5)
    points = await measure(line, line.target, times=40, count=10, spacing=0.02)
    received = sum(int(point.fields["received"]) for point in points if point.measurement == ICMP.name)
    assert received == 400 - line.truth.there.lost


@pytest.mark.needs("setpriv", "util-linux")
@pytest.mark.parametrize("allowed", [True, False])
def test_an_ordinary_user_needs_cap_net_raw_and_nothing_else(path: PathBuilder, allowed: bool) -> None:
    line = path(hops=0, relay=False)
    capabilities = "-all,+net_raw" if allowed else "-all"
    as_nobody = [
        shutil.which("setpriv") or "setpriv",
        "--reuid=65534",
        "--clear-groups",
        f"--inh-caps={capabilities}",
        f"--ambient-caps={capabilities}",
        sys.executable,
    ]
    if subprocess.run([*as_nobody, "-c", "import streamswarm_cli"], check=False, capture_output=True).returncode:
        pytest.skip("this Python can't be read by an ordinary user")
    said = line.near.run(
        [*as_nobody, "-m", "streamswarm_cli", "probe", "icmp", line.target, "--json", "--option", "count=2"],
        check=False,
    )
    point = json.loads(said.stdout.splitlines()[0])
    if allowed:
        assert point["fields"]["received"] == 2
    else:
        assert point["fields"]["error"] == Fault.PERMISSION
        assert "CAP_NET_RAW" in point["fields"]["error_detail"]


@pytest.mark.parametrize("loss", [0.5, 1.0])
async def test_a_run_with_less_time_than_it_would_wait_tells_its_loss(
    path: PathBuilder, tmp_path: FilePath, loss: float
) -> None:
    line = path(loss=loss, hops=0)
    engines, spool = Engines(), Spool(tmp_path / "spool", max_bytes=1_000_000)
    planner = Planner(spool, Flush(spool), LatestPoints(), RunBook(tmp_path / "records.json"), engines)
    params = {"count": 20, "spacing": 0.01, "wait": 5}
    assignment = {"id": "a", "test": "t", "probe": "icmp", "target": line.target, "interval": 60, "timeout": 0.8}
    budget = Budget(1e9, 1e12)
    with line.near.entered():
        scheduler = Scheduler(planner.plan, budget=budget, limits={}, link_busy=quiet)
        scheduler.update([Assignment.model_validate({**assignment, "params": params})])
        await until(lambda: spool.points > 0)
        await scheduler.close()
    engines.close()
    spool.seal()
    segment = spool.oldest()
    assert segment is not None
    point = parse_line(next(split_lines(segment[1].decode()))[1])
    assert (point.fields["sent"], point.fields["up"]) == (20, 0 if loss == 1 else 1)
    assert point.fields["loss"] == (line.truth.there.lost + line.truth.back.lost) / 20
