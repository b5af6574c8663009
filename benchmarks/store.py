"""Side by side, over HTTP with gzip and durable: the collector with its embedded store, and InfluxDB 1.6 from Debian.

    python -m benchmarks.store [--minutes 10] [--agents 200]

The same batches go to both in turn, then the same panel queries, again in turn. Prints Markdown for
docs/performance.md. Needs `influxd`; everything runs on loopback in a temporary folder.
"""

import argparse
import gzip
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil
from tests.support import INFLUXDB_CONFIG, find_free_port, wait_for_http

START = 1_700_000_000
MEASUREMENTS = 10
FIELDS = 8
STEP = 10
DATABASE = "bench"
PANELS = {
    "mean by 30 s and agent": "SELECT mean(f1) FROM m1 WHERE {range} GROUP BY time(30s), agent fill(none)",
    "mean by 30 s, all agents": "SELECT mean(f1) FROM m1 WHERE {range} GROUP BY time(30s)",
    "max by 1 min and site": "SELECT max(f2) FROM m2 WHERE {range} GROUP BY time(1m), site fill(none)",
    "one series by 30 s": "SELECT mean(f1) FROM m1 WHERE {range} AND agent = 'a7' GROUP BY time(30s)",
    "one series, last value": "SELECT last(f1) FROM m1 WHERE agent = 'a7'",
    "one series, raw": "SELECT f1 FROM m1 WHERE {range} AND agent = 'a7'",
    "last of every agent": "SELECT last(f3) FROM m3 WHERE {range} GROUP BY agent",
    "tag values": "SHOW TAG VALUES FROM m1 WITH KEY = agent",
}


@contextmanager
def server(command: list[str], environment: dict[str, str], url: str, folder: Path) -> Iterator[psutil.Process]:
    """Run a server, wait until it answers, stop it."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(command, env={**os.environ, **environment}, stdout=output, stderr=output)
    try:
        wait_for_http(url, process, log)
        yield psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait(30)


def batches(agents: int, minutes: float) -> Iterator[bytes]:
    """One request for each step: every agent's measurements, as gzipped line protocol."""
    source = random.Random(1)
    for step in range(int(minutes * 60 / STEP)):
        lines = [
            f"m{number},agent=a{agent},site=s{agent % 10} "
            + ",".join(f"f{field}={source.random() * 100:.3f}" for field in range(FIELDS))
            + f" {(START + step * STEP) * 10**9}"
            for agent in range(agents)
            for number in range(MEASUREMENTS)
        ]
        yield gzip.compress("\n".join(lines).encode(), 1)


def timed(action: Callable[[], object]) -> float:
    started = time.perf_counter()
    action()
    return time.perf_counter() - started


def cpu_seconds(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def disk_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Run the comparison."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--minutes", type=float, default=10, help="of data, a point every 10 s")
    arguments.add_argument("--agents", type=int, default=200)
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        compare(Path(name), options.agents, options.minutes)


def compare(folder: Path, agents: int, minutes: float) -> None:
    """Write and query both, in turn, and print the table."""
    ours_port, theirs_port = find_free_port(), find_free_port()
    (folder / "influx").mkdir()
    (folder / "ours").mkdir()
    config = folder / "influx" / "influxdb.conf"
    config.write_text(INFLUXDB_CONFIG.format(folder=folder / "influx", port=theirs_port, rpc_port=find_free_port()))
    ours_url, theirs_url = f"http://127.0.0.1:{ours_port}", f"http://127.0.0.1:{theirs_port}"
    environment = {
        "STREAMSWARM_DATA": str(folder / "ours"),
        "STREAMSWARM_COLLECTOR_PORT": str(ours_port),
        "STREAMSWARM_COLLECTOR_AUTH": "false",
    }
    collector = [sys.executable, "-m", "streamswarm_cli", "collector", "run"]
    influxd = ["influxd", "run", "-config", str(config)]
    with (
        server(collector, environment, f"{ours_url}/health", folder / "ours") as ours,
        server(influxd, {}, f"{theirs_url}/ping", folder / "influx") as theirs,
        httpx.Client(timeout=60) as client,
    ):
        client.post(f"{theirs_url}/query", data={"q": f"CREATE DATABASE {DATABASE}"}).raise_for_status()
        sides = {"StreamSwarm": (ours_url, ours), "InfluxDB 1.6": (theirs_url, theirs)}
        write_seconds, cpu = write(client, sides, agents, minutes)
        query_seconds = {panel: query(client, sides, statement, minutes) for panel, statement in PANELS.items()}
        disk = {"StreamSwarm": disk_bytes(folder / "ours" / "collector"), "InfluxDB 1.6": disk_bytes(folder / "influx")}
        report(agents, minutes, write_seconds, cpu, query_seconds, disk)


