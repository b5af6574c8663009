"""A process or a host that stood still: stopped, suspended, or starved of its processor."""

import asyncio
import socket
import time
from collections.abc import Callable

import pytest

from streamswarm_agent import runs
from streamswarm_agent.faults import Fault
from streamswarm_agent.schedule import Scheduler
from streamswarm_core.assignment import Assignment
from tests.support import until
from tests.unit.agent.scheduling import Bench, assignment


async def test_an_answer_that_came_while_the_host_stood_still_is_read_and_no_timeout(
    schedulers: Callable[[Bench], Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_STOOD_STILL_SECONDS", 0.1)
    here, there = socket.socketpair()
    answers: list[bytes] = []

    async def measure(_assignment: Assignment) -> None:
        arrived = asyncio.Event()
        asyncio.get_running_loop().add_reader(here, arrived.set)
        there.send(b"in time")
        time.sleep(0.3)  # noqa: ASYNC251 - the host stands still
        await arrived.wait()
        answers.append(here.recv(100))

    with here, there:
        here.settimeout(0)
        bench = Bench(measure)
        schedulers(bench).update([assignment(1, 3600, timeout=0.05)])
        await until(lambda: bool(answers or bench.failures))
        asyncio.get_running_loop().remove_reader(here)
    assert answers == [b"in time"]
    assert not bench.failures


async def test_a_run_without_an_answer_is_a_timeout_soon_after_the_host_stood_still(
    schedulers: Callable[[Bench], Scheduler], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_STOOD_STILL_SECONDS", 0.1)
    monkeypatch.setattr(runs, "_GRACE_SECONDS", 0.05)

    async def measure(_assignment: Assignment) -> None:
        time.sleep(0.3)  # noqa: ASYNC251 - the host stands still
        await asyncio.sleep(3600)

    bench = Bench(measure)
    schedulers(bench).update([assignment(1, 3600, timeout=0.05)])
    await until(lambda: bool(bench.failures))
    assert bench.failures == [("t1", Fault.TIMEOUT, "given up after 0.05 s")]
