"""SELECT of aggregates: what the store has for all groups and windows, then fill, expressions and limits."""

import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.columns import AggregateAtom
from streamswarm_collector.influxql.conditions import TimeRange
from streamswarm_collector.influxql.expressions import Atom, Node, evaluate, is_transformed, look_back, outline
from streamswarm_collector.influxql.filling import fill_linear, fill_previous
from streamswarm_collector.influxql.gathering import Found, Search
from streamswarm_collector.influxql.source import (
    Answer,
    Column,
    OneRowEach,
    ResultSeries,
    limited,
)

_FILLED_AS: Final[Mapping[type, Callable[[float], object]]] = {
    str: lambda _number: "",
    bool: lambda _number: False,
    int: int,
}
"""What InfluxDB makes of fill(number) where the values are of another type than float."""
_OF_ONE_TYPE: Final = frozenset({"count", "integral", "mean", "median", "stddev"})
"""The type of others is that of the field; without one fill() doesn't fill them."""


@dataclass
class Aggregation:
    """What becomes of what the store has.

    Attributes:
        search: what is looked for, in the range of time that was asked for.
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
        if self._is_transformed:
            return self._transformed(asked)
        found = replace(self.search, time_range=asked).found()
        if not found.gids:
            return []
        windows = self._windows_to_fill(found, asked)
        if self._plain and windows is None and self._one_row_a_group(found):
            return [self._as_they_are(found)]
        answer: list[Answer] = []
        for group, *of_group in self._by_group(found, windows):
            answer += self._shown(group, self._evaluated(*of_group))
        return answer

    def _shown(self, group: int, columns: list[Column]) -> list[Answer]:
        columns = limited(self.search.statement, columns)
        if not columns[0]:
            return []
        names = ["time", *self.search.columns.names]
        return [ResultSeries(self.search.measurement.name, self.search.groups.shown[group], names, columns)]

    def _transformed(self, asked: TimeRange) -> list[Answer]:
        """Answer a SELECT with transformations, each of which has values in some windows only.

        As in InfluxDB a window is shown if anything has a value in it, and fill() fills what has none there.
        """
        leaves: list[Node] = []
        nodes = [outline(node, leaves) for node in self.search.columns.nodes]
        fill = self.search.statement.fill
        answer: list[Answer] = []
        for group, starts, columns in self._leaf_columns(leaves, asked):
            for column in columns:
                if isinstance(fill, ast.Number):
                    column[:] = [fill.value if one is None else one for one in column]
                elif fill is ast.FillMode.PREVIOUS:
                    fill_previous(column)
            answer += self._shown(group, [starts, *(evaluate(node, starts, columns) for node in nodes)])
        return answer

    def _leaf_columns(self, leaves: Sequence[Node], asked: TimeRange) -> Iterator[tuple[int, Column, list[Column]]]:
        """Each group with the windows that anything has a value in, and the values, column by column."""
        extras = list(map(look_back, ([leaf] for leaf in leaves)))
        if len(set(extras)) == 1:
            for group, rows in self._leaf_rows(leaves, asked, extras[0]):
                starts, *columns = map(list, zip(*rows, strict=True))
                yield group, starts, columns
            return
        joined: dict[int, dict[int, Column]] = {}
        for extra in set(extras):
            places = [place for place, own in enumerate(extras) if own == extra]
            for group, rows in self._leaf_rows([leaves[place] for place in places], asked, extra):
                of_group = joined.setdefault(group, {})
                for start, *values in rows:
                    row = of_group.setdefault(start, [None] * len(leaves))
                    for place, value in zip(places, values, strict=True):
                        row[place] = value
        for group in sorted(joined):
            starts = sorted(joined[group], reverse=self.search.statement.descending)
            yield group, starts, [list(one) for one in zip(*(joined[group][start] for start in starts), strict=True)]

    def _leaf_rows(
        self, leaves: Sequence[Node], asked: TimeRange, extra: int
    ) -> Iterator[tuple[int, list[tuple[Any, ...]]]]:
        """Each group with begin and values of those windows within a range that anything has a value in.

        Args:
            leaves: of the columns.
            asked: the range.
            extra: how many windows outside of it they begin with.
        """
        time_range = self._with_look_back(asked, extra)
        found = replace(self.search, time_range=time_range).found()
        windows = self._windows_to_fill(found, time_range) if found.gids else None
        first, stop = -math.inf, math.inf
        if self.search.windows:
            first = first if asked.start is None else self.search.windows.floor(asked.start)
            stop = stop if asked.stop is None else asked.stop
        for group, starts, atoms, _ in self._by_group(found, windows):
            columns = [evaluate(leaf, starts, atoms) for leaf in leaves]
            filled = windows is not None and any(
                isinstance(leaf, Atom) and any(value is not None for value in column)
                for leaf, column in zip(leaves, columns, strict=True)
            )
            rows = [
                row
                for row in zip(starts, *columns, strict=True)
                if first <= row[0] < stop and (filled or any(value is not None for value in row[1:]))
            ]
            if rows:
                yield group, rows

    def _by_group(self, found: Found, windows: list[int] | None) -> Iterator[tuple[int, Column, list[Column], Column]]:
        """Each group with the begins of its windows, its atoms and what stands beside, in the order of the answer."""
        for group, first, last in _spans(found.gids):
            starts = found.starts[first:last]
            atoms = [column[first:last] for column in found.atoms]
            beside = found.beside[first:last]
            if self.search.statement.descending:
                starts, beside, atoms = starts[::-1], beside[::-1], [column[::-1] for column in atoms]
            if windows is not None:
                starts, atoms, beside = self._filled(starts, atoms, beside, windows)
            yield group, starts, atoms, beside

    @cached_property
    def _is_transformed(self) -> bool:
        return any(map(is_transformed, self.search.columns.nodes))

    @cached_property
    def _plain(self) -> bool:
        """Whether the columns of the answer are the atoms as they are."""
        in_order = [
            isinstance(node, Atom) and node.index == place for place, node in enumerate(self.search.columns.nodes)
        ]
        return not self.search.columns.beside and all(in_order)

    def _with_look_back(self, asked: TimeRange, extra: int) -> TimeRange:
        """The range with as many windows more as transformations begin with."""
        window = self.search.statement.window
        if window is None or asked.start is None or asked.stop is None or not extra:
            return asked
        more = extra * window.every
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

    def _windows_to_fill(self, found: Found, time_range: TimeRange) -> list[int] | None:
        """Begins of the windows to be shown; None where only those with points are."""
        windows = self.search.windows
        streamed_only = all(atom.function.streamed for atom in self.search.columns.atoms)
        if windows is None or self.search.statement.fill is ast.FillMode.NONE or streamed_only:
            return None
        start, stop = time_range.start, time_range.stop
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
        shown = next((value for value in column if value is not None), None)
        if isinstance(fill, ast.Number):
            if shown is None and (self._is_transformed or not (atom.field or atom.name in _OF_ONE_TYPE)):
                return None
            # InfluxDB turns the number into the type of the values, if there are any.
            return _FILLED_AS.get(type(shown), float)(fill.value)
        return atom.function.empty if fill is ast.FillMode.NULL and shown is not None else None

    def _evaluated(self, starts: Column, atoms: list[Column], beside: Column) -> list[Column]:
        """Atoms to columns, in the order of the answer."""
        if self._plain:
            return [starts, *atoms]
        values = [evaluate(node, starts, atoms) for node in self.search.columns.nodes]
        for order, (place, atom) in enumerate(self.search.columns.beside.items()):
            values[place] = [self._beside_value(point, order, atom.tag) for point in beside]
            if self.search.windows and self.search.statement.fill is ast.FillMode.PREVIOUS:
                fill_previous(values[place])
        return [starts, *values]

    def _beside_value(self, point: Any, order: int, tag: str) -> Any:
        value = None
        if isinstance(point, dict):
            value = self.search.measurement.series[point["sid"]].get(tag) if tag else point.get(f"f{order}")
        fill = self.search.statement.fill
        return fill.value if value is None and isinstance(fill, ast.Number) else value


def _spans(gids: Column) -> list[tuple[int, int, int]]:
    """Each group with the begin and end of its entries; they come in order."""
    if not gids:
        return []
    if gids[0] == gids[-1]:
        return [(gids[0], 0, len(gids))]
    changes = [0, *(np.flatnonzero(np.diff(np.array(gids))) + 1).tolist(), len(gids)]
    return [(gids[first], first, last) for first, last in itertools.pairwise(changes)]
