"""Reads what was measured, through the one reader, whatever the store is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.service import state_of
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.assignments.service import list_assignments
from streamswarm_controlplane.results.schemas import (
    AnomalyState,
    Headline,
    ResultState,
    Status,
    StatusAgent,
    StatusItem,
    StatusTest,
    StoreState,
)
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.catalogue.common import ERROR, ERROR_DETAIL, UP
from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.clock import NANOSECONDS, from_ns, now, to_ns
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.probespecs import SPECS, ProbeSpec
from streamswarm_core.reader import Aggregate, Condition, Reader, Select
from streamswarm_core.schedule import is_over, is_silent, look_back, read_schedule

_LATEST_SECONDS: Final = 3600
_SPARKLINE_SECONDS: Final = 1800
_SPARKLINE_WINDOWS: Final = 60
_ANOMALY_SECONDS: Final = 900
_GROUP: Final = ("agent", "test")

_Key = tuple[str, str]
"""Agent and test, as in the tags."""


@dataclass(slots=True)
class _Measured:
    """What the store has on the assignments."""

    latest: dict[_Key, Mapping[str, Any]] = field(default_factory=dict)
    sparklines: dict[_Key, list[tuple[int, float | None]]] = field(default_factory=dict)
    anomalies: dict[_Key, AnomalyState] = field(default_factory=dict)


def status(db: Session, reader: Reader, settings: ControlPlaneSettings) -> Status:
    """All assignments with their newest value.

    The number of queries doesn't grow with theirs, but for tests that last ran over an hour ago by their schedule.

    A store that can't be read is said so in the answer; the assignments are listed all the same.
    """
    rows = list_assignments(db)
    at = now()
    store = StoreState(ok=True)
    measured = _Measured()
    try:
        measured = _measure(reader, {row.test.probe for row in rows}, to_ns(at))
        _look_further(reader, rows, measured, at)
    except (Unavailable, Refused) as error:
        store = StoreState(ok=False, detail=str(error))
    items = [_item(row, measured, settings, at=to_ns(at)) for row in rows]
    return Status(generated_at=at, store=store, items=items)


def _measure(reader: Reader, probes: Iterable[str], at: int) -> _Measured:
    measured = _Measured()
    for probe in probes:
        spec = SPECS[probe]
        measurement = spec.measurements[0]
        for series in reader.select(_newest(spec, at - _LATEST_SECONDS * NANOSECONDS, at)):
            measured.latest[_key(series.tags)] = next(series.records())
        windows = Select(
            measurement.name,
            [Aggregate("mean", spec.headline)],
            start_ns=at - _SPARKLINE_SECONDS * NANOSECONDS,
            stop_ns=at,
            every_ns=_SPARKLINE_SECONDS * NANOSECONDS // _SPARKLINE_WINDOWS,
            group_by=_GROUP,
        )
        for series in reader.select(windows):
            measured.sparklines[_key(series.tags)] = [
                (int(row[0] or 0) // 1_000_000, None if row[1] is None else float(row[1])) for row in series.rows
            ]
    measured.anomalies = _anomalies(reader, at)
    return measured


def _newest(spec: ProbeSpec, since_ns: int, at: int, where: Sequence[Condition] = ()) -> Select:
    """The newest point of each agent and test; what an agent whose clock is ahead writes says nothing of now."""
    measurement = spec.measurements[0]
    columns = [spec.headline, *(one.name for one in (UP, ERROR, ERROR_DETAIL) if one.name in measurement)]
    return Select(
        measurement.name,
        columns,
        start_ns=since_ns,
        stop_ns=at + 1,
        where=where,
        group_by=_GROUP,
        descending=True,
        limit=1,
    )


def _look_further(reader: Reader, rows: Iterable[AssignmentRow], measured: _Measured, at: datetime) -> None:
    """Find what a nightly test measured last, and the like: each of them is asked for by itself."""
    missing = {
        row.test.id: row.test
        for row in rows
        if not row.test.paused and (row.agent.name, row.test.key) not in measured.latest
    }
    for test in missing.values():
        back = look_back(read_schedule(test.schedule), test.interval, test.timeout, at)
        if back.total_seconds() <= _LATEST_SECONDS:
            continue
        newest = _newest(SPECS[test.probe], to_ns(at - back), to_ns(at), [Condition("test", test.key)])
        for series in reader.select(newest):
            measured.latest.setdefault(_key(series.tags), next(series.records()))


def _anomalies(reader: Reader, at: int) -> dict[_Key, AnomalyState]:
    """The worst newest score of each assignment: flagged ones first, then by score."""
    newest = Select(
        ANOMALY.name,
        ["flag", "score", "threshold"],
        start_ns=at - _ANOMALY_SECONDS * NANOSECONDS,
        stop_ns=at + 1,
        group_by=(*_GROUP, "measurement", "field"),
        descending=True,
        limit=1,
    )
    worst: dict[_Key, AnomalyState] = {}
    for series in reader.select(newest):
        record = next(series.records())
        state = AnomalyState(
            flag=bool(record["flag"]),
            score=float(record["score"] or 0),
            threshold=float(record["threshold"] or 0),
            field=f"{series.tags.get('measurement', '')}.{series.tags.get('field', '')}",
            time=from_ns(int(record["time"] or 0)),
        )
        known = worst.get(_key(series.tags))
        if known is None or (state.flag, state.score) > (known.flag, known.score):
            worst[_key(series.tags)] = state
    return worst


def _key(tags: Mapping[str, str]) -> _Key:
    return tags.get("agent", ""), tags.get("test", "")


def _item(row: AssignmentRow, measured: _Measured, settings: ControlPlaneSettings, *, at: int) -> StatusItem:
    spec = SPECS[row.test.probe]
    headline = spec.measurements[0][spec.headline]
    key = (row.agent.name, row.test.key)
    latest = measured.latest.get(key, {})
    value = latest.get(spec.headline)
    return StatusItem(
        assignment_id=row.id,
        test=StatusTest.model_validate(row.test, from_attributes=True),
        agent=StatusAgent(
            id=row.agent.id,
            name=row.agent.name,
            site=row.agent.site,
            state=state_of(row.agent, settings, from_ns(at)),
        ),
        state=state_of_test(row.test, int(latest["time"]) if latest else None, latest.get(UP.name), at),
        headline=Headline(
            field=headline.name, label=headline.help.rstrip("."), unit=headline.unit.name, worse=headline.worse
        ),
        last_time=from_ns(int(latest["time"])) if latest else None,
        value=None if value is None else float(value),
        sparkline=measured.sparklines.get(key, []),
        error=str(latest.get(ERROR.name) or ""),
        error_detail=str(latest.get(ERROR_DETAIL.name) or ""),
        anomaly=measured.anomalies.get(key),
    )


def state_of_test(test: TestPlan, time_ns: int | None, up: Any, at: int) -> ResultState:
    """How an assignment is, by its newest point.

    Args:
        test: which one.
        time_ns: of the point; None if there is none.
        up: the point's field, None for a probe that has none.
        at: now, nanoseconds since the epoch.
    """
    schedule = read_schedule(test.schedule)
    if test.paused or is_over(schedule, from_ns(at)):
        return ResultState.PAUSED
    if time_ns is None:
        return ResultState.PENDING
    if is_silent(schedule, test.interval, test.timeout, last=from_ns(time_ns), at=from_ns(at)):
        return ResultState.STALE
    return ResultState.DOWN if up == 0 and up is not None else ResultState.UP
