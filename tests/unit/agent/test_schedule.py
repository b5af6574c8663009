import asyncio
import time
from collections import Counter
from functools import partial

import pytest

from streamswarm_agent import runs
from streamswarm_agent.budget import Budget
from streamswarm_agent.faults import Fault
from streamswarm_agent.plan import Skip
from streamswarm_core.assignment import Assignment
from streamswarm_core.probespecs.demand import Lane, RunCost
from tests.support import until
from tests.unit.agent.scheduling import LIMITS, Bench, Make, assignment, reasons


async def test_an_assignment_runs_again_and_again_and_is_made_ready_once(schedulers: Make) -> None:
    ran: Counter[str] = Counter()

    async def run(one: Assignment) -> None:
        ran[one.test] += 1

    bench = Bench(run)
    scheduler = schedulers(bench)
    scheduler.update([assignment()])
    await until(lambda: ran["t1"] >= 5)
    assert scheduler.counts.runs >= 4
    assert bench.planned == {"t1": 1}


async def test_a_slow_run_delays_no_other_and_its_overruns_are_counted(schedulers: Make) -> None:
    ran: Counter[str] = Counter()

    async def run(one: Assignment) -> None:
        if one.test == "t1":
            await asyncio.sleep(60)
        ran[one.test] += 1

    scheduler = schedulers(Bench(run))
    scheduler.update([assignment(1), assignment(2)])
    await until(lambda: ran["t2"] >= 5 and scheduler.counts.overruns > 0)
    assert scheduler.counts.overruns == reasons(scheduler)["t1", Skip.OVERRUN]
    assert ("t2", Skip.OVERRUN) not in reasons(scheduler)


async def test_starts_and_skips_together_are_all_that_were_due(schedulers: Make) -> None:
    starts: list[float] = []

    async def run(_one: Assignment) -> None:
        starts.append(time.monotonic())
        await asyncio.sleep(0.12)

    scheduler = schedulers(Bench(run))
    scheduler.update([assignment(1, 0.05)])
    await until(lambda: scheduler.counts.overruns >= 6)
    now = time.monotonic()
    accounted = len(starts) + scheduler.counts.skipped
    assert abs(accounted - 1 - (now - starts[0]) / 0.05) <= 1.5


async def test_a_loop_that_stood_still_shows_as_late_starts(schedulers: Make) -> None:
    async def run(_one: Assignment) -> None:
        if not scheduler.counts.runs:
            time.sleep(0.5)  # noqa: ASYNC251 - a probe that blocks is what is tried

    scheduler = schedulers(Bench(run))
    scheduler.update([assignment(1, 0.05)])
    await until(lambda: reasons(scheduler).get(("t1", Skip.LATE), 0) >= 8 and scheduler.counts.lag > 0.3)


async def test_a_run_beyond_its_time_is_ended_and_said_so(schedulers: Make) -> None:
    async def run(_one: Assignment) -> None:
        await asyncio.sleep(60)

    bench = Bench(run, {"t2": Lane.EXCLUSIVE})
    # Nothing else is due that would make the scheduler look.
    schedulers(bench).update(assignment(number, 3600, timeout=0.02) for number in (1, 2))
    await until(lambda: len(bench.failures) == 2)
    assert set(bench.failures) == {(test, Fault.TIMEOUT, "given up after 0.02 s") for test in ("t1", "t2")}


async def test_a_probe_with_a_mistake_in_it_is_a_fault_and_ends_nothing(
    schedulers: Make, caplog: pytest.LogCaptureFixture
) -> None:
    async def run(one: Assignment) -> None:
        raise KeyError(one.test)

    bench = Bench(run)
    schedulers(bench).update([assignment(1)])
    await until(lambda: len(bench.failures) >= 2)
    assert bench.failures[0] == ("t1", Fault.INTERNAL, "KeyError: 't1'")
    assert "Traceback" in caplog.text


