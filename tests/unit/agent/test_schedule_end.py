"""How runs end when they are taken away, and when the scheduler is closed."""

import asyncio
from collections import Counter

from streamswarm_agent.faults import Fault
from streamswarm_core.assignment import Assignment
from tests.support import eventually
from tests.unit.agent.scheduling import Bench, assignment


async def test_a_draining_agent_lets_runs_end_and_starts_no_more() -> None:
    release = asyncio.Event()
    runs: Counter[str] = Counter()
    ended: list[str] = []

    async def run(one: Assignment) -> None:
        runs[one.test] += 1
        await release.wait()
        ended.append(one.test)

    scheduler = Bench(run).make()
    scheduler.update([assignment(1), assignment(2)])
    await asyncio.to_thread(eventually, lambda: len(runs), lambda count: count == 2)
    scheduler.update([], finish=True)
    assert len(scheduler) == 0
    await asyncio.sleep(0.2)
    release.set()
    await asyncio.to_thread(eventually, lambda: len(ended), lambda count: count == 2)
    await asyncio.sleep(0.2)
    assert sorted(ended) == ["t1", "t2"]
    assert runs == {"t1": 1, "t2": 1}
    assert scheduler.counts.runs == 2
    await scheduler.close()


async def test_closing_ends_runs_that_were_let_finish() -> None:
    begun = asyncio.Event()
    outcome: list[str] = []

    async def run(_one: Assignment) -> None:
        begun.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            outcome.append("cancelled")
            raise

    scheduler = Bench(run).make()
    scheduler.update([assignment()])
    await begun.wait()
    scheduler.update([], finish=True)
    await scheduler.close()
    assert outcome == ["cancelled"]


async def test_a_run_that_is_let_finish_still_has_its_time_limit() -> None:
    begun = asyncio.Event()

    async def run(_one: Assignment) -> None:
        begun.set()
        await asyncio.sleep(60)

    bench = Bench(run)
    scheduler = bench.make()
    scheduler.update([assignment(timeout=0.3)])
    await begun.wait()
    scheduler.update([], finish=True)
    await asyncio.to_thread(eventually, lambda: len(bench.failures), lambda count: count == 1)
    assert bench.failures[0][1] is Fault.TIMEOUT
    await scheduler.close()
