"""The control plane as its users start it: processes of the `streamswarm` command."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import psutil

from streamswarm_controlplane.settings import ControlPlaneSettings
from tests.support import find_free_port


@dataclass(frozen=True)
class ControlPlane:
    """A running control plane."""

    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def workers(self) -> list[int]:
        """Process ids of the workers, without Python's helper process."""
        return sorted(child.pid for child in psutil.Process(self.process.pid).children() if _is_worker(child))

    def interrupt(self) -> int:
        """Ctrl-C; returns the exit code."""
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(30)


def _is_worker(process: psutil.Process) -> bool:
    try:
        return "spawn_main" in " ".join(process.cmdline())
    except psutil.Error:  # it has ended
        return False


def start(settings: ControlPlaneSettings, *, workers: int = 1, **more: str) -> ControlPlane:
    """Start it on a free port, without waiting until it answers."""
    port = find_free_port()
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("STREAMSWARM_")}
    environment = {
        **inherited,
        "STREAMSWARM_DATA": str(settings.data),
        "STREAMSWARM_CONTROLPLANE_PORT": str(port),
        "STREAMSWARM_CONTROLPLANE_DATABASE_URL": settings.database,
        "STREAMSWARM_CONTROLPLANE_STORE_URL": settings.store_url,
        "STREAMSWARM_CONTROLPLANE_WORKERS": str(workers),
        **more,
    }
    log = settings.data / f"controlplane-{port}.log"
    with log.open("wb") as output:
        command = [sys.executable, "-m", "streamswarm_cli", "controlplane", "run"]
        process = subprocess.Popen(command, cwd=settings.data, env=environment, stdout=output, stderr=output)
    return ControlPlane(f"http://127.0.0.1:{port}", process, log)


def wait(started: ControlPlane, seconds: float = 60) -> None:
    """Until it answers.

    Raises:
        RuntimeError: it ended or didn't answer in time; with the end of its log.
    """
    deadline = time.monotonic() + seconds
    while started.process.poll() is None and time.monotonic() < deadline:
        try:
            if httpx.get(f"{started.url}/health", timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            time.sleep(0.05)
    raise RuntimeError(f"exit code {started.process.poll()}; log:\n{started.log.read_text()[-4000:]}")


@contextmanager
def running(settings: ControlPlaneSettings, *, count: int = 1, workers: int = 1) -> Iterator[list[ControlPlane]]:
    """So many control planes on one database and data folder, started at the same time."""
    with ExitStack() as stop:
        started = [start(settings, workers=workers) for _ in range(count)]
        for one in started:
            stop.callback(_end, one)
        for one in started:
            wait(one)
        yield started


def _end(started: ControlPlane) -> None:
    if started.process.poll() is None:
        started.process.terminate()
        try:
            started.process.wait(20)
        except subprocess.TimeoutExpired:
            started.process.kill()
            started.process.wait()
