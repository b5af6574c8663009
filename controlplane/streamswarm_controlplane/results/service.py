"""Reads what was measured, through the one reader, whatever the store is."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.service import state_of
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.assignments.service import list_assignments
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.results.schemas import (
    AnomalyState,
    Headline,
    ResultSeries,
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
    """All assignments with their newest value, in a number of queries that doesn't grow with their number.

    A store that can't be read is said so in the answer; the assignments are listed all the same.
    """
    rows = list_assignments(db)
    at = now()
    store = StoreState(ok=True)
    measured = _Measured()
    try:
        measured = _measure(reader, {row.test.probe for row in rows}, to_ns(at))
    except (Unavailable, Refused) as error:
        store = StoreState(ok=False, detail=str(error))
    items = [_item(row, measured, settings, at=to_ns(at)) for row in rows]
    return Status(generated_at=at, store=store, items=items)


def _measure(reader: Reader, probes: Iterable[str], at: int) -> _Measured:
    measured = _Measured()
    for probe in probes:
        spec = SPECS[probe]
        measurement = spec.measurements[0]
        columns = [spec.headline, *(one.name for one in (UP, ERROR, ERROR_DETAIL) if one.name in measurement)]
        latest = Select(
            measurement.name,
            columns,
            start_ns=at - _LATEST_SECONDS * NANOSECONDS,
            group_by=_GROUP,
            descending=True,
            limit=1,
        )
        for series in reader.select(latest):
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


def _anomalies(reader: Reader, at: int) -> dict[_Key, AnomalyState]:
    """The worst newest score of each assignment: flagged ones first, then by score."""
    newest = Select(
        ANOMALY.name,
        ["flag", "score", "threshold"],
        start_ns=at - _ANOMALY_SECONDS * NANOSECONDS,
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
        state=_state(row.test, latest, at),
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


def _state(test: TestPlan, latest: Mapping[str, Any], at: int) -> ResultState:
    if test.paused:
        return ResultState.PAUSED
    if not latest:
        return ResultState.PENDING
    age = (at - int(latest["time"])) / NANOSECONDS
    if age > 3 * test.interval + test.timeout:
        return ResultState.STALE
    return ResultState.DOWN if latest.get(UP.name, 1) == 0 else ResultState.UP


def history(
    reader: Reader,
    test: TestPlan,
    *,
    start_ns: int,
    stop_ns: int,
    every_seconds: float | None,
    fields: Sequence[str],
    agent: str | None,
) -> list[ResultSeries]:
    """The series of a test: raw points, or means of windows.

    Raises:
        ApiError: 422 for a field that the probe doesn't have.
        Unavailable: the store can't be reached.
    """
    spec = SPECS[test.probe]
    where = [Condition("test", test.key), *([Condition("agent", agent)] if agent else [])]
    answer: list[ResultSeries] = []
    for measurement in spec.measurements:
        wanted = (
            [name for name in fields if name in measurement] if fields else [one.name for one in measurement.features]
        )
        if not wanted:
            continue
        columns: list[str | Aggregate] = [Aggregate("mean", name) if every_seconds else name for name in wanted]
        statement = Select(
            measurement.name,
            columns,
            start_ns=start_ns,
            stop_ns=stop_ns,
            where=where,
            every_ns=int(every_seconds * NANOSECONDS) if every_seconds else None,
            group_by=("*",),
        )
        answer += [
            ResultSeries(
                measurement=series.name,
                tags=dict(series.tags),
                columns=list(series.columns),
                rows=[list(row) for row in series.rows],
            )
            for series in reader.select(statement)
        ]
    _refuse_unknown(spec, fields)
    return answer


def _refuse_unknown(spec: ProbeSpec, fields: Sequence[str]) -> None:
    known = {one.name for measurement in spec.measurements for one in measurement.fields}
    for name in fields:
        if name not in known:
            raise ApiError(
                422,
                f"the probe {spec.name} has no field {name!r}; it has {', '.join(sorted(known))}",
                field="query.field",
            )
