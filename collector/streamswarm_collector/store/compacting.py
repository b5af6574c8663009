"""Makes a store small that nobody else uses: small cold files joined, the DuckDB file written afresh.

DuckDB uses freed space again and hardly ever gives it back; only a copy is as small as what it holds.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from streamswarm_collector.durable import sync
from streamswarm_collector.store.cold import quoted
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.freezing import join_small
from streamswarm_collector.store.opening import open_file
from streamswarm_core.errors import ConfigError

COPY_SUFFIX: Final = ".compacting"
Progress = Callable[[str, int, int], None]
"""Told what is done now, how many steps are done, and of how many."""


def compact_store(path: Path, memory_limit: str, progress: Progress) -> None:
    """Join small files and rewrite the DuckDB file; a crash leaves the old one or the new one.

    Raises:
        ConfigError: the file is used by another process, is no store, or could not be closed in good order.
        OSError: there is no room for the copy.
    """
    progress("small cold files", 0, 1)
    with contextlib.closing(EmbeddedStore(path, memory_limit=memory_limit)) as store:
        while join_small(store, Event()):
            store.cold.sweep(store.rewriting)
    copy = path.with_name(f"{path.name}{COPY_SUFFIX}")
    try:
        _remove(copy)
        _rewrite(path, copy, memory_limit, progress)
        if _log_of(path).exists() or _log_of(copy).exists():
            raise ConfigError(f"{path}: could not be closed in good order; nothing was changed")
        sync(copy)
        copy.replace(path)
        sync(path.parent)
    finally:
        _remove(copy)


def _rewrite(path: Path, copy: Path, memory_limit: str, progress: Progress) -> None:
    connection = open_file(path, memory_limit)
    try:
        connection.execute(f"ATTACH {quoted(copy)} AS compacted")
        ((database,),) = connection.execute("SELECT current_database()").fetchall()
        connection.execute(f'COPY FROM DATABASE "{database}" TO compacted (SCHEMA)')
        names = connection.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = current_database()")
        tables = sorted(name for (name,) in names.fetchall())
        for number, table in enumerate(tables):
            progress(table, number, len(tables))
            _copy_table(connection, table)
        connection.execute("DETACH compacted")
        connection.execute("CHECKPOINT")
    except duckdb.Error as error:
        raise ConfigError(
            f"{path}: can't be written afresh: {str(error).splitlines()[0]}; nothing was changed"
        ) from None
    finally:
        connection.close()


def _copy_table(connection: DuckDBPyConnection, table: str) -> None:
    (copied,) = connection.execute(f"INSERT INTO compacted.{table} FROM {table}").fetchall()
    (there,) = connection.execute(f"SELECT count(*) FROM compacted.{table}").fetchall()  # noqa: S608 - our own name
    if copied != there:
        raise ConfigError(f"{table}: {copied[0]} rows were copied and {there[0]} arrived; nothing was changed")


def _remove(copy: Path) -> None:
    for path in (copy, _log_of(copy)):
        path.unlink(missing_ok=True)


def _log_of(path: Path) -> Path:
    return path.with_name(f"{path.name}.wal")
