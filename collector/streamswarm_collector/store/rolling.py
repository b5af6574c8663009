"""Brings roll-ups up to date: first what is marked, then the windows that have become complete since.

Every step is read without holding anybody up and stored in a transaction of its own, together with how far the roll-up
now reaches. Rows that are taken meanwhile leave marks (see rollups.py), so nothing has to stand still.
"""

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Final

import duckdb
from duckdb import DuckDBPyConnection

from streamswarm_collector.store.catalog import Catalog, Table
from streamswarm_collector.store.changes import MOST_VERSIONS, SQL_TYPES
from streamswarm_collector.store.rollups import (
    BEGINNING,
    HOUR,
    MINUTE,
    Range,
    Rollup,
    Rollups,
    forget_rollups,
    merged,
)
from streamswarm_collector.store.schema import FieldColumn, FieldType

_NUMERIC: Final = frozenset({FieldType.FLOAT, FieldType.INTEGER})
_AT_ONCE: Final = 6 * HOUR
"""How much is rolled up in one transaction: it bounds memory, and how long a flush can have to wait."""

_MOST_PARTS: Final = 4
"""Columns that a roll-up has for a field, at most."""

_EXTENDED_BY: Final = 15 * MINUTE
"""A statement and a transaction take longer than the rows of one minute, so minutes are rolled up some at a time."""


class _GoneError(Exception):
    """The measurement was dropped, or the store closes."""


@dataclass(frozen=True, slots=True)
class _Work:
    """What a refresh does for one measurement, decided while nothing could be taken."""

    bucket: str
    table: Table
    fields: Mapping[str, FieldColumn]
    marked: tuple[Range, ...]
    goals: tuple[tuple[int, int], ...]


