"""Deletes what a bucket's retention policy keeps no longer.

A cold file goes when its last row has expired, as InfluxDB drops whole shards; until then whatever is younger than its
first row stays too, wherever it is, so that memory, table and files hold the same. A series without a row left is
forgotten.
"""

from threading import Event

from duckdb import DuckDBPyConnection

from streamswarm_collector.store.catalog import Catalog, Table
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.freezing import drop_files
from streamswarm_collector.store.recent import ALL_TIME
from streamswarm_collector.store.rollups import BEGINNING


def enforce_retention(store: EmbeddedStore, now_ns: int, stopping: Event) -> str:
    """Delete what has expired; says what was done.

    Raises:
        Unavailable: the file could not be written in time.
        duckdb.Error: it can't be read or written.
    """
    files = series = 0
    for bucket, table in store.tables():
        policy = store.retention(bucket)
        if stopping.is_set():
            break
        if policy is None or not policy.duration:
            continue
        cutoff = now_ns - policy.duration
        with store.cold.rebuilding:
            with store.beside() as cursor:
                cold = store.cold.files(cursor, table.view.table)
            expired = [file for file in cold if file.last < cutoff]
            if expired:
                with store.changing() as catalog:
                    catalog.mark(table, [(BEGINNING, max(file.last for file in expired) + 1)])
                drop_files(store, expired)
                files += len(expired)
            horizon = min([cutoff, *(file.first for file in cold if file.last >= cutoff)])
            series += _expire_rows(store, bucket, table, horizon)
    return f"{files} cold files dropped, {series} series forgotten"


def _expire_rows(store: EmbeddedStore, bucket: str, table: Table, horizon: int) -> int:
    stored, tier = table.view.table, table.view.cold
    with store.changing() as catalog:
        if catalog.find(bucket, table.view.name) is not table:
            return 0  # dropped meanwhile
        if not _has_expired(table, horizon):
            return 0

        def expire(connection: DuckDBPyConnection) -> None:
            tier.touch(stored, ALL_TIME)
            connection.execute(f"DELETE FROM {stored} WHERE time < ?", [horizon])  # noqa: S608 - our own name

        catalog.on_change(expire)
        catalog.mark(table, [(BEGINNING, horizon)])
        table.set_recent(table.view.recent.without_before(horizon))
        return _forget(catalog, table, horizon)


def _has_expired(table: Table, time: int) -> bool:
    """Whether there may be a row before a time; what the table holds besides recent rows is not known."""
    recent = table.view.recent
    return recent.covers_from > ALL_TIME or any(chunk.first < time for chunk in recent.chunks)


def _forget(catalog: Catalog, table: Table, horizon: int) -> int:
    gone = [sid for sid, newest in table.newest.items() if newest < horizon]
    if gone:
        catalog.drop_series(table, gone)
    return len(gone)
