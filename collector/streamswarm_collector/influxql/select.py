"""Answers one SELECT: from measurements, or from the answer to another SELECT."""

from duckdb import DuckDBPyConnection

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.aggregate import Aggregation
from streamswarm_collector.influxql.columns import aggregate_columns, is_aggregate, raw_columns
from streamswarm_collector.influxql.conditions import TimeRange, filter_rows, split_time
from streamswarm_collector.influxql.errors import ParseError
from streamswarm_collector.influxql.raw import select_raw
from streamswarm_collector.influxql.source import Limits, ResultSeries, find_measurements, group_series
from streamswarm_collector.influxql.subquery import materialise
from streamswarm_collector.store.schema import DatabaseSchema, MeasurementSchema


def execute_select(
    statement: ast.Select,
    database: DatabaseSchema,
    connection: DuckDBPyConnection,
    *,
    now_ns: int,
    limits: Limits,
    within: TimeRange | None = None,
) -> list[ResultSeries]:
    """Answer a SELECT.

    Args:
        statement: what is asked.
        database: where from.
        connection: a cursor of its own.
        now_ns: what `now()` means.
        limits: what it may cost.
        within: the range of an outer SELECT, which narrows that of this one.

    Raises:
        ParseError: a part is not understood.
        ExecutionError: it would cost more than the limits allow.
    """
    aggregate = is_aggregate(statement)
    if statement.window and not aggregate:
        raise ParseError("GROUP BY requires at least one aggregate function")
    time_range, condition = split_time(statement.where, now_ns)
    if within is not None:
        time_range = time_range.intersected(within)
    measurements = _measurements(statement, database, connection, time_range, now_ns, limits)
    answer: list[ResultSeries] = []
    for measurement in measurements:
        rows = filter_rows(condition, measurement)
        groups = group_series(statement, measurement, rows)
        if not groups.sids:
            continue
        if aggregate:
            columns = aggregate_columns(statement, measurement)
            aggregation = Aggregation(statement, measurement, columns, groups, rows, time_range, now_ns, limits)
            answer += aggregation.run(connection)
        else:
            raw = raw_columns(statement, measurement, measurements, groups.keys)
            answer += select_raw(statement, measurement, raw, groups, rows, time_range, limits, connection)
    return answer


def _measurements(
    statement: ast.Select,
    database: DatabaseSchema,
    connection: DuckDBPyConnection,
    time_range: TimeRange,
    now_ns: int,
    limits: Limits,
) -> list[MeasurementSchema]:
    inner = [source for source in statement.sources if isinstance(source, ast.Select)]
    if not inner:
        named = [one for one in statement.sources if isinstance(one, ast.Measurement)]
        return find_measurements(named, database, descending=statement.descending)
    if len(statement.sources) > 1:
        raise ParseError("a subquery beside another source is not supported by the embedded store")
    answer = execute_select(inner[0], database, connection, now_ns=now_ns, limits=limits, within=time_range)
    return materialise(answer, connection)
