"""How much longer do round-trip times become when many targets are pinged at once over a slow link?

    python -m benchmarks.accuracy_together [--rounds 20] [--targets 100] [--rate 10mbit]

A request alone, at every time, is what the others are held against: what it takes is the path. Then as many as there
are targets are asked for at one moment, of our engine as it is and told of the link's speed, and of fping with its own
pause of 10 ms between two targets and with none. Prints Markdown for docs/accuracy.md. Needs root and `fping`.
"""

import argparse
import asyncio
import re
import socket
import statistics
from collections.abc import Callable
from functools import partial

from tests.lab.impairment import bits_per_second
from tests.lab.topology import Lab, Path

from streamswarm_agent.net.icmp.engine import IcmpEngine
from streamswarm_agent.net.icmp.pace import DEFAULT_UPLINK
from streamswarm_agent.net.targets import Address

Tool = Callable[[Path, int], list[float]]


def ours(line: Path, targets: int, *, uplink: float) -> list[float]:
    """Round-trip times in seconds, all asked for at once."""

    async def measure() -> list[float]:
        engine, address = IcmpEngine(uplink=uplink), Address(socket.AF_INET, (line.target, 0), None)
        pings = [engine.echo(address, count=1, spacing=1, wait=5, size=56) for _ in range(targets)]
        runs = await asyncio.gather(*pings)
        engine.close()
        return [rtt for run in runs for rtt in run.received]

    with line.near.entered():
        return asyncio.run(measure())


def fping(line: Path, targets: int, *, pause_ms: int) -> list[float]:
    """The same by fping, which takes a target as often as it is named."""
    argv = ["fping", "-e", "-i", str(pause_ms), "-t", "5000", *[line.target] * targets]
    return [float(text) / 1e3 for text in re.findall(r"\(([\d.]+) ms\)", line.near.run(argv, check=False).stdout)]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--rounds", type=int, default=20)
    arguments.add_argument("--targets", type=int, default=100)
    arguments.add_argument("--rate", default="10mbit")
    options = arguments.parse_args()
    speed = bits_per_second(options.rate)
    tools: dict[str, Tool] = {
        "StreamSwarm, `uplink_bits_per_second` as it is": partial(ours, uplink=DEFAULT_UPLINK),
        f"StreamSwarm, told of {options.rate}": partial(ours, uplink=speed),
        "fping, 10 ms between two targets": partial(fping, pause_ms=10),
        "fping, 1 ms": partial(fping, pause_ms=1),
        "fping, none": partial(fping, pause_ms=0),
    }
    alone: list[float] = []
    times: dict[str, list[float]] = {name: [] for name in tools}
    with Lab() as lab:
        line = lab.path(delay_ms=2, rate=options.rate, queue_ms=1000)
        for _ in range(options.rounds):
            alone += ours(line, 1, uplink=speed)
            for name, tool in tools.items():
                times[name] += tool(line, options.targets)
    path = statistics.median(alone)
    print(f"The path alone: {path * 1e3:.3f} ms.\n")
    print("| tool | replies | median longer by, ms | p99, ms | most, ms |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for name, found in times.items():
        longer = sorted((rtt - path) * 1e3 for rtt in found)
        cells = (statistics.median(longer), longer[int(len(longer) * 0.99)], longer[-1])
        print(f"| {name} | {len(longer)} | {' | '.join(f'{cell:.2f}' for cell in cells)} |")


if __name__ == "__main__":
    main()
