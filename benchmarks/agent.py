"""CPU for each echo, side by side on loopback: the whole agent, fping, blackbox_exporter, and a ping process per test.

    python -m benchmarks.agent [--targets 100 1000 5000] [--seconds 10] [--rounds 3]

The agent is a real process with a control plane and a collector that the benchmark plays; an echo counts if its point
arrived there. Each round runs all, one after the other. CPU is user and system time of the process measured and of
its children; of a ping process per test that is the Python process that starts the pings, and the pings, which are told
apart below the table. Prints Markdown for docs/performance.md.
"""

import argparse
import gzip
import http.client
import itertools
import json
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import psutil
from tests.support import eventually, find_free_port, run_server, wait_for_http

from streamswarm_core.assignment import Assignment, AssignmentSet
from streamswarm_core.clock import now_ns

AGENT_ID = "bench"
WARM_UP_SECONDS = 5
BLACKBOX_PROBES_PER_SECOND = 200
PING_PROCESSES = 600
FPING = shutil.which("fping") or "fping"
SIDES = ("agent", "agent, 4 echoes a run", "fping", "blackbox_exporter", "a ping process per test")
ICMP_TIME = re.compile(rb"^icmp,.* (\d+)$", re.MULTILINE)


@dataclass
class Peer:
    """What the control plane and the collector hold for the agent."""

    assignments: AssignmentSet
    times: list[int] = field(default_factory=list)

    def answer(self, method: str, path: str, body: bytes, known: str) -> tuple[int, bytes]:
        """Play the control plane and the collector."""
        match method, path.rpartition("/")[2]:
            case "POST", "token":
                return 200, json.dumps({"access_token": "t", "expires_in": 3600}).encode()
            case "GET", "assignments" if known == self.assignments.etag():
                return 304, b""
            case "GET", "assignments":
                return 200, self.assignments.model_dump_json().encode()
            case "POST", "heartbeat":
                now = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime())
                return 200, json.dumps({"time": now, "assignments_version": self.assignments.version}).encode()
            case "POST", "runs":
                return 204, b""
            case "POST", "write":
                self.times += map(int, ICMP_TIME.findall(body))
                return 204, b""
        return 404, b""


@contextmanager
def served(peer: Peer) -> Iterator[str]:
    """Listen on loopback; yields the base URL."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def respond(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            status, content = peer.answer(
                self.command, urlsplit(self.path).path, body, self.headers.get("If-None-Match", "")
            )
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_POST = respond  # noqa: N815 - the standard library's names

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign] # an agent that stops breaks its connections off
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def addresses(count: int) -> list[str]:
    """As many addresses of 127.0.0.0/8, all of which answer."""
    return [f"127.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}" for number in range(257, 257 + count)]


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time, with that of the children it has now and those that have ended."""
    times = [process.cpu_times(), *(child.cpu_times() for child in process.children(recursive=True))]
    return float(sum(t.user + t.system + t.children_user + t.children_system for t in times))


@dataclass(frozen=True)
class Reading:
    """What one side used in one round; CPU in seconds, of it that of ping processes; RSS in bytes."""

    echoes: int
    seconds: float
    cpu: float
    rss: int = 0
    of_pings: float = 0.0

    @property
    def cpu_us(self) -> float:
        """CPU microseconds for each echo."""
        return self.cpu / self.echoes * 1e6 if self.echoes else float("nan")


@contextmanager
def running_agent(folder: Path, peer: Peer) -> Iterator[psutil.Process]:
    """An enrolled agent that has run for a while."""
    (folder / "agent").mkdir(parents=True)
    with served(peer) as url:
        credential = {"agent_id": AGENT_ID, "name": "bench", "secret": "s", "controlplane_url": url}
        (folder / "agent" / "credential.json").write_text(json.dumps(credential))
        port = find_free_port()
        environment = {
            "STREAMSWARM_DATA": str(folder),
            "STREAMSWARM_AGENT_CONTROLPLANE_URL": url,
            "STREAMSWARM_AGENT_COLLECTOR_URL": url,
            "STREAMSWARM_AGENT_PORT": str(port),
            "STREAMSWARM_AGENT_BUDGET_PACKETS_PER_SECOND": "20000",
        }
        log = folder / "log"
        command = [sys.executable, "-m", "streamswarm_cli", "agent", "run"]
        try:
            health = f"http://127.0.0.1:{port}/health"
            with run_server(command, health, log, env={**os.environ, **environment}) as process:
                time.sleep(WARM_UP_SECONDS)
                yield psutil.Process(process.pid)
        finally:
            if "ERROR" in log.read_text() or "Traceback" in log.read_text():
                print(log.read_text()[-4000:], file=sys.stderr)


