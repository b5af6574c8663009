"""Where the rows of a SELECT come from: measurements, the series that match, and the groups they fall into."""

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.conditions import RowFilter, TimeRange
from streamswarm_collector.influxql.errors import ExecutionError
from streamswarm_collector.store.schema import DatabaseSchema, MeasurementSchema

Row = list[Any]
Column = list[Any]
Connect = Callable[[], DuckDBPyConnection]
"""Gives the statement's connection to the file, opened when it is first needed."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may cost.

    Attributes:
        buckets: windows of all series together.
        rows: rows of all series together.
        rows_at_once: rows in memory to be looked at without postponing the statement.
        rollups_from: rows that roll-ups have to save from being read before they are used; None for never.
    """

    buckets: int = 500_000
    rows: int = 1_000_000
    rows_at_once: int = sys.maxsize
    rollups_from: int | None = 200_000

    def check_windows(self, count: int) -> None:
        """Make sure that an answer has not too many windows.

        Raises:
            ExecutionError: it would.
        """
        if count > self.buckets:
            raise ExecutionError(
                f"max-select-buckets limit exceeded: ({count}/{self.buckets}); "
                "use a longer interval in GROUP BY time(), a shorter time range, or fill(none)"
            )


Times = Callable[[Column], Column]
"""Writes times as an answer shows them."""


@dataclass(slots=True)
class ResultSeries:
    """One series of an answer.

    Attributes:
        name: the measurement's, or "".
        tags: what it was grouped by, or None.
        names: of the columns.
        columns: values, column by column; in the answer to a SELECT the first holds times in nanoseconds.
    """

    name: str
    tags: Mapping[str, str] | None
    names: list[str]
    columns: list[Column]

    @staticmethod
    def of_rows(name: str, names: list[str], rows: Iterable[Sequence[Any]]) -> "ResultSeries":
        """From rows, which are lists of values in the order of the names."""
        columns = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in names]
        return ResultSeries(name, None, names, columns)

    def series(self) -> "list[ResultSeries]":
        """Itself."""
        return [self]

    def rendered(self, times: Times | None) -> list[dict[str, Any]]:
        """As it stands in a JSON document; `times` is None where the first column needs no other form."""
        rendered: dict[str, Any] = {}
        if self.name:
            rendered["name"] = self.name
        if self.tags is not None:
            rendered["tags"] = self.tags
        rendered["columns"] = self.names
        first, *others = self.columns
        if first:
            rendered["values"] = list(zip(times(first) if times else first, *others, strict=True))
        return [rendered]


@dataclass(frozen=True, slots=True)
class OneRowEach:
    """Many series of one row, such as the last values of all agents: as they are mostly shown, all at once.

    Attributes:
        name: the measurement's.
        names: of the columns.
        tags: for each series what it was grouped by, or None.
        columns: values, one for each series; the first holds times in nanoseconds.
    """

    name: str
    names: list[str]
    tags: list[Mapping[str, str] | None]
    columns: list[Column]

    def series(self) -> list[ResultSeries]:
        """One by one."""
        rows = zip(*self.columns, strict=True)
        return [
            ResultSeries(self.name, tags, self.names, [[value] for value in row])
            for tags, row in zip(self.tags, rows, strict=True)
        ]

    def rendered(self, times: Times | None) -> list[dict[str, Any]]:
        """As they stand in a JSON document; see ResultSeries."""
        name, names = self.name, self.names
        first, *others = self.columns
        rows = zip(self.tags, zip(times(first) if times else first, *others, strict=True), strict=True)
        if self.tags[0] is None:
            return [{"name": name, "columns": names, "values": (row,)} for _, row in rows]
        return [{"name": name, "tags": tags, "columns": names, "values": (row,)} for tags, row in rows]


Answer = ResultSeries | OneRowEach
"""A part of the answer to a SELECT."""


@dataclass(frozen=True)
class Groups:
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

    @cached_property
    def shown(self) -> Sequence[Mapping[str, str] | None]:
        """The tags of each group as an answer shows them; None without GROUP BY tags."""
        return [dict(zip(self.keys, values, strict=True)) if self.keys else None for values in self.tags]

    @cached_property
    def numbers(self) -> Any:
        """The group of each series by its number, an int32 array; -1 for series that are in none, as is its last."""
        numbers = np.full(max(self.sids) + 2, -1, np.int32)
        numbers[self.sids] = self.group_of
        return numbers


