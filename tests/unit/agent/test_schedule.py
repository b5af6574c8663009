import asyncio

from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.schedule import Scheduler, next_start, phase
from streamswarm_core.assignment import Assignment


def assignment(number: int = 1, interval: float = 0.05, **changes: object) -> Assignment:
    values = {"id": f"id-{number}", "test": f"t{number}", "probe": "icmp", "interval": interval, "timeout": 1.0}
    return Assignment.model_validate(values | changes)


async def until(condition: asyncio.Event, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        await condition.wait()


@given(st.text(min_size=1), st.floats(0.5, 86_400), st.floats(0, 1e9))
def test_the_next_start_is_after_now_within_one_interval_and_on_the_phase(
    assignment_id: str, interval: float, now: float
) -> None:
    start = next_start(assignment_id, interval, now)
    slack = 1e-6 * max(1.0, now)
    assert now - slack < start <= now + interval + slack
    distance = (start - phase(assignment_id, interval)) % interval
    assert min(distance, interval - distance) < slack


def test_ten_thousand_assignments_are_spread_over_their_interval() -> None:
    starts = [phase(f"assignment-{number}", 60.0) for number in range(10_000)]
    each_second = [0] * 60
    for start in starts:
        each_second[int(start)] += 1
    assert max(each_second) < 250
    assert min(each_second) > 100


async def test_an_assignment_runs_again_and_again() -> None:
    ran = 0
    enough = asyncio.Event()

    async def run(_assignment: Assignment) -> None:
        nonlocal ran
        ran += 1
        if ran == 5:
            enough.set()

    scheduler = Scheduler(run, concurrency=10)
    scheduler.update([assignment()])
    await until(enough)
    await scheduler.close()
    assert scheduler.counts.runs >= 4


async def test_a_slow_run_delays_no_other_and_its_overruns_are_counted() -> None:
    quick = 0
    enough = asyncio.Event()

    async def run(one: Assignment) -> None:
        nonlocal quick
        if one.test == "t1":
            await asyncio.sleep(60)
        quick += 1
        if quick == 5:
            enough.set()

    scheduler = Scheduler(run, concurrency=10)
    scheduler.update([assignment(1), assignment(2)])
    await until(enough)
    await scheduler.close()
    assert scheduler.counts.overruns > 0


async def test_assignments_are_added_changed_and_removed_while_it_runs() -> None:
    seen: dict[str, list[str]] = {}
    changed = asyncio.Event()

    async def run(one: Assignment) -> None:
        seen.setdefault(one.id, []).append(one.target)
        if one.target == "new":
            changed.set()

    scheduler = Scheduler(run, concurrency=10)
    scheduler.update([assignment(1, target="old"), assignment(2)])
    assert len(scheduler) == 2
    scheduler.update([assignment(1, target="new")])
    await until(changed)
    assert len(scheduler) == 1
    assert "id-2" not in seen
    scheduler.update([])
    count = len(seen["id-1"])
    await asyncio.sleep(0.2)
    assert len(seen["id-1"]) == count
    await scheduler.close()
