"""How exactly the lab does what it is told: injected, against what the kernel saw on both ends of the wire.

    python -m benchmarks.lab_accuracy [--packets 1000] [--rounds 3]

The times are those of packet captures on the two ends (SO_TIMESTAMPNS), not of a probe. Idle and with both cores loaded
come in turn. Prints Markdown for docs/accuracy.md. Needs root, or `unshare -Urn`.
"""

import argparse
import contextlib
import itertools
import math
import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab.capture import Capture
from tests.lab.impairment import Jitter, Options, bits_per_second
from tests.lab.topology import Lab, Path

PORT = 9_999
DELAYS_MS = (0, 1, 10, 50)
RATES = ("1mbit", "10mbit", "100mbit")
SPEEDS = (200, 5_000)


@contextmanager
def loaded_cores() -> Iterator[None]:
    """Keep every core busy with a process of ordinary priority."""
    spinning = [sys.executable, "-S", "-c", "while True: pass"]
    processes = [subprocess.Popen(spinning) for _ in range(os.cpu_count() or 1)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def send(line: Path, count: int, *, per_second: float, size: int = 100) -> None:
    """Send numbered datagrams from near, paced as well as an ordinary process can, a millisecond's worth at once."""
    with line.near.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        begun = time.perf_counter()
        for number in range(count):
            ahead = begun + number / per_second - time.perf_counter()
            if ahead > 0.001:
                time.sleep(ahead)
            sender.sendto(number.to_bytes(4, "big").ljust(size, b"\0"), (line.target, PORT))


Seen = tuple[dict[int, int], list[tuple[int, int]]]


def observe(lab: Lab, options: Options, count: int, *, per_second: float = 1_000, size: int = 100) -> tuple[Seen, Path]:
    """When each number went into the wire, and the numbers that came out of it with their times."""
    line = lab.path(there=options)
    first, second = line.routers
    with Capture(first, first.far_side) as before, Capture(second, second.near_side) as after:
        send(line, count, per_second=per_second, size=size)
        while True:
            truth = line.truth.there
            if truth.delivered >= truth.received + truth.duplicated - truth.missing:
                break
            time.sleep(0.05)
        entered = dict(numbered(before, outgoing=True))
        left = list(numbered(after, outgoing=False))
    if truth.overflowed or truth.received != len(entered):
        raise SystemExit(f"the relay could not keep up with {len(entered)} packets: {truth}")
    return (entered, left), line


def numbered(capture: Capture, *, outgoing: bool) -> Iterator[tuple[int, int]]:
    """The numbers in our datagrams, and when each passed."""
    for packet in capture.take():
        if packet.outgoing == outgoing and packet.transport[2:4] == PORT.to_bytes(2, "big"):
            yield int.from_bytes(packet.transport[8:12], "big"), packet.at_ns


def table(heading: str, columns: str, rows: list[str]) -> None:
    count = columns.count("|") + 1
    print(f"\n### {heading}\n\n| {columns} |\n|{' --- |' * count}")
    print("\n".join(f"| {row} |" for row in rows), flush=True)


def delays(packets: int, rounds: int) -> None:
    errors: dict[tuple[int, int, str], list[float]] = {}
    for _, delay, speed, load in itertools.product(range(rounds), DELAYS_MS, SPEEDS, ("idle", "loaded")):
        with Lab() as lab, loaded_cores() if load == "loaded" else contextlib.nullcontext():
            (entered, left), _ = observe(lab, {"delay_ms": delay}, packets, per_second=speed)
        late = [(at - entered[number]) / 1e3 - delay * 1e3 for number, at in left]
        errors.setdefault((delay, speed, load), []).extend(late)
    rows = []
    for (delay, speed, load), values in errors.items():
        ordered = sorted(values)
        cells = (statistics.median(ordered), ordered[math.ceil(len(ordered) * 0.99) - 1], ordered[-1], ordered[0])
        rows.append(f"{delay} | {speed:,} | {load} | " + " | ".join(f"{cell:.0f}" for cell in cells))
    table("Delay", "injected, ms | packets/s | cores | median error, µs | p99 | worst | least", rows)


def chances(packets: int) -> None:
    rows = []
    cases: dict[str, Options] = {
        "loss 0.02": {"loss": 0.02},
        "loss 0.1 in bursts of 5": {"loss": 0.1, "burst": 5},
        "duplicate 0.05": {"duplicate": 0.05},
        "reorder 0.05": {"reorder": 0.05},
    }
    for name, options in cases.items():
        with Lab() as lab:
            (entered, left), line = observe(lab, options, packets, per_second=5_000)
            truth = line.truth.there
        out = [number for number, _ in left]
        behind = sum(number < most for number, most in zip(out[1:], itertools.accumulate(out, max), strict=False))
        missing = sorted(set(entered) - set(out))
        runs = len(missing) - sum(following == number + 1 for number, following in itertools.pairwise(missing))
        told, seen = {
            "loss": (truth.lost, len(missing)),
            "duplicate": (truth.duplicated, len(out) - len(set(out))),
            "reorder": (truth.reordered, behind),
        }[name.split()[0]]
        burst = f"{len(missing) / runs:.2f}" if runs else ""
        rows.append(f"{name} | {seen / len(entered):.4f} | {burst} | {told} | {seen}")
    table("Chance", "asked for | share seen | mean burst seen | the relay's count | the captures' count", rows)


def rates() -> None:
    rows = []
    for rate in RATES:
        bits = bits_per_second(rate)
        # Two seconds' worth, sent half as fast again, so that all but the first packet find a queue.
        count = round(2 * bits / 8 / 1_428)
        options: Options = {"rate": rate, "queue_ms": 5_000}
        with Lab() as lab:
            (entered, left), _ = observe(lab, options, count, per_second=1.5 * bits / 8 / 1_428, size=1_400)
        times = sorted(at for _, at in left)
        seen = (len(times) - 1) * 1_428 * 8e9 / (times[-1] - times[0])
        offered = (len(entered) - 1) * 1_428 * 8e9 / (max(entered.values()) - min(entered.values()))
        rows.append(f"{rate} | {offered / 1e6:.1f} | {seen / 1e6:.3f} | {(seen / bits - 1) * 100:+.2f} %")
    table("Rate", "asked for | offered, mbit/s | seen, mbit/s | error", rows)


def jitters(packets: int) -> None:
    rows = []
    # Median and 90th percentile of each distribution.
    expected: dict[Jitter, tuple[float, float]] = {
        "uniform": (0.5, 0.9),
        "normal": (0.674, 1.645),
        "exponential": (math.log(2), math.log(10)),
    }
    for kind, (median, ninth) in expected.items():
        options: Options = {"delay_ms": 5, "jitter_ms": 1, "jitter": kind}
        # Sent far enough apart that keeping the order doesn't hold a packet back.
        with Lab() as lab:
            (entered, left), _ = observe(lab, options, packets, per_second=100)
        added = [(at - entered[number]) / 1e6 - 5 for number, at in left]
        seen = statistics.quantiles(added, n=10)
        rows.append(f"{kind}, 1 ms | {median:.3f} | {seen[4]:.3f} | {ninth:.3f} | {seen[8]:.3f}")
    table("Jitter", "asked for | median, ms | median seen | 90th percentile, ms | 90th seen", rows)


def capacity() -> None:
    rows = []
    for size in (100, 1_400):
        with Lab() as lab:
            line = lab.path()
            begun = time.perf_counter()
            send(line, 100_000, per_second=1e6, size=size)
            truth = line.truth.there
            while truth.delivered < truth.received:
                truth = line.truth.there
            seconds = time.perf_counter() - begun
        rows.append(f"{size} | {truth.delivered / seconds:,.0f} | {truth.overflowed}")
    table("Capacity", "payload bytes | packets/s carried | overflowed", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--packets", type=int, default=1_000, help="in each round of each case")
    parser.add_argument("--rounds", type=int, default=3, help="of the delay cases, idle and loaded in turn")
    given = parser.parse_args()
    delays(given.packets, given.rounds)
    chances(20 * given.packets)
    rates()
    jitters(given.packets)
    capacity()


if __name__ == "__main__":
    main()
