"""Answers one SELECT: from measurements, or from the answer to another SELECT."""

from collections.abc import Sequence
from dataclasses import replace

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.aggregate import Aggregation
from streamswarm_collector.influxql.columns import is_aggregate, raw_columns
from streamswarm_collector.influxql.conditions import TimeRange, split_time
from streamswarm_collector.influxql.errors import ParseError
from streamswarm_collector.influxql.gathering import Search
from streamswarm_collector.influxql.multirow import MultiRow
from streamswarm_collector.influxql.prepared import Prepared
from streamswarm_collector.influxql.raw import select_raw
from streamswarm_collector.influxql.source import Answer, Connect, Limits, find_measurements
from streamswarm_collector.influxql.subquery import DerivedMeasurement, materialise
from streamswarm_collector.store.schema import DatabaseSchema, MeasurementSchema


def execute_select(
    statement: ast.Select,
    database: DatabaseSchema,
    connect: Connect,
    *,
    now_ns: int,
    limits: Limits,
    notes: list[str],
    within: TimeRange | None = None,
) -> list[Answer]:
    """Answer a SELECT.

    Args:
        statement: what is asked.
        database: where from.
        connect: gives the statement's connection to the file.
        now_ns: what `now()` means.
        limits: what it may cost.
        notes: takes what is to be said about how it was answered.
        within: the range of an outer SELECT, which narrows that of this one.

    Raises:
        ParseError: a part is not understood.
        ExecutionError: it would cost more than the limits allow.
    """
    several_rows = MultiRow.of(statement)
    aggregate = several_rows is None and is_aggregate(statement)
    if statement.window and not aggregate and several_rows is None:
        raise ParseError("GROUP BY requires at least one aggregate function")
    time_range, condition = split_time(statement.where, now_ns, statement.zone)
    if within is not None:
        time_range = time_range.intersected(within)
    measurements = _measurements(statement, database, connect, time_range, now_ns, limits, notes)
    if statement.window or not aggregate:
        time_range = _from_first_window(time_range, measurements)
    answer: list[Answer] = []
    for measurement in measurements:
        prepared = Prepared.of(statement, condition, measurement, measurements, aggregate=aggregate)
        rows, groups = prepared.rows, prepared.groups
        if not groups.sids:
            continue
        if several_rows is not None:
            answer += several_rows.answer(statement, measurement, groups, rows, time_range, limits, connect)
        elif prepared.columns is not None:
            columns = prepared.columns
            search = Search(statement, measurement, columns, groups, rows, time_range, limits, connect, notes)
            answer += Aggregation(search, now_ns).run()
        else:
            raw = raw_columns(statement, measurement, measurements, groups.keys)
            answer += select_raw(statement, measurement, raw, groups, rows, time_range, limits, connect)
    return answer


def _measurements(
    statement: ast.Select,
    database: DatabaseSchema,
    connect: Connect,
    time_range: TimeRange,
    now_ns: int,
    limits: Limits,
    notes: list[str],
) -> list[MeasurementSchema]:
    inner = [source for source in statement.sources if isinstance(source, ast.Select)]
    named = [source for source in statement.sources if isinstance(source, ast.Measurement)]
    if not inner:
        return find_measurements(named, database, descending=statement.descending)
    if named:
        raise ParseError("a subquery beside a measurement is not supported by the embedded store")
    answer = [
        series
        for one in inner
        for part in execute_select(
            _inheriting(one, statement),
            database,
            connect,
            now_ns=now_ns,
            limits=limits,
            notes=notes,
            within=time_range,
        )
        for series in part.series()
    ]
    return materialise(answer, connect)


def _from_first_window(asked: TimeRange, measurements: Sequence[MeasurementSchema]) -> TimeRange:
    """The range with the begin of an inner SELECT's first window, which may be before it and holds what is within."""
    derived = [one for one in measurements if isinstance(one, DerivedMeasurement)]
    if asked.start is None or not derived:
        return asked
    return TimeRange(min(asked.start, *(one.first_time for one in derived)), asked.stop)


def _inheriting(inner: ast.Select, outer: ast.Select) -> ast.Select:
    """An inner SELECT as InfluxDB asks it: grouped by the tags that the outer one names, too, and in its windows.

    One that has no use for windows hands them on to its own inner ones.
    """
    named = (one for one in outer.dimensions if isinstance(one.key, str))
    windowed = is_aggregate(inner) or MultiRow.of(inner) is not None
    return replace(
        inner,
        zone=inner.zone or outer.zone,
        dimensions=tuple(dict.fromkeys((*inner.dimensions, *named))),
        window=inner.window or (outer.window if windowed else None),
        sources=inner.sources
        if windowed
        else tuple(_inheriting(one, outer) if isinstance(one, ast.Select) else one for one in inner.sources),
    )
