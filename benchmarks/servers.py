"""The programs that benchmarks compare, each started on a free loopback port in a folder of its own."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import psutil
from tests.support import INFLUXDB_CONFIG, find_free_port, run_server


@dataclass(frozen=True)
class Server:
    """One running server.

    Attributes:
        port: on 127.0.0.1.
        process: to read its CPU time.
        folder: its files.
        language: what it is asked in.
    """

    port: int
    process: psutil.Process
    folder: Path
    language: Literal["influxql", "promql"]

    def cpu_seconds(self) -> float:
        """User and system time since it was started."""
        times = self.process.cpu_times()
        return float(times.user + times.system)

    def disk_bytes(self) -> int:
        """Size of its files."""
        return sum(path.stat().st_size for path in self.folder.rglob("*") if path.is_file())


@contextmanager
def _running(
    command: list[str],
    ready: str,
    folder: Path,
    port: int,
    language: Literal["influxql", "promql"],
    environment: Mapping[str, str] | None = None,
) -> Iterator[Server]:
    url, log = f"http://127.0.0.1:{port}{ready}", folder.with_suffix(".log")
    with run_server(command, url, log, env={**os.environ, **(environment or {})}) as process:
        yield Server(port, psutil.Process(process.pid), folder, language)


@contextmanager
def collector(folder: Path) -> Iterator[Server]:
    """Our collector with its embedded store."""
    folder.mkdir(parents=True)
    port = find_free_port()
    environment = {
        "STREAMSWARM_DATA": str(folder),
        "STREAMSWARM_COLLECTOR_PORT": str(port),
        "STREAMSWARM_COLLECTOR_AUTH": "false",
    }
    command = [sys.executable, "-m", "streamswarm_cli", "collector", "run"]
    with _running(command, "/health", folder, port, "influxql", environment) as server:
        yield server


@contextmanager
def influxdb(folder: Path) -> Iterator[Server]:
    """InfluxDB 1.6, told to compact what has been quiet for ten seconds, so that its size on disk is its best."""
    folder.mkdir(parents=True)
    port = find_free_port()
    config = folder.with_suffix(".conf")
    text = INFLUXDB_CONFIG.format(folder=folder, port=port, rpc_port=find_free_port(), most_body_bytes=25_000_000)
    quick = '[data]\n  cache-snapshot-write-cold-duration = "10s"\n  compact-full-write-cold-duration = "10s"\n'
    config.write_text(text.replace("[data]\n", quick))
    with _running(["influxd", "run", "-config", str(config)], "/ping", folder, port, "influxql") as server:
        yield server


@contextmanager
def victoriametrics(folder: Path) -> Iterator[Server]:
    """VictoriaMetrics, single node."""
    folder.mkdir(parents=True)
    port = find_free_port()
    command = [
        "victoria-metrics",
        f"-storageDataPath={folder}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-retentionPeriod=12",
        "-search.latencyOffset=0s",
    ]
    with _running(command, "/health", folder, port, "promql") as server:
        yield server
