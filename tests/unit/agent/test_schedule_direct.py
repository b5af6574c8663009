"""Runs without a task of their own."""

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_core.assignment import Assignment
from tests.support import until
from tests.unit.agent.scheduling import Bench, Direct, Make, assignment


async def no_task(one: Assignment) -> None:
    raise AssertionError(f"{one.test} has no need of a task")


@pytest.mark.parametrize("after", [0.0, 0.01])
async def test_a_run_without_a_task_is_stored_and_counted_and_comes_again(schedulers: Make, after: float) -> None:
    bench = Bench(no_task, direct=lambda _: Direct("outcome", after))
    scheduler = schedulers(bench)
    scheduler.update([assignment(1)])
    await until(lambda: len(bench.stored) >= 5)
    assert set(bench.stored) == {"outcome"}
    assert scheduler.counts.runs == len(bench.stored)
    assert not bench.failures


async def test_a_run_without_a_task_that_goes_on_makes_the_next_start_an_overrun(schedulers: Make) -> None:
    direct = Direct("outcome", None)
    bench = Bench(no_task, direct=lambda _: direct)
    scheduler = schedulers(bench)
    scheduler.update([assignment(1)])
    await until(lambda: scheduler.counts.overruns >= 2)
    assert len(direct.reports) == 1
    direct.reports[0]("outcome")
    await until(lambda: len(direct.reports) == 2)
    assert bench.stored == ["outcome"]


async def test_a_run_without_a_task_beyond_its_time_is_stopped_and_said_so(schedulers: Make) -> None:
    directs = {"t1": Direct("outcome", None), "t2": Direct("outcome", None)}
    bench = Bench(no_task, direct=lambda one: directs[one.test])
    # Nothing else is due that would make the scheduler look.
    schedulers(bench).update(assignment(number, 3600, timeout=0.02) for number in (1, 2))
    await until(lambda: len(bench.failures) == 2)
    assert set(bench.failures) == {(test, Fault.TIMEOUT, "given up after 0.02 s") for test in directs}
    assert [direct.stopped for direct in directs.values()] == [1, 1]


@pytest.mark.parametrize(("outcome", "mistake"), [("impossible", "start"), ("mistaken", "outcome")])
async def test_a_mistake_in_a_run_without_a_task_is_a_fault_and_ends_nothing(
    schedulers: Make, outcome: str, mistake: str, caplog: pytest.LogCaptureFixture
) -> None:
    bench = Bench(no_task, direct=lambda _: Direct(outcome))
    scheduler = schedulers(bench)
    scheduler.update([assignment(1)])
    await until(lambda: len(bench.failures) >= 2)
    assert bench.failures[0] == ("t1", Fault.INTERNAL, f"KeyError: '{mistake}'")
    assert scheduler.counts.runs == len(bench.failures)
    assert "Traceback" in caplog.text


async def test_a_change_during_a_run_without_a_task_stops_it(schedulers: Make) -> None:
    directs: list[Direct] = []

    def make(_one: Assignment) -> Direct:
        directs.append(Direct("outcome", None))
        return directs[-1]

    bench = Bench(no_task, direct=make)
    scheduler = schedulers(bench)
    scheduler.update([assignment(1, target="old")])
    await until(lambda: bool(directs[0].reports))
    scheduler.update([assignment(1, target="new")])
    await until(lambda: bool(directs[1].reports))
    assert [direct.stopped for direct in directs] == [1, 0]
    scheduler.update([])
    assert directs[1].stopped == 1
    assert not bench.stored
