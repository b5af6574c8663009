"""The embedded store: one DuckDB file, owned by one process, written by one thread, read through cursors.

Rows are collected and written in one transaction with the number of the log record they came from, so that a replay of
the log after a crash begins exactly behind what the file holds.
"""

import contextlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from streamswarm_collector.batch import Block, Row
from streamswarm_collector.store.catalog import Catalog, DatabaseView
from streamswarm_collector.store.writing import Entry, coalesced, write_block, write_rows
from streamswarm_core.errors import ConfigError, Unavailable
from streamswarm_core.lineprotocol import parse_line

log = logging.getLogger(__name__)

BARRIER_SECONDS: Final = 20.0
_MOST_CACHED_KEYS: Final = 500_000
_Pending = dict[tuple[str, str], list[Entry]]
"""What waits to be written, by database and measurement."""


class EmbeddedStore:
    """Implements QueryableStore.

    Args:
        path: the DuckDB file; created if missing.
        flush_seconds: how long rows may wait in memory for company; a query does not wait, it makes them be written.
        memory_limit: as DuckDB writes it, such as "1GB".
        on_flush: told how many seconds a flush took.

    Raises:
        ConfigError: the file is used by another process or is no store.
    """

    def __init__(
        self,
        path: Path,
        *,
        flush_seconds: float = 1.0,
        memory_limit: str = "1GB",
        on_flush: Callable[[float], None] = lambda _seconds: None,
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
        self._pending: _Pending = defaultdict(list)
        self._measurements: dict[str, str] = {}
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

    def add(self, lsn: int, database: str, rows: Sequence[Row], blocks: Sequence[Block] = ()) -> None:
        """Take the points of a log record; records come in the order of their numbers."""
        with self._changed:
            for block in blocks:
                self._pending[(database, block.measurement)].append(block)
            for row in rows:
                entries = self._pending[(database, self._measurement_of(row.series_key))]
                if entries and isinstance(entries[-1], list):
                    entries[-1].append(row)
                else:
                    entries.append([row])
            self._added_lsn = lsn
            self._changed.notify_all()

    def _measurement_of(self, series_key: str) -> str:
        measurement = self._measurements.get(series_key)
        if measurement is None:
            if len(self._measurements) >= _MOST_CACHED_KEYS:
                self._measurements.clear()
            measurement = self._measurements[series_key] = parse_line(f"{series_key} x=1").measurement
        return measurement

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

    def _write_until_done(self, pending: "_Pending", lsn: int) -> None:
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
                self._on_flush(time.monotonic() - started)
                with self._changed:
                    self._stored_lsn = lsn
                    self._changed.notify_all()
                return

    def _write(self, pending: "_Pending", lsn: int) -> None:
        connection = self._connection
        with self._file_lock:
            connection.execute("BEGIN")
            try:
                for (database, measurement), entries in pending.items():
                    table = self._catalog.table(connection, database, measurement)
                    for entry in coalesced(entries):
                        if isinstance(entry, Block):
                            write_block(connection, table, entry)
                        else:
                            write_rows(connection, table, entry)
                connection.execute("DELETE FROM position")
                connection.execute("INSERT INTO position VALUES (?)", [lsn])
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                # What the catalog learned in the transaction is not in the file: start from the file again.
                self._catalog = Catalog()
                self._catalog.load(connection)
                raise
