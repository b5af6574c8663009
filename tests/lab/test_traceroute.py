"""Traces over routers whose addresses, branches, losses and delays are known."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Mapping

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.net.path.hops import HopListener
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import SPECS
from tests.lab import parts
from tests.lab.namespace import Namespace
from tests.lab.topology import Multipath, MultipathBuilder, Path, PathBuilder

METHODS = ["icmp", "udp", "tcp"]
FAMILIES = ["ipv4", "ipv6"]


@contextlib.asynccontextmanager
async def agent_at(near: Namespace) -> AsyncIterator[Context]:
    """What the runs of an agent there share."""
    engines = Engines()
    with near.entered():
        try:
            yield Context(engines)
        finally:
            engines.close()


async def trace(context: Context, target: str, **options: object) -> tuple[Mapping[str, FieldValue], list[Point]]:
    """The fields of the summary, and the points of the hops and flows."""
    params = SPECS["traceroute"].params.model_validate({"spacing": 0.05, **options})
    summary, *others = await PROBES["traceroute"].run(target, params, context)
    return summary.fields, others


def addresses(points: list[Point]) -> list[FieldValue | None]:
    return [point.fields.get("address") for point in points if point.measurement == "traceroute_hop"]


def truth_of(path: Path, family: str) -> tuple[str, list[str]]:
    """The target, and the address of every hop up to it."""
    if family == "ipv4":
        return path.target, [*(router.v4 for router in path.routers), path.target]
    return path.target6, [*(router.v6 for router in path.routers), path.target6]


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", METHODS)
async def test_every_hop_of_a_chain_is_found_with_no_less_than_its_delay(
    path: PathBuilder, method: str, family: str
) -> None:
    line = path(hops=8, delay_ms=10, at=3)
    target, hops = truth_of(line, family)
    async with agent_at(line.near) as context:
        summary, points = await trace(context, target, method=method)
    assert (summary["up"], summary["hops"], summary["silent"], summary["loss"]) == (1, 9, 0, 0.0)
    assert summary["path"] == " ".join(hops)
    assert addresses(points) == hops
    for place, point in enumerate(points):
        assert float(point.fields["rtt_min"]) >= (0.020 if place >= 3 else 0)


async def test_thirty_hops_are_found_with_a_window_of_any_size(path: PathBuilder) -> None:
    line = path(hops=30, relay=False)
    target, hops = truth_of(line, "ipv4")
    async with agent_at(line.near) as context:
        for window in (1, 6, 64):
            summary, points = await trace(context, target, window=window, max_hops=40, count=1)
            assert addresses(points) == hops
        summary, points = await trace(context, target, max_hops=12)
    assert (summary["up"], summary["hops"], len(points)) == (0, 12, 12)
    assert summary["error_detail"] == f"nothing answers after hop 12 ({hops[11]}); hop 13 was {hops[12]}"


async def test_traces_to_fifty_targets_at_once_share_one_listener(path: PathBuilder) -> None:
    line = path(hops=3, delay_ms=5)
    target, hops = truth_of(line, "ipv4")
    targets = [f"198.19.255.{number}" for number in range(1, 51)]
    line.far.configure([f"address add {one}/32 dev lo" for one in targets])
    for node, gateway in zip([line.near, *line.routers], hops, strict=True):
        node.configure([f"route add 198.19.255.0/24 via {gateway}"])
    # To Linux all of them are one host, which would answer UDP six times and then once a second.
    line.far.sysctl({"ipv4/icmp_ratemask": 0})
    async with agent_at(line.near) as context:
        runs = await asyncio.gather(
            *(trace(context, one, method=METHODS[number % 3]) for number, one in enumerate(targets))
        )
        (channel,) = context.engines.get(HopListener)._channels.values()
        assert len(channel._heard) == 2
    for one, (summary, points) in zip(targets, runs, strict=True):
        assert (summary["up"], addresses(points)) == (1, [*hops[:3], one]), target


# Branches


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", ["udp", "tcp"])
async def test_both_branches_are_found_and_each_flow_knows_its_own(
    multipath: MultipathBuilder, method: str, family: str
) -> None:
    net = multipath({"delay_ms": 2}, {"delay_ms": 4})
    target, branches = _branches(net, family)
    async with agent_at(net.near) as context:
        summary, points = await trace(context, target, method=method, multipath=True, confidence=0.999)
    assert (summary["up"], summary["branches"], summary["per_packet"]) == (1, 2, 0)
    (second,) = [point for point in points if point.tags.get("hop") == "02"]
    assert second.fields["branches"] == 2
    assert str(second.fields["addresses"]).split() == sorted(branches)
    flows = [str(point.fields["path"]).split() for point in points if point.measurement == "traceroute_flow"]
    assert len(flows) == summary["flows"]
    assert {flow[1] for flow in flows} == set(branches)
    assert {len(flow) for flow in flows} == {4}
    assert {flow[3] for flow in flows} == ({target} if method == "tcp" else {target, "*"})
    assert summary["path"] == " ".join(flows[0])


async def test_flow_labels_make_flows_where_a_router_hashes_nothing_else(multipath: MultipathBuilder) -> None:
    net = multipath({}, {})
    net.split.sysctl({"ipv6/fib_multipath_hash_policy": 0})
    async with agent_at(net.near) as context:
        summary, _ = await trace(context, net.target6, method="icmp", multipath=True, confidence=0.999)
    assert summary["branches"] == 2


async def test_three_branches_are_found(multipath: MultipathBuilder) -> None:
    net = multipath({}, {}, {})
    async with agent_at(net.near) as context:
        summary, _ = await trace(context, net.target, method="udp", multipath=True, confidence=0.999)
    assert (summary["branches"], summary["paths"]) == (3, 3)


async def test_one_flow_takes_one_branch_in_every_run(multipath: MultipathBuilder) -> None:
    net = multipath({}, {})
    async with agent_at(net.near) as context:
        runs = [(await trace(context, net.target, method="tcp"))[0] for _ in range(5)]
    assert {run["branches"] for run in runs} == {1}
    assert len({run["path_hash"] for run in runs}) == 1
    assert [run.get("path_changed") for run in runs] == [None, 0, 0, 0, 0]


def _branches(net: Multipath, family: str) -> tuple[str, list[str]]:
    if family == "ipv4":
        return net.target, [branch.router.v4 for branch in net.branches]
    return net.target6, [branch.router.v6 for branch in net.branches]


async def test_routers_that_balance_each_packet_are_said_to(multipath: MultipathBuilder) -> None:
    net = multipath({}, {})
    target, (first, second) = _branches(net, "ipv4")
    chain = "add chain ip turns in { type filter hook prerouting priority mangle; }"
    rule = "add rule ip turns in meta mark set numgen inc mod 2 map { 0 : 1, 1 : 2 }"
    net.split.run(["nft", "-f", "-"], feed=f"add table ip turns\n{chain}\n{rule}\n")
    for mark, gateway in ((1, first), (2, second)):
        net.split.configure(
            [f"route add default via {gateway} table {mark}", f"rule add fwmark {mark} to {target} table {mark}"]
        )
    async with agent_at(net.near) as context:
        runs = [(await trace(context, target, count=7, method="tcp"))[0] for _ in range(3)]
    assert [(run["per_packet"], run["branches"]) for run in runs] == [(1, 2)] * 3
    assert [run.get("path_changed") for run in runs] == [None, 0, 0]


@pytest.mark.parametrize("method", METHODS)
async def test_hops_behind_an_address_translator_are_found(path: PathBuilder, method: str) -> None:
    line = path(hops=4, relay=False)
    target, hops = truth_of(line, "ipv4")
    gateway = line.routers[0]
    chain = "add chain ip nat out { type nat hook postrouting priority srcnat; }"
    rule = f"add rule ip nat out oifname {gateway.far_side} masquerade"
    gateway.run(["nft", "-f", "-"], feed=f"add table ip nat\n{chain}\n{rule}\n")
    async with agent_at(line.near) as context:
        summary, points = await trace(context, target, method=method)
    assert (summary["up"], addresses(points)) == (1, hops)


# Change


async def test_a_route_that_is_switched_is_a_change_and_a_silent_hop_is_none(multipath: MultipathBuilder) -> None:
    net = multipath({}, {})
    target, (first, second) = _branches(net, "ipv4")
    network = str(target.rpartition(".")[0]) + "." + str(int(target.rpartition(".")[2]) & ~3) + "/30"

    def lead_over(gateway: str) -> None:
        net.split.configure([f"route replace {network} via {gateway}"])

    lead_over(first)
    async with agent_at(net.near) as context:
        before, _ = await trace(context, target)
        same, _ = await trace(context, target)
        lead_over(second)
        moved, _ = await trace(context, target)
        parts.silence(net.merge)
        silent, points = await trace(context, target, wait=0.3)
        lead_over(first)
        back, _ = await trace(context, target, wait=0.3)
    assert (same["path_changed"], same["path_hash"]) == (0, before["path_hash"])
    assert moved["path_changed"] == 1
    assert (moved["changed_hop"], moved["changed_from"], moved["changed_to"]) == (2, first, second)
    assert moved["previous_path_hash"] == before["path_hash"] != moved["path_hash"]
    assert (silent["path_changed"], silent["path_hash"]) == (0, moved["path_hash"])
    assert (silent["silent"], addresses(points)[2], points[2].fields["loss"]) == (1, None, 1.0)
    assert (back["path_changed"], back["changed_hop"]) == (1, 2)


# What goes wrong


async def test_loss_is_said_to_begin_at_the_hop_where_it_does(path: PathBuilder) -> None:
    line = path(hops=5, relay=False)
    target, hops = truth_of(line, "ipv4")
    rule = parts.lose(line.routers[2], 0.3)
    async with agent_at(line.near) as context:
        summary, points = await trace(context, target, count=20, wait=0.3)
    assert rule.packets > 0
    assert (summary["up"], summary["loss_hop"], summary["loss_address"]) == (1, 4, hops[3])
    assert [point.fields["loss"] for point in points[:3]] == [0, 0, 0]
    assert all(float(point.fields["loss"]) > 0 for point in points[3:])


async def test_a_router_that_answers_seldom_is_not_said_to_lose_what_it_forwards(path: PathBuilder) -> None:
    line = path(hops=3, relay=False)
    line.routers[1].sysctl({"ipv4/icmp_ratemask": 6168, "ipv4/icmp_ratelimit": 1000})
    async with agent_at(line.near) as context:
        summary, points = await trace(context, line.target, count=15, spacing=0.01, wait=0.3)
    assert float(points[1].fields["loss"]) > 0
    assert summary["loss"] == 0
    assert "loss_hop" not in summary


async def test_a_target_that_falls_silent_is_a_failing_hop_and_no_change(path: PathBuilder) -> None:
    line = path(hops=4, relay=False)
    target, hops = truth_of(line, "ipv4")
    async with agent_at(line.near) as context:
        before, _ = await trace(context, target)
        parts.refuse(line.routers[2], "meta l4proto icmp")
        down, points = await trace(context, target, wait=0.3)
    assert (down["up"], down["error"], down["loss"]) == (0, Fault.TIMEOUT, 1.0)
    assert (down["failing_hop"], down["failing_after"], down["failing_address"]) == (4, hops[2], hops[3])
    assert down["error_detail"] == f"nothing answers after hop 3 ({hops[2]}); hop 4 was {hops[3]}"
    assert (down["path_changed"], down["path_hash"]) == (0, before["path_hash"])
    assert addresses(points) == hops[:3]
    assert "rtt_mean" not in down


@pytest.mark.parametrize("family", FAMILIES)
async def test_a_router_that_refuses_is_named_with_its_reason(path: PathBuilder, family: str) -> None:
    line = path(hops=4, relay=False)
    target, hops = truth_of(line, family)
    parts.refuse(line.routers[1], "udp dport 33434", "prohibited")
    async with agent_at(line.near) as context:
        summary, points = await trace(context, target, method="udp")
    assert (summary["up"], summary["error"], summary["failing_hop"]) == (0, Fault.UNREACHABLE, 3)
    assert str(summary["error_detail"]).startswith(f"hop 3: {hops[1]} says ")
    assert "prohibited" in str(summary["error_detail"])
    assert points[-1].fields["answer"] == str(summary["error_detail"]).rpartition(" says ")[2]


async def test_a_host_that_is_not_there_is_unreachable_behind_the_last_router(path: PathBuilder) -> None:
    line = path(hops=2, relay=False)
    target, hops = truth_of(line, "ipv4")
    line.routers[1].configure([f"neighbour replace {target} dev {line.routers[1].far_side} nud failed"])
    line.far.configure([f"address del {target}/30 dev to-r2"])
    async with agent_at(line.near) as context:
        summary, _ = await trace(context, target, wait=5.0, count=1)
    assert (summary["up"], summary["error"]) == (0, Fault.UNREACHABLE)
    assert summary["error_detail"] == f"hop 3: {hops[1]} says host unreachable"


async def test_where_nothing_answers_no_hop_and_no_path_is_made_up(path: PathBuilder) -> None:
    line = path(hops=1, relay=False)
    rule = parts.silence(line.routers[0])
    parts.refuse(line.far, "meta l4proto icmp")
    async with agent_at(line.near) as context:
        runs = [await trace(context, line.target, wait=0.1) for _ in range(2)]
    assert rule.packets > 0
    for summary, points in runs:
        assert (summary["up"], summary["error_detail"], summary["failing_hop"]) == (0, "nothing answers at all", 1)
        assert not {"hops", "path", "path_hash", "path_changed", "branches"} & set(summary)
        assert points == []


async def test_late_answers_are_lost_and_not_taken_for_others(path: PathBuilder) -> None:
    line = path(hops=2, delay_ms=60, at=2)
    target, hops = truth_of(line, "ipv4")
    async with agent_at(line.near) as context:
        late, points = await trace(context, target, wait=0.1, count=4)
        enough, _ = await trace(context, target, wait=1.0)
    assert (late["up"], addresses(points)) == (0, hops[:2])
    assert (enough["up"], float(enough["rtt_min"]) >= 0.120) == (1, True)


# MPLS


async def test_labels_that_a_router_adds_to_its_answer_are_shown(path: PathBuilder) -> None:
    line = path(hops=3, relay=False)
    async with agent_at(line.near) as context, _answer_with_labels(line):
        summary, points = await trace(context, line.target)
    assert (summary["up"], summary["silent"]) == (1, 0)
    assert [point.fields.get("mpls") for point in points] == [None, "16001/0/1 24015/5/254", None, None]


@contextlib.asynccontextmanager
async def _answer_with_labels(line: Path) -> AsyncIterator[None]:
    """Let the second router answer as one in an MPLS network does: RFC 4884 and RFC 4950."""
    router = line.routers[1]
    with router.entered():
        heard = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.htons(0x0800))
        heard.bind((router.near_side, 0x0800))
        heard.setblocking(False)  # noqa: FBT003
        answering = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP)
        answering.bind((router.v4, 0))
        answering.setsockopt(socket.SOL_SOCKET, socket.SO_MARK, 7)
    chain = "add chain ip own output { type filter hook output priority 0; }"
    own_only = "add rule ip own output icmp type time-exceeded meta mark != 7 drop"
    router.run(["nft", "-f", "-"], feed=f"add table ip own\n{chain}\n{own_only}\n")
    stack = bytes.fromhex("20000000" + "000c0101" + "03e81001" + "05dcfbfe")

    def answer() -> None:
        packet = heard.recv(2048)
        if packet[8] == 1:
            body = packet[:128].ljust(128, b"\0") + stack
            message = struct.pack("!BBHI", 11, 0, 0, 128 // 4 << 16) + body
            total = 0xFFFF - int.from_bytes(message, "big") % 0xFFFF
            answering.sendto(message[:2] + total.to_bytes(2, "big") + message[4:], (line.near_address, 0))

    loop = asyncio.get_running_loop()
    loop.add_reader(heard.fileno(), answer)
    try:
        yield
    finally:
        loop.remove_reader(heard.fileno())
        heard.close()
        answering.close()
