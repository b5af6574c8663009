"""How right traceroute and mtu are, on networks of the lab whose hops, branches and limits are known.

    python -m benchmarks.accuracy_path [--runs 20] [--branch-runs 100] [--mtu-runs 5]

Round-trip times are held against a packet capture (SO_TIMESTAMPNS) on the interface that the probe uses: from the probe
packet leaving to its answer coming in. Idle and with all cores loaded come in turn. Prints Markdown for
docs/accuracy.md. Needs root, or `unshare -Urn`.
"""

import argparse
import asyncio
import contextlib
import random
import statistics
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from tests.lab import parts
from tests.lab.capture import Capture, Captured
from tests.lab.impairment import Options
from tests.lab.namespace import Namespace
from tests.lab.topology import Lab

from benchmarks.lab_accuracy import loaded_cores
from streamswarm_agent.net.path.flows import Flow
from streamswarm_agent.net.path.hops import HopListener
from streamswarm_agent.net.path.mtu import Prober
from streamswarm_agent.net.path.tracing import Trace, Tracer
from streamswarm_agent.net.targets import resolve
from streamswarm_core.probespecs import MtuParams, TraceMethod, TracerouteParams

HOPS, WIRE_AT, DELAY_MS = 10, 4, 10
BRANCHES = (2, 3, 4, 8)
MTUS = (1280, 1372, 1400, 1492)
PORT = 33_434


@contextmanager
def listening(near: Namespace) -> Iterator[HopListener]:
    listener = HopListener()
    with near.entered():
        try:
            yield listener
        finally:
            listener.close()


async def trace(listener: HopListener, target: str, params: TracerouteParams, port: int = PORT) -> Trace:
    flow = Flow.to(await resolve(target), params.method, port)
    return await Tracer(listener, flow, params).run()


def mark_of(packet: Captured) -> int:
    """The mark in a packet of ours, whether it leaves, is quoted, or is answered."""
    transport = packet.transport
    v6 = packet.packet[0] >> 4 == 6
    protocol = packet.packet[6] if v6 else packet.packet[9]
    if protocol == 6:
        number = int.from_bytes(transport[4:8] if packet.outgoing else transport[8:12], "big")
        return (number - (not packet.outgoing)) & 0xFFFF
    if not packet.outgoing and transport[0] not in {0, 129}:
        transport = transport[8 + (40 if v6 else 20) :]
    return int.from_bytes(transport[6:8], "big")


def wire_times(packets: Sequence[Captured]) -> dict[int, float]:
    """Seconds from each of our packets leaving to its answer coming in, by mark."""
    left: dict[int, int] = {}
    times: dict[int, float] = {}
    for packet in packets:
        mark = mark_of(packet)
        if packet.outgoing:
            left[mark] = packet.at_ns
        elif mark in left:
            times.setdefault(mark, (packet.at_ns - left[mark]) / 1e9)
    return times


def errors_of(found: Trace, packets: Sequence[Captured]) -> list[float]:
    truth = wire_times(packets)
    return [
        (packet.answer.rtt - truth[packet.mark]) * 1e6
        for hop in found.hops
        for packet in hop.packets
        if packet.answer and packet.mark in truth
    ]


