"""A copy of a store as it is at one moment, made while it is written to and read."""

import contextlib
import shutil
from pathlib import Path
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from streamswarm_collector.durable import sync
from streamswarm_collector.store.cold import quoted
from streamswarm_core.errors import ConfigError

_SPARE_BYTES: Final = 64_000_000
"""Room that a snapshot leaves on the disk beyond its own size: DuckDB gives up a file that it can't write."""


def snapshot_store(connection: DuckDBPyConnection, path: Path, target: Path) -> None:
    """Copy the store's file and its cold files into a folder on the same file system.

    Cold files never change, so they get a second name there instead of being copied.

    Args:
        connection: to the store, without a transaction; cold files that it lists must stay until this returns.
        path: the store's file.
        target: an empty folder.

    Raises:
        ConfigError: there is no room, or DuckDB can't read or write.
        OSError: a file can't be linked or copied.
    """
    needed, free = path.stat().st_size + _SPARE_BYTES, shutil.disk_usage(target).free
    if free < needed:
        raise ConfigError(f"{target}: {free:,} bytes are free, a snapshot of the store may need {needed:,}; make room")
    copy = target / path.name
    try:
        connection.execute(f"ATTACH {quoted(copy)} AS snapshot")
        try:
            _copy(connection, path.with_suffix(".cold"), target)
            connection.execute("CHECKPOINT snapshot")
        finally:
            connection.execute("DETACH snapshot")
    except duckdb.Error as error:
        raise ConfigError(f"{copy}: {str(error).splitlines()[0]}") from None
    sync(copy)


def link_or_copy(source: Path, target: Path) -> None:
    """Give a file a second name, or where the file system has none for it, copy it."""
    try:
        target.hardlink_to(source)
    except (FileNotFoundError, FileExistsError):
        raise
    except OSError:
        shutil.copyfile(source, target)


def _copy(connection: DuckDBPyConnection, cold: Path, target: Path) -> None:
    """In one transaction, so that tables and files are of the same moment."""
    connection.execute("BEGIN")
    try:
        ((database,),) = connection.execute("SELECT current_database()").fetchall()
        names = connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()")
        tables = sorted(name for (name,) in names.fetchall())
        if "cold" in tables:
            _link_files(connection, cold, target / cold.name)
        connection.execute(f'COPY FROM DATABASE "{database}" TO snapshot (SCHEMA)')
        for table in tables:
            connection.execute(f'INSERT INTO snapshot."{table}" FROM "{table}"')
        connection.execute("COMMIT")
    except BaseException:
        with contextlib.suppress(duckdb.Error):
            connection.execute("ROLLBACK")
        raise


def _link_files(connection: DuckDBPyConnection, cold: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for (name,) in connection.execute("SELECT DISTINCT file FROM cold").fetchall():
        link_or_copy(cold / name, target / name)
