"""Puts points into a measurement's table: new ones appended in bulk, late ones merged field by field."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import numpy as np
from duckdb import DuckDBPyConnection

from streamswarm_collector.batch import Block, Row
from streamswarm_collector.bulk import block_types
from streamswarm_collector.ingest import field_type
from streamswarm_collector.store.catalog import Table, add_fields, add_series
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


def write_block(connection: DuckDBPyConnection, table: Table, block: Block) -> None:
    """Write a block of one measurement: at once if every point is newer than all of its series, else row by row."""
    new_fields = add_fields(connection, table, block_types(block))
    new_series = add_series(connection, table, block.series_keys)
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
        write_rows(connection, table, block.rows())
        return
    table.newest.update(zip(series, ordered_times[last].tolist(), strict=True))
    incoming: dict[str, Any] = {"time": times, "sid": sids}
    for name, values in block.columns.items():
        column = table.columns[name]
        incoming[column.column] = np.array(values, _NUMPY_TYPES[column.type])
    names = ", ".join(incoming)
    connection.register("incoming", incoming)
    connection.execute(f"INSERT INTO {table.view.table} ({names}) SELECT {names} FROM incoming")  # noqa: S608 - our own names
    connection.unregister("incoming")


def write_rows(connection: DuckDBPyConnection, table: Table, rows: Sequence[Row]) -> None:
    """Write rows of one measurement in the order they came.

    Rows newer than all of their series are appended. The others may meet a row of the same time: they are merged by
    field, the last one winning.
    """
    types = {name: field_type(value) for row in rows for name, value in row.fields.items()}
    new_fields = add_fields(connection, table, types)
    new_series = add_series(connection, table, [row.series_key for row in rows])
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
        _append(connection, table, fresh)
    if late:
        _merge(connection, table, [(time_ns, sid, fields) for (time_ns, sid), fields in late.items()])


def _append(
    connection: DuckDBPyConnection, table: Table, rows: Sequence[tuple[int, int, Mapping[str, FieldValue]]]
) -> None:
    names = ", ".join(["time", "sid", *(column.column for column in table.columns.values())])
    connection.register("incoming", _columns(table, rows))
    connection.execute(f"INSERT INTO {table.view.table} ({names}) SELECT {names} FROM incoming")  # noqa: S608 - our own names
    connection.unregister("incoming")


def _merge(
    connection: DuckDBPyConnection, table: Table, rows: Sequence[tuple[int, int, Mapping[str, FieldValue]]]
) -> None:
    stored = table.view.table
    columns = [column.column for column in table.columns.values()]
    names = ", ".join(["time", "sid", *columns])
    merged = ", ".join(f"{column} = coalesce(incoming.{column}, {stored}.{column})" for column in columns)
    first, last = min(row[0] for row in rows), max(row[0] for row in rows)
    connection.register("incoming", _columns(table, rows))
    connection.execute(
        f"UPDATE {stored} SET {merged} FROM incoming WHERE {stored}.time BETWEEN ? AND ? "  # noqa: S608 - our own names
        f"AND {stored}.time = incoming.time AND {stored}.sid = incoming.sid",
        [first, last],
    )
    connection.execute(
        f"INSERT INTO {stored} ({names}) SELECT {names} FROM incoming WHERE NOT EXISTS (SELECT 1 FROM {stored} AS old "  # noqa: S608 - our own names
        "WHERE old.time BETWEEN ? AND ? AND old.time = incoming.time AND old.sid = incoming.sid)",
        [first, last],
    )
    connection.unregister("incoming")


def _columns(table: Table, rows: Sequence[tuple[int, int, Mapping[str, FieldValue]]]) -> dict[str, Any]:
    columns: dict[str, Any] = {
        "time": np.fromiter((row[0] for row in rows), np.int64, len(rows)),
        "sid": np.fromiter((row[1] for row in rows), np.int32, len(rows)),
    }
    for name, column in table.columns.items():
        values = [row[2].get(name) for row in rows]
        missing = np.fromiter((value is None for value in values), np.bool_, len(rows))
        empty: FieldValue = "" if column.type is FieldType.STRING else 0
        filled = np.array([empty if value is None else value for value in values], dtype=_NUMPY_TYPES[column.type])
        columns[column.column] = np.ma.masked_array(filled, mask=missing)
    return columns
