"""Agents at the control plane: polls for assignments, heartbeats, new access tokens, as often as agents send them.

    python -m benchmarks.api [--agents 2000] [--poll 15] [--heartbeat 10] [--seconds 60] [--workers 2]

Every agent has a connection, a token and a schedule of its own, and a late answer doesn't move what is due next: a
latency is counted from when the request was due. Prints Markdown for docs/performance.md. Needs PostgreSQL's programs;
everything runs on loopback in temporary folders. PostgreSQL has its own defaults, so it waits for the disk.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psutil
from pydantic import SecretStr
from tests.postgres import PostgreSQL, run_postgresql
from tests.support import find_free_port, run_server

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.db import Database, new_id
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.secret import hash_secret
from streamswarm_core.tokens import Scope, SigningKey

TESTS = 10
TOKEN_SECONDS = 300
"""Agents take a new token when half the life of the old one is over."""
WARM_SECONDS = 10
REQUEST_SECONDS = 30
KINDS = ("poll", "heartbeat", "renew")


@dataclass(frozen=True)
class Registered:
    """An agent as it knows itself."""

    id: str
    secret: str
    token: str


@dataclass
class Counts:
    """What came of the requests.

    Attributes:
        seconds: from when a request was due until its answer was there, by kind.
        answers: by kind and HTTP status, or the name of the error.
        total: with those that were due while the load began.
    """

    seconds: dict[str, list[float]] = field(default_factory=lambda: {kind: [] for kind in KINDS})
    answers: Counter[tuple[str, str]] = field(default_factory=Counter)
    total: int = 0

    def errors(self) -> int:
        """Anything but success and 304."""
        return sum(count for (_, answer), count in self.answers.items() if answer not in {"200", "304"})


class Connection:
    """HTTP/1.1 with little else: the machine is for the server."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, method: str, path: str, headers: str, body: bytes = b"") -> tuple[str, bytes, bytes]:
        """Status, head and body; connects anew where the server has ended an idle connection."""
        head = (
            f"{method} /api/v1/agent{path} HTTP/1.1\r\nHost: localhost\r\n{headers}Content-Length: {len(body)}\r\n\r\n"
        )
        for _ in range(2):
            fresh = self._streams is None
            reader, writer = self._streams or await asyncio.open_connection("127.0.0.1", self._port)
            self._streams = (reader, writer)
            try:
                writer.write(head.encode() + body)
                answer = await reader.readuntil(b"\r\n\r\n")
                fields = dict(line.split(b": ", 1) for line in answer.lower().split(b"\r\n")[1:-2])
                content = await reader.readexactly(int(fields.get(b"content-length", b"0")))
            except (asyncio.IncompleteReadError, ConnectionError):
                self.close()
                if fresh:
                    raise
                continue
            return answer[9:12].decode(), answer, content
        raise ConnectionError("closed twice")

    def close(self) -> None:
        """End the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class LoadAgent:
    """One agent's requests, each kind on its own schedule."""

    def __init__(self, registered: Registered, port: int, counts: Counts) -> None:
        self._registered = registered
        self._access_token = registered.token
        self._connection = Connection(port)
        self._counts = counts
        self._etag = ""
        self._version = 0
        self._requests = {"poll": self._poll, "heartbeat": self._heartbeat, "renew": self._renew}

    async def run(
        self, periods: dict[str, float], begin: float, measure: float, end: float, chance: random.Random
    ) -> None:
        """Ask until the end; what is due before `measure` isn't counted."""
        due = {kind: begin + chance.random() * period for kind, period in periods.items()}
        try:
            while True:
                kind = min(due, key=lambda one: due[one])
                at = due[kind]
                if at >= end:
                    return
                await asyncio.sleep(max(0.0, at - time.monotonic()))
                answer = await self._ask(kind)
                self._counts.total += 1
                if at >= measure:
                    self._counts.answers[kind, answer] += 1
                    self._counts.seconds[kind].append(time.monotonic() - at)
                due[kind] += periods[kind]
        finally:
            self._connection.close()

    async def _ask(self, kind: str) -> str:
        try:
            async with asyncio.timeout(REQUEST_SECONDS):
                return await self._requests[kind]()
        except (TimeoutError, OSError) as error:
            self._connection.close()
            return type(error).__name__

    def _authorised(self) -> str:
        return f"Authorization: Bearer {self._access_token}\r\n"

    async def _poll(self) -> str:
        headers = f"{self._authorised()}If-None-Match: {self._etag}\r\n"
        status, head, body = await self._connection.ask("GET", "/assignments", headers)
        if status == "200":
            self._etag = head.lower().partition(b"etag: ")[2].partition(b"\r\n")[0].decode()
            self._version = json.loads(body)["version"]
        return status

    async def _heartbeat(self) -> str:
        at = datetime.now(UTC).isoformat()
        beat = {"version": "0.1.0", "started_at": at, "sent_at": at, "assignments_version": self._version}
        headers = f"{self._authorised()}Content-Type: application/json\r\n"
        return (await self._connection.ask("POST", "/heartbeat", headers, json.dumps(beat).encode()))[0]

    async def _renew(self) -> str:
        asked = json.dumps({"agent_id": self._registered.id, "secret": self._registered.secret}).encode()
        status, _, body = await self._connection.ask("POST", "/token", "Content-Type: application/json\r\n", asked)
        if status == "200":
            self._access_token = json.loads(body)["access_token"]
        return status


