"""Puts points into a measurement's table: new ones appended in bulk, late ones merged field by field."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from duckdb import DuckDBPyConnection

from streamswarm_collector.batch import Block, Row
from streamswarm_collector.bulk import block_types
from streamswarm_collector.fieldtypes import field_type
from streamswarm_collector.store.catalog import Catalog, Table
from streamswarm_collector.store.recent import ALL_TIME, Chunk, ColumnValues, RecentRows
from streamswarm_collector.store.rollups import minutes_of
from streamswarm_collector.store.schema import FieldType
from streamswarm_core.point import FieldValue

_EARLIEST: Final = -(2**63)
_NUMPY_TYPES: Final[Mapping[FieldType, Any]] = {
    FieldType.FLOAT: np.float64,
    FieldType.INTEGER: np.int64,
    FieldType.BOOLEAN: np.bool_,
    FieldType.STRING: np.object_,
}

Entry = Block | list[Row]
"""Points of one measurement, in the order they came."""


def coalesced(entries: Sequence[Entry]) -> Iterator[Entry]:
    """Join neighbouring blocks with the same fields, so that many small writes become one insert."""
    current: Block | None = None
    for entry in entries:
        if isinstance(entry, Block) and current is not None and _same_shape(current, entry):
            current.series_keys += entry.series_keys
            current.times += entry.times
            for name, values in entry.columns.items():
                current.columns[name] += values  # type: ignore[operator] # same shape, so the same type
            continue
        if current is not None:
            yield current
            current = None
        if isinstance(entry, Block):
            copied: dict[str, Any] = {name: list(values) for name, values in entry.columns.items()}
            current = Block(entry.measurement, list(entry.series_keys), list(entry.times), copied)
        else:
            yield entry
    if current is not None:
        yield current


def _same_shape(one: Block, other: Block) -> bool:
    return list(one.columns) == list(other.columns) and all(
        type(one.columns[name][0]) is type(other.columns[name][0]) for name in one.columns
    )


def take_block(catalog: Catalog, table: Table, block: Block) -> None:
    """Take a block of one measurement: as a whole if every point is newer than all of its series, else row by row."""
    new_fields = catalog.add_fields(table, block_types(block))
    new_series = catalog.add_series(table, block.series_keys)
    table.refresh(fields=new_fields, series=new_series)
    count = len(block.times)
    sids = np.fromiter(map(table.sids.__getitem__, block.series_keys), np.int32, count)
    times = np.array(block.times, np.int64)
    order = np.lexsort((np.arange(count), sids))
    ordered_sids, ordered_times = sids[order], times[order]
    same_series = ordered_sids[1:] == ordered_sids[:-1]
    first = np.flatnonzero(np.append(True, ~same_series))
    last = np.append(first[1:], count) - 1
    series = ordered_sids[first].tolist()
    newest = np.array([table.newest.get(sid, _EARLIEST) for sid in series], np.int64)
    rising = not bool(np.any(same_series & (ordered_times[1:] <= ordered_times[:-1])))
    if not rising or bool(np.any(ordered_times[first] <= newest)):
        take_rows(catalog, table, block.rows())
        return
    table.newest.update(zip(series, ordered_times[last].tolist(), strict=True))
    columns = {}
    for name, values in block.columns.items():
        column = table.columns[name]
        columns[column.column] = ColumnValues(np.array(values, _NUMPY_TYPES[column.type])[order])
    _append(catalog, table, Chunk.of(ordered_times, ordered_sids, columns))


def take_rows(catalog: Catalog, table: Table, rows: Sequence[Row]) -> None:
    """Take rows of one measurement in the order they came.

    Rows newer than all of their series are appended. The others may meet a row of the same time: they are merged by
    field, the last one winning.
    """
    types = {name: field_type(value) for row in rows for name, value in row.fields.items()}
    new_fields = catalog.add_fields(table, types)
    new_series = catalog.add_series(table, [row.series_key for row in rows])
    table.refresh(fields=new_fields, series=new_series)
    fresh: list[tuple[int, int, Mapping[str, FieldValue]]] = []
    late: dict[tuple[int, int], dict[str, FieldValue]] = {}
    for row in rows:
        sid = table.sids[row.series_key]
        newest = table.newest.get(sid)
        if newest is None or row.time_ns > newest:
            table.newest[sid] = row.time_ns
            fresh.append((row.time_ns, sid, row.fields))
        else:
            late.setdefault((row.time_ns, sid), {}).update(row.fields)
    if fresh:
        _append(catalog, table, _chunk(table, fresh))
    if late:
        _merge(catalog, table, _chunk(table, [(time_ns, sid, fields) for (time_ns, sid), fields in late.items()]))


def _mark_late(catalog: Catalog, table: Table, chunk: Chunk) -> None:
    """Rows may come where roll-ups have been already, those of a series that is new or was silent too."""
    planned = table.view.rollups.planned
    if chunk.first < planned:
        catalog.mark(table, minutes_of(chunk.time[chunk.time < planned]))


def _append(catalog: Catalog, table: Table, chunk: Chunk) -> None:
    stored, incoming, cold = table.view.table, _relation(chunk), table.view.cold
    names = ", ".join(incoming)

    def insert(connection: DuckDBPyConnection) -> None:
        cold.touch(stored, chunk.first)
        _reading(incoming, connection, f"INSERT INTO {stored} ({names}) SELECT {names} FROM incoming")  # noqa: S608 - our own names

    catalog.on_change(insert)
    _mark_late(catalog, table, chunk)
    table.set_recent(table.view.recent.appended(chunk))


def _merge(catalog: Catalog, table: Table, chunk: Chunk) -> None:
    stored, incoming, cold = table.view.table, _relation(chunk), table.view.cold
    names = ", ".join(incoming)
    merged = ", ".join(f"{column} = coalesce(incoming.{column}, {stored}.{column})" for column in chunk.columns)
    span = [chunk.first, chunk.last]

    def merge(connection: DuckDBPyConnection) -> None:
        cold.touch(stored, chunk.first)
        cold.thaw(connection, stored, chunk.time, chunk.sid)
        _reading(
            incoming,
            connection,
            f"UPDATE {stored} SET {merged} FROM incoming WHERE {stored}.time BETWEEN ? AND ? "  # noqa: S608 - our own names
            f"AND {stored}.time = incoming.time AND {stored}.sid = incoming.sid",
            span,
        )
        _reading(
            incoming,
            connection,
            f"INSERT INTO {stored} ({names}) SELECT {names} FROM incoming WHERE NOT EXISTS (SELECT 1 FROM {stored} "  # noqa: S608 - our own names
            "AS old WHERE old.time BETWEEN ? AND ? AND old.time = incoming.time AND old.sid = incoming.sid)",
            span,
        )

    catalog.on_change(merge)
    _mark_late(catalog, table, chunk)
    table.set_recent(table.view.recent.corrected(chunk))


def _reading(incoming: dict[str, Any], connection: DuckDBPyConnection, text: str, span: Sequence[int] = ()) -> None:  # noqa: ARG001 - DuckDB finds it by its name
    """Execute a statement that reads a relation called `incoming`.

    Registered, it would be a view, of which the transaction keeps every version, and which stays after a failure.
    """
    connection.execute(text, list(span))


def _chunk(table: Table, rows: Sequence[tuple[int, int, Mapping[str, FieldValue]]]) -> Chunk:
    columns = {}
    for name in dict.fromkeys(name for row in rows for name in row[2]):
        column = table.columns[name]
        values = [row[2].get(name) for row in rows]
        valid = np.fromiter((value is not None for value in values), np.bool_, len(rows))
        empty: FieldValue = "" if column.type is FieldType.STRING else 0
        filled = np.array([empty if value is None else value for value in values], dtype=_NUMPY_TYPES[column.type])
        columns[column.column] = ColumnValues(filled, None if bool(valid.all()) else valid)
    time = np.fromiter((row[0] for row in rows), np.int64, len(rows))
    return Chunk.of(time, np.fromiter((row[1] for row in rows), np.int32, len(rows)), columns)


def _relation(chunk: Chunk) -> dict[str, Any]:
    """A chunk as DuckDB reads it."""
    columns = {
        name: one.values if one.valid is None else np.ma.masked_array(one.values, mask=~one.valid)
        for name, one in chunk.columns.items()
    }
    return {"time": chunk.time, "sid": chunk.sid, **columns}


def load_recent(connection: DuckDBPyConnection, table: Table, most_bytes: int) -> RecentRows:
    """The newest rows of a measurement, as many as the memory allows, in whole spans of time."""
    stored = table.view.table
    columns = [column.column for column in table.columns.values()]
    cold_until = table.view.cold.last_time(connection, stored)
    start = ALL_TIME if cold_until is None else cold_until + 1
    ((count,),) = connection.execute(f"SELECT count(*) FROM {stored} WHERE time >= ?", [start]).fetchall()  # noqa: S608 - our own name
    if not count:
        return RecentRows(start)
    most_rows = max(1, most_bytes // (12 + 10 * len(columns)))
    if count > most_rows:
        # By rows, not by share of the time: one point of a wrong clock, years off, makes that anything.
        ((older,),) = connection.execute(
            f"SELECT time FROM {stored} WHERE time >= ? ORDER BY time DESC LIMIT 1 OFFSET ?",  # noqa: S608 - our own name
            [start, most_rows],
        ).fetchall()
        start = older + 1
    found: dict[str, Any] = connection.execute(
        f"SELECT {', '.join(['time', 'sid', *columns])} FROM {stored} WHERE time >= ?",  # noqa: S608 - our own names
        [start],
    ).fetchnumpy()
    if not len(found["time"]):
        return RecentRows(start)  # all rows have one time
    arrays = {name: _column_values(found[name]) for name in columns}
    return RecentRows(start, (Chunk.of(found["time"].astype(np.int64), found["sid"].astype(np.int32), arrays),))


def _column_values(array: Any) -> ColumnValues:
    if isinstance(array, np.ma.MaskedArray):
        valid = ~np.ma.getmaskarray(array)
        return ColumnValues(array.data, None if bool(valid.all()) else valid)
    return ColumnValues(array)
