"""Calendars: what is due when, on clocks that the test sets."""

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streamswarm_agent.occasions import Occasions
from streamswarm_agent.plan import Plan, Skip
from streamswarm_agent.runbook import RunBook
from streamswarm_core.assignment import AssignmentSet
from tests.support import until
from tests.unit.agent.occasions import NOON, Host, assignment, cron, once, request, settled


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


async def test_many_that_come_together_are_written_once_before_they_begin(host: Host) -> None:
    many = [
        assignment(cron("*/10 * * * *")).model_copy(update={"id": f"id-{number}", "test": f"t{number}"})
        for number in range(200)
    ]
    host.take(*many)
    written: list[int] = []
    save = host.book.save

    def counted(*, whole: bool = False) -> None:
        written.append(sum(host.ran.values()))
        save(whole=whole)

    host.book.save = counted  # type: ignore[method-assign] # counted on its way
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