async def test_tools_that_hang_take_no_place_of_pings(schedulers: Make) -> None:
    ran: Counter[str] = Counter()
    under_way: Counter[Lane] = Counter()
    most: Counter[Lane] = Counter()
    tools = {f"t{number}": Lane.TOOL for number in range(10)}

    async def run(one: Assignment) -> None:
        lane = tools.get(one.test, Lane.SHARED)
        under_way[lane] += 1
        most[lane] = max(most[lane], under_way[lane])
        if lane is Lane.TOOL:
            await asyncio.sleep(60)
        ran[one.test] += 1
        under_way[lane] -= 1

    scheduler = schedulers(Bench(run, tools))
    scheduler.update(assignment(number) for number in range(12))
    await until(lambda: ran["t10"] >= 5 and ran["t11"] >= 5 and scheduler.counts.skipped > 0)
    await until(lambda: Skip.CONCURRENCY in {reason for _, reason in reasons(scheduler)})
    assert most[Lane.TOOL] == LIMITS[Lane.TOOL]
    assert {reason for test, reason in reasons(scheduler) if test in {"t10", "t11"}} <= {Skip.LATE}


async def test_a_place_that_gets_free_goes_to_who_waited_longest(schedulers: Make) -> None:
    ran: Counter[str] = Counter()
    lanes = {f"t{number}": Lane.TOOL for number in range(6)}

    async def run(one: Assignment) -> None:
        await asyncio.sleep(0.01)
        ran[one.test] += 1

    scheduler = schedulers(Bench(run, lanes))
    scheduler.update(assignment(number, 0.02) for number in range(6))
    await until(lambda: min(ran[test] for test in lanes) >= 5)
    assert scheduler.counts.deferred > 0


async def test_tests_that_hang_leave_places_to_quick_ones_of_their_lane(
    schedulers: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "_SLOW_SECONDS", 0.04)
    ran: Counter[str] = Counter()
    lanes = {f"t{number}": Lane.TOOL for number in range(11)}

    async def run(one: Assignment) -> None:
        await asyncio.sleep(0.001 if one.test == "t0" else 0.05)
        ran[one.test] += 1

    scheduler = schedulers(Bench(run, lanes))
    scheduler.update(assignment(number, 0.05) for number in range(11))
    await until(lambda: ran["t0"] >= 25)
    hanging = [ran[test] for test in lanes if test != "t0"]
    assert min(hanging) > 0
    assert max(hanging) < ran["t0"] / 2


async def test_what_is_beyond_the_budget_never_runs_and_is_counted_with_the_reason(schedulers: Make) -> None:
    ran: Counter[str] = Counter()

    async def run(one: Assignment) -> None:
        ran[one.test] += 1

    bench = Bench(run, cost=RunCost(1, 0), budget=Budget(50, 1e9))
    scheduler = schedulers(bench)
    scheduler.update(assignment(number, 0.05) for number in range(3))
    assert list(scheduler.refused) == ["t2"]
    await until(lambda: ran["t0"] >= 3 and ran["t1"] >= 3 and ("t2", Skip.OVER_BUDGET) in reasons(scheduler))
    assert "t2" not in ran
    scheduler.update(assignment(number, 0.05) for number in (0, 2))
    assert not scheduler.refused
    await until(lambda: ran["t2"] >= 1)


async def test_runs_beyond_the_moments_budget_are_deferred_not_lost(schedulers: Make) -> None:
    starts: list[float] = []

    async def run(_one: Assignment) -> None:
        starts.append(time.monotonic())

    bench = Bench(run, cost=RunCost(5, 0), budget=Budget(50, 1e9))
    scheduler = schedulers(bench)
    # Sixty first runs within two seconds, of five packets each; the budget is ten runs a second.
    scheduler.update(assignment(number, 3600) for number in range(40))
    await until(lambda: len(starts) >= 30)
    assert scheduler.counts.deferred > 0
    assert not reasons(scheduler)
    assert starts[29] - starts[0] >= (30 * 5 - 50 - 5) / 50 - 0.1


