"""Run records: asked for by users, reported by agents, kept for a while."""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.assignments.service import OPEN, bump
from streamswarm_controlplane.assignments.turn import take_turn
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.db import new_id
from streamswarm_controlplane.lookup import get_or_404
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.runs.models import RunRecord
from streamswarm_controlplane.runs.schemas import RunsTaken
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.assignment import RunKind, RunReport, RunStatus
from streamswarm_core.clock import now
from streamswarm_core.schedule import CronSchedule, IntervalSchedule, Recurrence, read_schedule

_MOST_PENDING: Final = 5


def query_runs(
    *,
    test_id: str = "",
    agent_id: str = "",
    status: RunStatus | None = None,
    kind: RunKind | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
) -> Select[RunRecord]:
    """All run records, or those of a test, an agent, a status, a kind, or made from `since` to before `until`."""
    query = select(RunRecord)
    if test_id:
        query = query.where(RunRecord.test_id == test_id)
    if agent_id:
        query = query.where(RunRecord.agent_id == agent_id)
    if status is not None:
        query = query.where(RunRecord.status == status.value)
    if kind is not None:
        query = query.where(RunRecord.kind == kind.value)
    if since is not None:
        query = query.where(RunRecord.created_at >= since)
    return query.where(RunRecord.created_at < until) if until is not None else query


def get_run(db: Session, run_id: str, *, lock: bool = False) -> RunRecord:
    """One run record; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    if lock:
        take_turn(db)
    return get_or_404(db, RunRecord, run_id, "run record", lock=lock, hint="they are kept for a while only")


def ask(db: Session, actor: Actor, settings: ControlPlaneSettings, test: TestPlan) -> list[RunRecord]:
    """Ask each of a test's agents to run it once now; they hear of it with their next poll.

    Raises:
        ApiError: 409 if the test is paused, nobody runs it, or too many runs of it wait already.
    """
    if test.paused:
        raise ApiError(409, f"{test.key} is paused; resume it first")
    expire(db)
    rows = sorted(
        db.scalars(select(AssignmentRow).where(AssignmentRow.test_id == test.id)), key=lambda row: row.agent.name
    )
    if not rows:
        raise ApiError(409, f"no agent runs {test.key}; assign it to one first")
    pending = list(
        db.scalars(
            select(RunRecord.assignment_id).where(
                RunRecord.test_id == test.id, RunRecord.status == RunStatus.SCHEDULED.value
            )
        )
    )
    if max(pending.count(row.id) for row in rows) >= _MOST_PENDING:
        raise ApiError(409, f"{_MOST_PENDING} runs of {test.key} wait for their agent already; is it online?")
    asked = [
        RunRecord(
            id=new_id(),
            test_id=test.id,
            agent_id=row.agent_id,
            assignment_id=row.id,
            test_key=test.key,
            test_name=test.name,
            agent_name=row.agent.name,
            kind=RunKind.MANUAL.value,
            status=RunStatus.SCHEDULED.value,
            requested_by=actor.name,
            expires_at=now() + timedelta(seconds=settings.run_now_seconds),
            executions=0,
            failures=0,
            error="",
            created_at=now(),
            updated_at=now(),
        )
        for row in rows
    ]
    db.add_all(asked)
    db.flush()
    record(db, actor, "test.run", test.key)
    bump(db, [row.agent_id for row in rows])
    return asked


def stop(db: Session, actor: Actor, run: RunRecord) -> RunRecord:
    """End a run: at once if it has not begun, with the agent's next poll if it has.

    Raises:
        ApiError: 409 if it is over, or goes on for as long as its test does.
    """
    if run.status not in OPEN:
        raise ApiError(409, f"this run is {run.status} already")
    test = db.get(TestPlan, run.test_id) if run.test_id else None
    if run.kind == RunKind.SCHEDULED.value and test is not None and one_record(test):
        raise ApiError(409, f"this record goes on for as long as the test does; stop the test {test.key}")
    record(db, actor, "run.stop", f"{run.test_key}@{run.agent_name}")
    if run.status == RunStatus.SCHEDULED.value:
        _close(run, RunStatus.STOPPED, f"stopped by {actor.name} before it began")
    else:
        run.stop_requested = True
    if run.agent_id:
        bump(db, [run.agent_id])
    return run


def one_record(test: TestPlan) -> bool:
    """Whether all that the test's schedule starts on an agent belongs to one run record."""
    schedule = read_schedule(test.schedule)
    if isinstance(schedule, IntervalSchedule):
        return True
    return isinstance(schedule, CronSchedule) and schedule.recurrence is Recurrence.CONTINUE