def register(settings: ControlPlaneSettings, count: int) -> list[Registered]:
    """Put agents into the database, each with all the tests."""
    bootstrap(settings)
    key = SigningKey.load_or_create(settings.folder / "signing-key.pem")
    database = Database(settings.database)
    at = datetime.now(UTC)
    made = []
    with database.session() as db:
        tests = [
            TestPlan(
                key=f"t{n}",
                name=f"t{n}",
                probe="icmp",
                target="127.0.0.1",
                interval=10,
                timeout=5,
                created_at=at,
                updated_at=at,
            )
            for n in range(TESTS)
        ]
        db.add_all(tests)
        for number in range(count):
            name, secret = f"agent-{number:05}", f"ssa_{number:043}"
            db.add(Agent(id=f"{number:032x}", name=name, site="bench", secret_hash=hash_secret(secret), enrolled_at=at))
            token = key.issue(subject=f"{number:032x}", name=name, scopes=[Scope.AGENT, Scope.WRITE], lifetime=3600)
            made.append(Registered(f"{number:032x}", secret, token))
        db.flush()
        db.add_all(
            AssignmentRow(id=new_id(), test_id=test.id, agent_id=agent.id, created_at=at)
            for agent in made
            for test in tests
        )
    database.close()
    return made


@contextmanager
def control_plane(settings: ControlPlaneSettings, workers: int) -> Iterator[tuple[int, psutil.Process]]:
    """The control plane as `streamswarm controlplane run` starts it; yields its port and process."""
    port = find_free_port()
    environment = {
        **os.environ,
        "STREAMSWARM_DATA": str(settings.data),
        "STREAMSWARM_LOG_LEVEL": "warning",
        "STREAMSWARM_CONTROLPLANE_PORT": str(port),
        "STREAMSWARM_CONTROLPLANE_DATABASE_URL": settings.database,
        "STREAMSWARM_CONTROLPLANE_WORKERS": str(workers),
    }
    log = settings.data / "log"
    command, health = (
        [sys.executable, "-m", "streamswarm_cli", "controlplane", "run"],
        f"http://127.0.0.1:{port}/health",
    )
    try:
        with run_server(command, health, log, seconds=120, env=environment, cwd=settings.data) as process:
            yield port, psutil.Process(process.pid)
    finally:
        for line in log.read_text().splitlines()[-5:]:
            print(line, file=sys.stderr)