async def chains(lab: Lab, runs: int) -> None:
    print(f"\nEvery hop of a chain of {HOPS} routers and the target, link {WIRE_AT + 1} {DELAY_MS} ms each way,")
    print("three packets a hop; error of each round-trip time against the capture:\n")
    print("| packets | IP | cores | hops found | median, µs | p99, either way | largest | samples |")
    print("| --- | --- | --- | ---: | ---: | ---: | ---: | ---: |")
    line = lab.path(hops=HOPS, at=WIRE_AT, delay_ms=DELAY_MS)
    line.far.sysctl({"ipv4/icmp_ratemask": 0, "ipv6/icmp/ratelimit": 0})
    expected = {
        line.target: [*(router.v4 for router in line.routers), line.target],
        line.target6: [*(router.v6 for router in line.routers), line.target6],
    }
    kinds = [(method, target) for method in TraceMethod for target in expected]
    found: dict[tuple[TraceMethod, str, bool], tuple[int, list[float]]] = {}
    with listening(line.near) as listener, Capture(line.near, "to-r1") as capture:
        for _ in range(runs):
            for loaded in (False, True):
                with loaded_cores() if loaded else contextlib.nullcontext():
                    for method, target in kinds:
                        params = TracerouteParams(method=method, spacing=0.05)
                        traced = await trace(listener, target, params)
                        right, errors = found.get((method, target, loaded), (0, []))
                        right += sum(a == b for a, b in zip(traced.path, expected[target], strict=False))
                        found[method, target, loaded] = right, errors + errors_of(traced, capture.take())
    for (method, target, loaded), (right, errors) in found.items():
        family = "6" if ":" in target else "4"
        hops = f"{right} of {runs * (HOPS + 1)}"
        sizes = sorted(map(abs, errors))
        figures = f"{statistics.median(errors):.1f} | {sizes[int(len(sizes) * 0.99)]:.1f} | {sizes[-1]:.1f}"
        print(f"| {method} | {family} | {'loaded' if loaded else 'idle'} | {hops} | {figures} | {len(errors)} |")


async def diamonds(lab: Lab, runs: int) -> None:
    print("\nBranches between routers that hash addresses and ports, another port in each run, `confidence` 0.95:\n")
    print("| packets | branches | all found | mean found | flows, mean | packets, mean |")
    print("| --- | ---: | ---: | ---: | ---: | ---: |")
    for width in BRANCHES:
        net = lab.multipath(*[Options()] * width)
        net.far.sysctl({"ipv4/icmp_ratemask": 0})
        with listening(net.near) as listener:
            for method in (TraceMethod.UDP, TraceMethod.TCP):
                params = TracerouteParams(method=method, multipath=True, count=1, wait=0.5)
                traces = [await trace(listener, net.target, params, PORT + run) for run in range(runs)]
                seen = [len({path[1] for path in traced.flow_paths if len(path) > 1}) for traced in traces]
                flows = statistics.fmean(len(traced.flow_paths) for traced in traces)
                sent = statistics.fmean(traced.sent for traced in traces)
                share = f"{sum(one == width for one in seen)} of {runs}"
                print(f"| {method} | {width} | {share} | {statistics.fmean(seen):.2f} | {flows:.1f} | {sent:.0f} |")


async def limits(lab: Lab, runs: int) -> None:
    print("\nPath MTU, one link of four narrower than the others; right is to the byte, with black hole and hop:\n")
    print("| IP | routers say so | loss each way | right | seconds, median | packets, median |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    chance = random.Random(1)
    for hidden in (False, True):
        for loss in (0.0, 0.05):
            line = lab.path(hops=3, at=2, loss=loss, seed=chance.randrange(1000))
            if hidden:
                for router in line.routers:
                    parts.hide_mtu(router)
            for target, limiting in ((line.target, line.routers[1].v4), (line.target6, line.routers[1].v6)):
                right, seconds, sent = 0, [], []
                for mtu in MTUS * runs:
                    line.set(mtu=mtu)
                    with listening(line.near) as listener:
                        begun = time.monotonic()
                        flow = Flow.to(await resolve(target), TraceMethod.ICMP, 0)
                        found = await Prober(listener, flow, MtuParams(tries=4)).run()
                    seconds.append(time.monotonic() - begun)
                    sent.append(found.sent)
                    told = (found.size, found.black_hole, found.limiting_hop, found.limiting_address)
                    right += told == (mtu, hidden, 2, limiting)
                family = "6" if ":" in target else "4"
                figures = f"{statistics.median(seconds):.2f} | {statistics.median(sent):.0f}"
                print(f"| {family} | {'no' if hidden else 'yes'} | {loss:.0%} | {right} of {len(sent)} | {figures} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--branch-runs", type=int, default=100)
    parser.add_argument("--mtu-runs", type=int, default=5)
    wanted = parser.parse_args()
    with Lab() as lab:
        asyncio.run(chains(lab, wanted.runs))
        asyncio.run(diamonds(lab, wanted.branch_runs))
        asyncio.run(limits(lab, wanted.mtu_runs))


if __name__ == "__main__":
    main()
