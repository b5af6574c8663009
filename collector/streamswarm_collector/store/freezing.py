"""Writes cold files, and writes them again: old days frozen, small files joined, deleted rows left out.

The long part, writing a file, holds nobody up. Then the file takes the place of the rows or files that it was made from
in one short transaction, which is given up if those have changed meanwhile. A crash leaves either all as it was, and a
retired file that the next start deletes, or all as it was to be.
"""

import contextlib
import secrets
from collections.abc import Sequence
from contextlib import AbstractContextManager
from threading import Event
from typing import Final, Protocol

from duckdb import CatalogException, DuckDBPyConnection

from streamswarm_collector.durable import sync
from streamswarm_collector.store.catalog import Table
from streamswarm_collector.store.cold import (
    SUFFIX,
    UNFINISHED_SUFFIX,
    ColdFile,
    ColdTier,
    quoted,
    register,
    retire,
)
from streamswarm_collector.store.newest import keep_newest
from streamswarm_collector.store.policies import Policy
from streamswarm_core.clock import from_ns

DAY: Final = 24 * 3_600_000_000_000
# About two series of a point every ten seconds: a query of one series reads few rows, and the footer stays small.
_GROUP_ROWS: Final = 20_480
_MOST_JOINED_ROWS: Final = 1_000_000
_ATTEMPTS: Final = 3


class _ChangedError(Exception):
    """What a file was made from has changed meanwhile."""


class ColdStore(Protocol):
    """What is needed of the store."""

    @property
    def cold(self) -> ColdTier:
        """Its files."""

    def tables(self) -> list[tuple[str, Table]]:
        """Every measurement with the bucket it is in."""

    def retention(self, bucket: str) -> Policy | None:
        """The policy of a bucket."""

    def beside(self) -> AbstractContextManager[DuckDBPyConnection]:
        """A cursor for long reads."""

    def rewriting(self) -> AbstractContextManager[DuckDBPyConnection]:
        """A short transaction between two of the writer's."""


def freeze(store: ColdStore, before: int, stopping: Event) -> list[ColdFile]:
    """Move the days that end by a time into files, until told to stop.

    Args:
        store: of what.
        before: nanoseconds; rows from then on stay.
        stopping: asked after each file.

    Raises:
        duckdb.Error: a file can't be written.
    """
    written = []
    for _, table in store.tables():
        changed = 0
        while not stopping.is_set() and changed < _ATTEMPTS:
            try:
                file = _freeze_first_day(store, table.view.table, before)
            except _ChangedError:
                changed += 1
                continue
            except CatalogException:
                break  # dropped meanwhile
            if file is None:
                break
            written.append(file)
    return written


