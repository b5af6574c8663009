"""How right stamp and bandwidth are, on paths of the lab that are known.

    python -m benchmarks.accuracy_stamp [--runs 20] [--rate-runs 3]

Losses are held against the wire's own records, times against packet captures (SO_TIMESTAMPNS) on the interfaces of
both hosts, rates against the rate that the wire was given. Idle and with all cores loaded come in turn. Prints Markdown
for docs/accuracy.md. Needs root, or `unshare -Urn`, and iperf3.
"""

import argparse
import asyncio
import contextlib
import statistics
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager

from tests.lab.capture import Capture, Captured
from tests.lab.topology import Lab, Path
from tests.lab.wire import Way

from benchmarks.lab_accuracy import loaded_cores
from streamswarm_agent.net.stamp.oneway import attribute_loss
from streamswarm_agent.net.stamp.sender import Plan, StampRun, StampSender
from streamswarm_agent.net.targets import resolve
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reflector.bandwidth import BandwidthServer
from streamswarm_core.reflector.limits import RateLimit
from streamswarm_core.reflector.stamp import StampReflector

COUNT = 200
LOSSES = ((0.1, 0.0), (0.0, 0.1), (0.02, 0.02), (0.1, 0.3))
RATES = (5e6, 20e6, 100e6)
PAYLOAD = 1448 / 1500
"""Share of a full IP packet that is TCP payload, with time stamps."""
SEQUENCE_AT: dict[Way, int] = {"there": 28, "back": 52}
STAMP_AT = {True: 4, False: 28}
UDP, UDP_HEADER = 17, 8


@contextmanager
def reflecting(line: Path) -> Iterator[int]:
    reflector = StampReflector(limit=RateLimit(each=1e6, total=1e6))
    with line.far.entered():
        port = reflector.listen([line.target], 0)
    try:
        yield port
    finally:
        reflector.close()


async def measure(line: Path, port: int, spacing: float) -> StampRun:
    sender = StampSender()
    with line.near.entered():
        try:
            return await sender.run(await resolve(line.target, port), Plan(COUNT, spacing, 0.3))
        finally:
            sender.close()


def really_lost(line: Path, way: Way) -> int:
    at = SEQUENCE_AT[way]
    heads = [one.head for one in line.records(way) if one.fate == "lost" and one.head[9] == UDP]
    return sum(int.from_bytes(head[at : at + 4], "big") < COUNT for head in heads)