def find_measurements(
    sources: Sequence[ast.Measurement], database: DatabaseSchema, *, descending: bool
) -> list[MeasurementSchema]:
    """The measurements that FROM names, by name, or the other way round."""
    found: dict[str, MeasurementSchema] = {}
    for source in sources:
        if isinstance(source.name, str):
            names = [source.name] if source.name in database.measurements else []
        else:
            names = list(source.name.among(database.measurements))
        found |= {name: database.measurements[name] for name in names}
    return [found[name] for name in sorted(found, reverse=descending)]


def group_series(
    statement: ast.Select, measurement: MeasurementSchema, rows: RowFilter, tag_keys: frozenset[str]
) -> Groups:
    """GROUP BY tags: which series of the measurement go into which series of the answer.

    `tag_keys` are those of all measurements that are asked.
    """
    keys: set[str] = set()
    for dimension in statement.dimensions:
        if isinstance(dimension.key, str):
            keys.add(dimension.key)
        elif isinstance(dimension.key, ast.Regex):
            keys |= dimension.key.among(tag_keys)
        else:
            keys |= tag_keys
    if not keys:
        sids = rows.sids if not (statement.series_offset and rows.sids) else []
        return Groups((), [()] if sids else [], sids, [0] * len(sids))
    ordered = tuple(sorted(keys))
    of_series = measurement.tags.by(ordered)
    chosen = _chosen_groups(statement, ordered, {of_series[sid] for sid in rows.sids})
    tags = sorted(chosen, reverse=statement.descending)
    number = {group: index for index, group in enumerate(tags)}
    sids = rows.sids
    if statement.series_limit or statement.series_offset:
        sids = [sid for sid in sids if of_series[sid] in chosen]
    return Groups(ordered, tags, sids, [number[of_series[sid]] for sid in sids])


def _chosen_groups(statement: ast.Select, keys: Sequence[str], groups: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """SLIMIT and SOFFSET. InfluxDB counts before it looks for points, in the order of its own key for a tag set.

    That key is the names of the tags that are there, then their values.
    """
    if not statement.series_limit and not statement.series_offset:
        return groups

    def tag_set_key(group: tuple[str, ...]) -> str:
        there = [(key, value) for key, value in zip(keys, group, strict=True) if value]
        return "|".join([key for key, _ in there] + [value for _, value in there])

    ordered = sorted(groups, key=tag_set_key)[statement.series_offset :]
    return set(ordered[: statement.series_limit] if statement.series_limit else ordered)


def source_sql(
    measurement: MeasurementSchema,
    groups: Groups,
    rows: RowFilter,
    time_range: TimeRange,
    connection: DuckDBPyConnection,
    *,
    zone_windows: Sequence[int] = (),
    table: str | None = None,
    shows_series: bool = False,
) -> tuple[str, list[object]]:
    """`FROM … WHERE …` that yields the matching rows, and its bound values; with several groups a row has its `gid`.

    With `zone_windows`, begins of windows, a row has the begin of its window as `window_start`. `table` is read
    in place of the measurement's own. `shows_series` says that the rows' series will be looked up: those that have
    come since the statement began are not known to it.
    """
    parameters: list[object] = []
    conditions = []
    source = table or measurement.relation(connection, time_range.start, time_range.stop)
    if len(groups.tags) == 1:
        if len(groups.sids) < len(measurement.series):
            conditions.append("sid IN (SELECT unnest(?))" if len(groups.sids) > 1 else "sid = ?")
            parameters.append(groups.sids if len(groups.sids) > 1 else groups.sids[0])
        elif shows_series:
            conditions.append("sid <= ?")
            parameters.append(max(groups.sids))
    else:
        mapping = {"gsid": np.array(groups.sids, np.int32), "gid": np.array(groups.group_of, np.int32)}
        connection.register("series_groups", mapping)
        source += " JOIN series_groups ON sid = gsid"
    if zone_windows:
        connection.register("zone_windows", {"window_start": np.array(zone_windows, np.int64)})
        source += " ASOF JOIN zone_windows ON time >= window_start"
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


def limited(statement: ast.Select, columns: list[Column]) -> list[Column]:
    """OFFSET and LIMIT."""
    if not statement.offset and not statement.limit:
        return columns
    stop = statement.offset + statement.limit if statement.limit else None
    return [column[statement.offset : stop] for column in columns]
