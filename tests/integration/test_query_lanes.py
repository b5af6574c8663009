"""Long queries and small ones: who goes first, how many there are, and what becomes of those nobody waits for."""

import asyncio
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamswarm_collector.app import create_app
from streamswarm_collector.influxql import engine, select
from streamswarm_collector.influxql.stopping import Stop, StoppedError
from streamswarm_collector.routes.lanes import GoneError, QueryLanes
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.errors import Unavailable
from tests.support import eventually, serve_app, until

ENDLESS = "SELECT sum(hash(a.i * b.i)) FROM range(10000000) a(i), range(10000000) b(i)"


class Endless:
    """Where the measurement `endless` is asked DuckDB is given a query that takes days."""

    def __init__(self) -> None:
        self.under_way = 0
        self.begun = 0
        self._lock = threading.Lock()

    def execute(self, statement: Any, database: Any, connect: Callable[[], Any], **more: Any) -> Any:
        if statement.sources[0].name != "endless":
            return select.execute_select(statement, database, connect, **more)
        connection = connect()
        with self._lock:
            self.begun += 1
            self.under_way += 1
        try:
            return connection.execute(ENDLESS).fetchall()
        finally:
            with self._lock:
                self.under_way -= 1


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> Endless:
    found = Endless()
    monkeypatch.setattr(engine, "execute_select", found.execute)
    return found


@pytest.fixture
def url(tmp_path: Path, endless: Endless) -> Iterator[str]:
    _ = endless
    settings = CollectorSettings(data=tmp_path, auth=False, query_threads=2, query_seconds=60, flush_seconds=0.01)
    with serve_app(create_app(settings)) as served:
        httpx.post(f"{served}/write?db=streamswarm", content=b"m v=1 1\nm v=2 2").raise_for_status()
        yield served


def asking(url: str, measurement: str) -> socket.socket:
    target = httpx.URL(url)
    sent = socket.create_connection((target.host, target.port or 80), timeout=20)
    sent.sendall(f"GET /query?db=streamswarm&q=SELECT+v+FROM+{measurement} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    return sent


def test_small_queries_go_by_more_long_ones_than_there_are_places(url: str, endless: Endless) -> None:
    long = [asking(url, "endless") for _ in range(5)]
    try:
        eventually(lambda: endless.begun, lambda begun: begun >= 5)
        # mode() is not answered from memory, so each of these takes a place too.
        for _ in range(3):
            answer = httpx.get(f"{url}/query?db=streamswarm&q=SELECT+mode(v)+FROM+m", timeout=60).json()
            assert answer["results"][0]["series"][0]["values"][0][1] == 1
        eventually(lambda: endless.under_way, lambda count: count == 2)
    finally:
        for sent in long:
            sent.close()
    eventually(lambda: endless.under_way, lambda count: count == 0)


def test_closing_the_connection_ends_the_query(url: str, endless: Endless) -> None:
    with asking(url, "endless"):
        eventually(lambda: endless.under_way, lambda count: count == 1)
    eventually(lambda: endless.under_way, lambda count: count == 0)
    assert endless.begun == 1
    assert httpx.get(f"{url}/ping").status_code == 204


def test_a_query_that_takes_too_long_is_told_so(tmp_path: Path, endless: Endless) -> None:
    settings = CollectorSettings(data=tmp_path, auth=False, query_seconds=0.3)
    with serve_app(create_app(settings)) as served:
        httpx.post(f"{served}/write?db=streamswarm", content=b"m v=1 1").raise_for_status()
        answer = httpx.get(f"{served}/query?db=streamswarm&q=SELECT+v+FROM+endless", timeout=30).json()
    assert answer["results"][0]["error"] == "query timeout: it took longer than 0.3 s; ask for less"
    assert endless.under_way == 0


def nobody_leaves() -> "asyncio.Future[None]":
    return asyncio.get_running_loop().create_future()


class Held:
    """Work that goes on until it is let go or stopped."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = 0

    def __call__(self, stop: Stop) -> int:
        self.begun += 1
        while not self.go.wait(0.005):
            stop.check()
        return self.begun


async def test_a_long_query_without_a_place_is_asked_anew_when_one_is_free() -> None:
    lanes = QueryLanes(1, patience=30, long_seconds=0.01)
    first, second = Held(), Held()
    one = asyncio.create_task(lanes.run(first, nobody_leaves()))
    await until(lambda: not lanes._begun.locked() and lanes._long.locked())
    other = asyncio.create_task(lanes.run(second, nobody_leaves()))
    await until(lambda: second.begun == 1 and not lanes._begun.locked())
    assert await lanes.run(lambda _stop: "small", nobody_leaves()) == "small"
    assert (first.begun, second.begun) == (1, 1)
    first.go.set()
    assert await one == 1
    await until(lambda: second.begun == 2)
    second.go.set()
    assert await other == 2
    lanes.close()


async def test_who_waits_for_a_place_in_vain_is_told_so_and_leaves_it_to_others() -> None:
    lanes = QueryLanes(1, patience=0.05, long_seconds=0.01)
    first, second = Held(), Held()
    one = asyncio.create_task(lanes.run(first, nobody_leaves()))
    await until(lambda: not lanes._begun.locked() and lanes._long.locked())
    with pytest.raises(Unavailable, match="1 long queries are under way"):
        await lanes.run(second, nobody_leaves())
    left = nobody_leaves()
    waiting = asyncio.create_task(lanes.run(second, left))
    left.set_result(None)
    with pytest.raises(GoneError):
        await waiting
    first.go.set()
    assert await one == 1
    second.go.set()
    assert await lanes.run(second, nobody_leaves()) > 1
    lanes.close()


def test_a_stop_reaches_a_query_between_its_statements() -> None:
    stop = Stop()
    stop.check()
    stop.request()
    with pytest.raises(StoppedError):
        stop.check()
