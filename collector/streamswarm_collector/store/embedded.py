"""The embedded store: one DuckDB file, owned by one process, written by one thread, read through cursors.

Rows are collected and written in one transaction with the number of the log record they came from, so that a replay of
the log after a crash begins exactly behind what the file holds.
"""

import contextlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import duckdb
import numpy as np
from duckdb import DuckDBPyConnection

from streamswarm_collector.batch import Row
from streamswarm_collector.ingest import field_type
from streamswarm_collector.store.catalog import Catalog, DatabaseView, Table, add_fields, add_series
from streamswarm_collector.store.schema import FieldType
from streamswarm_core.errors import ConfigError, Unavailable
from streamswarm_core.lineprotocol import parse_line
from streamswarm_core.point import FieldValue

log = logging.getLogger(__name__)

BARRIER_SECONDS: Final = 20.0
_NUMPY_TYPES: Final[Mapping[FieldType, Any]] = {
    FieldType.FLOAT: np.float64,
    FieldType.INTEGER: np.int64,
    FieldType.BOOLEAN: np.bool_,
    FieldType.STRING: np.object_,
}


class EmbeddedStore:
    """Implements QueryableStore.

    Args:
        path: the DuckDB file; created if missing.
        flush_seconds: how long rows may wait in memory for company; a query does not wait, it makes them be written.
        memory_limit: as DuckDB writes it, such as "1GB".
        on_flush: told how many seconds a flush took and how many rows it wrote.

    Raises:
        ConfigError: the file is used by another process or is no store.
    """

    def __init__(
        self,
        path: Path,
        *,
        flush_seconds: float = 1.0,
        memory_limit: str = "1GB",
        on_flush: Callable[[float, int], None] = lambda _seconds, _rows: None,
    ) -> None:
        try:
            self._connection = duckdb.connect(str(path), config={"memory_limit": memory_limit, "threads": "2"})
        except duckdb.Error as error:
            raise ConfigError(f"{path}: can't be opened as a store: {str(error).splitlines()[0]}") from None
        self._catalog = Catalog()
        self._flush_seconds = flush_seconds
        self._on_flush = on_flush
        self._stored_lsn = self._catalog.load(self._connection)
        self._added_lsn = self._stored_lsn
        self._pending: dict[tuple[str, str], list[Row]] = defaultdict(list)
        self._changed = threading.Condition()
        self._hurry = False
        self._closing = False
        self._failure: str | None = None
        self._file_lock = threading.RLock()
        self._writer = threading.Thread(target=self._write_forever, name="store-writer", daemon=True)
        self._writer.start()

    @property
    def stored_lsn(self) -> int:
        """Number of the newest log record whose rows are in the file."""
        return self._stored_lsn

    @property
    def failure(self) -> str | None:
        """Why the last flush did not work, or None."""
        return self._failure

    def add(self, lsn: int, database: str, rows: Sequence[Row]) -> None:
        """Take the rows of a log record; records come in the order of their numbers."""
        with self._changed:
            for row in rows:
                self._pending[(database, row.series_key)].append(row)
            self._added_lsn = lsn
            self._changed.notify_all()

    def databases(self) -> tuple[str, ...]:
        """Names of all databases, sorted."""
        self.flush()
        return self._catalog.names()

    def names(self) -> tuple[str, ...]:
        """Names of all databases that are in the file, sorted."""
        return self._catalog.names()

    def database(self, name: str) -> DatabaseView | None:
        """One database with every row that was added before the call, or None.

        Raises:
            Unavailable: the rows could not be written in time.
        """
        self.flush()
        return self._catalog.view(name)

    @contextlib.contextmanager
    def cursor(self) -> Iterator[DuckDBPyConnection]:
        """A read cursor of its own, to be used by one thread."""
        cursor = self._connection.cursor()
        try:
            yield cursor
        finally:
            cursor.close()

    def series_count(self) -> int:
        """Series of all databases."""
        return self._catalog.series_count()

    def create_database(self, name: str) -> None:
        """Add a database unless it is there."""
        with self._file_lock:
            self._catalog.create_database(self._connection, name)

    def drop_database(self, name: str) -> None:
        """Remove a database and all its data."""
        self.flush()
        with self._file_lock:
            self._catalog.drop_database(self._connection, name)

    def flush(self) -> None:
        """Return when every row that was added before the call is in the file.

        Raises:
            Unavailable: it wasn't in time, or the disk refuses.
        """
        with self._changed:
            wanted = self._added_lsn
            if self._stored_lsn >= wanted:
                return
            self._hurry = True
            self._changed.notify_all()
            if not self._changed.wait_for(lambda: self._stored_lsn >= wanted, BARRIER_SECONDS):
                raise Unavailable(f"the store did not write within {BARRIER_SECONDS:.0f} s: {self._failure or 'busy'}")

    def close(self) -> None:
        """Write what waits, and close the file."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._writer.join()
        self._connection.close()

    def _write_forever(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._stored_lsn < self._added_lsn or self._closing)
                if not self._closing:
                    self._changed.wait_for(lambda: self._hurry or self._closing, self._flush_seconds)
                pending, self._pending = self._pending, defaultdict(list)
                lsn, self._hurry = self._added_lsn, False
                closing = self._closing
            if lsn > self._stored_lsn:
                self._write_until_done(pending, lsn)
            if closing:
                return

    def _write_until_done(self, pending: Mapping[tuple[str, str], list[Row]], lsn: int) -> None:
        """Write one flush, again and again while the disk refuses; only closing gives up (the log still has it)."""
        while True:
            try:
                started = time.monotonic()
                self._write(pending, lsn)
            except duckdb.Error as error:
                self._failure = str(error).splitlines()[0]
                log.exception("the store can't be written; trying again")
                with self._changed:
                    if self._changed.wait_for(lambda: self._closing, 1.0):
                        return
            else:
                self._failure = None
                self._on_flush(time.monotonic() - started, sum(map(len, pending.values())))
                with self._changed:
                    self._stored_lsn = lsn
                    self._changed.notify_all()
                return

    def _write(self, pending: Mapping[tuple[str, str], list[Row]], lsn: int) -> None:
        by_measurement: dict[tuple[str, str], dict[str, list[Row]]] = defaultdict(dict)
        for (database, series_key), rows in pending.items():
            measurement = parse_line(f"{series_key} x=1").measurement
            by_measurement[(database, measurement)][series_key] = rows
        connection = self._connection
        with self._file_lock:
            connection.execute("BEGIN")
            try:
                for (database, measurement), series in by_measurement.items():
                    write_rows(connection, self._catalog.table(connection, database, measurement), series)
                connection.execute("DELETE FROM position")
                connection.execute("INSERT INTO position VALUES (?)", [lsn])
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                # What the catalog learned in the transaction is not in the file: start from the file again.
                self._catalog = Catalog()
                self._catalog.load(connection)
                raise


def write_rows(connection: DuckDBPyConnection, table: Table, series: Mapping[str, Sequence[Row]]) -> None:
    """Write rows of one measurement, by series key, in the order they came.

    Rows newer than all of their series are appended. The others may meet a row of the same time: they are merged by
    field, the last one winning.
    """
    types = {name: field_type(value) for rows in series.values() for row in rows for name, value in row.fields.items()}
    new_fields = add_fields(connection, table, types)
    new_series = add_series(connection, table, series)
    table.refresh(fields=new_fields, series=new_series)
    fresh: list[tuple[int, int, Mapping[str, FieldValue]]] = []
    late: dict[tuple[int, int], dict[str, FieldValue]] = {}
    for series_key, rows in series.items():
        sid = table.sids[series_key]
        newest = table.newest.get(sid)
        for row in rows:
            if newest is None or row.time_ns > newest:
                newest = row.time_ns
                fresh.append((row.time_ns, sid, row.fields))
            else:
                late.setdefault((row.time_ns, sid), {}).update(row.fields)
        if newest is not None:
            table.newest[sid] = newest
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
