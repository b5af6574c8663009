"""Calendars and requests: a real scheduler and run book, clocks that the test sets."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamswarm_agent.budget import Budget
from streamswarm_agent.faults import Fault
from streamswarm_agent.occasions import Occasions
from streamswarm_agent.plan import Plan, Skip
from streamswarm_agent.runbook import RunBook
from streamswarm_agent.schedule import Scheduler
from streamswarm_core.assignment import Assignment, AssignmentSet, RunReport, RunRequest, RunStatus
from streamswarm_core.probespecs.demand import Lane
from streamswarm_core.schedule import read_schedule
from tests.support import until
from tests.unit.agent.test_schedule import quiet

NOON = datetime(2024, 7, 1, 12, 0, tzinfo=UTC)


def assignment(schedule: dict[str, object] | None, generation: int = 1, interval: float = 0.05) -> Assignment:
    return Assignment(
        id="id-1", test="t1", probe="icmp", interval=interval, timeout=5, schedule=schedule, generation=generation
    )


@dataclass
class Host:
    """An agent's schedule on a host whose clocks the test sets; it can be killed and started again."""

    folder: Path
    wall: datetime = NOON
    clock: float = 1000.0
    version: int = 0
    ran: Counter[str] = field(default_factory=Counter)
    slow: bool = False
    problem: str = ""

    def start(self) -> None:
        self.book = RunBook(self.folder / "records.json")
        self.scheduler = Scheduler(
            self._plan,
            budget=Budget(1e9, 1e12),
            limits=dict.fromkeys(Lane, 9),
            link_busy=quiet,
            watcher=self.book,
        )
        self.occasions = Occasions(self.scheduler, self.book, lambda: self.wall, lambda: self.clock)

    def _plan(self, one: Assignment) -> Plan:
        async def run() -> None:
            if self.slow:
                await asyncio.sleep(60)
            self.ran[one.test] += 1
            self.book.note(one.id, self.problem)

        def fail(_fault: Fault, detail: str) -> None:
            self.book.note(one.id, detail)

        return Plan(one, run, fail, schedule=read_schedule(one.schedule))

    def take(self, *assignments: Assignment, run_now: tuple[RunRequest, ...] = (), stop: tuple[str, ...] = ()) -> None:
        self.version += 1
        fresh = AssignmentSet(agent_id="a", version=self.version, assignments=assignments, run_now=run_now, stop=stop)
        self.scheduler.update(fresh.assignments)
        self.occasions.update(fresh)

    def passes(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.clock += seconds
        self.occasions.look()

    async def kill(self, *assignments: Assignment, away: float = 0.0) -> None:
        """Nothing is saved that wasn't; then the next process starts with the set it finds on disk."""
        lost = self.book
        lost.save = lambda: None  # type: ignore[method-assign]
        await self.scheduler.close()
        self.wall += timedelta(seconds=away)
        self.start()
        self.take(*assignments)

    def records(self) -> dict[str, list[RunReport]]:
        found: dict[str, list[RunReport]] = {}
        for report in self.book.to_report(progress=True):
            found.setdefault(report.status.value, []).append(report)
        return found

    def skipped(self) -> dict[Skip, int]:
        return {one.reason: one.starts for one in self.scheduler.skipped}


@pytest.fixture
async def host(tmp_path: Path) -> AsyncIterator[Host]:
    host = Host(tmp_path)
    host.start()
    yield host
    await host.scheduler.close()


def cron(expression: str, **more: object) -> dict[str, object]:
    return {"kind": "cron", "cron": expression, "zone": "UTC", **more}


def once(minutes: float, **more: object) -> dict[str, object]:
    return {"kind": "once", "at": (NOON + timedelta(minutes=minutes)).isoformat(), **more}


def request(name: str = "run-1", seconds: float = 600) -> RunRequest:
    return RunRequest(id=name, assignment_id="id-1", expires_at=NOON + timedelta(seconds=seconds))


async def settled(host: Host, count: int) -> None:
    """Until so many runs have come, and no further one follows."""
    await until(lambda: host.ran["t1"] >= count)
    await asyncio.sleep(0.15)
    assert host.ran["t1"] == count


async def test_a_cron_test_runs_once_at_each_of_its_moments_and_has_a_record_for_each(host: Host) -> None:
    host.take(assignment(cron("*/10 * * * *")))
    host.passes(599)
    await settled(host, 0)
    host.passes(1)
    await settled(host, 1)
    host.passes(600)
    await settled(host, 2)
    done = host.records()["done"]
    assert [report.due_at for report in done] == [NOON + timedelta(minutes=minute) for minute in (10, 20)]
    assert [(report.executions, report.failures, report.error) for report in done] == [(1, 0, ""), (1, 0, "")]


async def test_with_recurrence_continue_one_record_goes_on(host: Host) -> None:
    host.take(assignment(cron("*/10 * * * *", recurrence="continue")))
    for count in (1, 2, 3):
        host.passes(600)
        await settled(host, count)
    (report,) = host.records()["running"]
    assert report.executions == 3


async def test_a_run_that_finds_its_target_down_fails_its_record_with_the_reason(host: Host) -> None:
    host.problem = "refused: Connection refused"
    host.take(assignment(cron("*/10 * * * *")))
    host.passes(600)
    await settled(host, 1)
    (report,) = host.records()["failed"]
    assert report.error == "refused: Connection refused"


async def test_a_test_of_limited_duration_runs_in_each_interval_and_then_no_more(host: Host) -> None:
    host.take(assignment(cron("*/10 * * * *", duration=60)))
    host.passes(600)
    await until(lambda: host.ran["t1"] >= 3)
    (going,) = host.records()["running"]
    host.passes(61)
    await asyncio.sleep(0.1)
    count = host.ran["t1"]
    await settled(host, count)
    (done,) = host.records()["done"]
    assert (done.id, done.executions) == (going.id, count)


async def test_a_duration_is_counted_by_the_monotonic_clock(host: Host) -> None:
    host.take(assignment({"kind": "interval", "duration": 60}))
    await until(lambda: host.ran["t1"] >= 2)
    host.wall += timedelta(hours=2)
    host.occasions.look()
    assert "running" in host.records()
    host.passes(61)
    assert "done" in host.records()


async def test_an_interval_test_begins_and_ends_at_its_bounds(host: Host) -> None:
    bounds = {"start": (NOON + timedelta(minutes=1)).isoformat(), "until": (NOON + timedelta(minutes=2)).isoformat()}
    host.take(assignment({"kind": "interval", **bounds}))
    await settled(host, 0)
    host.passes(60)
    await until(lambda: host.ran["t1"] >= 2)
    host.passes(60)
    await asyncio.sleep(0.1)
    await settled(host, host.ran["t1"])
    assert [len(reports) for reports in host.records().values()] == [1]


async def test_a_one_off_runs_once_whoever_restarts(host: Host) -> None:
    one = assignment(once(1))
    host.take(one)
    host.passes(60)
    await settled(host, 1)
    await host.kill(one)
    host.passes(60)
    await settled(host, 1)
    # Paused and resumed: taken away, and given again.
    host.take()
    host.take(one)
    host.passes(60)
    await settled(host, 1)


async def test_a_one_off_that_was_missed_runs_late_within_its_grace_and_says_so(host: Host) -> None:
    one = assignment(once(1, grace=600))
    host.take(one)
    await host.kill(one, away=300)
    await settled(host, 1)
    (report,) = host.records()["done"]
    assert report.error == "began 240 s late"


async def test_a_one_off_beyond_its_grace_is_missed_and_counted(host: Host) -> None:
    one = assignment(once(1, grace=60))
    host.take(one)
    await host.kill(one, away=300)
    await settled(host, 0)
    (report,) = host.records()["missed"]
    assert report.due_at == NOON + timedelta(minutes=1)
    assert "the agent was away" in report.error
    assert host.skipped() == {Skip.MISSED: 1}


async def test_moments_that_passed_while_the_agent_was_away_are_missed_but_the_newest(host: Host) -> None:
    every = assignment(cron("*/10 * * * *"))
    host.take(every)
    await host.kill(every, away=35 * 60 + 1)
    host.occasions.look()
    assert host.skipped() == {Skip.MISSED: 3}
    # The newest was five minutes ago, just beyond its grace.
    assert [report.due_at.minute for report in host.records()["missed"] if report.due_at] == [10, 20, 30]
    await host.kill(every, away=24 * 60)
    host.occasions.look()
    await settled(host, 0)
    host.passes(60)
    await settled(host, 1)


async def test_moments_that_passed_while_a_test_was_paused_were_not_missed(host: Host) -> None:
    every = assignment(cron("*/10 * * * *"))
    host.take(every)
    host.take()
    host.passes(35 * 60)
    host.take(every)
    assert not host.skipped()
    host.passes(5 * 60)
    await settled(host, 1)


async def test_a_clock_that_is_set_back_repeats_no_moment(host: Host) -> None:
    host.take(assignment(cron("*/10 * * * *")))
    host.passes(600)
    await settled(host, 1)
    host.wall -= timedelta(minutes=8)
    for _ in range(8):
        host.passes(60)
    await settled(host, 1)
    host.passes(600)
    await settled(host, 2)


async def test_a_clock_that_was_years_ahead_delays_nothing_for_years(host: Host) -> None:
    every = assignment(cron("*/10 * * * *"))
    host.take(every)
    host.wall += timedelta(days=900)
    host.occasions.look()
    host.wall -= timedelta(days=900)
    host.occasions.look()
    before = host.ran["t1"]
    host.passes(600)
    await until(lambda: host.ran["t1"] == before + 1)
    await host.kill(every)
    host.passes(600)
    await until(lambda: host.ran["t1"] == before + 2)


async def test_a_run_that_is_asked_for_is_made_once_whoever_restarts(host: Host) -> None:
    always = assignment(None, interval=3600)
    host.take(always)
    host.take(always, run_now=(request(),))
    host.take(always, run_now=(request(),))
    await until(lambda: "done" in host.records())
    host.book.save()
    made = host.ran["t1"]
    await host.kill(always)
    host.take(always, run_now=(request(),))
    await asyncio.sleep(0.1)
    manual = [one for one in host.book.to_report(progress=False) if one.id == "run-1"]
    assert [(one.kind.value, one.status, one.executions) for one in manual] == [("manual", RunStatus.DONE, 1)]
    # The restart alone makes a first run of its own, within two seconds.
    assert host.ran["t1"] <= made + 1


async def test_a_run_that_is_asked_for_during_another_comes_after_it(host: Host) -> None:
    host.slow = True
    host.take(assignment(cron("*/10 * * * *")))
    host.passes(600)
    host.take(assignment(cron("*/10 * * * *")), run_now=(request(seconds=6000),))
    assert len(host.records()["running"]) == 2
    scheduled = next(one for one in host.records()["running"] if one.id != "run-1")
    host.slow = False
    host.take(assignment(cron("*/10 * * * *")), stop=(scheduled.id,))
    await settled(host, 1)
    records = host.records()
    assert [one.id for one in records["stopped"]] == [scheduled.id]
    assert [one.id for one in records["done"]] == ["run-1"]


async def test_a_request_that_comes_too_late_or_for_a_test_that_is_gone_is_missed(host: Host) -> None:
    host.take(assignment(None), run_now=(request("late", seconds=-1),))
    host.take(run_now=(request("gone"),))
    missed = {one.id: one.error for one in host.records()["missed"]}
    assert "too late" in missed["late"]
    assert missed["gone"] == "the agent doesn't have this test"


async def test_a_stopped_session_runs_no_more_and_says_so(host: Host) -> None:
    session = assignment(cron("*/10 * * * *", duration=300))
    host.take(session)
    host.passes(600)
    await until(lambda: host.ran["t1"] >= 2)
    (going,) = host.records()["running"]
    host.take(session, stop=(going.id,))
    await asyncio.sleep(0.05)
    await settled(host, host.ran["t1"])
    assert [one.id for one in host.records()["stopped"]] == [going.id]


async def test_a_session_goes_on_after_a_restart_for_the_rest_of_its_time(host: Host) -> None:
    session = assignment(cron("*/10 * * * *", duration=300))
    host.take(session)
    host.passes(600)
    await until(lambda: host.ran["t1"] >= 1)
    (going,) = host.records()["running"]
    host.book.save()
    await host.kill(session, away=60)
    before = host.ran["t1"]
    await until(lambda: host.ran["t1"] >= before + 2)
    host.passes(241)
    (done,) = host.records()["done"]
    assert (done.id, done.error) == (going.id, "")


async def test_a_run_that_a_restart_has_ended_is_failed_not_forgotten(host: Host) -> None:
    host.slow = True
    every = assignment(cron("*/10 * * * *"))
    host.take(every)
    host.passes(600)
    await until(lambda: "running" in host.records())
    await host.kill(every)
    (report,) = host.records()["failed"]
    assert report.error == "the agent stopped during the run"


async def test_an_always_test_has_one_record_that_a_change_goes_on_with_and_a_restart_ends(host: Host) -> None:
    host.take(assignment(None))
    await until(lambda: host.ran["t1"] >= 2)
    (first,) = host.records()["running"]
    host.take(assignment(None, interval=0.04))
    await until(lambda: host.ran["t1"] >= 4)
    (same,) = host.records()["running"]
    assert (same.id, same.executions >= 4) == (first.id, True)
    host.take(assignment(None, generation=2))
    await until(lambda: host.ran["t1"] >= 6)
    records = host.records()
    assert [(one.id, one.error) for one in records["stopped"]] == [(first.id, "the test was restarted or changed")]
    assert [one.id == first.id for one in records["running"]] == [False]


async def test_many_that_come_together_are_written_once_before_they_begin(host: Host) -> None:
    many = [
        assignment(cron("*/10 * * * *")).model_copy(update={"id": f"id-{number}", "test": f"t{number}"})
        for number in range(200)
    ]
    host.take(*many)
    written: list[int] = []
    save = host.book.save

    def counted() -> None:
        written.append(sum(host.ran.values()))
        save()

    host.book.save = counted  # type: ignore[method-assign]
    host.passes(600)
    await until(lambda: sum(host.ran.values()) == 200)
    assert written == [0]
    await host.kill(*many)
    host.occasions.look()
    await asyncio.sleep(0.1)
    assert sum(host.ran.values()) == 200


async def test_a_schedule_that_the_agent_can_not_use_stops_no_other(host: Host) -> None:
    broken = assignment({"kind": "cron", "cron": "* * * * *", "zone": "Mars/Olympus"})
    other = assignment(None).model_copy(update={"id": "id-2", "test": "t2"})
    host.scheduler._plan = lambda one: (  # as the runner does it
        Plan(one, host._plan(other).run, host._plan(other).fail, impossible="no zone")
        if one.id == "id-1"
        else host._plan(one)
    )
    host.take(broken, other, run_now=(request(),))
    await until(lambda: host.ran["t2"] >= 2)
    assert host.scheduler.refused == {"t1": "no zone"}
    assert [one.error for one in host.records()["failed"]] == ["no zone"]


async def test_the_loop_wakes_for_what_is_due(host: Host) -> None:
    real = Occasions(host.scheduler, host.book)
    soon = datetime.now(UTC) + timedelta(seconds=0.3)
    task = asyncio.create_task(real.run_forever())
    try:
        fresh = AssignmentSet(
            agent_id="a", version=1, assignments=(assignment({"kind": "once", "at": soon.isoformat()}),)
        )
        host.scheduler.update(fresh.assignments)
        real.update(fresh)
        await until(lambda: host.ran["t1"] == 1)
        assert datetime.now(UTC) >= soon
    finally:
        task.cancel()


def test_a_damaged_book_is_no_reason_to_stop(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (tmp_path / "records.json").write_text('{"open": [1]}')
    assert len(RunBook(tmp_path / "records.json")) == 0
    assert "can't be read" in caplog.text
