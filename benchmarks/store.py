"""The collector with its embedded store beside InfluxDB 1.6 and VictoriaMetrics, over HTTP with gzip.

    python -m benchmarks.store [--minutes 60] [--agents 200] [--repeat 25]

The same batches go to each in turn; then the same panels are asked of each in turn while points keep coming. Prints
Markdown for docs/performance.md. Needs `influxd` and `victoria-metrics`; everything runs on loopback in a temporary
folder. StreamSwarm and InfluxDB acknowledge when the batch is on disk; VictoriaMetrics acknowledges from memory.
"""

import argparse
import gzip
import http.client
import itertools
import random
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode

from benchmarks.panels import PANELS, Panel
from benchmarks.servers import Server, collector, influxdb, victoriametrics

MEASUREMENTS = 10
FIELDS = 8
STEP = 10
DATABASE = "bench"
WRITE_PAUSE = 1.0
SETTLE_SECONDS = 120
QUIET_SECONDS = 30


@dataclass
class Side:
    """One of the compared.

    Attributes:
        server: the running program.
        write_seconds: of each batch.
        cpu: seconds used while writing.
        disk: bytes when everything has settled.
        query_seconds: by panel.
    """

    server: Server
    write_seconds: list[float] = field(default_factory=list)
    cpu: float = 0.0
    disk: int = 0
    query_seconds: dict[str, list[float]] = field(default_factory=dict)


class Client:
    """One kept connection; much lighter than the servers it measures."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)

    def send(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The answer's body.

        Raises:
            RuntimeError: anything but success.
        """
        self._connection.request(method, path, body, {"Content-Encoding": "gzip"} if body else {})
        answer = self._connection.getresponse()
        text = answer.read()
        if answer.status >= 300 or b'"error"' in text[:200]:
            raise RuntimeError(f"{method} {path[:120]}: HTTP {answer.status} {text[:300]!r}")
        return text


def batches(agents: int, start: int, source: random.Random) -> Iterator[bytes]:
    """One request for each step, without end: every agent's measurements, as gzipped line protocol."""
    at = start
    while True:
        lines = [
            f"m{number},agent=a{agent},site=s{agent % 10} "
            + ",".join(f"f{one}={source.random() * 100:.3f}" for one in range(FIELDS))
            + f" {at * 10**9}"
            for agent in range(agents)
            for number in range(MEASUREMENTS)
        ]
        yield gzip.compress("\n".join(lines).encode(), 1)
        at += STEP


def timed(client: Client, method: str, path: str, body: bytes | None = None) -> float:
    """Seconds until the whole answer is there."""
    started = time.perf_counter()
    client.send(method, path, body)
    return time.perf_counter() - started


def write(sides: dict[str, Side], bodies: Iterator[bytes], count: int) -> None:
    """Send every batch to each in turn."""
    before = {name: side.server.cpu_seconds() for name, side in sides.items()}
    clients = {name: Client(side.server.port) for name, side in sides.items()}
    for body in itertools.islice(bodies, count):
        for name, side in sides.items():
            side.write_seconds.append(timed(clients[name], "POST", f"/write?db={DATABASE}", body))
    time.sleep(3)  # what was acknowledged is still being stored
    for name, side in sides.items():
        side.cpu = side.server.cpu_seconds() - before[name]


def settle(sides: dict[str, Side]) -> None:
    """Wait until no folder has changed its size for a while, then note the sizes."""
    deadline, quiet_since, seen = time.monotonic() + SETTLE_SECONDS, time.monotonic(), [0]
    while time.monotonic() < deadline and time.monotonic() - quiet_since < QUIET_SECONDS:
        sizes = [side.server.disk_bytes() for side in sides.values()]
        if sizes != seen:
            quiet_since, seen = time.monotonic(), sizes
        time.sleep(0.5)
    for side in sides.values():
        side.disk = side.server.disk_bytes()


def query(sides: dict[str, Side], start: int, stop: int, repeat: int) -> None:
    """Ask each panel of each in turn, a range of the same length a little later each time."""
    clients = {name: Client(side.server.port) for name, side in sides.items()}
    for panel in PANELS:
        for number in range(-1, repeat):
            for name, side in sides.items():
                path = path_of(panel, side.server, start + number, stop + number)
                seconds = timed(clients[name], "GET", path)
                if number >= 0:  # the first warms up
                    side.query_seconds.setdefault(panel.name, []).append(seconds)


