"""SELECT of aggregates: one SQL statement for all groups and windows, then fill, expressions and limits."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from duckdb import DuckDBPyConnection

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.columns import AggregateAtom, Columns
from streamswarm_collector.influxql.conditions import RowFilter, TimeRange
from streamswarm_collector.influxql.errors import ExecutionError, ParseError
from streamswarm_collector.influxql.expressions import Atom, evaluate, is_transformed, look_back, shown
from streamswarm_collector.influxql.source import Groups, Limits, ResultSeries, Row, limited, source_sql, tags_of
from streamswarm_collector.store.schema import MeasurementSchema

_GID: Final = 0
_BUCKET: Final = 1
_VALUES: Final = 2


@dataclass(slots=True)
class Aggregation:
    """A SELECT of aggregates on one measurement."""

    statement: ast.Select
    measurement: MeasurementSchema
    columns: Columns[AggregateAtom]
    groups: Groups
    rows: RowFilter
    time_range: TimeRange
    now_ns: int
    limits: Limits

    def run(self, connection: DuckDBPyConnection) -> list[ResultSeries]:
        """Answer it.

        Raises:
            ParseError: a part is not understood.
            ExecutionError: it would have more windows than the limits allow.
        """
        stored = [atom for atom in self.columns.atoms if atom.field]
        if not stored:
            return []
        asked = self.time_range
        if self.statement.window and self.time_range.stop is None:
            asked = TimeRange(asked.start, self.now_ns + 1)
        self.time_range = self._with_look_back(asked)
        source, parameters = source_sql(self.measurement, self.groups, self.rows, self.time_range, connection)
        values = [atom.function.sql(atom.field, atom.arguments) for atom in stored if atom.field]
        selector = self._lone_selector()
        time = selector or self._bucket_sql()
        single = len(self.groups.tags) == 1
        grouping = [*([] if single else ["gid"]), *(["bucket"] if self.statement.window else [])]
        selected = ", ".join([*values, *self._beside_sql()])
        fetched = connection.execute(
            f"SELECT {0 if single else 'gid'}, {time} AS bucket, {selected} {source} "
            + (f"GROUP BY {', '.join(grouping)} " if grouping else "")
            + f"HAVING {self._present()}",
            parameters,
        ).fetchall()
        fetched.sort(key=lambda record: record[:2])
        by_group: dict[int, dict[int, Row]] = {}
        for record in fetched:
            given = iter(record[_VALUES:])
            # A count of nothing is no value yet: fill() decides what it becomes.
            row = [
                (next(given) or None if atom.function.empty == 0 else next(given)) if atom.field else None
                for atom in self.columns.atoms
            ]
            by_group.setdefault(record[_GID], {})[record[_BUCKET]] = [*row, *given]
        if not by_group:
            return []
        windows = self._windows(by_group)
        return [
            ResultSeries(
                self.measurement.name, tags_of(self.groups, group), ["time", *self.columns.names], limited_rows
            )
            for group, found in by_group.items()
            if (limited_rows := limited(self.statement, self._evaluated(self._fill(found, windows), asked)))
        ]

    def _with_look_back(self, asked: TimeRange) -> TimeRange:
        """The range with the windows before it that transformations begin with."""
        windows = look_back(self.columns.nodes)
        if self.statement.window is None or asked.start is None or not windows:
            return asked
        return TimeRange(asked.start - windows * self.statement.window.every, asked.stop)

    def _evaluated(self, rows: list[Row], asked: TimeRange) -> list[Row]:
        """Atoms to columns; rows that only a transformation needed are left out."""
        nodes, beside = self.columns.nodes, self.columns.beside
        transformed = any(map(is_transformed, nodes))
        if transformed and self.statement.descending:
            raise ParseError("a transformation with ORDER BY time DESC is not supported by the embedded store")
        times = [row[0] for row in rows]
        atoms = [row[1:] for row in rows]
        if not beside and all(isinstance(node, Atom) and node.index == place for place, node in enumerate(nodes)):
            result = [[row[0], *map(shown, row[1:])] for row in rows]
        else:
            values = [evaluate(node, times, atoms) for node in nodes]
            for order, (place, atom) in enumerate(beside.items()):
                values[place] = [self._beside_value(row, order, atom.tag) for row in atoms]
            result = [[time, *map(shown, row)] for time, row in zip(times, zip(*values, strict=True), strict=True)]
        if transformed:
            first = self._floor(asked.start) if asked.start is not None and self.statement.window else None
            result = [
                row
                for row in result
                if any(value is not None for value in row[1:]) and (first is None or row[0] >= first)
            ]
        return result[::-1] if self.statement.descending else result

    def _beside_sql(self) -> list[str]:
        """The series of the selected point, and the fields that stand beside the selector."""
        if not self.columns.beside:
            return []
        atom = self.columns.atoms[0]
        if atom.field is None or atom.function.order_sql is None:
            return []
        column = atom.field.column
        parts = [
            f"'f{order}': {one.field.column}" for order, one in enumerate(self.columns.beside.values()) if one.field
        ]
        what = "{" + ", ".join(["'sid': sid", *parts]) + "}"
        return [atom.function.order_sql.replace("{what}", what).replace("{column}", column)]

    def _beside_value(self, row: Row, order: int, tag: str) -> Any:
        point = row[-1]
        if not isinstance(point, dict):
            return None
        return self.measurement.series[point["sid"]].get(tag) if tag else point.get(f"f{order}")

    def _present(self) -> str:
        """What makes a window count as having points."""
        return " OR ".join(
            f"({atom.function.sql(atom.field, atom.arguments)}) IS NOT NULL"
            if atom.function.sparse
            else f"count({atom.field.column}) > 0"
            for atom in self.columns.atoms
            if atom.field
        )

    def _lone_selector(self) -> str:
        """The time of the selected point, where there is one selector and no window."""
        if self.statement.window or len(self.columns.atoms) != 1:
            return ""
        atom = self.columns.atoms[0]
        return atom.function.time_sql(atom.field, atom.arguments) if atom.function.time_sql and atom.field else ""

    def _bucket_sql(self) -> str:
        window = self.statement.window
        if window is None:
            # Without windows the answer's time is the lower bound; without one, the epoch.
            return str(self.time_range.start or 0)
        every, offset = window.every, window.offset
        return f"time - ((time - {offset}) % {every} + {every}) % {every}"

    def _floor(self, time_ns: int) -> int:
        window = self.statement.window
        return time_ns if window is None else time_ns - (time_ns - window.offset) % window.every

    def _windows(self, by_group: Mapping[int, Mapping[int, Row]]) -> range | None:
        """The windows to be filled; None where nothing is filled."""
        window = self.statement.window
        if window is None or self.statement.fill is ast.FillMode.NONE:
            return None
        earliest = min(min(found) for found in by_group.values())
        first = earliest if self.time_range.start is None else self._floor(self.time_range.start)
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
            return [[time, *values] for time, values in found.items()]
        empty = self._empty_window(found)
        rows = [[time, *self._filled(found.get(time), empty)] for time in windows]
        if self.statement.fill is ast.FillMode.PREVIOUS:
            _fill_previous(rows)
        elif self.statement.fill is ast.FillMode.LINEAR:
            _fill_linear(rows)
        return rows

    def _empty_window(self, found: Mapping[int, Row]) -> Row:
        """What a window without points holds; a count is 0 only where the series has a point to count at all."""
        fill = self.statement.fill
        if isinstance(fill, ast.Number):
            return [fill.value] * len(self.columns.atoms)
        if fill is not ast.FillMode.NULL:
            return [None] * len(self.columns.atoms)
        return [
            atom.function.empty if any(values[place] is not None for values in found.values()) else None
            for place, atom in enumerate(self.columns.atoms)
        ]

    def _filled(self, values: Row | None, empty: Row) -> Row:
        if values is None:
            return [*empty, None] if self.columns.beside else empty
        own = [other if value is None else value for value, other in zip(values, empty, strict=False)]
        return [*own, *values[len(empty) :]]


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
