"""What the store has for a SELECT of aggregates: a value for each group and window with points, from memory or file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.columns import AggregateAtom, Columns
from streamswarm_collector.influxql.conditions import RowFilter, TimeRange
from streamswarm_collector.influxql.errors import ExecutionError
from streamswarm_collector.influxql.integral import integrals
from streamswarm_collector.influxql.memory import RecentSource, Wanted, can_answer
from streamswarm_collector.influxql.raw import as_list
from streamswarm_collector.influxql.rollups import Rolled, any_present, whole_value
from streamswarm_collector.influxql.source import Column, Connect, Groups, Limits, source_sql
from streamswarm_collector.influxql.windows import Windows
from streamswarm_collector.store.recent import Edge
from streamswarm_collector.store.schema import FieldColumn, MeasurementSchema
from streamswarm_core.lineprotocol import MAX_TIME_NS, MIN_TIME_NS


@dataclass(slots=True)
class Found:
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
class Search:
    """A SELECT of aggregates on one measurement, and the range of time to be looked at.

    What is to be said about how it was answered goes to `notes`.
    """

    statement: ast.Select
    measurement: MeasurementSchema
    columns: Columns[AggregateAtom]
    groups: Groups
    rows: RowFilter
    time_range: TimeRange
    limits: Limits
    connect: Connect
    notes: list[str]

    @cached_property
    def windows(self) -> Windows | None:
        """Those of GROUP BY time()."""
        window = self.statement.window
        return Windows(window.every, window.offset, self.statement.zone) if window else None

    def found(self) -> Found:
        """Look.

        Raises:
            ExecutionError: it would take more than the limits allow.
            PostponedError: it can't be answered here and now.
        """
        found = self._from_memory() or self._from_file()
        self._add_streamed(found)
        return found

    def _from_memory(self) -> Found | None:
        wanted = [Wanted(atom.name, atom.field.column, *atom.arguments) for atom in self.columns.atoms if atom.field]
        if self.columns.beside or not can_answer(wanted):
            return None
        windows, edge = self.windows, self._edge()
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
            return Found([], [], [[] for _ in self.columns.atoms], [])
        if edge is not None and source.chunk.columns[wanted[0].column].valid is None:
            found = source.one_each(wanted[0].column)
            if found is not None:
                gids, times, values = found
                return Found(gids, times, [values], [])
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
            if first < MIN_TIME_NS or int(source.chunk.time.max()) - first > MAX_TIME_NS:
                raise ExecutionError(
                    "GROUP BY time() spans more than 292 years or begins before 1677, which times of 64 bits can't "
                    "count; name a range such as WHERE time > now() - 1d"
                )
            buckets = (source.chunk.time - first) // windows.every
            answer = source.windows(buckets, int(buckets.max()) + 1, wanted)
            if answer is None:
                return None
            gids, numbers, *values = answer
            starts = (np.array(numbers, np.int64) * windows.every + first).tolist()
        given = iter(values)
        return Found(
            gids, starts, [next(given) if atom.field else [None] * len(gids) for atom in self.columns.atoms], []
        )

    def _from_file(self) -> Found:
        atoms = [atom for atom in self.columns.atoms if atom.field and not atom.function.streamed]
        if not atoms:
            return Found([], [], [[] for _ in self.columns.atoms], [])
        windows = self.windows
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
                self.measurement,
                self.groups,
                self.rows,
                self.time_range,
                connection,
                zone_windows=zone_windows,
                shows_series=bool(self.columns.beside),
            )
            shared = len(self.groups.sids) > len(self.groups.tags)
            values = [_value(atom, atom.field, shared=shared) for atom in atoms if atom.field]
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
        return Found(gids, starts, asked, columns[-1] if len(columns) > len(atoms) else [])

    def _rolled(self, atoms: Sequence[AggregateAtom], zone_windows: Sequence[int]) -> Rolled | None:
        return Rolled.of(self.measurement, atoms, self.rows, self.time_range, self.windows, zone_windows, self.limits)

    def _zone_windows(self, windows: Windows) -> list[int]:
        start, stop = self.time_range.start, self.time_range.stop
        if start is None or stop is None:
            raise ExecutionError("GROUP BY time() with tz() needs a lower bound of time")
        self.limits.check_windows(windows.count(start, stop))
        return windows.starts(windows.floor(start), stop)

    def _add_streamed(self, found: Found) -> None:
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
        return integrals(points, self.windows, unit, self.time_range.start or 0)

    def _beside_sql(self) -> list[str]:
        """The series of the selected point, and the fields that stand beside the selector."""
        if not self.columns.beside:
            return []
        atom = self.columns.atoms[0]
        if atom.field is None or atom.function.order_sql is None:
            return []
        parts = [
            f"'f{order}': {one.field.column}" for order, one in enumerate(self.columns.beside.values()) if one.field
        ]
        what = "{" + ", ".join(["'sid': sid", *parts]) + "}"
        return [atom.function.order_sql(atom.field, atom.arguments, what)]

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


def _value(atom: AggregateAtom, field: FieldColumn, *, shared: bool) -> str:
    """SQL for an atom's value; `shared` says whether several series are in one group."""
    tied = atom.function.tied_sql if shared else None
    return (tied or atom.function.sql)(field, atom.arguments)


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