async def losses(runs: int) -> None:
    print(f"\nLoss by direction, {runs} runs of {COUNT} packets each, against the wire's records:\n")
    print("| loss there | back | cores | lost there | told | lost back | told | unknown | runs exactly right |")
    print("| ---: | ---: | --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for there, back in LOSSES:
        sums = {False: [0] * 6, True: [0] * 6}
        for seed in range(1, runs + 1):
            for loaded in (False, True):
                with Lab() as lab, loaded_cores() if loaded else contextlib.nullcontext():
                    line = lab.path(hops=1, there={"loss": there}, back={"loss": back}, record=True, seed=seed)
                    with reflecting(line) as port:
                        told = attribute_loss(await measure(line, port, 0.002))
                    truth = really_lost(line, "there"), really_lost(line, "back")
                right = (told.there, told.back, told.unknown) == (*truth, 0)
                new = (truth[0], told.there, truth[1], told.back, told.unknown, int(right))
                sums[loaded] = [a + b for a, b in zip(sums[loaded], new, strict=True)]
        for loaded, (lost, found, lost_back, found_back, unknown, exact) in sums.items():
            figures = f"{lost} | {found} | {lost_back} | {found_back} | {unknown} | {exact} of {runs}"
            print(f"| {there:.0%} | {back:.0%} | {'loaded' if loaded else 'idle'} | {figures} |")


def times_of(packets: Sequence[Captured], *, requests: bool) -> dict[int, int]:
    """When each request, or each answer, passed the interface, by the sender's time stamp in it."""
    found: dict[int, int] = {}
    for packet in packets:
        if packet.packet[9] != UDP:
            continue
        payload, at = packet.transport[UDP_HEADER:], STAMP_AT[requests]
        found.setdefault(int.from_bytes(payload[at : at + 8], "big"), packet.at_ns)
    return found


async def delays(runs: int) -> None:
    print(
        f"\nTimes, error against captures on both hosts, µs, {runs} runs of {COUNT} packets, 10 ms there, 2 ms back:\n"
    )
    print("| figure | cores | median | p99 | largest | samples |")
    print("| --- | --- | ---: | ---: | ---: | ---: |")
    errors: dict[tuple[str, bool], list[float]] = {}
    with Lab() as lab:
        line = lab.path(hops=1, there={"delay_ms": 10}, back={"delay_ms": 2})
        with reflecting(line) as port:
            for _ in range(runs):
                for loaded in (False, True):
                    with loaded_cores() if loaded else contextlib.nullcontext():
                        await one_run(line, port, loaded, errors)
    for (figure, loaded), values in errors.items():
        values.sort(key=abs)
        spread = f"{statistics.median(values):.1f} | {values[int(len(values) * 0.99)]:.1f} | {values[-1]:.1f}"
        print(f"| {figure} | {'loaded' if loaded else 'idle'} | {spread} | {len(values)} |")


async def one_run(line: Path, port: int, loaded: bool, errors: dict[tuple[str, bool], list[float]]) -> None:  # noqa: FBT001
    with Capture(line.near, "to-r1") as near, Capture(line.far, "to-r1") as far:
        run = await measure(line, port, 0.005)
        here, there = near.take(), far.take()
    left = times_of([one for one in here if one.outgoing], requests=True)
    came = times_of([one for one in there if not one.outgoing], requests=True)
    answered = times_of([one for one in there if one.outgoing], requests=False)
    returned = times_of([one for one in here if not one.outgoing], requests=False)
    for packet in run.packets:
        if not packet.answers or packet.answers[0].reply.sender_sent not in answered:
            continue
        answer = packet.answers[0]
        mark = answer.reply.sender_sent
        truth_there, truth_back = came[mark] - left[mark], returned[mark] - answered[mark]
        told_there = answer.reply.received_ns - packet.sent_ns
        told_back = answer.received_ns - answer.reply.sent_ns
        for figure, error in (
            ("round trip less dwell", told_there + told_back - truth_there - truth_back),
            ("one-way delay there", told_there - truth_there),
            ("one-way delay back", told_back - truth_back),
            ("reflector's transmit time", answer.reply.sent_ns - answered[mark]),
        ):
            errors.setdefault((figure, loaded), []).append(error / 1000)


@asynccontextmanager
async def serving(line: Path) -> AsyncIterator[int]:
    server = BandwidthServer(most_bytes=10**9)
    with line.far.entered():
        port = await server.listen([line.target], 0)
        reflector = StampReflector(limit=RateLimit(each=1e6, total=1e6))
        reflector.listen([line.target], port)
        iperf = line.far.popen(["iperf3", "--server", "--forceflush"])
    assert iperf.stdout is not None  # noqa: S101 - popen pipes it
    for said in iperf.stdout:
        if "listening" in said:
            break
    try:
        yield port
    finally:
        reflector.close()
        await server.close()


async def rates(runs: int) -> None:
    print(
        f"\nBandwidth, share of what a wire of that rate carries as TCP payload ({PAYLOAD:.1%} of it), median of {runs}"
    )
    print("runs (smallest to largest), 4 streams, 3 s; 10 ms round trip and a queue of 100 ms each way:\n")
    print("| Mbit/s | method | cores | download | upload | round trip idle, ms | loaded, ms |")
    print("| ---: | --- | --- | ---: | ---: | ---: | ---: |")
    for rate in RATES:
        found: dict[tuple[str, bool], list[Point]] = {}
        with Lab() as lab:
            line = lab.path(hops=1, delay_ms=5, rate=rate, queue_ms=100)
            async with serving(line) as port:
                for _ in range(runs):
                    for loaded in (False, True):
                        for method in ("reflector", "iperf3"):
                            with loaded_cores() if loaded else contextlib.nullcontext():
                                point = await one_rate(line, method, port)
                            if point.fields["up"]:
                                found.setdefault((method, loaded), []).append(point)
        for (method, loaded), points in found.items():
            shares = [
                spread([float(one.fields[way]) / rate / PAYLOAD for one in points]) for way in ("download", "upload")
            ]
            trips = [
                f"{statistics.median(float(one.fields[name]) for one in points) * 1000:.1f}"
                if name in points[0].fields
                else ""
                for name in ("rtt_idle", "rtt_upload")
            ]
            print(f"| {rate / 1e6:g} | {method} | {'loaded' if loaded else 'idle'} | {' | '.join(shares + trips)} |")


async def one_rate(line: Path, method: str, port: int) -> Point:
    options = {"method": method, "seconds": 3, "budget": 400_000_000} | (
        {"port": port} if method == "reflector" else {}
    )
    engines = Engines()
    with line.near.entered():
        try:
            params = SPECS["bandwidth"].params.model_validate(options)
            point = (await PROBES["bandwidth"].run(line.target, params, Context(engines)))[0]
            if not point.fields["up"]:
                sys.stderr.write(f"left out: {complaint_of(point)}\n")
            return point
        finally:
            engines.close()


def complaint_of(point: Point) -> str:
    return f"{point.tags['method']}: {point.fields['error']}: {point.fields['error_detail']}"


def spread(shares: Sequence[float]) -> str:
    return f"{statistics.median(shares):.1%} ({min(shares):.1%} to {max(shares):.1%})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--rate-runs", type=int, default=3)
    wanted = parser.parse_args()
    asyncio.run(losses(wanted.runs))
    asyncio.run(delays(wanted.runs))
    asyncio.run(rates(wanted.rate_runs))


if __name__ == "__main__":
    main()
