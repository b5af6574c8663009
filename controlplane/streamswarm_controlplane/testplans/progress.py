"""How a test is getting on: which agents have it, how many runs there were and should have been, what came last."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.service import state_of
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.runs import service as runs
from streamswarm_controlplane.runs.models import RunRecord
from streamswarm_controlplane.runs.schemas import RunPublic
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_controlplane.testplans.schemas import AgentProgress, LastResult, Progress
from streamswarm_core.catalogue.common import ERROR, ERROR_DETAIL, UP
from streamswarm_core.clock import NANOSECONDS, from_ns, now, to_ns
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reader import Condition, Reader, Select
from streamswarm_core.schedule import IntervalSchedule, Schedule, is_over, next_occasion, read_schedule

_LAST_SECONDS: Final = 7 * 86_400


def progress(db: Session, reader: Reader, settings: ControlPlaneSettings, test: TestPlan) -> Progress:
    """How a test is getting on; a store that can't be read is said so in the answer."""
    runs.expire(db)
    at = now()
    schedule = read_schedule(test.schedule)
    detail, last = "", dict[str, LastResult]()
    try:
        last = _last_results(reader, test, at)
    except (Unavailable, Refused) as error:
        detail = str(error)
    newest = _newest_runs(db, test)
    rows = db.scalars(select(AssignmentRow).where(AssignmentRow.test_id == test.id))
    agents = [
        _agent(row, settings, schedule, at, newest.get(row.id), last.get(row.agent.name))
        for row in sorted(rows, key=lambda row: row.agent.name)
    ]
    return Progress(
        agents=agents,
        taken=sum(one.taken for one in agents),
        next_start_at=None if test.paused else next_occasion(schedule, at),
        over=is_over(schedule, at),
        store_problem=detail,
    )


def _agent(
    row: AssignmentRow,
    settings: ControlPlaneSettings,
    schedule: Schedule,
    at: datetime,
    run: RunRecord | None,
    last: LastResult | None,
) -> AgentProgress:
    test, agent = row.test, row.agent
    going = isinstance(schedule, IntervalSchedule) or schedule.duration is not None
    expected: int | None = 1
    if going:
        expected = _expected(run, schedule.duration, test.interval, at) if run is not None else None
    following = None
    if last is not None and run is not None and run.status == "running" and going and not test.paused:
        following = max(at, last.time + timedelta(seconds=test.interval))
    return AgentProgress(
        agent_id=agent.id,
        agent_name=agent.name,
        state=state_of(agent, settings, at),
        explicit=row.explicit,
        selected=row.selected,
        taken=agent.running_version >= agent.assignments_version,
        run=RunPublic.model_validate(run) if run is not None else None,
        executions_expected=expected,
        next_run_at=following,
        last=last,
    )


def _expected(run: RunRecord, duration: float | None, interval: float, at: datetime) -> int | None:
    """Runs of the probe that should have begun by now, or by the record's end."""
    if run.started_at is None:
        return None
    seconds = ((run.finished_at or at) - run.started_at).total_seconds()
    return max(0, int(min(seconds, duration or seconds) / interval))


def _newest_runs(db: Session, test: TestPlan) -> Mapping[str, RunRecord]:
    """Of each assignment the record that is open, or the newest."""
    open_first = RunRecord.finished_at.is_(None).desc()
    newest = (
        select(RunRecord.id)
        .where(RunRecord.assignment_id == AssignmentRow.id)
        .order_by(open_first, RunRecord.created_at.desc(), RunRecord.id)
        .limit(1)
        .scalar_subquery()
    )
    of_each = select(newest).where(AssignmentRow.test_id == test.id)
    return {run.assignment_id: run for run in db.scalars(select(RunRecord).where(RunRecord.id.in_(of_each)))}


def _last_results(reader: Reader, test: TestPlan, at: datetime) -> dict[str, LastResult]:
    """The newest point of each agent, by its name."""
    spec = SPECS[test.probe]
    measurement = spec.measurements[0]
    headline = measurement[spec.headline]
    columns = [headline.name, *(one.name for one in (UP, ERROR, ERROR_DETAIL) if one.name in measurement)]
    newest = Select(
        measurement.name,
        columns,
        start_ns=to_ns(at) - _LAST_SECONDS * NANOSECONDS,
        stop_ns=to_ns(at) + 1,
        where=[Condition("test", test.key)],
        group_by=("agent",),
        descending=True,
        limit=1,
    )
    found: dict[str, LastResult] = {}
    for series in reader.select(newest):
        point: Mapping[str, Any] = next(series.records())
        value = point.get(headline.name)
        found[series.tags.get("agent", "")] = LastResult(
            time=from_ns(int(point["time"])),
            up=point.get(UP.name, 1) != 0,
            field=headline.name,
            value=None if value is None else float(value),
            unit=headline.unit.name,
            error=str(point.get(ERROR.name) or ""),
            error_detail=str(point.get(ERROR_DETAIL.name) or ""),
        )
    return found
