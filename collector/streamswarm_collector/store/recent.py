"""The newest rows of a measurement, kept in memory column by column.

Most panels ask for the last minutes or hours. Such a query is answered from here in a fraction of the time that a SQL
statement needs only to be planned; whatever reaches further back goes to the file.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Literal

import numpy as np

ALL_TIME: Final = -(2**63)
_CHUNK_ROWS: Final = 65_536
_MOST_CORRECTIONS: Final = 256

Edge = Literal["first", "last"]
"""Which row of a series is wanted."""


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """Values of one field.

    Attributes:
        values: numpy array; where `valid` is false it holds anything.
        valid: boolean array, or None where every row has a value.
    """

    values: Any
    valid: Any = None


@dataclass(frozen=True, slots=True)
class Chunk:
    """Some rows; those that RecentRows keeps are ordered by series and time, so that one series is a slice.

    Attributes:
        time: int64 nanoseconds since the epoch.
        sid: int32 series numbers.
        columns: values by SQL column; a column that isn't there has no values.
        first: earliest time.
        last: latest time.
    """

    time: Any
    sid: Any
    columns: Mapping[str, ColumnValues]
    first: int
    last: int

    @staticmethod
    def of(time: Any, sid: Any, columns: Mapping[str, ColumnValues]) -> "Chunk":
        """A chunk of at least one row, which may come in any order."""
        return Chunk(time, sid, columns, int(time.min()), int(time.max())).ordered()

    def __len__(self) -> int:
        return len(self.time)

    @property
    def nbytes(self) -> int:
        """Memory the arrays take."""
        arrays = [
            self.time,
            self.sid,
            *(one for column in self.columns.values() for one in (column.values, column.valid)),
        ]
        return sum(array.nbytes for array in arrays if array is not None)

    def ordered(self) -> "Chunk":
        """The same rows by series and time."""
        rising = self.sid[1:] > self.sid[:-1]
        rising |= (self.sid[1:] == self.sid[:-1]) & (self.time[1:] >= self.time[:-1])
        return self if bool(rising.all()) else self.taken(np.lexsort((self.time, self.sid)))

    def of_series(self, sid: int) -> slice:
        """Where the rows of a series are."""
        number = self.sid.dtype.type(sid)
        return slice(int(self.sid.searchsorted(number)), int(self.sid.searchsorted(number, "right")))

    def taken(self, rows: Any) -> "Chunk":
        """Some of the rows, by slice, index array or mask."""
        columns = {
            name: ColumnValues(one.values[rows], None if one.valid is None else one.valid[rows])
            for name, one in self.columns.items()
        }
        return Chunk(self.time[rows], self.sid[rows], columns, self.first, self.last)

    def within(self, start: int | None, stop: int | None) -> "Chunk":
        """The rows of a range, `stop` excluded."""
        mask = None
        if start is not None and self.first < start:
            mask = self.time >= start
        if stop is not None and self.last >= stop:
            before = self.time < stop
            mask = before if mask is None else mask & before
        return self if mask is None else self.taken(np.flatnonzero(mask))

    def series_within(self, sid: int, start: int | None, stop: int | None) -> "Chunk":
        """The rows of one series in a range, `stop` excluded."""
        own = self.of_series(sid)
        times = self.time[own]
        first = 0 if start is None else int(times.searchsorted(start))
        end = len(times) if stop is None else int(times.searchsorted(stop))
        return self.taken(slice(own.start + first, own.start + end))

    def edge_within(self, sid: int, start: int | None, stop: int | None, valid: Any, edge: Edge) -> int | None:
        """Where the earliest or latest row of a series is in a range, `stop` excluded; None if there is none.

        Rows for which `valid` is false don't count; None if it is true for all.
        """
        own = self.of_series(sid)
        low: int = own.start
        high: int = own.stop
        if start is not None and self.first < start:
            low += int(self.time[low:high].searchsorted(start))
        if stop is not None and self.last >= stop:
            high = low + int(self.time[low:high].searchsorted(stop))
        if valid is not None:
            there = np.flatnonzero(valid[low:high])
            low, high = (low + int(there[0]), low + int(there[-1]) + 1) if len(there) else (low, low)
        if low >= high:
            return None
        return low if edge == "first" else high - 1

    def edges_within(self, sids: Any, start: int | None, stop: int | None, edge: Edge) -> Any:
        """Where the earliest or latest row of each of some series (int32) is in a range, `stop` excluded.

        Series without a row in it are left out.
        """
        low, high = self.sid.searchsorted(sids), self.sid.searchsorted(sids, "right")
        if edge == "first":
            place = low if start is None or self.first >= start else _bisected(self.time, low, high, start)
            there = place < high
            if stop is not None and self.last >= stop:
                there &= self.time[np.minimum(place, len(self) - 1)] < stop
        else:
            place = (high if stop is None or self.last < stop else _bisected(self.time, low, high, stop)) - 1
            there = place >= low
            if start is not None and self.first < start:
                there &= self.time[place] >= start
        return place[there]


NO_ROWS: Final = Chunk(np.zeros(0, np.int64), np.zeros(0, np.int32), {}, 0, 0)


@dataclass(frozen=True, slots=True)
class RecentRows:
    """Every row of a measurement from `covers_from` on; it never changes.

    Attributes:
        covers_from: nanoseconds; rows before it may be missing here.
        chunks: the rows, each chunk in order, the chunks in none.
    """

    covers_from: int = ALL_TIME
    chunks: tuple[Chunk, ...] = ()

    @property
    def nbytes(self) -> int:
        """Memory the arrays take."""
        return sum(chunk.nbytes for chunk in self.chunks)

    def covers(self, start: int | None) -> bool:
        """Whether every row from a time on is here; None asks for all rows."""
        return self.covers_from <= (ALL_TIME if start is None else start)

    def appended(self, chunk: Chunk) -> "RecentRows":
        """With rows that are in no chunk yet; small chunks are joined, so that there are few."""
        chunks = [*self.chunks, chunk]
        while len(chunks) > 1 and len(chunks[-2]) < 2 * len(chunks[-1]) and len(chunks[-2]) < _CHUNK_ROWS:
            last = chunks.pop()
            chunks[-1] = joined([chunks[-1], last]).ordered()
        return replace(self, chunks=tuple(chunks))

    def corrected(self, chunk: Chunk) -> "RecentRows":
        """With rows that may be there already: their values win field by field; too many empty the memory."""
        if len(chunk) > _MOST_CORRECTIONS:
            return self.emptied(max([chunk.last, *(one.last for one in self.chunks)]))
        chunks = list(self.chunks)
        fresh = []
        for row in range(len(chunk)):
            time, sid = chunk.time[row], chunk.sid[row]
            for place, old in enumerate(chunks):
                if old.first <= time <= old.last:
                    own = old.of_series(sid)
                    found = own.start + int(old.time[own].searchsorted(time))
                    if found < own.stop and old.time[found] == time:
                        chunks[place] = _overwritten(old, found, chunk, row)
                        break
            else:
                if time >= self.covers_from:
                    fresh.append(row)
        changed = replace(self, chunks=tuple(chunks))
        return changed.appended(Chunk.of(*_parts(chunk.taken(np.array(fresh))))) if fresh else changed

    def emptied(self, newest: int) -> "RecentRows":
        """Without rows; those after `newest` will be here again."""
        return RecentRows(max(self.covers_from, newest + 1))

    def without_before(self, time: int) -> "RecentRows":
        """Without the rows before a time, which are deleted in the file, too."""
        chunks = []
        for chunk in self.chunks:
            if chunk.first >= time:
                chunks.append(chunk)
            elif chunk.last >= time:
                chunks.append(Chunk.of(*_parts(chunk.taken(np.flatnonzero(chunk.time >= time)))))
        return replace(self, chunks=tuple(chunks))

    def without_oldest(self) -> "RecentRows":
        """Without the chunk that ends first, to save memory."""
        oldest = min(self.chunks, key=lambda chunk: chunk.last)
        chunks = tuple(chunk for chunk in self.chunks if chunk is not oldest)
        return RecentRows(max(self.covers_from, oldest.last + 1), chunks)

    def rows(self, start: int | None, stop: int | None, columns: Sequence[str], sid: int | None = None) -> Chunk | None:
        """The rows of a range, `stop` excluded, and only of one series if `sid` is given; None if there are none."""
        found = []
        for chunk in self.chunks:
            if (start is not None and chunk.last < start) or (stop is not None and chunk.first >= stop):
                continue
            narrow = Chunk(chunk.time, chunk.sid, _chosen(chunk.columns, columns), chunk.first, chunk.last)
            narrow = narrow.within(start, stop) if sid is None else narrow.series_within(sid, start, stop)
            if len(narrow):
                found.append(narrow)
        if not found:
            return None
        return found[0] if len(found) == 1 else joined(found)

    def edge_row(self, start: int | None, stop: int | None, column: str, sid: int, edge: Edge) -> Chunk | None:
        """The earliest or latest row with a value of one series in a range, `stop` excluded; None if there is none."""
        found, best = None, 0
        # Chunks are mostly in the order of time, so that the first one looked at mostly has it.
        for chunk in self.chunks if edge == "first" else reversed(self.chunks):
            values = chunk.columns.get(column)
            outside = (start is not None and chunk.last < start) or (stop is not None and chunk.first >= stop)
            farther = found is not None and (chunk.first >= best if edge == "first" else chunk.last <= best)
            if values is None or outside or farther:
                continue
            row = chunk.edge_within(sid, start, stop, values.valid, edge)
            if row is None:
                continue
            time = int(chunk.time[row])
            if found is None or (time < best if edge == "first" else time > best):
                best, only = time, slice(row, row + 1)
                found = Chunk(
                    chunk.time[only], chunk.sid[only], {column: ColumnValues(values.values[only])}, time, time
                )
        return found

    def edge_rows(
        self, start: int | None, stop: int | None, column: str, sids: Sequence[int], edge: Edge
    ) -> Chunk | None:
        """Rows of a range, among them the earliest or latest with a value of each series; None if there are none."""
        if len(sids) == 1:
            return self.edge_row(start, stop, column, sids[0], edge)
        found = []
        settled: int | None = None
        for chunk in sorted(self.chunks, key=lambda one: -one.last if edge == "last" else one.first):
            if settled is not None and (chunk.last < settled if edge == "last" else chunk.first > settled):
                break  # each series has a row nearer to the edge than any of this chunk and those behind it
            values = chunk.columns.get(column)
            outside = (start is not None and chunk.last < start) or (stop is not None and chunk.first >= stop)
            if values is None or outside:
                continue
            narrow = Chunk(chunk.time, chunk.sid, {column: values}, chunk.first, chunk.last)
            if values.valid is None:
                narrow = narrow.taken(narrow.edges_within(np.array(sids, np.int32), start, stop, edge))
            else:
                narrow = narrow.within(start, stop)
            if len(narrow):
                found.append(narrow)
            if len(narrow) == len(sids) and values.valid is None:
                settled = int(narrow.time.min() if edge == "last" else narrow.time.max())
        if not found:
            return None
        return found[0] if len(found) == 1 else joined(found)


def joined(chunks: Sequence[Chunk]) -> Chunk:
    """Several chunks as one."""
    names = dict.fromkeys(name for chunk in chunks for name in chunk.columns)
    columns = {name: _joined_column(name, chunks) for name in names}
    time = np.concatenate([chunk.time for chunk in chunks])
    sid = np.concatenate([chunk.sid for chunk in chunks])
    return Chunk(time, sid, columns, min(chunk.first for chunk in chunks), max(chunk.last for chunk in chunks))


def _joined_column(name: str, chunks: Sequence[Chunk]) -> ColumnValues:
    dtype = next(chunk.columns[name].values.dtype for chunk in chunks if name in chunk.columns)
    values, valid, sparse = [], [], False
    for chunk in chunks:
        column = chunk.columns.get(name)
        if column is None:
            column = ColumnValues(np.zeros(len(chunk), dtype), np.zeros(len(chunk), np.bool_))
        values.append(column.values)
        sparse = sparse or column.valid is not None
        valid.append(np.ones(len(chunk), np.bool_) if column.valid is None else column.valid)
    return ColumnValues(np.concatenate(values), np.concatenate(valid) if sparse else None)


def _bisected(times: Any, low: Any, high: Any, bound: int) -> Any:
    """For each slice of rising times, where the first is that is not before `bound`; all slices at once."""
    low, high = low.copy(), high.copy()
    while len(waiting := np.flatnonzero(low < high)):
        middle = (low[waiting] + high[waiting]) // 2
        before = times[middle] < bound
        low[waiting[before]] = middle[before] + 1
        high[waiting[~before]] = middle[~before]
    return low


def _chosen(columns: Mapping[str, ColumnValues], names: Sequence[str]) -> dict[str, ColumnValues]:
    return {name: columns[name] for name in names if name in columns}


def _parts(chunk: Chunk) -> tuple[Any, Any, Mapping[str, ColumnValues]]:
    return chunk.time, chunk.sid, chunk.columns


def _overwritten(old: Chunk, place: int, chunk: Chunk, row: int) -> Chunk:
    columns = dict(old.columns)
    for name, column in chunk.columns.items():
        if column.valid is not None and not column.valid[row]:
            continue
        before = columns.get(name)
        if before is None:
            before = ColumnValues(np.zeros(len(old), column.values.dtype), np.zeros(len(old), np.bool_))
        values, valid = before.values.copy(), None if before.valid is None else before.valid.copy()
        values[place] = column.values[row]
        if valid is not None:
            valid[place] = True
        columns[name] = ColumnValues(values, valid)
    return replace(old, columns=columns)
