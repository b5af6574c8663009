"""What tests of several parts need: free ports, served apps, real servers, waiting with a bound."""

import asyncio
import logging
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streamswarm_core.point import Point
from streamswarm_core.serve import Application, QuietServer, uvicorn_config

Value = TypeVar("Value")

INFLUXDB_CONFIG = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  index-version = "tsi1"
  query-log-enabled = false
[coordinator]
  max-select-buckets = 20000
  max-select-series = 100000
  query-timeout = "20s"
[http]
  bind-address = "127.0.0.1:{port}"
  log-enabled = false
  max-body-size = {most_body_bytes}
[monitor]
  store-enabled = false
[logging]
  level = "error"
[continuous_queries]
  enabled = false
"""


def find_free_port() -> int:
    """A TCP port on 127.0.0.1 that nothing listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@dataclass(frozen=True)
class RunningInfluxDB:
    """A real InfluxDB 1.6.7 on loopback."""

    url: str
    process: subprocess.Popen[bytes]

    def create_database(self, name: str) -> None:
        httpx.post(f"{self.url}/query", data={"q": f'CREATE DATABASE "{name}"'}).raise_for_status()

    def write(self, database: str, lines: str, precision: str = "ns") -> None:
        parameters = {"db": database, "precision": precision}
        httpx.post(f"{self.url}/write", params=parameters, content=lines.encode()).raise_for_status()

    def query(self, database: str, statement: str, **parameters: str) -> dict[str, Any]:
        answer = httpx.get(f"{self.url}/query", params={"db": database, "q": statement, "epoch": "ns", **parameters})
        body: dict[str, Any] = answer.json()
        return body


def wait_for_http(url: str, process: subprocess.Popen[bytes], log: Path, seconds: float = 30.0) -> None:
    """Poll until the server answers below 500.

    Raises:
        RuntimeError: it ended or didn't answer in time; with the end of its log.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            if httpx.get(url, timeout=2).status_code < 500:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise RuntimeError(f"{url} did not answer; exit code {process.poll()}; log:\n{log.read_text()[-4000:]}")


@contextmanager
def run_server(
    command: Sequence[str], ready: str, log: Path, *, seconds: float = 30.0, **how: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a program until the block ends.

    Args:
        command: the program and its arguments.
        ready: a URL that answers when the program is ready.
        log: what it says is added there.
        seconds: how long that may take.
        how: for Popen, such as `env` and `cwd`.
    """
    with log.open("ab") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, **how)
    try:
        wait_for_http(ready, process, log, seconds)
        yield process
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextmanager
def run_influxdb(
    folder: Path, port: int | None = None, *, most_body_bytes: int = 25_000_000
) -> Iterator[RunningInfluxDB]:
    """An InfluxDB on whatever is in the folder."""
    port = port or find_free_port()
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "influxdb.conf"
    config.write_text(
        INFLUXDB_CONFIG.format(folder=folder, port=port, rpc_port=find_free_port(), most_body_bytes=most_body_bytes)
    )
    url = f"http://127.0.0.1:{port}"
    with run_server(["influxd", "run", "-config", str(config)], f"{url}/ping", folder / "log") as process:
        yield RunningInfluxDB(url, process)


@contextmanager
def serve_app(app: Application, *, port: int | None = None, **more: Any) -> Iterator[str]:
    """Serve an ASGI app for real, on a free port in a thread; yields its base URL; `more` is for uvicorn."""
    port = port or find_free_port()
    server = QuietServer(uvicorn_config(app, "127.0.0.1", port, **more))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        deadline = time.monotonic() + 20
        while not server.started:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise RuntimeError("the app did not start")
            time.sleep(0.01)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        thread.join(15)


def metrics(url: str) -> dict[tuple[str, ...], float]:
    """What a service tells Prometheus: values by name and labels."""
    families = text_string_to_metric_families(httpx.get(f"{url}/metrics").raise_for_status().text)
    return {(one.name, *one.labels.values()): one.value for family in families for one in family.samples}


def figures(point: Point) -> dict[str, float]:
    """The fields of a point that are numbers, to reckon with; text is left out."""
    return {name: value for name, value in point.fields.items() if not isinstance(value, bool | str)}


def eventually(read: Callable[[], Value], good: Callable[[Value], bool], seconds: float = 20.0) -> Value:
    """Read again and again until the value is good; fails with the last value."""
    deadline = time.monotonic() + seconds
    while not good(value := read()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s; last seen: {value!r}")
        time.sleep(0.05)
    return value


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Let the loop turn until the condition holds."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - conditions are of many kinds
            await asyncio.sleep(0.002)


@contextmanager
def log_put_back() -> Iterator[None]:
    """Whatever is configured in this block, the root logger has its handlers and its level of before after it."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        yield
    finally:
        root.handlers[:], root.level = handlers, level