def stop_all(db: Session, test: TestPlan, why: str, *, at_once: bool) -> None:
    """End what is open of a test; `at_once` where the agents' next set ends it by itself."""
    for run in db.scalars(select(RunRecord).where(RunRecord.test_id == test.id, RunRecord.status.in_(OPEN))):
        if at_once or run.status == RunStatus.SCHEDULED.value:
            _close(run, RunStatus.STOPPED, why)
        else:
            run.stop_requested = True


def take_reports(db: Session, settings: ControlPlaneSettings, agent: Agent, reports: Iterable[RunReport]) -> RunsTaken:
    """Take what an agent says of its runs. What is over stays as it is, whatever is said of it later."""
    told = {report.id: report for report in reports}
    known = {run.id: run for run in db.scalars(select(RunRecord).where(RunRecord.id.in_(told)))}
    wanted = {report.assignment_id for report in told.values()}
    assignments = {
        row.id: row
        for row in db.scalars(
            select(AssignmentRow).where(AssignmentRow.id.in_(wanted), AssignmentRow.agent_id == agent.id)
        )
    }
    unknown = []
    for report in told.values():
        run = known.get(report.id) or _new(assignments, agent, report)
        if run is None or run.agent_id != agent.id:
            unknown.append(report.id)
            continue
        db.add(run)
        _take(run, report)
    db.execute(delete(RunRecord).where(RunRecord.finished_at < now() - timedelta(days=settings.run_days)))
    return RunsTaken(taken=len(told) - len(unknown), unknown=unknown)


def expire(db: Session) -> None:
    """Say of runs that were asked for, and that no agent has taken in time, that they were missed."""
    db.execute(
        update(RunRecord)
        .where(RunRecord.status == RunStatus.SCHEDULED.value, RunRecord.expires_at <= now())
        .values(
            status=RunStatus.MISSED.value,
            finished_at=now(),
            updated_at=now(),
            error="the agent did not begin it in time; is it online?",
        )
        .execution_options(synchronize_session="fetch")
    )


def _new(assignments: Mapping[str, AssignmentRow], agent: Agent, report: RunReport) -> RunRecord | None:
    row = assignments.get(report.assignment_id)
    if row is None:
        return None
    return RunRecord(
        id=report.id,
        test_id=row.test_id,
        agent_id=agent.id,
        assignment_id=row.id,
        test_key=row.test.key,
        test_name=row.test.name,
        agent_name=agent.name,
        kind=RunKind.SCHEDULED.value,
        status=RunStatus.RUNNING.value,
        executions=0,
        failures=0,
        error="",
        created_at=now(),
    )


def _take(run: RunRecord, report: RunReport) -> None:
    run.executions = max(run.executions, report.executions)
    run.failures = max(run.failures, report.failures)
    run.started_at = run.started_at or report.started_at
    run.due_at = run.due_at or report.due_at
    run.updated_at = now()
    if RunStatus(run.status).final:
        return
    run.status = report.status.value
    run.finished_at = report.finished_at
    run.error = report.error


def _close(run: RunRecord, status: RunStatus, why: str) -> None:
    run.status, run.error, run.finished_at, run.updated_at = status.value, why, now(), now()
