"""The embedded store: one DuckDB file, owned by one process, written by one thread, read through cursors.

What is added goes two steps. It is *taken* at once: sorted into measurements, series and columns, in memory, where
queries of recent rows find it. And it is *stored* a little later; see writer.py.
"""

import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

from duckdb import DuckDBPyConnection

from streamswarm_collector.batch import Block, Row
from streamswarm_collector.store.catalog import Catalog, DatabaseView, MeasurementView, Table
from streamswarm_collector.store.cold import ColdTier
from streamswarm_collector.store.deleting import delete_rows
from streamswarm_collector.store.freezing import delete_from_files
from streamswarm_collector.store.newest import save_newest
from streamswarm_collector.store.opening import open_file
from streamswarm_collector.store.policies import Policy
from streamswarm_collector.store.recent import RecentRows
from streamswarm_collector.store.rolling import Roller, drop_rollups
from streamswarm_collector.store.tagindex import TagIndex
from streamswarm_collector.store.writer import StoreWriter


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
        on_fatal: told that DuckDB has given up the file: nothing works until it is opened anew.

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
        on_fatal: Callable[[], None] = lambda: None,
    ) -> None:
        self._connection = open_file(path, memory_limit)
        self.path = path
        self.cold = ColdTier(path.with_suffix(".cold"))
        self._writer = StoreWriter(
            self._connection,
            self.cold,
            flush_seconds=flush_seconds,
            recent_bytes=recent_bytes,
            on_flush=on_flush,
            on_fatal=on_fatal,
        )
        self._catalog = self._writer.catalog
        if not rollups:
            drop_rollups(self._connection, self._catalog)
        self._rolling = threading.Lock()
        self._roller = Roller(
            self._catalog,
            self._connection.cursor(),
            self._writer.taking,
            self._writer.file_lock,
            self._writer.flush,
            rollup_rows if rollups else None,
        )
        self.cold.sweep(self.rewriting)
        self._writer.start()

    @property
    def stored_lsn(self) -> int:
        """Number of the newest log record whose rows are in the file."""
        return self._writer.stored_lsn

    @property
    def failure(self) -> str | None:
        """Why the last flush did not work, or None."""
        return self._writer.failure

    @property
    def recent_bytes(self) -> int:
        """Memory that recent rows take."""
        return self._writer.recent_bytes

    # What queries need

    def databases(self) -> tuple[str, ...]:
        """Names of all databases, sorted."""
        self._writer.take()
        return self._catalog.policies.names()

    def policies(self, name: str) -> list[Policy]:
        """Retention policies of a database.

        Raises:
            RefusedError: it isn't there.
        """
        self._writer.take()
        return self._catalog.policies.of(name)

    def database(self, name: str, policy: str | None = None) -> DatabaseView:
        """What a policy holds, with every row that was added before the call.

        Raises:
            RefusedError: there is no such database or policy.
        """
        self._writer.take()
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
        self._writer.flush()
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
        self._writer.add(lsn, bucket, rows, blocks)

    def take_in(self, bucket: str, rows: Sequence[Row], blocks: Sequence[Block] = ()) -> None:
        """Take points that no log has, and return when they are in the file.

        Raises:
            Unavailable: the file could not be written in time.
        """
        self._writer.take_in(bucket, rows, blocks)

    def flush(self) -> None:
        """Return when everything that was added or changed before the call is in the file.

        Raises:
            Unavailable: it wasn't in time, or the disk refuses.
        """
        self._writer.flush()

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
        self._writer.take()
        table = self._catalog.find(bucket, measurement)
        if table is None:
            return
        with self.cold.rebuilding:
            delete_from_files(self, table.view.table, sids, start, stop)
            with self.changing() as catalog:
                delete_rows(catalog, table, sids, start, stop, self._writer.taking)

    def changing(self) -> AbstractContextManager[Catalog]:
        """The catalog, for changes that are in the file when the context ends; nothing else is written meanwhile.

        Raises:
            Unavailable: the file could not be written in time.
        """
        return self._writer.changing()

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

    def rewriting(self) -> AbstractContextManager[DuckDBPyConnection]:
        """A transaction between two of the writer's, which waits: to be short; an exception undoes it."""
        return self._writer.rewriting()

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
            if self._writer.closing:
                return 0
            self._writer.take()
            return self._roller.refresh(horizon, lambda: self._writer.closing or stopping())

    def close(self) -> None:
        """Write what waits, and close the file."""
        self._writer.stop()
        if not self._writer.failure:
            newest = [(table.view.table, table.newest) for _, table in self._catalog.tables()]
            save_newest(self._connection, newest, self._writer.stored_lsn)
        with self._rolling:
            self._roller.connection.close()
            self._connection.close()


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