def cpu_seconds(process: psutil.Process) -> float:
    """User and system time of a process and all below it."""
    return sum(sum(one.cpu_times()[:2]) for one in [process, *process.children(recursive=True)])


async def load(
    agents: list[Registered], port: int, periods: dict[str, float], seconds: float, read_cpu: Callable[[], list[float]]
) -> tuple[Counts, list[float]]:
    """All agents' requests; returns what came of them, and the CPU seconds that all took, the uncounted ones too."""
    counts = Counts()
    begin = time.monotonic()
    measure, end = begin + WARM_SECONDS, begin + WARM_SECONDS + seconds
    before = read_cpu()
    async with asyncio.TaskGroup() as tasks:
        for number, agent in enumerate(agents):
            one = LoadAgent(agent, port, counts)
            tasks.create_task(one.run(periods, begin, measure, end, random.Random(number)))
    return counts, [after - first for first, after in zip(before, read_cpu(), strict=True)]


def row(name: str, counts: Counts, seconds: float, used: list[float]) -> str:
    """A line of the table."""
    rate = sum(len(values) for values in counts.seconds.values()) / seconds
    latencies = []
    for kind in ("poll", "heartbeat"):
        values = counts.seconds[kind]
        cuts = statistics.quantiles(values, n=100)
        latencies.append(f"{cuts[49] * 1000:.1f} / {cuts[98] * 1000:.1f} / {max(values) * 1000:.0f}")
    cores = [f"{value / counts.total * 1000:.2f}" for value in used]
    return f"| {name} | {rate:.0f} | {counts.errors()} | {' | '.join(latencies)} | {' | '.join(cores)} |"


def measure(name: str, settings: ControlPlaneSettings, options: argparse.Namespace, server: PostgreSQL | None) -> None:
    """One database."""
    agents = register(settings, options.agents)
    periods = {"poll": options.poll, "heartbeat": options.heartbeat, "renew": TOKEN_SECONDS}
    with control_plane(settings, options.workers) as (port, process):
        database = psutil.Process(server.process.pid) if server else None

        def read_cpu() -> list[float]:
            return [
                cpu_seconds(process),
                cpu_seconds(database) if database else 0.0,
                sum(psutil.Process().cpu_times()[:2]),
            ]

        counts, used = asyncio.run(load(agents, port, periods, options.seconds, read_cpu))
    print(row(name, counts, options.seconds, used), flush=True)
    for (kind, answer), count in sorted(counts.answers.items()):
        print(f"{name}: {kind} {answer}: {count}", file=sys.stderr)


def main() -> None:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", maxsplit=1)[0])
    parser.add_argument("--agents", type=int, default=2000)
    parser.add_argument("--poll", type=float, default=15, help="seconds between two polls of an agent")
    parser.add_argument("--heartbeat", type=float, default=10, help="seconds between two heartbeats of an agent")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--databases", default="postgresql,sqlite")
    options = parser.parse_args()
    offered = options.agents * (1 / options.poll + 1 / options.heartbeat + 1 / TOKEN_SECONDS)
    print(f"{options.agents} agents, {offered:.0f} requests/s offered, {options.workers} workers\n")
    columns = [
        "database",
        "answered/s",
        "errors",
        "poll p50 / p99 / max, ms",
        "heartbeat p50 / p99 / max, ms",
        "CPU ms/request: control plane",
        "database",
        "benchmark",
    ]
    print(f"| {' | '.join(columns)} |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- |", flush=True)
    for name in options.databases.split(","):
        with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
            server = stack.enter_context(run_postgresql(max_connections="200")) if name == "postgresql" else None
            url = server.url(server.new_database()) if server else ""
            settings = ControlPlaneSettings(data=Path(folder), database_url=SecretStr(url))
            measure(name, settings, options, server)


if __name__ == "__main__":
    main()
