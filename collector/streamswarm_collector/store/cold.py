"""The cold tier: whole days of a measurement, each in a Parquet file beside the store's own.

Which files count is said by the side table `cold`, and changes in the transaction that adds or removes the same rows in
the measurement's table. A query reads `cold` in the transaction in which it reads the rows, so it sees each row once,
whatever moves meanwhile. A file that is listed in `retired` is nobody's, or nobody's yet: it goes when no reader is
left who may have seen it. What is in neither table is not ours to delete.

Rows of a cold day may stand in the measurement's table too: late ones. No pair of series and time is in both places,
because a point that meets a row in a file has the whole file moved back first (`thaw`).
"""

import contextlib
import itertools
import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import duckdb
from duckdb import DuckDBPyConnection

log = logging.getLogger(__name__)

SUFFIX: Final = ".parquet"
UNFINISHED_SUFFIX: Final = ".part"
_NEVER: Final = 2**63 - 1
_COLUMNS: Final = "table_name, file, first, last, row_count, bytes"

TABLES: Final = """
CREATE TABLE IF NOT EXISTS cold
  (table_name VARCHAR, file VARCHAR, first BIGINT, last BIGINT, row_count BIGINT, bytes BIGINT);
CREATE TABLE IF NOT EXISTS retired (file VARCHAR);
"""


@dataclass(frozen=True, slots=True)
class ColdFile:
    """One Parquet file, sorted by series and time.

    Attributes:
        table: the measurement's table.
        name: of the file in the tier's folder.
        first: earliest time, nanoseconds.
        last: latest time.
        rows: how many.
        size: bytes.
    """

    table: str
    name: str
    first: int
    last: int
    rows: int
    size: int


