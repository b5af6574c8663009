"""Lets a whole system run for long, asked as dashboards and Prometheus ask it, and looks whether anything grows.

    python -m benchmarks.soak [--minutes 60]

The group runs as `streamswarm up --local-only --interval 1` does, on loopback, its data in a temporary folder. Each
second a panel is asked, and every five all `/metrics` are scraped. Prints memory, open files and threads of each
service, in the second tenth of the time (the first warms up) and in the last, the slope of memory (Theil-Sen), and the
size of the store for each value. Ends with 1 if open files or threads grow, a service was restarted, or a log has an
error.
"""

import argparse
import statistics
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import httpx
import psutil
from tests.e2e.stack import SERVICES, Stack, running_stack

from benchmarks.chaos import processes
from streamswarm_core.reader import InfluxQLReader

SAMPLE_SECONDS = 10.0
SCRAPE_SECONDS = 5.0
MOST_MORE_FILES = 20
MOST_MORE_THREADS = 8
SLOPE_SAMPLES = 200
PANEL = "SELECT mean(rtt_mean) FROM icmp WHERE time > now() - 15m GROUP BY time(10s), agent, target fill(none)"
ERRORS = (" ERROR ", " CRITICAL ", "Traceback")


@dataclass(frozen=True, slots=True)
class Sample:
    """What one service holds at one moment.

    Attributes:
        at: seconds since the start.
        pid: its process.
        memory: resident bytes.
        files: open file descriptors.
        threads: of its process.
    """

    at: float
    pid: int
    memory: int
    files: int
    threads: int


def sample(stack: Stack, at: float) -> dict[str, Sample]:
    """All services now."""
    return {
        name: Sample(at, one.pid, one.memory_info().rss, one.num_fds(), one.num_threads())
        for name, one in processes(stack).items()
    }


def use(stack: Stack, seconds: float, samples: dict[str, list[Sample]]) -> None:
    """Ask, scrape and take samples."""
    begun = time.monotonic()
    scraped = sampled = -SAMPLE_SECONDS
    with stack.reader() as reader, httpx.Client(timeout=30) as client:
        while (now := time.monotonic() - begun) < seconds:
            reader.execute(PANEL)
            if now - scraped >= SCRAPE_SECONDS:
                scraped = now
                for port in stack.ports.values():
                    client.get(f"http://127.0.0.1:{port}/metrics").raise_for_status()
            if now - sampled >= SAMPLE_SECONDS:
                sampled = now
                for name, one in sample(stack, now).items():
                    samples[name].append(one)
            time.sleep(1)


def slope(samples: list[Sample]) -> float:
    """Bytes an hour: the median of the slopes between all pairs (Theil 1950, Sen 1968)."""
    thinned = samples[:: max(1, len(samples) // SLOPE_SAMPLES)]
    slopes = [(b.memory - a.memory) / (b.at - a.at) for a, b in combinations(thinned, 2)]
    return statistics.median(slopes) * 3600 if slopes else 0.0


def report(samples: dict[str, list[Sample]]) -> list[str]:
    """Print the table; returns what grew."""
    grew = []
    print("| service | memory, MB | slope, MB/h | open files | threads |\n| --- | --- | ---: | --- | --- |")
    for name, all_of_it in samples.items():
        tenth = max(1, len(all_of_it) // 10)
        early, late = all_of_it[tenth : 2 * tenth], all_of_it[-tenth:]
        medians = {
            what: [statistics.median(getattr(one, what) for one in part) for part in (early, late)]
            for what in ("memory", "files", "threads")
        }
        memory, files, threads = medians["memory"], medians["files"], medians["threads"]
        print(
            f"| {name} | {memory[0] / 1e6:.0f} → {memory[1] / 1e6:.0f} | {slope(all_of_it[tenth:]) / 1e6:+.1f} "
            f"| {files[0]:.0f} → {files[1]:.0f} | {threads[0]:.0f} → {threads[1]:.0f} |"
        )
        if files[1] - files[0] > MOST_MORE_FILES:
            grew.append(f"{name}: open files")
        if threads[1] - threads[0] > MOST_MORE_THREADS:
            grew.append(f"{name}: threads")
        if len({one.pid for one in all_of_it}) > 1:
            grew.append(f"{name}: was restarted")
    return grew


def errors(folder: Path) -> list[str]:
    """Lines of the services' logs that tell of an error."""
    return [
        f"{log.name}: {line[:200]}"
        for log in sorted(folder.rglob("*.log"))
        for line in log.read_text(errors="replace").splitlines()
        if any(mark in line for mark in ERRORS)
    ]


def points(reader: InfluxQLReader) -> int:
    """Values of every field in the store."""
    return sum(
        int(value)
        for series in reader.execute("SELECT count(*) FROM /.*/")
        for row in series.rows
        for value in row[1:]
        if value is not None
    )


def main() -> int:
    """Run, look, tell."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=60.0, help="how long")
    options = parser.parse_args()
    samples: dict[str, list[Sample]] = {name: [] for name in SERVICES}
    with tempfile.TemporaryDirectory(prefix="soak-") as name:
        folder = Path(name)
        with running_stack(folder) as stack:
            use(stack, options.minutes * 60, samples)
            with stack.reader() as reader:
                stored = points(reader)
        size = sum(path.stat().st_size for path in (folder / "data" / "collector").rglob("*") if path.is_file())
        wrong = [*report(samples), *errors(folder)]
    print(f"\n{stored:,} values stored, {size / 1e6:.0f} MB with logs: {size / max(1, stored):.1f} bytes a value.")
    for line in wrong:
        print(line)
    return 1 if wrong else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except psutil.NoSuchProcess as error:
        sys.exit(f"a service ended while it was looked at: {error}")
