"""Runs that are asked for or stopped, and what stays known of a run over a restart."""

import asyncio

from streamswarm_core.assignment import RunStatus
from tests.support import until
from tests.unit.agent.occasions import Host, assignment, cron, request, settled


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
