from collections.abc import Sequence
from typing import Final

from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.results.answers import FieldInfo, History, HistorySeries, Value
from streamswarm_controlplane.results.fields import Selection, select_fields, usual_aggregate, without_text
from streamswarm_controlplane.results.times import TimeRange, rfc3339
from streamswarm_controlplane.results.windows import refuse_too_many
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.clock import NANOSECONDS, from_ns
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reader import Aggregate, Condition, Fill, Reader, Select, Series
from streamswarm_core.reader.select import Function

MOST_POINTS: Final = 10_000
"""Single points a series, in one answer."""
MOST_VALUES: Final = 1_000_000
"""Values in one answer, over all series and fields."""


def history(
    reader: Reader,
    test: TestPlan,
    span: TimeRange,
    *,
    every_ns: int | None,
    aggregate: Function | None = None,
    names: Sequence[str] = (),
    agents: Sequence[str] = (),
) -> History:
    """The series of a test: values of windows, empty ones null, or single points.

    Args:
        reader: of the store.
        test: whose results.
        span: the range.
        every_ns: length of the windows; None for single points.
        aggregate: what is made of a window; by default what suits the field.
        names: fields; without any the probe's main ones.
        agents: only theirs.

    Raises:
        ApiError: 422 for an unknown field, and for a range with more than can be answered at once.
        Unavailable: the store can't be reached.
        Refused: the store doesn't take the question.
    """
    infos: list[FieldInfo] = []
    answer: list[HistorySeries] = []
    values = 0
    if every_ns is not None:
        refuse_too_many(span, every_ns)
    for chosen in select_fields(SPECS[test.probe], names):
        selection = chosen if every_ns is None else without_text(chosen, names)
        if not selection.fields:
            continue
        columns = _columns(selection, aggregate) if every_ns is not None else [one.name for one in selection.fields]
        for field, column in zip(selection.fields, columns, strict=True):
            function = str(column.function) if isinstance(column, Aggregate) else None
            infos.append(FieldInfo.of(selection.measurement, field, function))
        statement = Select(
            selection.measurement.name,
            columns,
            start_ns=span.start_ns,
            stop_ns=span.stop_ns,
            where=conditions(test, agents),
            every_ns=every_ns,
            group_by=selection.measurement.tags,
            fill=Fill.NULL,
            limit=None if every_ns is not None else MOST_POINTS + 1,
        )
        for series in reader.select(statement):
            if not agents or series.tags.get("agent", "") in agents:
                _refuse_long(series, every_ns)
                values += len(series.rows) * len(columns)
                _refuse_large(values)
                answer.append(_answer(series))
    return History(
        test=test.key,
        start=from_ns(span.start_ns),
        stop=from_ns(span.stop_ns),
        every=None if every_ns is None else every_ns / NANOSECONDS,
        fields=infos,
        series=answer,
    )


def conditions(test: TestPlan, agents: Sequence[str] = ()) -> list[Condition]:
    """The points of a test, and of an agent if there is just one; of several the caller sorts out which."""
    return [Condition("test", test.key), *([Condition("agent", agents[0])] if len(agents) == 1 else [])]


def _columns(selection: Selection, aggregate: Function | None) -> list[Aggregate]:
    return [
        Aggregate(aggregate or usual_aggregate(selection.measurement, field) or Function.COUNT, field.name)
        for field in selection.fields
    ]


def _answer(series: Series) -> HistorySeries:
    rows: list[list[Value]] = [[rfc3339(int(row[0] or 0)), *row[1:]] for row in series.rows]
    tags = {key: value for key, value in series.tags.items() if value}
    return HistorySeries(measurement=series.name, tags=tags, columns=list(series.columns), rows=rows)


def _refuse_long(series: Series, every_ns: int | None) -> None:
    if every_ns is None and len(series.rows) > MOST_POINTS:
        raise ApiError(
            422,
            f"query.every: a series of {series.name} has more than {MOST_POINTS} points in this range; ask for windows "
            "(every=1m, or points), a shorter range, or the export",
            field="query.every",
        )


def _refuse_large(values: int) -> None:
    if values > MOST_VALUES:
        raise ApiError(
            422,
            f"the answer would have more than {MOST_VALUES} values; ask for fewer fields, one agent, longer windows, a "
            "shorter range, or the export",
            field="query.field",
        )