def _freeze_first_day(store: ColdStore, table: str, before: int) -> ColdFile | None:
    """Freeze the earliest day that has rows, if it is over by then."""
    with store.cold.rebuilding, store.beside() as cursor:
        row = cursor.execute(f"SELECT min(time) FROM {table} WHERE time < ?", [before]).fetchone()  # noqa: S608 - our own name
        if row is None or row[0] is None:
            return None
        stop = min(before, (row[0] // DAY + 1) * DAY)
        with store.rewriting() as connection:
            store.cold.watch(table)
            name = _new_name(connection, table, row[0])
        file = _write(store.cold, cursor, table, name, f"FROM {table} WHERE time < {stop}")
        with store.rewriting() as connection:
            # The count is a second lock on the door: what goes is what was written, row for row.
            gone = connection.execute(f"DELETE FROM {table} WHERE time < ?", [stop]).fetchone()  # noqa: S608 - our own name
            if not store.cold.untouched(table, stop) or gone != (file.rows,):
                raise _ChangedError
            register(connection, file)
            keep_newest(connection, table, store.cold.parquet([file]))
    return file


def join_small(store: ColdStore, stopping: Event) -> int:
    """Make one file of several small ones of the same span of days; says how many files there are less.

    The span is the policy's shard duration: retention drops whole files, as InfluxDB drops whole shards.

    Raises:
        duckdb.Error: a file can't be read or written.
    """
    less = 0
    for bucket, table in store.tables():
        policy = store.retention(bucket)
        if policy is None:
            continue
        with store.cold.rebuilding, store.beside() as cursor:
            for group in _joinable(store.cold.files(cursor, table.view.table), max(DAY, policy.shard_duration)):
                if stopping.is_set():
                    return less
                with contextlib.suppress(_ChangedError):
                    _replace(store, cursor, group, f"FROM {store.cold.parquet(group)}")
                    less += len(group) - 1
    return less


def _joinable(files: Sequence[ColdFile], span: int) -> list[list[ColdFile]]:
    groups: list[list[ColdFile]] = []
    place: int | None = None
    for file in files:
        if file.rows >= _MOST_JOINED_ROWS or file.first // span != file.last // span:
            place = None
            continue
        together = bool(groups) and place == file.first // span
        if not together or sum(one.rows for one in groups[-1]) + file.rows > _MOST_JOINED_ROWS:
            groups.append([])
        groups[-1].append(file)
        place = file.first // span
    return [group for group in groups if len(group) > 1]


def delete_from_files(store: ColdStore, table: str, sids: Sequence[int], start: int | None, stop: int | None) -> None:
    """Delete rows of some series, from `start` on and before `stop`, from the files of a measurement.

    A file that changes meanwhile went back to the table, where the caller deletes next.

    Raises:
        duckdb.Error: a file can't be read or written.
    """
    low, high = -(2**63) if start is None else start, 2**63 - 1 if stop is None else stop
    matching = f"sid IN (SELECT unnest({list(map(int, sids))}::INTEGER[])) AND time >= {low} AND time < {high}"
    with store.cold.rebuilding, store.beside() as cursor:
        for file in store.cold.files(cursor, table, start, stop):
            rows = store.cold.parquet([file])
            (count,) = cursor.execute(f"SELECT count(*) FROM {rows} WHERE {matching}").fetchall()  # noqa: S608 - our own text
            with contextlib.suppress(_ChangedError):
                if count[0] == file.rows:
                    drop_files(store, [file])
                elif count[0]:
                    _replace(store, cursor, [file], f"FROM {rows} WHERE NOT ({matching})")


def drop_files(store: ColdStore, files: Sequence[ColdFile]) -> None:
    """Let whole files count no more."""
    with store.cold.rebuilding, store.rewriting() as connection:
        _retire_all(connection, files)


def _replace(store: ColdStore, cursor: DuckDBPyConnection, old: Sequence[ColdFile], rows: str) -> None:
    table = old[0].table
    with store.rewriting() as connection:
        name = _new_name(connection, table, old[0].first)
    file = _write(store.cold, cursor, table, name, rows)
    with store.rewriting() as connection:
        _retire_all(connection, old)
        register(connection, file)


def _retire_all(connection: DuckDBPyConnection, files: Sequence[ColdFile]) -> None:
    names = [file.name for file in files]
    there = connection.execute("SELECT count(*) FROM cold WHERE file IN (SELECT unnest(?))", [names]).fetchall()
    if there != [(len(names),)]:
        raise _ChangedError
    retire(connection, "file IN (SELECT unnest(?))", [names])


def _new_name(connection: DuckDBPyConnection, table: str, first: int) -> str:
    """A name for a file that is to be written; until it counts it is retired, so that a crash leaves nothing behind."""
    name = f"{table}-{from_ns(first):%Y%m%d}-{secrets.token_hex(6)}{SUFFIX}"
    connection.execute("INSERT INTO retired VALUES (?)", [name])
    return name


def _write(tier: ColdTier, cursor: DuckDBPyConnection, table: str, name: str, rows: str) -> ColdFile:
    """Write rows, at least one, into a file that is on the disk when this returns."""
    if not tier.folder.exists():
        tier.folder.mkdir(parents=True, exist_ok=True)
        sync(tier.folder.parent)
    path, unfinished = tier.path(name), tier.path(name + UNFINISHED_SUFFIX)
    cursor.execute(
        f"COPY (SELECT * {rows} ORDER BY sid, time) TO {quoted(unfinished)} "
        f"(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {_GROUP_ROWS})"
    )
    ((first, last, count),) = cursor.execute(
        f"SELECT min(time), max(time), count(*) FROM read_parquet({quoted(unfinished)})"  # noqa: S608 - our own text
    ).fetchall()
    sync(unfinished)
    unfinished.rename(path)
    sync(tier.folder)
    return ColdFile(table, name, first, last, count, path.stat().st_size)
