"""The embedded store: one DuckDB file, owned by one process, written by one thread, read through cursors.

What is added goes two steps. It is *taken* at once: sorted into measurements, series and columns, in memory, where
queries of recent rows find it. And it is *stored* a little later, many additions in one transaction with the number of
the log record they came from, so that a replay of the log after a crash begins exactly behind what the file holds.
"""

import contextlib
import logging
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from streamswarm_collector.batch import Block, Row
from streamswarm_collector.store.catalog import Catalog, Change, DatabaseView, MeasurementView, Table
from streamswarm_collector.store.cold import ColdTier
from streamswarm_collector.store.deleting import delete_rows
from streamswarm_collector.store.freezing import delete_from_files
from streamswarm_collector.store.newest import save_newest
from streamswarm_collector.store.opening import open_file
from streamswarm_collector.store.policies import Policy
from streamswarm_collector.store.recent import RecentRows
from streamswarm_collector.store.rolling import Roller, drop_rollups
from streamswarm_collector.store.tagindex import TagIndex
from streamswarm_collector.store.writing import Entry, coalesced, load_recent, take_block, take_rows
from streamswarm_core.errors import Unavailable
from streamswarm_core.lineprotocol import parse_line

log = logging.getLogger(__name__)

BARRIER_SECONDS: Final = 20.0
_TAKE_SECONDS: Final = 0.05
_MOST_CACHED_KEYS: Final = 500_000
_Pending = dict[tuple[str, str], list[Entry]]
"""What waits to be taken, by bucket and measurement."""


