"""The ML service's speed, from a collector's embedded store and back over HTTP, and the size of its state.

    python -m benchmarks.ml_speed [--series 2000] [--points 500]

Prints Markdown for docs/performance.md. The collector is a process of its own: seconds are the wall's, CPU is of the
ML service and of the collector.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from benchmarks.servers import Server, collector
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.reader import InfluxQLReader
from streamswarm_core.writer import LineWriter
from streamswarm_ml.pipeline import Pipeline
from streamswarm_ml.progress import Training
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import StateFile
from streamswarm_ml.watched import Batch, Watched

START = 1_767_571_200
STEP = 10
DATABASE = "bench"


class Bench:
    """A collector and a pipeline with a clock of its own."""

    def __init__(self, server: Server, folder: Path) -> None:
        url = f"http://127.0.0.1:{server.port}"
        self.server = server
        self.reader = InfluxQLReader(url, database=DATABASE, timeout=120)
        self.writer = LineWriter(url, lambda: "", bucket=DATABASE, timeout=120)
        self.now = START
        self.settings = MlSettings(data=folder, store_url=url, lookback_hours=720)
        self.pipeline = Pipeline(self.settings, self.reader, self.writer, StateFile(self.settings.folder), self.clock)

    def clock(self) -> int:
        """Nanoseconds since the epoch, as the pipeline sees it."""
        return self.now * NANOSECONDS

    def measure(self, series: int, points: int, source: np.random.Generator) -> None:
        """So many RTTs of each series, a point every STEP seconds, from now on."""
        for _ in range(points):
            values = 0.02 + source.lognormal(0, 0.5, series) * 0.001
            stamp = self.now * NANOSECONDS
            lines = [f"icmp,agent=a{n % 50},target=t{n} rtt_mean={v:.6f} {stamp}" for n, v in enumerate(values)]
            self.writer.write(("\n".join(lines) + "\n").encode())
            self.now += STEP
        # The store takes writes in by and by; what is timed begins when it is done.
        self.reader.measurements()


@contextmanager
def bench() -> Iterator[Bench]:
    with tempfile.TemporaryDirectory() as name, collector(Path(name) / "store") as server:
        made = Bench(server, Path(name) / "ml")
        try:
            yield made
        finally:
            made.reader.close()
            made.writer.close()


def timed(label: str, one: Bench, *, reset: bool, times: int = 1) -> None:
    """Print a row, of the median run: points, seconds, CPU of both processes, and points a second of CPU."""
    runs: list[tuple[float, float, float, Training]] = []
    for _ in range(times):
        before, store_before = time.process_time(), one.server.cpu_seconds()
        done = one.pipeline.reset() if reset else one.pipeline.train()
        cpu, store = time.process_time() - before, one.server.cpu_seconds() - store_before
        runs.append((done.seconds, cpu, store, done))
    _, cpu, store, done = sorted(runs, key=lambda run: run[0])[len(runs) // 2]
    rates = f"{done.points / done.seconds:,.0f} | {done.points / (cpu + store):,.0f} | {done.points / cpu:,.0f}"
    print(f"| {label} | {done.points:,} | {done.seconds:.2f} | {cpu:.2f} | {store:.2f} | {rates} |", flush=True)


def stored(series: int) -> None:
    """Size of the state of many series, and the time to save and load it."""
    watched = Watched(0.75, 100)
    source = np.random.default_rng(1)
    numbers = np.array([watched.number(("icmp", (("target", f"t{n}"),), "rtt_mean")) for n in range(series)])
    for at in range(3):
        times = np.full(series, (START + at) * NANOSECONDS)
        watched.judge(Batch(numbers, source.normal(1, 0.1, series), times))
    with tempfile.TemporaryDirectory() as name:
        file = StateFile(Path(name))
        begun = time.perf_counter()
        file.save(watched.save())
        saved = time.perf_counter()
        again = Watched(0.75, 100)
        content = file.load()
        if content is None:
            raise RuntimeError("the state that was just saved is refused")
        again.restore(content)
        loaded = time.perf_counter()
        print(
            f"\nState of {series:,} series: saved in {saved - begun:.2f} s, loaded in {loaded - saved:.2f} s, "
            f"{file.size / series / 1000:.1f} kB a series on disk, "
            f"{watched.bytes_in_memory() / series / 1000:.1f} kB in memory."
        )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--series", type=int, default=2000)
    arguments.add_argument("--points", type=int, default=500, help="of each series")
    options = arguments.parse_args()
    source = np.random.default_rng(0)
    print("| | points | seconds | CPU s | store's CPU s | points/s | points/CPU s of both | points/CPU s |")
    print("| --- " * 8 + "|")
    with bench() as one:
        one.measure(options.series, options.points, source)
        timed("reset, everything stored", one, reset=True)
        one.measure(options.series, 1, source)
        timed("a cycle, one point a series", one, reset=False)
        one.measure(options.series, 30, source)
        timed("catching up on five minutes", one, reset=False)
    for series in (10, 1):
        with bench() as one:
            one.measure(series, 3215 // series, source)
            timed(f"reset, 3,215 results of {series} series, median of 7", one, reset=True, times=7)
    stored(10_000)


if __name__ == "__main__":
    main()
