"""SELECT of aggregates: what the store has for all groups and windows, then fill, expressions and limits."""

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.columns import AggregateAtom
from streamswarm_collector.influxql.conditions import TimeRange
from streamswarm_collector.influxql.expressions import Atom, evaluate, is_transformed, look_back
from streamswarm_collector.influxql.filling import fill_linear, fill_previous
from streamswarm_collector.influxql.gathering import Found, Search
from streamswarm_collector.influxql.source import (
    Answer,
    Column,
    OneRowEach,
    ResultSeries,
    limited,
)
from streamswarm_collector.store.schema import FieldType

_EMPTY: Final[Mapping[FieldType, Any]] = {FieldType.STRING: "", FieldType.BOOLEAN: False}
"""What InfluxDB makes of fill(number) where the values are of another type."""


@dataclass
class Aggregation:
    """What becomes of what the store has.

    Attributes:
        search: what is looked for, in the range of time that was asked for; run once, as the range may grow.
        now_ns: the time.
    """

    search: Search
    now_ns: int

    def run(self) -> list[Answer]:
        """Answer it.

        Raises:
            ParseError: a part is not understood.
            ExecutionError: it would have more windows than the limits allow.
        """
        if not any(atom.field for atom in self.search.columns.atoms):
            return []
        asked = self.search.time_range
        if self.search.statement.window and asked.stop is None:
            asked = TimeRange(asked.start, self.now_ns + 1)
        self.search.time_range = self._with_look_back(asked)
        found = self.search.found()
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
            if self.search.statement.descending:
                starts, beside, atoms = starts[::-1], beside[::-1], [column[::-1] for column in atoms]
            if windows is not None:
                starts, atoms, beside = self._filled(starts, atoms, beside, windows)
            result = limited(self.search.statement, self._evaluated(starts, atoms, beside, asked))
            if result[0]:
                tags = self.search.groups.shown[group]
                answer.append(
                    ResultSeries(self.search.measurement.name, tags, ["time", *self.search.columns.names], result)
                )
        return answer

    @cached_property
    def _plain(self) -> bool:
        """Whether the columns of the answer are the atoms as they are."""
        in_order = [
            isinstance(node, Atom) and node.index == place for place, node in enumerate(self.search.columns.nodes)
        ]
        return not self.search.columns.beside and all(in_order)

    def _with_look_back(self, asked: TimeRange) -> TimeRange:
        """The range with the windows outside it that transformations begin with."""
        extra = look_back(self.search.columns.nodes)
        if self.search.statement.window is None or asked.start is None or asked.stop is None or not extra:
            return asked
        more = extra * self.search.statement.window.every
        if self.search.statement.descending:
            return TimeRange(asked.start, asked.stop + more)
        return TimeRange(asked.start - more, asked.stop)

    def _one_row_a_group(self, found: Found) -> bool:
        limited_rows = self.search.statement.limit or self.search.statement.offset
        return not limited_rows and not self.search.statement.window and len(set(found.gids)) == len(found.gids)

    def _as_they_are(self, found: Found) -> OneRowEach:
        names, tags = ["time", *self.search.columns.names], self.search.groups.shown
        return OneRowEach(
            self.search.measurement.name, names, [tags[gid] for gid in found.gids], [found.starts, *found.atoms]
        )

    def _windows_to_fill(self, found: Found) -> list[int] | None:
        """Begins of the windows to be shown; None where only those with points are."""
        windows = self.search.windows
        streamed_only = all(atom.function.streamed for atom in self.search.columns.atoms)
        if windows is None or self.search.statement.fill is ast.FillMode.NONE or streamed_only:
            return None
        start, stop = self.search.time_range.start, self.search.time_range.stop
        first = min(found.starts) if start is None else windows.floor(start)
        last = stop if stop is not None else self.now_ns + 1
        self.search.limits.check_windows(windows.count(first, last) * len(set(found.gids)))
        starts = windows.starts(first, last)
        return starts[::-1] if self.search.statement.descending else starts

    def _filled(
        self, starts: Column, atoms: list[Column], beside: Column, windows: list[int]
    ) -> tuple[Column, list[Column], Column]:
        """The values of one group with those of the windows that have none."""
        if len(starts) == len(windows) and not any(None in column for column in atoms):
            return windows, atoms, beside
        at = {start: place for place, start in enumerate(windows)}
        places = [at[start] for start in starts]
        filled = []
        for atom, column in zip(self.search.columns.atoms, atoms, strict=True):
            empty = self._empty(atom, column)
            values = [empty] * len(windows)
            for place, value in zip(places, column, strict=True):
                values[place] = empty if value is None else value
            if self.search.statement.fill is ast.FillMode.PREVIOUS:
                fill_previous(values)
            elif self.search.statement.fill is ast.FillMode.LINEAR:
                fill_linear(values)
            filled.append(values)
        points: Column = [None] * len(windows)
        for place, point in zip(places, beside, strict=False):
            points[place] = point
        return windows, filled, points

    def _empty(self, atom: AggregateAtom, column: Column) -> Any:
        """What a window without points holds; a count is 0 only where the series has a point to count at all."""
        fill = self.search.statement.fill
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
        nodes = self.search.columns.nodes
        if self._plain:
            return [starts, *atoms]
        values = [evaluate(node, starts, atoms) for node in nodes]
        for order, (place, atom) in enumerate(self.search.columns.beside.items()):
            values[place] = [self._beside_value(point, order, atom.tag) for point in beside]
        result = [starts, *values]
        if any(map(is_transformed, nodes)):
            result = self._within(result, asked)
        return result

    def _within(self, columns: list[Column], asked: TimeRange) -> list[Column]:
        """Rows with a value, in the windows that were asked for."""
        windows = self.search.windows
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
        return self.search.measurement.series[point["sid"]].get(tag) if tag else point.get(f"f{order}")


def _spans(gids: Column) -> list[tuple[int, int, int]]:
    """Each group with the begin and end of its entries; they come in order."""
    if gids[0] == gids[-1]:
        return [(gids[0], 0, len(gids))]
    changes = [0, *(np.flatnonzero(np.diff(np.array(gids))) + 1).tolist(), len(gids)]
    return [(gids[first], first, last) for first, last in itertools.pairwise(changes)]