class ColdTier:
    """The files of one store.

    Args:
        folder: where they are; created with the first.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.rebuilding = threading.RLock()
        """Held by whoever writes or removes files, so that only one does."""
        self._touched: dict[str, int] = {}
        self._readers: set[int] = set()
        self._numbers = itertools.count(1)
        self._next_reader = 0
        self._reading = threading.Lock()
        self._seen_retired: dict[str, int] = {}

    def path(self, name: str) -> Path:
        """Where a file is."""
        return self.folder / name

    def files(
        self,
        connection: DuckDBPyConnection,
        table: str | None = None,
        start: int | None = None,
        stop: int | None = None,
    ) -> list[ColdFile]:
        """The files of a measurement, or of all, that may have rows from `start` on and before `stop`, oldest first."""
        conditions, parameters = ["true"], list[object]()
        for bound, text in ((table, "table_name = ?"), (start, "last >= ?"), (stop, "first < ?")):
            if bound is not None:
                conditions.append(text)
                parameters.append(bound)
        rows = connection.execute(
            f"SELECT {_COLUMNS} FROM cold WHERE {' AND '.join(conditions)} ORDER BY table_name, first, file",  # noqa: S608 - our own text
            parameters,
        ).fetchall()
        return [ColdFile(*row) for row in rows]

    def relation(self, connection: DuckDBPyConnection, table: str, start: int | None, stop: int | None) -> str:
        """All rows of a range, and maybe others, hot and cold, for a statement of the same transaction."""
        files = self.files(connection, table, start, stop)
        if not files:
            return table
        return f"(FROM {table} UNION ALL BY NAME FROM {self.parquet(files)})"

    def parquet(self, files: Sequence[ColdFile]) -> str:
        """The rows of some files as a relation; a field that a file does not have yet is null."""
        paths = ", ".join(quoted(self.path(one.name)) for one in files)
        return f"read_parquet([{paths}], union_by_name = true)"

    def last_time(self, connection: DuckDBPyConnection, table: str) -> int | None:
        """The latest time in any file of a measurement."""
        row = connection.execute("SELECT max(last) FROM cold WHERE table_name = ?", [table]).fetchone()
        return int(row[0]) if row and row[0] is not None else None

    # What the writer does

    def thaw(self, connection: DuckDBPyConnection, table: str, time: Any, sid: Any) -> None:
        """Move the rows of those files back that hold one of these points, in the caller's transaction."""
        for file in self.files(connection, table, int(time.min()), int(time.max()) + 1):
            if self._holds_any(connection, file, time, sid):
                log.info("%s: moved back, because points in it come again", file.name)
                connection.execute(f"INSERT INTO {table} BY NAME FROM {self.parquet([file])}")
                retire(connection, "file = ?", [file.name])
                self.touch(table, file.first)

    def _holds_any(self, connection: DuckDBPyConnection, file: ColdFile, time: Any, sid: Any) -> bool:
        # A failure on a cursor of its own leaves the writer's transaction whole.
        with contextlib.closing(connection.cursor()) as cursor:
            cursor.register("late", {"late_time": time, "late_sid": sid})
            try:
                found = cursor.execute(
                    f"SELECT 1 FROM {self.parquet([file])} JOIN late ON sid = late_sid AND time = late_time LIMIT 1"  # noqa: S608 - our own names
                ).fetchone()
            except duckdb.IOException:
                log.exception("%s can't be read; late points are stored without a look at it", file.name)
                return False
        return found is not None

    def touch(self, table: str, first: int) -> None:
        """Note that rows from a time on were written or deleted; called by who holds the file lock."""
        self._touched[table] = min(first, self._touched.get(table, _NEVER))

    def watch(self, table: str) -> None:
        """Begin to note what is touched; called by who holds the file lock."""
        self._touched.pop(table, None)

    def untouched(self, table: str, stop: int) -> bool:
        """Whether no row before `stop` was written or deleted since `watch`; called by who holds the file lock."""
        return self._touched.get(table, _NEVER) >= stop

    # Removing files

    @contextlib.contextmanager
    def reading(self) -> Iterator[None]:
        """While somebody reads in one transaction: files that it may have seen stay."""
        with self._reading:
            reader = self._next_reader = next(self._numbers)
            self._readers.add(reader)
        try:
            yield
        finally:
            with self._reading:
                self._readers.discard(reader)

    def sweep(self, rewriting: Callable[[], AbstractContextManager[DuckDBPyConnection]]) -> int:
        """Delete retired files that nobody reads; says how many.

        Args:
            rewriting: opens a transaction beside the writer's.
        """
        with self.rebuilding, rewriting() as connection:
            retired = [name for (name,) in connection.execute("SELECT DISTINCT file FROM retired").fetchall()]
            with self._reading:
                oldest = min(self._readers, default=self._next_reader + 1)
                seen = {name: self._seen_retired.get(name, self._next_reader) for name in retired}
            gone = [name for name, reader in seen.items() if reader < oldest]
            self._seen_retired = {name: reader for name, reader in seen.items() if reader >= oldest}
            for name in gone:
                self.path(name).unlink(missing_ok=True)
                self.path(name + UNFINISHED_SUFFIX).unlink(missing_ok=True)
            if gone:
                connection.execute("DELETE FROM retired WHERE file IN (SELECT unnest(?))", [gone])
        return len(gone)


def register(connection: DuckDBPyConnection, file: ColdFile) -> None:
    """Let a written file count."""
    connection.execute("DELETE FROM retired WHERE file = ?", [file.name])
    connection.execute(
        f"INSERT INTO cold ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)",  # noqa: S608 - our own names
        [file.table, file.name, file.first, file.last, file.rows, file.size],
    )


def retire(connection: DuckDBPyConnection, condition: str, parameters: Sequence[object]) -> None:
    """Let files count no more; they are deleted later."""
    connection.execute(f"INSERT INTO retired SELECT file FROM cold WHERE {condition}", parameters)  # noqa: S608 - our own text
    connection.execute(f"DELETE FROM cold WHERE {condition}", parameters)  # noqa: S608 - our own text


def quoted(path: Path) -> str:
    """A path as a SQL string."""
    return "'" + str(path).replace("'", "''") + "'"
