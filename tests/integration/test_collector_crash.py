"""kill -9 in the middle of a stream of writes loses nothing that was acknowledged, and doubles nothing."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support import find_free_port, wait_for_http


@contextmanager
def running_collector(folder: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "STREAMSWARM_DATA": str(folder),
        "STREAMSWARM_COLLECTOR_PORT": str(port),
        "STREAMSWARM_COLLECTOR_AUTH": "false",
        "STREAMSWARM_COLLECTOR_FLUSH_SECONDS": "0.05",
    }
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "streamswarm_cli", "collector", "run"], env=environment, stdout=output, stderr=output
        )
    try:
        wait_for_http(f"http://127.0.0.1:{port}/health", process, log)
        yield process
    finally:
        process.kill()
        process.wait()


def stream(port: int, writer: int, acknowledged: list[int]) -> None:
    """Write numbered points, two a request, until the collector is gone; note what it acknowledged."""
    with httpx.Client(timeout=5) as client:
        for first in range(0, 1_000_000, 2):
            lines = "".join(f"crash,writer={writer} n={number}i {number + 1}\n" for number in (first, first + 1))
            try:
                answer = client.post(f"http://127.0.0.1:{port}/write?db=streamswarm", content=lines)
            except httpx.HTTPError:
                return
            assert answer.status_code == 204
            acknowledged += [first, first + 1]


def test_every_acknowledged_point_is_there_once_after_kill_nine(tmp_path: Path) -> None:
    port = find_free_port()
    acknowledged: list[list[int]] = [[], [], []]
    for _ in range(2):
        with running_collector(tmp_path, port) as process:
            threads = [
                threading.Thread(target=stream, args=(port, writer, numbers))
                for writer, numbers in enumerate(acknowledged)
            ]
            for thread in threads:
                thread.start()
            enough = 300 + max(map(len, acknowledged))
            while min(map(len, acknowledged)) < enough and any(thread.is_alive() for thread in threads):
                threads[0].join(0.02)
            process.send_signal(signal.SIGKILL)
            for thread in threads:
                thread.join(20)
    with running_collector(tmp_path, port):
        answer = httpx.get(
            f"http://127.0.0.1:{port}/query",
            params={"db": "streamswarm", "q": "SELECT n FROM crash GROUP BY writer", "epoch": "ns"},
        ).json()
    assert all(len(numbers) >= 300 for numbers in acknowledged)
    for series in answer["results"][0]["series"]:
        stored = [row[1] for row in series["values"]]
        assert len(stored) == len(set(stored))
        assert set(acknowledged[int(series["tags"]["writer"])]) <= set(stored)
