"""Answers from the newest rows, which are in memory: the same rows and aggregates that SQL would give, with numpy."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np

from streamswarm_collector.influxql.conditions import RowFilter, TimeRange
from streamswarm_collector.influxql.errors import PostponedError
from streamswarm_collector.influxql.functions import FUNCTIONS
from streamswarm_collector.influxql.source import Column, Groups, Limits
from streamswarm_collector.store.recent import NO_ROWS, Chunk, ColumnValues, Edge
from streamswarm_collector.store.schema import MeasurementSchema

_MOST_CELLS = 5_000_000
_RANGES: Final[Mapping[str, tuple[Any, Any]]] = {
    "f": (np.finfo(np.float64).min, np.finfo(np.float64).max),
    "i": (np.iinfo(np.int64).min, np.iinfo(np.int64).max),
    "b": (False, True),
}
"""The least and the greatest value of numpy's kinds of types."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """One function of one column.

    Attributes:
        function: its name.
        column: SQL column.
        argument: what stands behind the field: the percentage of a percentile.
    """

    function: str
    column: str
    argument: float = 0.0


@dataclass(frozen=True, slots=True)
class RecentSource:
    """The rows of a SELECT, where all of them are in memory.

    Attributes:
        chunk: the rows; without any, an empty chunk.
        gids: group of each row; None with a single group.
        groups: how many groups there are.
    """

    chunk: Chunk
    gids: Any
    groups: int

    @staticmethod
    def of(
        measurement: MeasurementSchema,
        groups: Groups,
        rows: RowFilter,
        time_range: TimeRange,
        columns: Sequence[str],
        limits: Limits,
        edge: Edge | None = None,
    ) -> "RecentSource | None":
        """None where the file has to be asked: older rows, conditions on fields, casts.

        With `edge`, which takes one column, rows that can't be a series' first or last are left out.

        Raises:
            PostponedError: there are more rows than may be looked at here and now.
        """
        if rows.sql or not measurement.recent.covers(time_range.start) or not all(map(str.isidentifier, columns)):
            return None
        only = groups.sids[0] if len(groups.sids) == 1 else None
        if edge is not None:
            chunk = measurement.recent.edge_rows(time_range.start, time_range.stop, columns[0], groups.sids, edge)
        else:
            chunk = measurement.recent.rows(time_range.start, time_range.stop, columns, only)
        if chunk is not None and len(chunk) > limits.rows_at_once:
            raise PostponedError
        if chunk is None:
            return RecentSource(NO_ROWS, None, len(groups.tags))
        if only is not None:
            return RecentSource(chunk, None, len(groups.tags))
        if len(groups.tags) == 1 and len(groups.sids) == len(measurement.series):
            return RecentSource(chunk, None, 1)
        # A series that is newer than the view has a number beyond the array's end.
        gids = groups.numbers.take(chunk.sid, mode="clip")
        if int(gids.min()) < 0:
            kept = np.flatnonzero(gids >= 0)
            if not len(kept):
                return RecentSource(NO_ROWS, None, len(groups.tags))
            chunk, gids = chunk.taken(kept), gids[kept]
        return RecentSource(chunk, None if len(groups.tags) == 1 else gids, len(groups.tags))

    def raw_rows(self, fields: Sequence[str], *, descending: bool, limit: int | None, most: int) -> list[Column]:
        """Groups (empty with a single one), times, series, and the fields' values, in the order of the answer."""
        chunk = self.chunk
        columns = [_column(chunk, field) for field in fields]
        present = _any_valid(columns, len(chunk))
        keys = [chunk.sid, -chunk.time if descending else chunk.time]
        order = np.lexsort(keys if self.gids is None else [*keys, self.gids])
        if present is not None:
            order = order[present[order]]
        gids = None if self.gids is None else self.gids[order]
        if limit is not None:
            if gids is None:
                order = order[:limit]
            else:
                starts = np.flatnonzero(np.append(True, np.diff(gids) != 0))
                within = np.arange(len(gids)) - np.repeat(starts, np.diff(np.append(starts, len(gids))))
                order, gids = order[within < limit], gids[within < limit]
        order = order[:most]
        values = [
            _listed(ColumnValues(one.values[order], None if one.valid is None else one.valid[order])) for one in columns
        ]
        return [
            [] if gids is None else gids[:most].tolist(),
            chunk.time[order].tolist(),
            chunk.sid[order].tolist(),
            *values,
        ]

    def one_each(self, column: str) -> tuple[Column, Column, Column] | None:
        """Groups, times and values of rows that all have a value; None if a group has more than one."""
        gids, times, values = self.gids, self.chunk.time, self.chunk.columns[column].values
        if gids is None:
            return ([0], times.tolist(), values.tolist()) if len(times) == 1 else None
        order = np.argsort(gids, kind="stable")
        gids = gids[order]
        if bool((gids[1:] == gids[:-1]).any()):
            return None
        return gids.tolist(), times[order].tolist(), values[order].tolist()

    def windows(
        self, buckets: Any, count: int, wanted: Sequence[Wanted], *, selected_times: bool = False
    ) -> "list[Column] | None":
        """Aggregates by group and window.

        Args:
            buckets: number of each row's window, or None without windows.
            count: how many windows there are.
            wanted: what to compute.
            selected_times: whether to give, in the place of window numbers, the time of the point that the selector
                selected, the earliest of several with its value.

        Returns:
            Groups, window numbers and one column for each function, for the windows that hold a value of any of them;
            None if there would be too many windows.
        """
        if self.groups * count > _MOST_CELLS:
            return None
        cells = self.groups * count
        key = np.zeros(len(self.chunk), np.int64) if buckets is None else buckets
        if self.gids is not None:
            key = key + self.gids.astype(np.int64) * count
        columns = {
            name: _Cells.of(self.chunk, name, key, cells) for name in dict.fromkeys(one.column for one in wanted)
        }
        found = np.zeros(cells, np.bool_)
        for one in wanted:
            found |= columns[one.column].has_value(one)
        there = np.flatnonzero(found)
        if not len(there):
            return [[], [], *([] for _ in wanted)]
        values = [columns[one.column].aggregate(one, there) for one in wanted]
        places = columns[wanted[0].column].selected_times(wanted[0])[there] if selected_times else there % count
        return [(there // count).tolist(), places.tolist(), *values]


def can_answer(wanted: Sequence[Wanted]) -> bool:
    """Whether all of the functions are computed here."""
    return all(FUNCTIONS[one.function].memory for one in wanted)


@dataclass(frozen=True)
class _Cells:
    """One column's values, each with the cell (group and window) it is in."""

    values: Any
    times: Any
    key: Any
    counts: Any

    @staticmethod
    def of(chunk: Chunk, name: str, key: Any, cells: int) -> "_Cells":
        column = _column(chunk, name)
        values, times = column.values, chunk.time
        if column.valid is not None:
            kept = np.flatnonzero(column.valid)
            values, times, key = values[kept], times[kept], key[kept]
        return _Cells(values, times, key, np.bincount(key, minlength=cells))

    def has_value(self, wanted: Wanted) -> Any:
        """For which cells the function gives a value."""
        if wanted.function != "percentile":
            return self.counts > 0
        rank = self._rank(wanted.argument)
        return (rank >= 1) & (rank <= self.counts)

    def aggregate(self, wanted: Wanted, there: Any) -> Column:
        """The function's value in some cells; None in those without points."""
        counts = self.counts[there]
        if wanted.function == "count":
            return [number or None for number in counts.tolist()]
        if not len(self.values):
            return [None] * len(there)
        valid = self.has_value(wanted)[there]
        return _listed(ColumnValues(self._values_of(wanted)[there], None if bool(valid.all()) else valid))

    def _values_of(self, wanted: Wanted) -> Any:
        match wanted.function:
            case "first" | "last":
                return self._at_selected_time(wanted)
            case "sum":
                return self._sum()
            case "mean":
                return self._mean()
            case "spread":
                high, low = self._extreme(np.maximum), self._extreme(np.minimum)
                # Where there is no value, the extremes are those of the type, and too far apart for it.
                return np.subtract(high, low, out=np.zeros_like(high), where=self.counts > 0)
            case "stddev":
                return self._deviation()
            case "median":
                return self._median()
            case "percentile":
                return self._percentile(wanted.argument)
        return self._extreme(np.minimum if wanted.function == "min" else np.maximum)

    def _deviation(self) -> Any:
        """Sample standard deviation; NaN for one point, whose window is not empty, yet has none."""
        mean = self._mean()
        squares = np.bincount(self.key, weights=(self.values - mean[self.key]) ** 2, minlength=len(self.counts))
        return np.where(self.counts > 1, np.sqrt(squares / np.maximum(self.counts - 1, 1)), np.nan)

    @cached_property
    def _starts(self) -> Any:
        return np.cumsum(self.counts) - self.counts

    @cached_property
    def _by_value(self) -> Any:
        """The values ordered by cell and size."""
        cells = len(self.counts)
        key = self.key.astype(np.uint16) if cells <= 2**16 else self.key  # few cells are sorted by radix
        order = np.argsort(self.values)
        return self.values[order[np.argsort(key[order], kind="stable")]]

    def _median(self) -> Any:
        last = max(len(self.values) - 1, 0)
        lower = self._by_value[np.minimum(self._starts + np.maximum(self.counts - 1, 0) // 2, last)]
        upper = self._by_value[np.minimum(self._starts + self.counts // 2, last)]
        return lower / 2 + upper / 2

    def _rank(self, percentage: float) -> Any:
        """Nearest rank, floor(n·p/100 + 0.5), counted from 1; below 1 there is no value."""
        return np.floor(self.counts * percentage / 100 + 0.5).astype(np.int64)

    def _percentile(self, percentage: float) -> Any:
        rank = np.clip(self._rank(percentage), 1, np.maximum(self.counts, 1))
        return self._by_value[np.minimum(self._starts + rank - 1, max(len(self.values) - 1, 0))]

    def _percentile_time(self, percentage: float) -> Any:
        """Of several points with the value that one counts whose turn it is in the order of time."""
        value = self._percentile(percentage)
        cells = len(self.counts)
        below = np.bincount(self.key[self.values < value[self.key]], minlength=cells)
        rows = np.flatnonzero(self.values == value[self.key])
        rows = rows[np.lexsort((self.times[rows], self.key[rows]))]
        equal = np.bincount(self.key[rows], minlength=cells)
        place = np.cumsum(equal) - equal + self._rank(percentage) - 1 - below
        return self.times[rows[np.clip(place, 0, max(len(rows) - 1, 0))]]

    def _mean(self) -> Any:
        """Of floats, as DuckDB's: a sum of integers could leave 64 bits."""
        return np.bincount(self.key, weights=self.values, minlength=len(self.counts)) / np.maximum(self.counts, 1)

    def _sum(self) -> Any:
        if self.values.dtype.kind == "f":
            return np.bincount(self.key, weights=self.values, minlength=len(self.counts))
        total = np.zeros(len(self.counts), np.int64)
        np.add.at(total, self.key, self.values)
        return total

    def _extreme(self, function: Any) -> Any:
        least, greatest = _RANGES[self.values.dtype.kind]
        start = greatest if function is np.minimum else least
        result = np.full(len(self.counts), start, self.values.dtype)
        function.at(result, self.key, self.values)
        return result

    def selected_times(self, wanted: Wanted) -> Any:
        """The time of the point that a selector selects, for each cell."""
        times, key = self.times, self.key
        if wanted.function == "percentile":
            return self._percentile_time(wanted.argument)
        if wanted.function in {"min", "max"}:
            extreme = self._extreme(np.minimum if wanted.function == "min" else np.maximum)
            rows = np.flatnonzero(self.values == extreme[key])
            times, key = times[rows], key[rows]
        latest = wanted.function == "last"
        edge = np.full(len(self.counts), -(2**63) if latest else 2**63 - 1, np.int64)
        (np.maximum if latest else np.minimum).at(edge, key, times)
        return edge

    def _at_selected_time(self, wanted: Wanted) -> Any:
        """The value at the earliest or latest time of each cell; of several, what `_first` and `_last` of SQL take."""
        edge = self.selected_times(wanted)
        rows = np.flatnonzero(self.times == edge[self.key])
        result = np.zeros(len(self.counts), self.values.dtype)
        if len(rows) > np.count_nonzero(self.counts):
            rising = np.argsort(self.values[rows], kind="stable")
            least = wanted.function == "first" and self.values.dtype == np.bool_
            rows = rows[rising[::-1] if least else rising]  # the one that is assigned last stays
        result[self.key[rows]] = self.values[rows]
        return result


def _column(chunk: Chunk, name: str) -> ColumnValues:
    found = chunk.columns.get(name)
    return found or ColumnValues(np.zeros(len(chunk)), np.zeros(len(chunk), np.bool_))


def _any_valid(columns: Sequence[ColumnValues], count: int) -> Any:
    """Which rows have a value in any column; None where all have."""
    if any(column.valid is None for column in columns):
        return None
    present = np.zeros(count, np.bool_)
    for column in columns:
        present |= column.valid
    return present


def _listed(column: ColumnValues) -> Column:
    values: Column = column.values.tolist()
    if column.valid is None:
        return values
    return [value if there else None for value, there in zip(values, column.valid.tolist(), strict=True)]
