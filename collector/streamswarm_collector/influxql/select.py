"""Answers one SELECT: plans it against the schema, lets DuckDB do the work, and shapes series from the rows."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from duckdb import DuckDBPyConnection

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.columns import (
    AggregateColumn,
    RawColumn,
    aggregate_columns,
    is_aggregate,
    raw_columns,
)
from streamswarm_collector.influxql.conditions import RowFilter, TimeRange, filter_rows, split_time
from streamswarm_collector.influxql.errors import ExecutionError, ParseError
from streamswarm_collector.store.schema import DatabaseSchema, MeasurementSchema

Row = list[Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may cost.

    Attributes:
        buckets: windows of all series together.
        rows: rows of all series together.
    """

    buckets: int = 500_000
    rows: int = 1_000_000


@dataclass(slots=True)
class ResultSeries:
    """One series of an answer; the first value of each row is its time in nanoseconds."""

    name: str
    tags: Mapping[str, str] | None
    columns: list[str]
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class _Groups:
    """How the series of one measurement fall into the series of the answer.

    Attributes:
        keys: tag keys grouped by, sorted.
        tags: tag values of each group, in the order of the answer.
        sids: series numbers.
        group_of: group of each series, in the order of `sids`.
    """

    keys: tuple[str, ...]
    tags: list[tuple[str, ...]]
    sids: list[int]
    group_of: list[int]


def execute_select(
    statement: ast.Select, database: DatabaseSchema, connection: DuckDBPyConnection, *, now_ns: int, limits: Limits
) -> list[ResultSeries]:
    """Answer a SELECT.

    Raises:
        ParseError: a part is not understood.
        ExecutionError: it would cost more than the limits allow.
    """
    aggregate = is_aggregate(statement)
    if statement.window and not aggregate:
        raise ParseError("GROUP BY requires at least one aggregate function")
    time_range, condition = split_time(statement.where, now_ns)
    answer: list[ResultSeries] = []
    measurements = _measurements(statement, database)
    for measurement in measurements:
        rows = filter_rows(condition, measurement)
        groups = _group(statement, measurement, rows)
        if not groups.sids:
            continue
        if aggregate:
            columns = aggregate_columns(statement, measurement)
            answer += _Aggregation(statement, measurement, columns, groups, rows, time_range, now_ns, limits).run(
                connection
            )
        else:
            raw = raw_columns(statement, measurement, measurements, groups.keys)
            answer += _raw(statement, measurement, raw, groups, rows, time_range, limits, connection)
    first = statement.series_offset
    return answer[first : first + statement.series_limit] if statement.series_limit else answer[first:]


def _measurements(statement: ast.Select, database: DatabaseSchema) -> list[MeasurementSchema]:
    found: dict[str, MeasurementSchema] = {}
    for source in statement.sources:
        if isinstance(source.name, str):
            names = [source.name] if source.name in database.measurements else []
        else:
            names = [name for name in database.measurements if source.name.matches(name)]
        found |= {name: database.measurements[name] for name in names}
    return [found[name] for name in sorted(found)]


def _group(statement: ast.Select, measurement: MeasurementSchema, rows: RowFilter) -> _Groups:
    keys: set[str] = set()
    for dimension in statement.dimensions:
        if isinstance(dimension.key, str):
            keys.add(dimension.key)
        elif isinstance(dimension.key, ast.Regex):
            keys |= {key for key in measurement.tag_keys if dimension.key.matches(key)}
        else:
            keys |= measurement.tag_keys
    ordered = tuple(sorted(keys))
    values = [tuple(measurement.series[sid].get(key, "") for key in ordered) for sid in rows.sids]
    tags = sorted(set(values))
    number = {group: index for index, group in enumerate(tags)}
    return _Groups(ordered, tags, rows.sids, [number[group] for group in values])