def measure_agent(targets: Sequence[str], seconds: float, echoes: int = 1) -> Reading:
    """One echo a second to each target on average, an assignment each, so many echoes a run."""
    assignments = tuple(
        Assignment(
            id=f"a{number}",
            test=f"ping-{number}",
            probe="icmp",
            target=target,
            params={"count": echoes},
            interval=float(echoes),
            timeout=10.0,
        )
        for number, target in enumerate(targets)
    )
    peer = Peer(AssignmentSet(agent_id=AGENT_ID, version=1, assignments=assignments))
    with tempfile.TemporaryDirectory() as folder, running_agent(Path(folder), peer) as agent:
        # Long enough for every assignment to be past its first run.
        time.sleep(echoes)
        cpu, begun, stamp = cpu_seconds(agent), time.monotonic(), now_ns()
        time.sleep(seconds)
        used, took, end = cpu_seconds(agent) - cpu, time.monotonic() - begun, now_ns()
        rss = agent.memory_info().rss
        eventually(lambda: max(peer.times, default=0), lambda newest: newest >= end + 10**8, 30)
    runs = sum(stamp <= moment < end for moment in peer.times)
    return Reading(runs * echoes, took, used, rss)


def measure_idle(seconds: float) -> Reading:
    """The agent without assignments."""
    peer = Peer(AssignmentSet(agent_id=AGENT_ID, version=1))
    with tempfile.TemporaryDirectory() as folder, running_agent(Path(folder), peer) as agent:
        cpu = cpu_seconds(agent)
        time.sleep(seconds)
        return Reading(0, seconds, cpu_seconds(agent) - cpu, agent.memory_info().rss)


def measure_fping(targets: Sequence[str], seconds: float) -> Reading:
    """The same rate: a round of all targets each second."""
    count = max(1, round(seconds))
    spacing = f"{min(10.0, 1000 / len(targets)):.3f}"
    with tempfile.TemporaryFile("w+") as names:
        names.write("\n".join(targets))
        names.seek(0)
        begun, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
        process = subprocess.Popen(
            [FPING, "-q", "-C", str(count), "-p", "1000", "-i", spacing, "-t", "900"],
            stdin=names,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        time.sleep(seconds / 2)
        rss = psutil.Process(process.pid).memory_info().rss
        _, replies = process.communicate(timeout=seconds * 10 + 30)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
    answered = sum(
        1 for line in replies.splitlines() for word in line.partition(" : ")[2].split() if word not in {"-", ""}
    )
    used = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Reading(answered, time.monotonic() - begun, used, rss)


class Blackbox:
    """A blackbox_exporter, scraped as Prometheus does, over kept connections."""

    def __init__(self, folder: Path) -> None:
        config, log = folder / "blackbox.yml", folder / "blackbox.log"
        config.write_text("modules:\n  icmp:\n    prober: icmp\n    icmp:\n      preferred_ip_protocol: ip4\n")
        self._port = find_free_port()
        command = ["prometheus-blackbox-exporter", f"--config.file={config}", "--log.level=error"]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [*command, f"--web.listen-address=127.0.0.1:{self._port}"], stdout=output, stderr=output
            )
        wait_for_http(f"http://127.0.0.1:{self._port}/-/healthy", self._process, log)
        self._local = threading.local()

    def close(self) -> None:
        """Stop it."""
        self._process.terminate()
        self._process.wait(30)

    def measure(self, targets: Sequence[str], seconds: float) -> Reading:
        """At most 200 probes a second, which it can sustain beside the benchmark that scrapes it."""
        process = psutil.Process(self._process.pid)
        rate = min(len(targets), BLACKBOX_PROBES_PER_SECOND)
        cpu, begun = cpu_seconds(process), time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            scrapes = []
            for number, target in enumerate(itertools.islice(itertools.cycle(targets), round(rate * seconds))):
                time.sleep(max(0.0, begun + number / rate - time.monotonic()))
                scrapes.append(pool.submit(self._scrape, target))
        up = sum(scrape.result() for scrape in scrapes)
        return Reading(up, time.monotonic() - begun, cpu_seconds(process) - cpu, process.memory_info().rss)

    def _scrape(self, target: str) -> bool:
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection: http.client.HTTPConnection = self._local.connection
        connection.request("GET", f"/probe?module=icmp&target={target}")
        return b"\nprobe_success 1" in connection.getresponse().read()


