"""kill -9 in the middle of a stream of writes loses nothing that was acknowledged, and doubles nothing."""

import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.support import find_free_port, wait_for_http

COMMAND = (sys.executable, "-m", "streamswarm_cli", "collector", "run")
GIVEN_UP = """
import gc, threading, duckdb
from streamswarm_collector.main import run
from streamswarm_collector.settings import CollectorSettings
from streamswarm_collector.store.embedded import EmbeddedStore

def give_up():
    store = next(one for one in gc.get_objects() if isinstance(one, EmbeddedStore))
    with store.rewriting() as cursor:
        cursor.execute("SET debug_checkpoint_abort = 'before_truncate'")
    try:
        store._connection.cursor().execute("FORCE CHECKPOINT")
    except duckdb.FatalException:
        print("given up", flush=True)

threading.Timer(2, give_up).start()
run(CollectorSettings())
"""
"""A collector whose DuckDB gives up its file after two seconds, by a setting that DuckDB has for its own tests."""


@contextmanager
def running_collector(
    folder: Path, port: int, command: tuple[str, ...] = COMMAND, *, flush_seconds: str = "0.05"
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {
        **os.environ,
        "STREAMSWARM_DATA": str(folder),
        "STREAMSWARM_COLLECTOR_PORT": str(port),
        "STREAMSWARM_COLLECTOR_AUTH": "false",
        "STREAMSWARM_COLLECTOR_FLUSH_SECONDS": flush_seconds,
    }
    log = folder / "log"
    with log.open("ab") as output:
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)
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


def test_a_collector_that_has_lost_its_log_numbers_on_and_loses_nothing_in_the_next_crash(tmp_path: Path) -> None:
    port = find_free_port()
    write, query = f"http://127.0.0.1:{port}/write?db=streamswarm", f"http://127.0.0.1:{port}/query"
    with running_collector(tmp_path, port) as process:
        for number in range(5):
            httpx.post(write, content=f"m n={number}i {number + 1}").raise_for_status()
        process.terminate()
        process.wait(30)
    shutil.rmtree(tmp_path / "collector" / "wal")
    with running_collector(tmp_path, port, flush_seconds="60") as process:
        httpx.post(write, content="m n=9i 9").raise_for_status()
        process.kill()  # before it is in the file
        process.wait(30)
    with running_collector(tmp_path, port):
        answer = httpx.get(query, params={"db": "streamswarm", "q": "SELECT n FROM m", "epoch": "ns"}).json()
    assert [row[1] for row in answer["results"][0]["series"][0]["values"]] == [0, 1, 2, 3, 4, 9]


def test_a_collector_whose_file_was_given_up_ends_and_the_next_one_has_every_point(tmp_path: Path) -> None:
    port = find_free_port()
    acknowledged: list[int] = []
    with running_collector(tmp_path, port, (sys.executable, "-c", GIVEN_UP)) as process:
        stream(port, 0, acknowledged)
        assert process.wait(30) == -signal.SIGTERM
    log = (tmp_path / "log").read_text()
    assert "given up" in log
    assert log.count("has to be opened anew") == 1
    with running_collector(tmp_path, port):
        query = {"db": "streamswarm", "q": "SELECT count(n) FROM crash WHERE writer = '0'"}
        answer = httpx.get(f"http://127.0.0.1:{port}/query", params=query).json()
    (found,) = answer["results"][0]["series"][0]["values"]
    # The last request may have been taken without an answer.
    assert len(acknowledged) <= found[1] <= len(acknowledged) + 2