def _source_sql(
    measurement: MeasurementSchema,
    groups: _Groups,
    rows: RowFilter,
    time_range: TimeRange,
    connection: DuckDBPyConnection,
) -> tuple[str, list[object]]:
    """`FROM … WHERE …` that yields the matching rows with their group as `gid`, and its bound values."""
    parameters: list[object] = []
    conditions = []
    if len(groups.tags) == 1:
        source = f"(SELECT *, 0 AS gid FROM {measurement.table})"  # noqa: S608 - the store's own names
        if len(groups.sids) < len(measurement.series):
            conditions.append("sid IN (SELECT unnest(?))" if len(groups.sids) > 1 else "sid = ?")
            parameters.append(groups.sids if len(groups.sids) > 1 else groups.sids[0])
    else:
        mapping = {"gsid": np.array(groups.sids, np.int32), "gid": np.array(groups.group_of, np.int32)}
        connection.register("series_groups", mapping)
        source = f"{measurement.table} JOIN series_groups ON sid = gsid"
    if time_range.start is not None:
        conditions.append("time >= ?")
        parameters.append(time_range.start)
    if time_range.stop is not None:
        conditions.append("time < ?")
        parameters.append(time_range.stop)
    if rows.sql:
        conditions.append(rows.sql)
        parameters += rows.parameters
    return f"FROM {source}" + (f" WHERE {' AND '.join(conditions)}" if conditions else ""), parameters


def _tags_of(groups: _Groups, group: int) -> Mapping[str, str] | None:
    return dict(zip(groups.keys, groups.tags[group], strict=True)) if groups.keys else None


def _limited(statement: ast.Select, rows: list[Row]) -> list[Row]:
    rows = rows[statement.offset :]
    return rows[: statement.limit] if statement.limit else rows


def _raw(
    statement: ast.Select,
    measurement: MeasurementSchema,
    columns: Sequence[RawColumn],
    groups: _Groups,
    rows: RowFilter,
    time_range: TimeRange,
    limits: Limits,
    connection: DuckDBPyConnection,
) -> list[ResultSeries]:
    fields = [column.field.column for column in columns if column.field]
    if not fields:
        return []
    source, parameters = _source_sql(measurement, groups, rows, time_range, connection)
    present = " OR ".join(f"{field} IS NOT NULL" for field in fields)
    source += f"{' AND' if ' WHERE ' in source else ' WHERE'} ({present})"
    order = "DESC" if statement.descending else "ASC"
    ranked = ""
    if statement.limit:
        ranked = (
            f" QUALIFY row_number() OVER (PARTITION BY gid ORDER BY time {order}, sid)"
            f" <= {statement.limit + statement.offset}"
        )
    names = ", ".join(dict.fromkeys(fields))
    fetched = connection.execute(
        f"SELECT gid, time, sid, {names} {source}{ranked} ORDER BY gid, time {order}, sid LIMIT {limits.rows + 1}",
        parameters,
    ).fetchall()
    if len(fetched) > limits.rows:
        raise ExecutionError(f"more than {limits.rows} rows; narrow the time range, or use LIMIT or GROUP BY time()")
    index = {field: position for position, field in enumerate(dict.fromkeys(fields), start=3)}
    by_group: dict[int, list[Row]] = {}
    for record in fetched:
        tags = measurement.series[record[2]]
        values = [
            record[index[column.field.column]] if column.field else tags.get(column.tag) if column.tag else None
            for column in columns
        ]
        by_group.setdefault(record[0], []).append([record[1], *values])
    names_out = ["time", *(column.name for column in columns)]
    return [
        ResultSeries(measurement.name, _tags_of(groups, group), names_out, limited)
        for group, found in by_group.items()
        if (limited := _limited(statement, found))
    ]


_GID: Final = 0
_BUCKET: Final = 1
_VALUES: Final = 2