async def test_an_impossible_assignment_is_refused_with_its_reason(schedulers: Make) -> None:
    async def run(_one: Assignment) -> None:
        raise AssertionError("it must not run")

    bench = Bench(run, impossible={"t1": "no such probe"})
    scheduler = schedulers(bench)
    scheduler.update([assignment(1)])
    await until(lambda: ("t1", Skip.UNKNOWN_PROBE) in reasons(scheduler))
    assert scheduler.refused == {"t1": "no such probe"}
    assert not bench.failures


async def test_a_bandwidth_test_runs_alone_and_the_others_say_why_they_did_not(schedulers: Make) -> None:
    under_way: set[str] = set()
    seen: list[set[str]] = []
    ran: Counter[str] = Counter()
    lanes = {"t1": Lane.EXCLUSIVE, "t2": Lane.EXCLUSIVE}

    async def run(one: Assignment) -> None:
        under_way.add(one.test)
        if one.test in lanes:
            seen.append(set(under_way))
            await asyncio.sleep(0.15)
            seen.append(set(under_way))
        else:
            await asyncio.sleep(0.005)
        under_way.discard(one.test)
        ran[one.test] += 1

    scheduler = schedulers(Bench(run, lanes))
    scheduler.update([assignment(1, 0.4), assignment(2, 0.4), assignment(3, 0.03), assignment(4, 0.03)])
    await until(lambda: min(ran["t1"], ran["t2"]) >= 2 and ran["t3"] >= 3)
    assert all(len(together) == 1 for together in seen)
    assert reasons(scheduler)["t3", Skip.EXCLUSIVE] >= 2