def path_of(panel: Panel, server: Server, start: int, stop: int) -> str:
    """The request for a panel in the server's own language."""
    if server.language == "influxql":
        text = panel.influxql.format(start=start, stop=stop)
        return "/query?" + urlencode({"db": DATABASE, "q": text, "epoch": "ms"})
    if panel.shape == "schema":
        return f"/api/v1/label/{panel.promql}/values?" + urlencode({"match[]": "m1_f1", "start": start, "end": stop})
    expression = panel.promql.format(seconds=stop - start)
    if panel.step:
        asked = {"query": expression, "start": start, "end": stop, "step": panel.step}
        return "/api/v1/query_range?" + urlencode({**asked, "nocache": 1})
    return "/api/v1/query?" + urlencode({"query": expression, "time": stop, "nocache": 1})


def keep_writing(sides: dict[str, Side], bodies: Iterator[bytes], stopped: threading.Event) -> None:
    """A batch a second to each, until stopped."""
    clients = {name: Client(side.server.port) for name, side in sides.items()}
    while not stopped.wait(WRITE_PAUSE):
        body = next(bodies)
        for client in clients.values():
            client.send("POST", f"/write?db={DATABASE}", body)


def compare(folder: Path, agents: int, minutes: float, repeat: int) -> None:
    """Write to all, ask all, and print the table."""
    steps = int(minutes * 60 / STEP)
    stop = int(time.time()) // 3600 * 3600
    start = stop - steps * STEP
    bodies = batches(agents, start, random.Random(1))
    with (
        collector(folder / "ours") as ours,
        influxdb(folder / "influx") as influx,
        victoriametrics(folder / "vm") as vm,
    ):
        sides = {"StreamSwarm": Side(ours), "InfluxDB 1.6": Side(influx), "VictoriaMetrics": Side(vm)}
        Client(influx.port).send("GET", "/query?" + urlencode({"q": f"CREATE DATABASE {DATABASE}"}))
        write(sides, bodies, steps)
        settle(sides)
        stopped = threading.Event()
        writer = threading.Thread(target=keep_writing, args=(sides, bodies, stopped))
        writer.start()
        try:
            query(sides, start, stop, repeat)
        finally:
            stopped.set()
            writer.join()
    report(sides, agents, minutes, steps)


def report(sides: dict[str, Side], agents: int, minutes: float, steps: int) -> None:
    """Print the table; the ratio is ours to InfluxDB's."""
    lines = agents * MEASUREMENTS
    total = lines * steps
    print(
        f"{agents} agents × {MEASUREMENTS} measurements × {FIELDS} fields, {minutes:g} min at {STEP} s: {total:,} lines"
    )
    print()
    print(f"| | {' | '.join(sides)} | ratio |\n| --- | {'--- | ' * len(sides)}--- |")
    row("lines/s accepted", [lines / statistics.median(side.write_seconds) for side in sides.values()], "{:,.0f}")
    row("CPU µs/line", [side.cpu / total * 1e6 for side in sides.values()], "{:.1f}")
    row("bytes/value on disk", [side.disk / (total * FIELDS) for side in sides.values()], "{:.1f}")
    for panel in PANELS:
        seconds = [side.query_seconds[panel.name] for side in sides.values()]
        row(f"{panel.name}, ms", [statistics.median(one) * 1e3 for one in seconds], "{:.2f}")
        row("… its p95", [statistics.quantiles(one, n=20)[-1] * 1e3 for one in seconds], "{:.2f}")


def row(label: str, values: list[float], shape: str) -> None:
    print(f"| {label} | {' | '.join(map(shape.format, values))} | {values[0] / values[1]:.2f} |")


def main() -> None:
    """Run the comparison."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=60, help="of data, a point every 10 s")
    arguments.add_argument("--agents", type=int, default=200)
    arguments.add_argument("--repeat", type=int, default=25, help="how often each panel is asked")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), options.agents, options.minutes, options.repeat)


if __name__ == "__main__":
    main()