def measure_ping(targets: Sequence[str], _seconds: float) -> Reading:
    """One process after the other, as the original did, by a process that does nothing else."""
    chosen = itertools.islice(itertools.cycle(targets), PING_PROCESSES)
    run = subprocess.run([sys.executable, "-m", "benchmarks.agent_pings", *chosen], stdout=subprocess.PIPE, check=True)
    used = json.loads(run.stdout)
    return Reading(used["answered"], used["seconds"], used["parent"] + used["pings"], of_pings=used["pings"])


def main() -> None:
    """Run the comparison."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--targets", type=int, nargs="+", default=[100, 1000, 5000])
    arguments.add_argument("--seconds", type=float, default=10)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--only", choices=SIDES, help="measure one side alone")
    options = arguments.parse_args()
    readings: dict[tuple[int, str], list[Reading]] = {}
    with tempfile.TemporaryDirectory() as folder:
        blackbox = Blackbox(Path(folder))
        four = partial(measure_agent, echoes=4)
        measures: tuple[Callable[[Sequence[str], float], Reading], ...] = (
            measure_agent,
            four,
            measure_fping,
            blackbox.measure,
            measure_ping,
        )
        sides = dict(zip(SIDES, measures, strict=True))
        try:
            for _ in range(options.rounds):
                for count in options.targets:
                    for name, measure in sides.items():
                        if options.only in {None, name}:
                            reading = measure(addresses(count), options.seconds)
                            readings.setdefault((count, name), []).append(reading)
            idle = [measure_idle(options.seconds) for _ in range(options.rounds)]
        finally:
            blackbox.close()
    report(readings, idle)


def report(readings: dict[tuple[int, str], list[Reading]], idle: list[Reading]) -> None:
    """Print the table: medians, and the least and the most of the rounds."""
    print("| targets | side | echoes/s made | CPU µs/echo | echoes/s on one core | share of a core | RSS MB |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for (count, name), rounds in readings.items():
        each = [one.cpu_us for one in rounds]
        rate = statistics.median(one.echoes / one.seconds for one in rounds)
        share = statistics.median(one.cpu / one.seconds for one in rounds)
        rss = round(statistics.median(one.rss for one in rounds) / 1e6)
        cpu = f"{statistics.median(each):.1f} ({min(each):.1f}–{max(each):.1f})"
        on_one = 1e6 / statistics.median(each)
        print(f"| {count:,} | {name} | {rate:,.0f} | {cpu} | {on_one:,.0f} | {share:.1%} | {rss or '–'} |")
    pings = [one.of_pings / one.echoes * 1e6 for rounds in readings.values() for one in rounds if one.of_pings]
    if pings:
        print(f"\nOf a ping process per test, ping itself: {statistics.median(pings):.0f} µs.")
    idle_cpu = statistics.median(one.cpu / one.seconds for one in idle)
    idle_rss = statistics.median(one.rss for one in idle) / 1e6
    print(f"\nIdle, no assignments: {idle_cpu:.2%} of a core, {idle_rss:.0f} MB.")


if __name__ == "__main__":
    main()
