"""`streamswarm up` as a user starts it, and somebody at its API."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from streamswarm_core.reader import InfluxQLReader
from tests.support import eventually, find_free_port

SERVICES = ("controlplane", "collector", "ml", "agent")
PASSWORD = "nine quiet harbour lamps"


@dataclass
class Stack:
    """`streamswarm up` as a user starts it, on free ports, sending nothing off this machine."""

    folder: Path
    ports: dict[str, int]
    environment: dict[str, str]
    process: subprocess.Popen[str]

    @property
    def console(self) -> str:
        return f"http://127.0.0.1:{self.ports['controlplane']}"

    @property
    def collector(self) -> str:
        return f"http://127.0.0.1:{self.ports['collector']}"

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def first_password(self) -> str:
        found = eventually(lambda: re.search(r"with the password (\S+)", self.output), lambda match: match is not None)
        assert found
        return found.group(1)

    def reader(self) -> InfluxQLReader:
        token = (self.folder / "data" / "secrets" / "ml.token").read_text().strip()
        return InfluxQLReader(self.collector, database="streamswarm", token=lambda: token)

    def children(self) -> list[int]:
        """Process ids of everything that belongs to this stack."""
        mark = f"STREAMSWARM_E2E={self.folder}".encode()
        found = []
        for environment in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in environment.read_bytes().split(b"\0"):
                    found.append(int(environment.parent.name))
            except OSError:
                continue
        return found

    def stop(self) -> None:
        """Ctrl-C, which leaves nothing of it but the data."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(40) == 0
        assert self.children() == []

    def start_again(self) -> None:
        """As its user does, in the same folder."""
        said = len(self.output)
        self.process = _up(self.folder, self.environment)
        _wait(self, said)


@contextmanager
def running_stack(folder: Path, **more: str) -> Iterator[Stack]:
    """All services until the block ends or stops them; `more` are further environment variables."""
    ports = {name: find_free_port() for name in SERVICES}
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("STREAMSWARM_")}
    environment = {
        **inherited,
        **{f"STREAMSWARM_{name.upper()}_PORT": str(port) for name, port in ports.items()},
        **{f"STREAMSWARM_{name}_REFLECTOR_PORT": str(find_free_port()) for name in ("AGENT", "COLLECTOR")},
        "STREAMSWARM_ML_INTERVAL": "1",
        "STREAMSWARM_AGENT_POLL_SECONDS": "0.5",
        "STREAMSWARM_AGENT_FLUSH_SECONDS": "0.3",
        "STREAMSWARM_AGENT_NAME": "local",
        "STREAMSWARM_E2E": str(folder),
        "COLUMNS": "160",
        **more,
    }
    stack = Stack(folder, ports, environment, _up(folder, environment))
    try:
        _wait(stack)
        yield stack
    finally:
        if stack.process.poll() is None:
            stack.stop()


def _up(folder: Path, environment: dict[str, str]) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "streamswarm_cli", "up", "--local-only", "--interval", "1"]
    with (folder / "output").open("a") as output:
        return subprocess.Popen(
            command, cwd=folder, env=environment, stdout=output, stderr=subprocess.STDOUT, text=True
        )


def _wait(stack: Stack, said: int = 0) -> None:
    """Until all services answer and that is said, behind what was said before.

    Raises:
        RuntimeError: they didn't in time; with all that was said.
    """
    deadline = time.monotonic() + 90
    while "StreamSwarm is running" not in stack.output[said:] or not _healthy(stack):
        if stack.process.poll() is not None or time.monotonic() > deadline:
            stack.process.kill()
            stack.process.wait()
            raise RuntimeError(stack.output)
        time.sleep(0.1)


def _healthy(stack: Stack) -> bool:
    try:
        answers = [httpx.get(f"http://127.0.0.1:{port}/health", timeout=2) for port in stack.ports.values()]
    except httpx.HTTPError:
        return False
    return all(answer.status_code == 200 for answer in answers)


class Administrator:
    """Somebody at the API with a password of their own."""

    def __init__(self, stack: Stack, password: str) -> None:
        self.http = httpx.Client(base_url=f"{stack.console}/api/v1", timeout=20)
        user = self.call("POST", "/auth/login", json={"username": "admin", "password": password})
        self.http.headers["X-CSRF-Token"] = user["csrf_token"]
        if user["must_change_password"]:
            self.call("POST", "/auth/password", json={"old_password": password, "new_password": PASSWORD})

    def call(self, method: str, path: str, **request: Any) -> Any:
        answer = self.http.request(method, path, **request)
        answer.raise_for_status()
        return answer.json() if answer.content else None

    def agent(self) -> dict[str, Any]:
        """The local agent, once it has enrolled."""
        items: list[dict[str, Any]] = eventually(lambda: self.call("GET", "/agents")["items"], bool, 60)
        return items[0]

    def status(self, test: str) -> dict[str, Any]:
        items = self.call("GET", "/status")["items"]
        found: dict[str, Any] = next(item for item in items if item["test"]["key"] == test)
        return found