@dataclass(slots=True)
class _Aggregation:
    """A SELECT of functions on one measurement."""

    statement: ast.Select
    measurement: MeasurementSchema
    columns: Sequence[AggregateColumn]
    groups: _Groups
    rows: RowFilter
    time_range: TimeRange
    now_ns: int
    limits: Limits

    def run(self, connection: DuckDBPyConnection) -> list[ResultSeries]:
        """One SQL statement for all groups and windows."""
        stored = [column for column in self.columns if column.field]
        if not stored:
            return []
        if self.statement.window and self.time_range.stop is None:
            self.time_range = TimeRange(self.time_range.start, self.now_ns + 1)
        source, parameters = _source_sql(self.measurement, self.groups, self.rows, self.time_range, connection)
        values = [column.function.sql(column.field, column.arguments) for column in stored if column.field]
        selector = self._lone_selector()
        time = selector or self._bucket_sql()
        grouping = "gid" if selector or not self.statement.window else "gid, bucket"
        fetched = connection.execute(
            f"SELECT gid, {time} AS bucket, {', '.join(values)} {source} "
            f"GROUP BY {grouping} HAVING {self._present()} ORDER BY gid, bucket",
            parameters,
        ).fetchall()
        by_group: dict[int, dict[int, Row]] = {}
        for record in fetched:
            given = iter(record[_VALUES:])
            row = [next(given) if column.field else column.function.empty for column in self.columns]
            by_group.setdefault(record[_GID], {})[record[_BUCKET]] = row
        if not by_group:
            return []
        windows = self._windows(by_group)
        return [
            ResultSeries(self.measurement.name, _tags_of(self.groups, group), self._names(), limited)
            for group, found in by_group.items()
            if (limited := _limited(self.statement, self._fill(found, windows)))
        ]

    def _present(self) -> str:
        """What makes a window count as having points."""
        return " OR ".join(
            f"({column.function.sql(column.field, column.arguments)}) IS NOT NULL"
            if column.function.sparse
            else f"count({column.field.column}) > 0"
            for column in self.columns
            if column.field
        )

    def _names(self) -> list[str]:
        seen: dict[str, int] = {}
        names = ["time"]
        for column in self.columns:
            count = seen.get(column.name, 0)
            seen[column.name] = count + 1
            names.append(f"{column.name}_{count}" if count else column.name)
        return names

    def _lone_selector(self) -> str:
        """The time of the selected point, where there is one selector and no window."""
        if self.statement.window or len(self.columns) != 1:
            return ""
        column = self.columns[0]
        return (
            column.function.time_sql(column.field, column.arguments)
            if column.function.time_sql and column.field
            else ""
        )

    def _bucket_sql(self) -> str:
        window = self.statement.window
        if window is None:
            # Without windows the answer's time is the lower bound; without one, the epoch.
            return str(self.time_range.start or 0)
        every, offset = window.every, window.offset
        return f"time - ((time - {offset}) % {every} + {every}) % {every}"

    def _windows(self, by_group: Mapping[int, Mapping[int, Row]]) -> range | None:
        """The windows to be filled; None where nothing is filled."""
        window = self.statement.window
        if window is None or self.statement.fill is ast.FillMode.NONE:
            return None
        earliest = min(min(found) for found in by_group.values())
        first = earliest if self.time_range.start is None else _floor(self.time_range.start, window)
        stop = self.time_range.stop if self.time_range.stop is not None else self.now_ns + 1
        windows = range(first, stop, window.every)
        if len(windows) * len(by_group) > self.limits.buckets:
            raise ExecutionError(
                f"max-select-buckets limit exceeded: ({len(windows) * len(by_group)}/{self.limits.buckets}); "
                "use a longer interval in GROUP BY time(), a shorter time range, or fill(none)"
            )
        return windows

    def _fill(self, found: Mapping[int, Row], windows: range | None) -> list[Row]:
        if windows is None:
            rows = [[time, *values] for time, values in found.items()]
        else:
            rows = [[time, *self._filled(found.get(time))] for time in windows]
            if self.statement.fill is ast.FillMode.PREVIOUS:
                _fill_previous(rows)
            elif self.statement.fill is ast.FillMode.LINEAR:
                _fill_linear(rows)
        return rows[::-1] if self.statement.descending else rows

    def _filled(self, values: Row | None) -> Row:
        fill = self.statement.fill
        if isinstance(fill, ast.Number):
            empty: Row = [fill.value] * len(self.columns)
        elif fill is ast.FillMode.NULL:
            empty = [column.function.empty for column in self.columns]
        else:
            empty = [None] * len(self.columns)
        if values is None:
            return empty
        return [other if value is None else value for value, other in zip(values, empty, strict=True)]


def _floor(time_ns: int, window: ast.TimeDimension) -> int:
    return time_ns - (time_ns - window.offset) % window.every


def _fill_previous(rows: list[Row]) -> None:
    for previous, row in itertools.pairwise(rows):
        for index in range(1, len(row)):
            if row[index] is None:
                row[index] = previous[index]


def _fill_linear(rows: list[Row]) -> None:
    for index in range(1, len(rows[0]) if rows else 0):
        known = [position for position, row in enumerate(rows) if row[index] is not None]
        for left, right in itertools.pairwise(known):
            low, high = rows[left][index], rows[right][index]
            for position in range(left + 1, right):
                value = low + (high - low) * (position - left) / (right - left)
                rows[position][index] = int(value) if isinstance(low, int) else value