class EmbeddedStore:
    """Implements QueryableStore.

    Args:
        path: the DuckDB file; created if missing.
        flush_seconds: how long rows may wait in memory for company before they are written to the file.
        memory_limit: what DuckDB may use, as it writes it, such as "1GB".
        recent_bytes: memory for recent rows.
        rollups: whether roll-ups are kept; without, those in the file are removed.
        rollup_rows: rows of one series that a window has to hold on average for a roll-up to be kept.
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
        recent_bytes: int = 256_000_000,
        rollups: bool = True,
        rollup_rows: float = 12,
        on_flush: Callable[[float], None] = lambda _seconds: None,
    ) -> None:
        self._connection = open_file(path, memory_limit)
        self.path = path
        self.cold = ColdTier(path.with_suffix(".cold"))
        self._changes: list[Change] = []
        self._changes_made = self._changes_stored = 0
        self._catalog = Catalog(self._changed, self.cold)
        self._flush_seconds = flush_seconds
        self._recent_bytes = recent_bytes
        self._on_flush = on_flush
        self._added_lsn = self._taken_lsn = self._stored_lsn = self._catalog.load(self._connection)
        if not rollups:
            drop_rollups(self._connection, self._catalog)
        self._fill_recent()
        self._pending: _Pending = defaultdict(list)
        self._measurements: dict[str, str] = {}
        self._news = threading.Condition()
        self._hurry = False
        self._closing = False
        self._failure: str | None = None
        self._broken = ""
        self._taking = threading.RLock()
        self._file_lock = threading.RLock()
        self._rolling = threading.Lock()
        self._roller = Roller(
            self._catalog,
            self._connection.cursor(),
            self._taking,
            self._file_lock,
            self.flush,
            rollup_rows if rollups else None,
        )
        self.cold.sweep(self.rewriting)
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

    @property
    def recent_bytes(self) -> int:
        """Memory that recent rows take."""
        return sum(table.view.recent.nbytes for _, table in self._catalog.tables())

    # What queries need

    def databases(self) -> tuple[str, ...]:
        """Names of all databases, sorted."""
        self._take()
        return self._catalog.policies.names()

    def policies(self, name: str) -> list[Policy]:
        """Retention policies of a database.

        Raises:
            RefusedError: it isn't there.
        """
        self._take()
        return self._catalog.policies.of(name)

    def database(self, name: str, policy: str | None = None) -> DatabaseView:
        """What a policy holds, with every row that was added before the call.

        Raises:
            RefusedError: there is no such database or policy.
        """
        self._take()
        return self._catalog.view(self._catalog.policies.resolve(name, policy))

    def whole_database(self, name: str) -> DatabaseView:
        """What all policies of a database hold, to list it; rows can't be read through this view.

        Raises:
            RefusedError: there is no such database.
        """
        policies = self.policies(name)
        if len(policies) == 1:
            return self.database(name, policies[0].name)
        measurements: dict[str, MeasurementView] = {}
        for policy in policies:
            for view in self.database(name, policy.name).measurements.values():
                known = measurements.get(view.name)
                measurements[view.name] = view if known is None else _both(known, view)
        return DatabaseView(name, measurements)

    @contextlib.contextmanager
    def cursor(self) -> Iterator[DuckDBPyConnection]:
        """A read cursor of its own, to be used by one thread, that sees every row added before the call.

        Raises:
            Unavailable: the rows could not be written in time.
        """
        self.flush()
        with self.cold.reading(), contextlib.closing(self._connection.cursor()) as cursor:
            # One transaction: which files count and what the table holds have to be of the same moment.
            cursor.execute("BEGIN")
            yield cursor

    # What the pipeline needs

    def buckets(self) -> list[str]:
        """Buckets of all databases and policies."""
        return [bucket for bucket, _ in self._catalog.policies.all()]

    def resolve(self, database: str, policy: str | None) -> str:
        """The bucket of a policy, or of the default one.

        Raises:
            RefusedError: there is no such database or policy.
        """
        return self._catalog.policies.resolve(database, policy)

    def series_count(self) -> int:
        """Series of all databases."""
        return self._catalog.series_count()

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

    # What administrators need

    def create_database(self, name: str, policy: Policy | None = None) -> None:
        """Add a database unless it is there.

        Raises:
            RefusedError: the name can't be one, or the policy differs from the one that is there.
        """
        with self.changing() as catalog:
            catalog.policies.create_database(name, policy)

    def drop_database(self, name: str) -> None:
        """Remove a database and all its data, if it is there."""
        with self.changing() as catalog:
            catalog.drop_database(name)

    def delete(self, bucket: str, measurement: str, sids: Sequence[int], start: int | None, stop: int | None) -> None:
        """Delete rows of some series, from `start` on and before `stop`; series without a row left are forgotten.

        Raises:
            Unavailable: the file could not be written in time.
        """
        self._take()
        table = self._catalog.find(bucket, measurement)
        if table is None:
            return
        with self.cold.rebuilding:
            delete_from_files(self, table.view.table, sids, start, stop)
            with self.changing() as catalog:
                delete_rows(catalog, table, sids, start, stop, self._taking)

    @contextlib.contextmanager
    def changing(self) -> Iterator[Catalog]:
        """The catalog, for changes that are in the file when the context ends; nothing else is written meanwhile.

        Raises:
            Unavailable: the file could not be written in time.
        """
        with self._taking:
            self._take()
            yield self._catalog
        self.flush()

    # What maintenance needs

    def tables(self) -> list[tuple[str, Table]]:
        """Every measurement with the bucket it is in."""
        return self._catalog.tables()

    def retention(self, bucket: str) -> Policy | None:
        """The policy of a bucket, if there is one."""
        return self._catalog.policies.find(bucket)

    def sizes(self) -> dict[str, int]:
        """Bytes on the disk: of DuckDB's files, and of the cold days'."""
        hot = [self.path, self.path.with_name(f"{self.path.name}.wal")]
        return {"hot": _bytes(hot), "cold": _bytes(self.cold.folder.glob("*"))}

    @contextlib.contextmanager
    def beside(self) -> Iterator[DuckDBPyConnection]:
        """A cursor for long reads that wait for nothing."""
        with self.cold.reading(), contextlib.closing(self._connection.cursor()) as cursor:
            yield cursor

    @contextlib.contextmanager
    def rewriting(self) -> Iterator[DuckDBPyConnection]:
        """A transaction between two of the writer's, which waits: to be short; an exception undoes it."""
        with self._file_lock, contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute("BEGIN")
            try:
                yield cursor
                cursor.execute("COMMIT")
            except BaseException:
                # A commit that failed has ended the transaction already.
                with contextlib.suppress(duckdb.TransactionException):
                    cursor.execute("ROLLBACK")
                raise

    # The two steps

    def flush(self) -> None:
        """Return when everything that was added or changed before the call is in the file.

        Raises:
            Unavailable: it wasn't in time, or the disk refuses.
        """
        with self._news:
            lsn, changes = self._added_lsn, self._changes_made

            def done() -> bool:
                return self._stored_lsn >= lsn and self._changes_stored >= changes

            if done():
                return
            self._hurry = True
            self._news.notify_all()
            if not self._news.wait_for(lambda: done() or bool(self._broken), BARRIER_SECONDS) or self._broken:
                raise Unavailable(f"the store did not write within {BARRIER_SECONDS:.0f} s: {self._failure or 'busy'}")

    def refresh_rollups(self, horizon: int, stopping: Callable[[], bool] = lambda: False) -> int:
        """Roll up the windows that end at `horizon` (nanoseconds) or before, and again those whose rows have changed.

        Args:
            horizon: nanoseconds since the epoch.
            stopping: whether to end between two steps; what is left is done the next time.

        Returns:
            How many measurements there was something to do for.

        Raises:
            Unavailable: rows that wait could not be written in time.
            duckdb.Error: the disk refuses.
        """
        with self._rolling:
            if self._closing:
                return 0
            self._take()
            return self._roller.refresh(horizon, lambda: self._closing or stopping())

    def close(self) -> None:
        """Write what waits, and close the file."""
        with self._news:
            self._closing = True
            self._news.notify_all()
        self._writer.join()
        if not self._failure:
            newest = [(table.view.table, table.newest) for _, table in self._catalog.tables()]
            save_newest(self._connection, newest, self._stored_lsn)
        with self._rolling:
            self._roller.connection.close()
            self._connection.close()

    def _changed(self, change: Change) -> None:
        self._changes.append(change)
        self._changes_made += 1

    def _take(self) -> None:
        """Sort what was added into the tables, in memory."""
        if self._taken_lsn == self._added_lsn:
            return
        with self._taking:
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
                self._broken = self._failure = f"points can't be taken: {error}; restart the collector"
                raise
            self._taken_lsn = lsn

    def _take_entries(self, bucket: str, measurement: str, entries: Sequence[Entry]) -> None:
        table = self._catalog.table(bucket, measurement)
        for entry in coalesced(entries):
            if isinstance(entry, Block):
                take_block(self._catalog, table, entry)
            else:
                take_rows(self._catalog, table, entry)

    def _write_forever(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._stored_lsn < self._added_lsn or self._hurry or self._closing)
            self._gather()
            with self._news:
                self._hurry = False
                closing = self._closing
            try:
                self._take()
            except Exception:
                log.exception("the store takes no more points; the log keeps them")
                return
            self._write_until_done()
            self._limit_recent()
            if closing:
                return

    def _gather(self) -> None:
        """Wait for company to what was added, and take it meanwhile, so that queries find little to take."""
        deadline = time.monotonic() + self._flush_seconds
        while (rest := deadline - time.monotonic()) > 0:
            with self._news:
                if self._news.wait_for(lambda: self._hurry or self._closing, min(rest, _TAKE_SECONDS)):
                    return
            with contextlib.suppress(Exception):  # the caller takes again, and says why it can't
                self._take()

    def _write_until_done(self) -> None:
        """Write one flush, again and again while the disk refuses; only closing gives up (the log still has it)."""
        with self._taking:
            changes, lsn = list(self._changes), self._taken_lsn
        while changes or lsn > self._stored_lsn:
            try:
                started = time.monotonic()
                self._write(changes, lsn)
            except duckdb.Error as error:
                self._failure = str(error).splitlines()[0]
                log.exception("the store can't be written; trying again")
                with self._news:
                    if self._news.wait_for(lambda: self._closing, 1.0):
                        return
            else:
                self._failure = None
                self._on_flush(time.monotonic() - started)
                with self._news:
                    del self._changes[: len(changes)]
                    self._changes_stored += len(changes)
                    self._stored_lsn = lsn
                    self._news.notify_all()
                return

    def _write(self, changes: Sequence[Change], lsn: int) -> None:
        connection = self._connection
        with self._file_lock:
            connection.execute("BEGIN")
            try:
                for change in changes:
                    change(connection)
                connection.execute("DELETE FROM position")
                connection.execute("INSERT INTO position VALUES (?)", [lsn])
                connection.execute("COMMIT")
            except BaseException:
                connection.execute("ROLLBACK")
                raise

    # Recent rows

    def _fill_recent(self) -> None:
        """After a start: read the newest rows from the file."""
        tables = [table for _, table in self._catalog.tables()]
        for table in tables:
            table.set_recent(load_recent(self._connection, table, self._recent_bytes // len(tables)))

    def _limit_recent(self) -> None:
        excess = self.recent_bytes - self._recent_bytes
        with self._taking:
            while excess > 0:
                table: Table = max((one for _, one in self._catalog.tables()), key=lambda one: one.view.recent.nbytes)
                before = table.view.recent.nbytes
                if not before:
                    return
                table.set_recent(table.view.recent.without_oldest())
                excess -= before - table.view.recent.nbytes


def _bytes(paths: Iterable[Path]) -> int:
    total = 0
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def _both(one: MeasurementView, other: MeasurementView) -> MeasurementView:
    """The fields and series of a measurement that two policies hold."""
    keyed = {tuple(sorted(tags.items())): tags for view in (one, other) for tags in view.series.values()}
    tags = TagIndex(dict(enumerate(keyed.values(), start=1)))
    return MeasurementView(one.name, "", {**other.fields, **one.fields}, tags, RecentRows(), one.cold)
