"""SELECT of aggregates: one pass over the rows for all groups and windows, then fill, expressions and limits."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.columns import AggregateAtom, Columns
from streamswarm_collector.influxql.conditions import RowFilter, TimeRange
from streamswarm_collector.influxql.errors import ExecutionError
from streamswarm_collector.influxql.expressions import Atom, evaluate, is_transformed, look_back
from streamswarm_collector.influxql.filling import fill_linear, fill_previous
from streamswarm_collector.influxql.integral import integrals
from streamswarm_collector.influxql.memory import RecentSource, Wanted, can_answer
from streamswarm_collector.influxql.raw import as_list
from streamswarm_collector.influxql.rollups import Rolled, any_present, whole_value
from streamswarm_collector.influxql.source import (
    Answer,
    Column,
    Connect,
    Groups,
    Limits,
    OneRowEach,
    ResultSeries,
    limited,
    source_sql,
)
from streamswarm_collector.influxql.windows import Windows
from streamswarm_collector.store.recent import Edge
from streamswarm_collector.store.schema import FieldColumn, FieldType, MeasurementSchema

_EMPTY: Final[Mapping[FieldType, Any]] = {FieldType.STRING: "", FieldType.BOOLEAN: False}
"""What InfluxDB makes of fill(number) where the values are of another type."""


@dataclass(slots=True)
class _Found:
    """What the store found: one entry for each group and window with points.

    Attributes:
        gids: group numbers.
        starts: begins of windows, or times of selected points, in nanoseconds.
        atoms: a column for each atom; None where there is no value.
        beside: for the fields beside a selector, the selected points.
    """

    gids: Column
    starts: Column
    atoms: list[Column]
    beside: Column


@dataclass
class Aggregation:
    """A SELECT of aggregates on one measurement; what is to be said about how it was answered goes to `notes`."""

    statement: ast.Select
    measurement: MeasurementSchema
    columns: Columns[AggregateAtom]
    groups: Groups
    rows: RowFilter
    time_range: TimeRange
    now_ns: int
    limits: Limits
    connect: Connect
    notes: list[str]

    def run(self) -> list[Answer]:
        """Answer it.

        Raises:
            ParseError: a part is not understood.
            ExecutionError: it would have more windows than the limits allow.
        """
        if not any(atom.field for atom in self.columns.atoms):
            return []
        asked = self.time_range
        if self.statement.window and asked.stop is None:
            asked = TimeRange(asked.start, self.now_ns + 1)
        self.time_range = self._with_look_back(asked)
        found = self._from_memory() or self._from_file()
        self._add_streamed(found)
        if not found.gids:
            return []
        windows = self._windows_to_fill(found)
        if self._plain and windows is None and self._one_row_a_group(found):
            return [self._as_they_are(found)]
        answer: list[Answer] = []
        for group, first, last in _spans(found.gids):
            starts = found.starts[first:last]
            atoms = [column[first:last] for column in found.atoms]
            beside = found.beside[first:last]
            if windows is not None:
                starts, atoms, beside = self._filled(starts, atoms, beside, windows)
            result = limited(self.statement, self._evaluated(starts, atoms, beside, asked))
            if result[0]:
                tags = self.groups.shown[group]
                answer.append(ResultSeries(self.measurement.name, tags, ["time", *self.columns.names], result))
        return answer

    # What the store is asked

    @property
    def _windows(self) -> Windows | None:
        window = self.statement.window
        return Windows(window.every, window.offset, self.statement.zone) if window else None

    @cached_property
    def _plain(self) -> bool:
        """Whether the columns of the answer are the atoms as they are."""
        in_order = [isinstance(node, Atom) and node.index == place for place, node in enumerate(self.columns.nodes)]
        return not self.columns.beside and all(in_order)

    def _with_look_back(self, asked: TimeRange) -> TimeRange:
        """The range with the windows outside it that transformations begin with."""
        extra = look_back(self.columns.nodes)
        if self.statement.window is None or asked.start is None or asked.stop is None or not extra:
            return asked
        more = extra * self.statement.window.every
        if self.statement.descending:
            return TimeRange(asked.start, asked.stop + more)
        return TimeRange(asked.start - more, asked.stop)

    def _from_memory(self) -> _Found | None:
        wanted = [Wanted(atom.name, atom.field.column, *atom.arguments) for atom in self.columns.atoms if atom.field]
        if self.columns.beside or not can_answer(wanted):
            return None
        windows, edge = self._windows, self._edge()
        if windows is not None and windows.zone is not None:
            return None
        source = RecentSource.of(
            self.measurement,
            self.groups,
            self.rows,
            self.time_range,
            [one.column for one in wanted],
            self.limits,
            edge,
        )
        if source is None:
            return None
        if not len(source.chunk):
            return _Found([], [], [[] for _ in self.columns.atoms], [])
        if edge is not None and len(self.groups.sids) == 1:
            time, value = source.edge(wanted[0].column, edge)
            return _Found([0], [time], [[value]], [])
        if windows is None:
            lone = self._lone_selector() is not None
            answer = source.windows(None, 1, wanted, selected_times=lone)
            if answer is None:
                return None
            gids, starts, *values = answer
            if not lone:
                starts = [self.time_range.start or 0] * len(gids)
        else:
            first = windows.floor(int(source.chunk.time.min()))
            buckets = (source.chunk.time - first) // windows.every
            answer = source.windows(buckets, int(buckets.max()) + 1, wanted)
            if answer is None:
                return None
            gids, numbers, *values = answer
            starts = (np.array(numbers, np.int64) * windows.every + first).tolist()
        given = iter(values)
        return _Found(
            gids, starts, [next(given) if atom.field else [None] * len(gids) for atom in self.columns.atoms], []
        )

    def _from_file(self) -> _Found:
        atoms = [atom for atom in self.columns.atoms if atom.field and not atom.function.streamed]
        if not atoms:
            return _Found([], [], [[] for _ in self.columns.atoms], [])
        windows = self._windows
        connection = self.connect()
        zone_windows = self._zone_windows(windows) if windows and windows.zone else []
        lone = self._lone_selector()
        rolled = None if lone or self.columns.beside else self._rolled(atoms, zone_windows)
        if windows is not None:
            time = "window_start" if windows.zone else windows.sql()
        elif lone and lone.field and lone.function.time_sql:
            time = lone.function.time_sql(lone.field, lone.arguments)
        else:
            # Without windows the answer's time is the lower bound; without one, the epoch.
            time = str(self.time_range.start or 0)
        if rolled:
            source, parameters = rolled.source(
                self.measurement,
                atoms,
                self.groups,
                self.rows,
                time if windows else "",
                connection,
                zone_windows=zone_windows,
            )
            values, present = [whole_value(atom) for atom in atoms], any_present(atoms)
            time = "bucket" if windows else time
            self.notes.append(rolled.note())
        else:
            source, parameters = source_sql(
                self.measurement, self.groups, self.rows, self.time_range, connection, zone_windows=zone_windows
            )
            values = [atom.function.sql(atom.field, atom.arguments) for atom in atoms if atom.field]
            present = _present(atoms)
        single = len(self.groups.tags) == 1
        grouping = [*([] if single else ["gid"]), *(["bucket"] if windows else [])]
        selected = [*values, *self._beside_sql()]
        relation = connection.execute(
            f"SELECT {'CAST(0 AS INTEGER) AS gid' if single else 'gid'}, {time} AS bucket, "
            f"{', '.join(f'{one} AS c{number}' for number, one in enumerate(selected))} {source} "
            + (f"GROUP BY {', '.join(grouping)} " if grouping else "")
            + f"HAVING {present} ORDER BY 1, 2",
            parameters,
        )
        fetched = relation.fetchnumpy()
        columns = [as_list(fetched[f"c{number}"]) for number in range(len(selected))]
        gids, starts = as_list(fetched["gid"]), as_list(fetched["bucket"])
        finished = iter(_finish(atom, column) for atom, column in zip(atoms, columns, strict=False))
        asked = [
            next(finished) if atom.field and not atom.function.streamed else [None] * len(gids)
            for atom in self.columns.atoms
        ]
        return _Found(gids, starts, asked, columns[-1] if len(columns) > len(atoms) else [])

    def _rolled(self, atoms: Sequence[AggregateAtom], zone_windows: Sequence[int]) -> Rolled | None:
        return Rolled.of(self.measurement, atoms, self.rows, self.time_range, self._windows, zone_windows, self.limits)

    def _zone_windows(self, windows: Windows) -> list[int]:
        start, stop = self.time_range.start, self.time_range.stop
        if start is None or stop is None:
            raise ExecutionError("GROUP BY time() with tz() needs a lower bound of time")
        self._check_count(windows.count(start, stop))
        return windows.starts(windows.floor(start), stop)

    def _add_streamed(self, found: _Found) -> None:
        """The values of functions that go through the points in order."""
        for place, atom in enumerate(self.columns.atoms):
            if atom.field is None or not atom.function.streamed:
                continue
            values = self._streamed(atom.field, atom.arguments[0])
            known = {key: row for row, key in enumerate(zip(found.gids, found.starts, strict=True))}
            for key in values:
                if key not in known:
                    known[key] = len(known)
                    found.gids.append(key[0])
                    found.starts.append(key[1])
                    for column in found.atoms:
                        column.append(None)
            found.atoms[place] = [values.get(key) for key in known]
            order = sorted(range(len(found.gids)), key=lambda row: (found.gids[row], found.starts[row]))
            for column in (found.gids, found.starts, *found.atoms):
                column[:] = [column[row] for row in order]

    def _streamed(self, field: FieldColumn, unit: float) -> Mapping[tuple[int, int], float]:
        connection = self.connect()
        source, parameters = source_sql(self.measurement, self.groups, self.rows, self.time_range, connection)
        gid = "0" if len(self.groups.tags) == 1 else "gid"
        column = field.column
        points = connection.execute(
            f"SELECT {gid} AS gid, time, {column} {source}{' AND' if ' WHERE ' in source else ' WHERE'} "
            f"{column} IS NOT NULL ORDER BY 1, 2, sid LIMIT {self.limits.rows + 1}",
            parameters,
        ).fetchall()
        if len(points) > self.limits.rows:
            raise ExecutionError(f"integral() would read more than {self.limits.rows} points; narrow the time range")
        return integrals(points, self._windows, unit, self.time_range.start or 0)

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

    def _lone_selector(self) -> AggregateAtom | None:
        """Where there is one selector and no window, the answer's time is that of the selected point."""
        if self.statement.window or len(self.columns.atoms) != 1:
            return None
        atom = self.columns.atoms[0]
        return atom if atom.function.time_sql and atom.field else None

    def _edge(self) -> Edge | None:
        """Whether only the first or last row of a series can matter."""
        atom = None if self.statement.window else self._lone_selector()
        if atom is None:
            return None
        return "first" if atom.name == "first" else "last" if atom.name == "last" else None

    # What becomes of it

    def _one_row_a_group(self, found: _Found) -> bool:
        limited_rows = self.statement.limit or self.statement.offset
        return not limited_rows and not self.statement.window and len(set(found.gids)) == len(found.gids)

    def _as_they_are(self, found: _Found) -> OneRowEach:
        names, tags = ["time", *self.columns.names], self.groups.shown
        return OneRowEach(self.measurement.name, names, [tags[gid] for gid in found.gids], [found.starts, *found.atoms])

    def _windows_to_fill(self, found: _Found) -> list[int] | None:
        """Begins of the windows to be shown; None where only those with points are."""
        windows = self._windows
        streamed_only = all(atom.function.streamed for atom in self.columns.atoms)
        if windows is None or self.statement.fill is ast.FillMode.NONE or streamed_only:
            return None
        start, stop = self.time_range.start, self.time_range.stop
        first = min(found.starts) if start is None else windows.floor(start)
        last = stop if stop is not None else self.now_ns + 1
        self._check_count(windows.count(first, last) * len(set(found.gids)))
        return windows.starts(first, last)

    def _check_count(self, count: int) -> None:
        if count > self.limits.buckets:
            raise ExecutionError(
                f"max-select-buckets limit exceeded: ({count}/{self.limits.buckets}); "
                "use a longer interval in GROUP BY time(), a shorter time range, or fill(none)"
            )

    def _filled(
        self, starts: Column, atoms: list[Column], beside: Column, windows: list[int]
    ) -> tuple[Column, list[Column], Column]:
        """The values of one group with those of the windows that have none."""
        if len(starts) == len(windows) and not any(None in column for column in atoms):
            return windows, atoms, beside
        at = {start: place for place, start in enumerate(windows)}
        places = [at[start] for start in starts]
        filled = []
        for atom, column in zip(self.columns.atoms, atoms, strict=True):
            empty = self._empty(atom, column)
            values = [empty] * len(windows)
            for place, value in zip(places, column, strict=True):
                values[place] = empty if value is None else value
            if self.statement.fill is ast.FillMode.PREVIOUS:
                fill_previous(values)
            elif self.statement.fill is ast.FillMode.LINEAR:
                fill_linear(values)
            filled.append(values)
        points: Column = [None] * len(windows)
        for place, point in zip(places, beside, strict=False):
            points[place] = point
        return windows, filled, points

    def _empty(self, atom: AggregateAtom, column: Column) -> Any:
        """What a window without points holds; a count is 0 only where the series has a point to count at all."""
        fill = self.statement.fill
        if isinstance(fill, ast.Number):
            shows_values = atom.name in {"mode", "first", "last"} and any(value is not None for value in column)
            if atom.field and shows_values:
                return _EMPTY.get(atom.field.type, fill.value)
            return fill.value
        if fill is ast.FillMode.NULL and any(value is not None for value in column):
            return atom.function.empty
        return None

    def _evaluated(self, starts: Column, atoms: list[Column], beside: Column, asked: TimeRange) -> list[Column]:
        """Atoms to columns, in the order of the answer; rows that only a transformation needed are left out."""
        nodes = self.columns.nodes
        if self.statement.descending:
            starts, beside, atoms = starts[::-1], beside[::-1], [column[::-1] for column in atoms]
        if self._plain:
            return [starts, *atoms]
        values = [evaluate(node, starts, atoms) for node in nodes]
        for order, (place, atom) in enumerate(self.columns.beside.items()):
            values[place] = [self._beside_value(point, order, atom.tag) for point in beside]
        result = [starts, *values]
        if any(map(is_transformed, nodes)):
            result = self._within(result, asked)
        return result

    def _within(self, columns: list[Column], asked: TimeRange) -> list[Column]:
        """Rows with a value, in the windows that were asked for."""
        windows = self._windows
        first = windows.floor(asked.start) if asked.start is not None and windows else None
        stop = asked.stop if windows else None
        kept = [
            row
            for row in zip(*columns, strict=True)
            if any(value is not None for value in row[1:])
            and (first is None or row[0] >= first)
            and (stop is None or row[0] < stop)
        ]
        return [list(column) for column in zip(*kept, strict=True)] or [[] for _ in columns]

    def _beside_value(self, point: Any, order: int, tag: str) -> Any:
        if not isinstance(point, dict):
            return None
        return self.measurement.series[point["sid"]].get(tag) if tag else point.get(f"f{order}")


def _present(atoms: Sequence[AggregateAtom]) -> str:
    """What makes a window count as having points."""
    return " OR ".join(
        f"({atom.function.sql(atom.field, atom.arguments)}) IS NOT NULL"
        if atom.function.sparse
        else f"count({atom.field.column}) > 0"
        for atom in atoms
        if atom.field
    )


def _finish(atom: AggregateAtom, column: Column) -> Column:
    if atom.function.finish:
        return [atom.function.finish(value) for value in column]
    # A count of nothing is no value yet: fill() decides what it becomes.
    return [value or None for value in column] if atom.function.empty == 0 else column


def _spans(gids: Column) -> list[tuple[int, int, int]]:
    """Each group with the begin and end of its entries; they come in order."""
    if gids[0] == gids[-1]:
        return [(gids[0], 0, len(gids))]
    changes = [0, *(np.flatnonzero(np.diff(np.array(gids))) + 1).tolist(), len(gids)]
    return [(gids[first], first, last) for first, last in itertools.pairwise(changes)]