async def test_a_bandwidth_test_waits_for_a_call_while_short_runs_go_on_and_no_other_call_begins(
    schedulers: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streamswarm_agent.lanes._DRAIN_SECONDS", 0.01)
    hang_up, ran = asyncio.Event(), Counter[str]()
    calling: set[str] = set()
    disturbed: list[set[str]] = []

    async def run(one: Assignment) -> None:
        ran[one.test] += 1
        if one.test == "bandwidth":
            disturbed.append(set(calling))
        elif one.test.startswith("call"):
            calling.add(one.test)
            await hang_up.wait()
            calling.discard(one.test)

    scheduler = schedulers(Bench(run, {"bandwidth": Lane.EXCLUSIVE}, lasts={"call": 60.0, "call-2": 60.0}))
    scheduler.update([assignment(1, test="call"), assignment(2, test="ping")])
    await until(lambda: "call" in calling)
    scheduler.update([assignment(1, test="call"), assignment(2, test="ping"), assignment(3, test="bandwidth")])
    await until(lambda: ("bandwidth", Skip.EXCLUSIVE) in reasons(scheduler))
    before = ran["ping"]
    scheduler.update(
        [
            assignment(1, test="call"),
            assignment(2, test="ping"),
            assignment(3, test="bandwidth"),
            assignment(4, test="call-2"),
        ]
    )
    await until(lambda: ran["ping"] >= before + 5 and ("call-2", Skip.EXCLUSIVE) in reasons(scheduler))
    assert (ran["bandwidth"], ran["call-2"]) == (0, 0)
    hang_up.set()
    await until(lambda: ran["bandwidth"] >= 1 and ran["call-2"] >= 1)
    assert not any(disturbed)


async def test_what_has_no_target_goes_on_beside_a_bandwidth_test(schedulers: Make) -> None:
    over, ran = asyncio.Event(), Counter[str]()

    async def run(one: Assignment) -> None:
        ran[one.test] += 1
        if one.test == "bandwidth":
            await over.wait()

    lanes = {"bandwidth": Lane.EXCLUSIVE}
    scheduler = schedulers(Bench(run, lanes, without_target=frozenset({"host"})))
    scheduler.update([assignment(number, test=test) for number, test in enumerate(("bandwidth", "host", "ping"), 1)])
    await until(lambda: ran["bandwidth"] == 1)
    before = ran.copy()
    await until(lambda: ran["host"] >= before["host"] + 5)
    assert ran["ping"] == before["ping"]
    over.set()
    await until(lambda: ran["ping"] > before["ping"])


async def test_a_bandwidth_test_waits_while_the_link_is_busy_and_says_so(schedulers: Make) -> None:
    ran: Counter[str] = Counter()

    async def run(one: Assignment) -> None:
        ran[one.test] += 1

    async def busy() -> str | None:
        return "eth0 carries too much"

    scheduler = schedulers(Bench(run, {"t1": Lane.EXCLUSIVE}, link_busy=busy))
    scheduler.update([assignment(1), assignment(2)])
    await until(lambda: ran["t2"] >= 3 and ("t1", Skip.LINK_BUSY) in reasons(scheduler))
    assert "t1" not in ran


async def test_assignments_are_added_changed_and_removed_while_it_runs(schedulers: Make) -> None:
    seen: dict[str, list[str]] = {}

    async def run(one: Assignment) -> None:
        seen.setdefault(one.id, []).append(one.target)

    scheduler = schedulers(Bench(run))
    scheduler.update([assignment(1, target="old"), assignment(2)])
    assert len(scheduler) == 2
    scheduler.update([assignment(1, target="new")])
    await until(lambda: "new" in seen.get("id-1", []))
    assert len(scheduler) == 1
    assert "id-2" not in seen
    scheduler.update([])
    count = len(seen["id-1"])
    await asyncio.sleep(0.2)
    assert len(seen["id-1"]) == count


@pytest.mark.parametrize("lane", [Lane.TOOL, Lane.EXCLUSIVE])
async def test_a_change_during_a_run_ends_it_and_gives_its_place_back(schedulers: Make, lane: Lane) -> None:
    begun: Counter[str] = Counter()

    async def run(one: Assignment) -> None:
        begun[one.target] += 1
        await asyncio.sleep(60)

    def reached(change: str) -> bool:
        return begun[change] == LIMITS[lane]

    lanes = {f"t{number}": lane for number in range(LIMITS[lane])}
    scheduler = schedulers(Bench(run, lanes))
    for change in ("a", "b", "c"):
        scheduler.update(assignment(number, target=change) for number in range(LIMITS[lane]))
        await until(partial(reached, change))


async def test_a_run_that_is_ended_before_its_first_step_gives_its_place_back() -> None:
    ran: Counter[str] = Counter()

    async def run(one: Assignment) -> None:
        ran[one.target] += 1

    scheduler = Bench(run, {"t1": Lane.TOOL}).make({Lane.TOOL: 1})
    scheduler.update([assignment(1, target="old")])
    (job,) = scheduler._jobs.values()
    scheduler._runs.start(job)
    scheduler.update([assignment(1, target="new")])
    await until(lambda: ran["new"] >= 2)
    assert "old" not in ran
    await scheduler.close()


async def test_a_step_of_the_wall_clock_changes_nothing(schedulers: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    ran: Counter[str] = Counter()
    steps = iter(range(10**9))

    async def run(one: Assignment) -> None:
        ran[one.test] += 1

    # Every look at the wall clock finds it a day away from where it was.
    monkeypatch.setattr(time, "time", lambda: 1e9 + next(steps) % 2 * 86_400)
    monkeypatch.setattr(time, "time_ns", lambda: (10**9 + next(steps) % 2 * 86_400) * 10**9)
    begun = time.monotonic()
    scheduler = schedulers(Bench(run))
    scheduler.update([assignment(1, 0.05)])
    await until(lambda: ran["t1"] + scheduler.counts.skipped >= 20)
    assert ran["t1"] + scheduler.counts.skipped <= (time.monotonic() - begun) / 0.05 + 2
