"""The way of points into the store: taken into memory at once, stored in the file a little later.

The rows of many additions are stored in one transaction with the number of the log record they came from, so that a
replay of the log after a crash begins exactly behind what the file holds. New tables and columns come before them.
"""

import contextlib
import logging
import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from streamswarm_collector.batch import Block, Row
from streamswarm_collector.store.catalog import Catalog, Table
from streamswarm_collector.store.changes import Change, Piece, in_pieces, parted, rows_of_tables
from streamswarm_collector.store.cold import ColdTier
from streamswarm_collector.store.writing import Entry, coalesced, load_recent, take_block, take_rows
from streamswarm_core.errors import Unavailable
from streamswarm_core.lineprotocol import parse_line

log = logging.getLogger(__name__)

BARRIER_SECONDS: Final = 20.0
_TAKE_SECONDS: Final = 0.05
_MOST_CACHED_KEYS: Final = 500_000
_Pending = dict[tuple[str, str], list[Entry]]
"""What waits to be taken, by bucket and measurement."""


class StoreWriter:
    """Changes the catalog and the file; its thread is the only one that adds rows to the file.

    Args:
        connection: to the file.
        cold: files beside it.
        flush_seconds: how long rows may wait in memory for company before they are written to the file.
        recent_bytes: memory for recent rows.
        on_flush: told how many seconds a flush took.
        on_fatal: told that DuckDB has given up the file, which has to be opened anew.

    Attributes:
        catalog: what there is; to be changed within `changing` only.
        stored_lsn: number of the newest log record whose rows are in the file.
        failure: why the last flush did not work, or None.
        closing: whether the store is being closed.
        taking: held by whoever changes the catalog.
        file_lock: held by whoever writes the file.
    """

    def __init__(
        self,
        connection: DuckDBPyConnection,
        cold: ColdTier,
        *,
        flush_seconds: float,
        recent_bytes: int,
        on_flush: Callable[[float], None],
        on_fatal: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._flush_seconds = flush_seconds
        self._recent_bytes = recent_bytes
        self._on_flush = on_flush
        self._on_fatal = on_fatal
        self._changes: list[Change] = []
        self._changes_made = self._changes_stored = 0
        self.catalog = Catalog(self._changed, cold)
        self._added_lsn = self._taken_lsn = self.stored_lsn = self.catalog.load(connection)
        self._pending: _Pending = defaultdict(list)
        self._measurements: dict[str, str] = {}
        self._news = threading.Condition()
        self._hurry = False
        self.closing = False
        self.failure: str | None = None
        self._broken = ""
        self.taking = threading.RLock()
        self.file_lock = threading.RLock()
        self._thread = threading.Thread(target=self._write_forever, name="store-writer", daemon=True)

    def start(self) -> None:
        """Read the newest rows from the file, and begin."""
        tables = [table for _, table in self.catalog.tables()]
        for table in tables:
            table.set_recent(load_recent(self._connection, table, self._recent_bytes // len(tables)))
        self._thread.start()

    @property
    def recent_bytes(self) -> int:
        """Memory that recent rows take."""
        return sum(table.view.recent.nbytes for _, table in self.catalog.tables())

    def add(self, lsn: int, bucket: str, rows: Sequence[Row], blocks: Sequence[Block] = ()) -> None:
        """Take the points of a log record; records come in the order of their numbers."""
        with self._news:
            self._sort(self._pending, bucket, rows, blocks)
            self._added_lsn = lsn
            self._news.notify_all()

    def take_in(self, bucket: str, rows: Sequence[Row], blocks: Sequence[Block] = ()) -> None:
        """Take points that no log has, and return when they are in the file.

        Raises:
            Unavailable: the file could not be written in time.
        """
        pending: _Pending = defaultdict(list)
        self._sort(pending, bucket, rows, blocks)
        with self.changing():
            for (_, measurement), entries in pending.items():
                self._take_entries(bucket, measurement, entries)

    def _sort(self, pending: _Pending, bucket: str, rows: Sequence[Row], blocks: Sequence[Block]) -> None:
        for block in blocks:
            pending[(bucket, block.measurement)].append(block)
        for row in rows:
            entries = pending[(bucket, self._measurement_of(row.series_key))]
            if entries and isinstance(entries[-1], list):
                entries[-1].append(row)
            else:
                entries.append([row])

    def _measurement_of(self, series_key: str) -> str:
        measurement = self._measurements.get(series_key)
        if measurement is None:
            if len(self._measurements) >= _MOST_CACHED_KEYS:
                self._measurements.clear()
            measurement = self._measurements[series_key] = parse_line(f"{series_key} x=1").measurement
        return measurement

    @contextlib.contextmanager
    def changing(self) -> Iterator[Catalog]:
        """The catalog, for changes that are in the file when the context ends; nothing else is written meanwhile.

        Raises:
            Unavailable: the file could not be written in time.
        """
        with self.taking:
            self.take()
            yield self.catalog
        self.flush()

    @contextlib.contextmanager
    def rewriting(self) -> Iterator[DuckDBPyConnection]:
        """A transaction between two of the writer's, which waits: to be short; an exception undoes it."""
        with self.file_lock, contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                # A commit that failed has ended the transaction already.
                with contextlib.suppress(duckdb.TransactionException):
                    cursor.execute("ROLLBACK")
                raise

    def flush(self) -> None:
        """Return when everything that was added or changed before the call is in the file.

        Raises:
            Unavailable: it wasn't in time, or the disk refuses.
        """
        with self._news:
            lsn, changes = self._added_lsn, self._changes_made

            def done() -> bool:
                return self.stored_lsn >= lsn and self._changes_stored >= changes

            if done():
                return
            self._hurry = True
            self._news.notify_all()
            if not self._news.wait_for(lambda: done() or bool(self._broken), BARRIER_SECONDS) or self._broken:
                raise Unavailable(f"the store did not write within {BARRIER_SECONDS:.0f} s: {self.failure or 'busy'}")

    def stop(self) -> None:
        """Write what waits, and end."""
        with self._news:
            self.closing = True
            self._news.notify_all()
        self._thread.join()

    def _changed(self, change: Change) -> None:
        self._changes.append(change)
        self._changes_made += 1

    def take(self) -> None:
        """Sort what was added into the tables, in memory.

        Raises:
            Unavailable: it can't be, until the store is opened again.
        """
        if self._taken_lsn == self._added_lsn:
            return
        with self.taking:
            if self._broken:
                raise Unavailable(self._broken)
            with self._news:
                pending, self._pending = self._pending, defaultdict(list)
                lsn = self._added_lsn
            try:
                for (bucket, measurement), entries in pending.items():
                    self._take_entries(bucket, measurement, entries)
            except Exception as error:
                # Going on would store later records and so skip these for ever; the next start reads them again.
                log.exception("the store takes no more points; the log keeps them")
                self._give_up(f"points can't be taken: {error}")
                raise
            self._taken_lsn = lsn

    def _give_up(self, why: str) -> None:
        with self._news:
            self._broken = self.failure = f"{why}; restart the collector"
            self._news.notify_all()

    def _take_entries(self, bucket: str, measurement: str, entries: Sequence[Entry]) -> None:
        table = self.catalog.table(bucket, measurement)
        for entry in coalesced(entries):
            if isinstance(entry, Block):
                take_block(self.catalog, table, entry)
            else:
                take_rows(self.catalog, table, entry)

    def _write_forever(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self.stored_lsn < self._added_lsn or self._hurry or self.closing)
            self._gather()
            with self._news:
                self._hurry = False
                closing = self.closing
            try:
                self.take()
            except Exception:  # noqa: BLE001 - take() has logged it
                return
            self._write_until_done()
            self._limit_recent()
            if closing or self._broken:
                return

    def _gather(self) -> None:
        """Wait for company to what was added, and take it meanwhile, so that queries find little to take."""
        deadline = time.monotonic() + self._flush_seconds
        while (rest := deadline - time.monotonic()) > 0:
            with self._news:
                if self._news.wait_for(lambda: self._hurry or self.closing, min(rest, _TAKE_SECONDS)):
                    return
            with contextlib.suppress(Exception):  # the caller takes again, and says why it can't
                self.take()

    def _write_until_done(self) -> None:
        """Write one flush, again and again while the disk refuses; only closing gives up (the log still has it)."""
        with self.taking:
            changes, lsn = list(self._changes), self._taken_lsn
        additions, rest = parted(changes)
        pieces: deque[Piece] | None = None
        while changes or lsn > self.stored_lsn:
            try:
                started = time.monotonic()
                if pieces is None:
                    pieces = deque(in_pieces(additions, rows_of_tables(self._connection) if additions else {}))
                while pieces:
                    self._commit(pieces[0].additions)
                    if pieces.popleft().needs_checkpoint:
                        self._checkpoint()
                self._commit([*rest, _position(lsn)])
            except duckdb.FatalException as error:
                log.exception("the store's file has to be opened anew; the log keeps what isn't in it")
                self._give_up(str(error).splitlines()[0])
                self._on_fatal()
                return
            except duckdb.Error as error:
                self.failure = str(error).splitlines()[0]
                log.exception("the store can't be written; trying again")
                with self._news:
                    if self._news.wait_for(lambda: self.closing, 1.0):
                        return
            else:
                self.failure = None
                self._on_flush(time.monotonic() - started)
                with self._news:
                    del self._changes[: len(changes)]
                    self._changes_stored += len(changes)
                    self.stored_lsn = lsn
                    self._news.notify_all()
                return

    def _commit(self, changes: Iterable[Change]) -> None:
        connection = self._connection
        with self.file_lock:
            connection.execute("BEGIN")
            try:
                for change in changes:
                    change(connection)
                connection.execute("COMMIT")
            except BaseException:
                # A commit that failed has ended the transaction already.
                with contextlib.suppress(duckdb.TransactionException):
                    connection.execute("ROLLBACK")
                raise

    def _checkpoint(self) -> None:
        # Another transaction that writes is no failure: what it keeps in memory goes with the next one.
        with self.file_lock, contextlib.suppress(duckdb.TransactionException):
            self._connection.execute("CHECKPOINT")

    def _limit_recent(self) -> None:
        excess = self.recent_bytes - self._recent_bytes
        with self.taking:
            while excess > 0:
                table: Table = max((one for _, one in self.catalog.tables()), key=lambda one: one.view.recent.nbytes)
                before = table.view.recent.nbytes
                if not before:
                    return
                table.set_recent(table.view.recent.without_oldest())
                excess -= before - table.view.recent.nbytes


def _position(lsn: int) -> Change:
    def store(connection: DuckDBPyConnection) -> None:
        connection.execute("DELETE FROM position")
        connection.execute("INSERT INTO position VALUES (?)", [lsn])

    return store