def write(
    client: httpx.Client, sides: dict[str, tuple[str, psutil.Process]], agents: int, minutes: float
) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Send every batch to one, then to the other; seconds of each request, CPU seconds of each server."""
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    before = {name: cpu_seconds(process) for name, (_, process) in sides.items()}
    for body in batches(agents, minutes):
        for name, (url, _) in sides.items():

            def send(url: str = url, body: bytes = body) -> None:
                answer = client.post(f"{url}/write?db={DATABASE}", content=body, headers={"Content-Encoding": "gzip"})
                answer.raise_for_status()

            seconds[name].append(timed(send))
    time.sleep(2)
    return seconds, {name: cpu_seconds(process) - before[name] for name, (_, process) in sides.items()}


def query(
    client: httpx.Client, sides: dict[str, tuple[str, psutil.Process]], statement: str, minutes: float
) -> dict[str, list[float]]:
    """Ask both in turn, fifteen times."""
    text = statement.format(range=f"time >= {START}s AND time < {START + int(minutes * 60)}s")
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(15):
        for name, (url, _process) in sides.items():

            def ask(url: str = url) -> None:
                answer = client.get(f"{url}/query", params={"db": DATABASE, "q": text, "epoch": "ms"})
                answer.raise_for_status()
                if "error" in answer.text[:200]:
                    raise RuntimeError(answer.text[:200])

            seconds[name].append(timed(ask))
    return seconds


def report(
    agents: int,
    minutes: float,
    write_seconds: dict[str, list[float]],
    cpu: dict[str, float],
    query_seconds: dict[str, dict[str, list[float]]],
    disk: dict[str, int],
) -> None:
    """Print the table; ratios are ours to theirs."""
    lines = agents * MEASUREMENTS
    total = lines * len(write_seconds["StreamSwarm"])
    ours, theirs = "StreamSwarm", "InfluxDB 1.6"
    rows = [
        ("lines/s accepted", *(lines / statistics.median(write_seconds[name]) for name in (ours, theirs)), "{:,.0f}"),
        ("CPU µs/line", *(cpu[name] / total * 1e6 for name in (ours, theirs)), "{:.1f}"),
        ("bytes/value on disk", *(disk[name] / (total * FIELDS) for name in (ours, theirs)), "{:.1f}"),
    ]
    for panel, seconds in query_seconds.items():
        medians = (statistics.median(seconds[name]) * 1e3 for name in (ours, theirs))
        rows.append((f"{panel}, ms", *medians, "{:.2f}"))
    print(
        f"{agents} agents × {MEASUREMENTS} measurements × {FIELDS} fields, {minutes:g} min at {STEP} s: {total:,} lines"
    )
    print(f"| | {ours} | {theirs} | ratio |\n| --- | --- | --- | --- |")
    for label, mine, other, shape in rows:
        print(f"| {label} | {shape.format(mine)} | {shape.format(other)} | {mine / other:.2f} |")


if __name__ == "__main__":
    main()