@dataclass(slots=True)
class Roller:
    """Refreshes the roll-ups of a store.

    Attributes:
        catalog: the measurements.
        connection: of its own.
        taking: held by whoever changes the catalog.
        file_lock: held by whoever writes the file.
        flush: returns when everything taken before is in the file.
        least_rows: rows that a window of a series must hold on average for a step to be kept; None keeps none.
    """

    catalog: Catalog
    connection: DuckDBPyConnection
    taking: threading.RLock
    file_lock: threading.RLock
    flush: Callable[[], None]
    least_rows: float | None

    def refresh(self, horizon: int, stopping: Callable[[], bool]) -> int:
        """Bring all roll-ups up to date, with the windows that end at `horizon` or before, unless it is to stop.

        Returns:
            How many measurements there was something to do for.

        Raises:
            Unavailable: rows that wait can't be written.
            duckdb.Error: the file can't be read or written.
        """
        if self.least_rows is None:
            return 0
        with self.taking:
            works = [work for bucket, table in self.catalog.tables() if (work := _plan(bucket, table, horizon))]
        if not works:
            return 0
        # From here on late rows leave marks; those that were taken before have to be in what is read.
        self.flush()
        failure: duckdb.Error | None = None
        for work in works:
            try:
                self._carry_out(work, stopping)
            except _GoneError:
                continue
            except duckdb.Error as error:
                if self.catalog.find(work.bucket, work.table.view.name) is work.table:
                    failure = error  # what is wrong with one measurement keeps no other waiting
        if failure is not None:
            raise failure
        return len(works)

    def _carry_out(self, work: _Work, stopping: Callable[[], bool]) -> None:
        table = work.table
        for step in table.view.rollups.steps:
            for start, stop in work.marked:
                first, last = max(step.floor(start), step.since), min(step.ceiling(stop), step.until)
                self._roll(work, step.step, first, last, stopping)
        if work.marked:
            self._unmark(work)
        for length, goal in work.goals:
            self._roll(work, length, table.view.rollups.step(length).until, goal, stopping)
        with self.taking:
            rollups = table.view.rollups
            table.set_rollups(replace(rollups, planned=rollups.reached(), handled=0))

    def _roll(self, work: _Work, length: int, start: int, stop: int, stopping: Callable[[], bool]) -> None:
        """Roll up a range of whole windows, some hours at a time, leaping over times without rows."""
        while start < stop:
            if stopping():
                raise _GoneError
            step = work.table.view.rollups.step(length)
            with self._reading(work.table, start, stop) as rows:
                row = self.connection.execute(
                    f"SELECT min(time) FROM {rows} WHERE time >= ? AND time < ?",  # noqa: S608 - our own names
                    [start, stop],
                ).fetchone()
                end = stop if row is None or row[0] is None else min(stop, row[0] - row[0] % length + _AT_ONCE)
                density = self._read(work, step, rows, start, end)
            self._store(work, step, start, end, density)
            start = end

    @contextmanager
    def _reading(self, table: Table, start: int, stop: int) -> Iterator[str]:
        """A relation with every row of a range, in the table and in cold files, for the statements inside."""
        with table.view.cold.reading():
            # One transaction: which files count and what the table holds have to be of the same moment.
            self.connection.execute("BEGIN")
            try:
                yield table.view.relation(self.connection, start, stop)
                self.connection.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.TransactionException):
                    self.connection.execute("ROLLBACK")
                raise

    def _read(self, work: _Work, step: Rollup, rows: str, start: int, stop: int) -> float:
        """Put the partial results into a temporary table; returns the rows of a window, 0 if it isn't to be kept."""
        finer = work.table.view.rollups.step(MINUTE)
        from_finer = step.step > MINUTE and finer.kept and finer.since <= start and stop <= finer.until
        source = finer.table if from_finer else rows
        parts = _parts_of_parts if from_finer else _parts_of_rows
        known = [field for field in work.fields.values() if not from_finer or field.column in finer.columns]
        columns = [part for field in known for part in parts(field)]
        self.connection.execute(
            f"CREATE OR REPLACE TEMP TABLE rolled AS SELECT {_window_of_time(step)} AS time, sid, "  # noqa: S608 - our own names
            f"count(*) AS n, {', '.join(columns)} FROM {source} "
            "WHERE time >= ? AND time < ? GROUP BY 1, 2 ORDER BY 1, 2",
            [start, stop],
        )
        if step.kept:
            return step.density
        if from_finer:
            return finer.density * (step.step // finer.step)
        ((density,),) = self.connection.execute("SELECT CAST(sum(n) / count(*) AS DOUBLE) FROM rolled").fetchall()
        return density if density is not None and density >= (self.least_rows or 0) else 0.0

    def _store(self, work: _Work, step: Rollup, start: int, stop: int, density: float) -> None:
        if density:
            step = self._add_columns(work, step)
        until = max(step.until, stop)
        changed = replace(step, since=step.since if density else until, until=until, density=density)
        table, connection = work.table.view.table, self.connection
        with self.file_lock:
            self._refuse_if_gone(work)
            connection.execute("BEGIN")
            try:
                if density:
                    changed = replace(changed, columns=_created(connection, changed, work.fields))
                    if start < step.until:
                        connection.execute(f"DELETE FROM {step.table} WHERE time >= ? AND time < ?", [start, stop])  # noqa: S608 - our own name
                    connection.execute(f"INSERT INTO {step.table} BY NAME SELECT * EXCLUDE (n) FROM rolled")  # noqa: S608 - our own name
                connection.execute("DELETE FROM rollups WHERE table_name = ? AND step = ?", [table, step.step])
                connection.execute(
                    "INSERT INTO rollups VALUES (?, ?, ?, ?, ?)", [table, step.step, changed.since, until, density]
                )
                connection.execute("COMMIT")
            except BaseException:
                with suppress(duckdb.TransactionException):
                    connection.execute("ROLLBACK")
                raise
        with self.taking:
            work.table.set_rollups(work.table.view.rollups.with_step(changed))

    def _add_columns(self, work: _Work, step: Rollup) -> Rollup:
        """Columns for fields that are new, some at a time (see changes.py), in a table that is there already."""
        fresh = [field for field in work.fields.values() if field.column not in step.columns]
        while step.columns and fresh:
            few = max(1, MOST_VERSIONS // (_MOST_PARTS**2 * len(work.fields)))
            added, fresh = fresh[:few], fresh[few:]
            with self.file_lock:
                self._refuse_if_gone(work)
                self.connection.execute("BEGIN")
                try:
                    for name, kind in (part for field in added for part in _part_types(field).items()):
                        self.connection.execute(f"ALTER TABLE {step.table} ADD COLUMN {name} {kind}")
                    self.connection.execute("COMMIT")
                except BaseException:
                    with suppress(duckdb.TransactionException):
                        self.connection.execute("ROLLBACK")
                    raise
            step = replace(step, columns=step.columns.union(field.column for field in added))
            with self.taking:
                work.table.set_rollups(work.table.view.rollups.with_step(step))
        return step

    def _refuse_if_gone(self, work: _Work) -> None:
        if self.catalog.find(work.bucket, work.table.view.name) is not work.table:
            raise _GoneError

    def _unmark(self, work: _Work) -> None:
        """What was marked when the refresh began has been rolled up again."""
        table = work.table
        with self.taking:
            handled = table.view.rollups.handled
        with self.file_lock:
            self.connection.execute(
                "DELETE FROM rollup_marks WHERE table_name = ? AND number <= ?", [table.view.table, handled]
            )
        with self.taking:
            rollups = table.view.rollups
            table.set_rollups(replace(rollups, marks=tuple(one for one in rollups.marks if one.number > handled)))


def _plan(bucket: str, table: Table, horizon: int) -> _Work | None:
    """What is to be done for a measurement, if anything; from now on rows in what will be rolled up leave marks."""
    rollups = table.view.rollups
    newest = max(table.newest.values(), default=BEGINNING)
    goals = []
    for step in rollups.steps:
        # A step that did not pay so far is tried again when an hour is complete.
        unit = max(_EXTENDED_BY, step.step) if step.kept else HOUR
        goal = min(horizon - horizon % unit, newest - newest % unit + unit)
        if table.newest and goal > step.until:
            goals.append((step.step, goal))
    if not goals and not rollups.marks:
        return None
    planned = max([rollups.planned, *(goal for _, goal in goals)])
    handled = max((mark.number for mark in rollups.marks), default=0)
    table.set_rollups(replace(rollups, planned=planned, handled=handled))
    # Reading what lies between two marks takes less time than one more transaction.
    marked = merged(((mark.start, mark.stop) for mark in rollups.marks), gap=HOUR)
    return _Work(bucket, table, table.view.fields, tuple(marked), tuple(goals))


def _window_of_time(step: Rollup) -> str:
    """SQL for the begin of the window that a time is in; where that is before 64 bits, as `floor` says."""
    first = step.ceiling(BEGINNING)
    within = f"time - (time % {step.step} + {step.step}) % {step.step}"
    return f"CASE WHEN time < {first} THEN {BEGINNING} ELSE {within} END"


def _part_types(field: FieldColumn) -> dict[str, str]:
    """Columns that a roll-up has for a field, with their SQL types; an integer's sum may be wider than the integer."""
    column, kind = field.column, SQL_TYPES[field.type]
    if field.type not in _NUMERIC:
        return {f"{column}_n": "INTEGER"}
    total = "HUGEINT" if field.type is FieldType.INTEGER else kind
    return {f"{column}_n": "INTEGER", f"{column}_sum": total, f"{column}_low": kind, f"{column}_high": kind}


def _parts_of_rows(field: FieldColumn) -> list[str]:
    column = field.column
    count = f"CAST(count({column}) AS INTEGER) AS {column}_n"
    if field.type not in _NUMERIC:
        return [count]
    return [
        count,
        f"sum({column}) AS {column}_sum",
        f"min({column}) AS {column}_low",
        f"max({column}) AS {column}_high",
    ]


def _parts_of_parts(field: FieldColumn) -> list[str]:
    column = field.column
    count = f"CAST(sum({column}_n) AS INTEGER) AS {column}_n"
    if field.type not in _NUMERIC:
        return [count]
    return [
        count,
        f"sum({column}_sum) AS {column}_sum",
        f"min({column}_low) AS {column}_low",
        f"max({column}_high) AS {column}_high",
    ]


def _created(connection: DuckDBPyConnection, step: Rollup, fields: Mapping[str, FieldColumn]) -> frozenset[str]:
    """Make the table with all its columns unless it is there; returns the field columns that it has."""
    if step.columns:
        return step.columns
    parts = [f"{name} {kind}" for field in fields.values() for name, kind in _part_types(field).items()]
    columns = ", ".join(["time BIGINT NOT NULL", "sid INTEGER NOT NULL", *parts])
    connection.execute(f"CREATE TABLE {step.table} ({columns})")
    return frozenset(field.column for field in fields.values())


def drop_rollups(connection: DuckDBPyConnection, catalog: Catalog) -> None:
    """Remove all roll-ups, for a store that is to have none."""
    connection.execute("BEGIN")
    for _, table in catalog.tables():
        forget_rollups(connection, table.view.table)
        table.set_rollups(Rollups())
    connection.execute("COMMIT")
