"""What is known of a measurement's roll-ups: how far each reaches, and which of its windows are out of date.

A roll-up holds, for each series and window of one minute or one hour, what exact answers can be put together from:
of every field the number of values, of numeric ones also sum, least and greatest. It is true for the windows from
`since` on and before `until`, save those that a *mark* names. Marks are made when rows are taken or deleted, and stored
in the same transaction as the rows, so that no crash lets a window pass for true that isn't.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import numpy as np
from duckdb import DuckDBPyConnection

MINUTE: Final = 60_000_000_000
HOUR: Final = 60 * MINUTE
STEP_NAMES: Final[Mapping[int, str]] = {MINUTE: "1m", HOUR: "1h"}
BEGINNING: Final = -(2**63)
END: Final = 2**63 - 1
_MOST_RANGES: Final = 16
_MOST_MARKS: Final = 256

TABLES: Final = """
CREATE TABLE IF NOT EXISTS rollups (table_name VARCHAR, step BIGINT, since BIGINT, until BIGINT, density DOUBLE);
CREATE TABLE IF NOT EXISTS rollup_marks (table_name VARCHAR, number BIGINT, start BIGINT, stop BIGINT);
"""

Range = tuple[int, int]
"""Nanoseconds, the end excluded."""


@dataclass(frozen=True, slots=True)
class Rollup:
    """One step of one measurement.

    Attributes:
        step: length of its windows in nanoseconds.
        table: its SQL table, `(time, sid, <field column>_n, _sum, _low, _high …)`, time being a window's begin.
        since: begin of the first window that was rolled up.
        until: end of the last; the same as `since` where it doesn't pay to keep the roll-up.
        density: rows in a window of one series, on average, when it was begun.
        columns: field columns it has. A field that is missing has no value in any window that is true.
    """

    step: int
    table: str
    since: int = BEGINNING
    until: int = BEGINNING
    density: float = 0.0
    columns: frozenset[str] = frozenset()

    @property
    def kept(self) -> bool:
        """Whether it has any windows."""
        return self.since < self.until

    def floor(self, time_ns: int) -> int:
        """Begin of the window that holds a moment."""
        return max(BEGINNING, time_ns - time_ns % self.step)

    def ceiling(self, time_ns: int) -> int:
        """Begin of the first window that does not begin before a moment."""
        return self.floor(time_ns + self.step - 1)

    def true_ranges(self, marks: Iterable["Mark"]) -> list[Range]:
        """What it can be asked for: all it has without what is marked, in whole windows."""
        found, start = [], self.since
        for first, stop in merged((mark.start, mark.stop) for mark in marks):
            begin, end = self.floor(first), self.ceiling(stop)
            if min(begin, self.until) > start:
                found.append((start, min(begin, self.until)))
            start = max(start, end)
        return [*found, (start, self.until)] if start < self.until else found


@dataclass(frozen=True, slots=True)
class Mark:
    """Rows of a range have changed since it was rolled up.

    Attributes:
        number: higher than that of every mark that was made before and is still there.
        start: nanoseconds.
        stop: nanoseconds, excluded.
    """

    number: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class Rollups:
    """All steps of a measurement; it never changes.

    Attributes:
        steps: the finest first.
        marks: what is out of date.
        planned: rows before this moment leave marks: it is at least the `until` of every step that is kept, and
            as far as a refresh that is under way will reach.
        handled: number of the newest mark that a refresh under way recomputes; later changes need marks of their own.
    """

    steps: tuple[Rollup, ...] = ()
    marks: tuple[Mark, ...] = ()
    planned: int = BEGINNING
    handled: int = 0

    def reached(self) -> int:
        """How far the steps reach that are kept."""
        return max((step.until for step in self.steps if step.kept), default=BEGINNING)

    def step(self, length: int) -> Rollup:
        """The step of a length."""
        return next(one for one in self.steps if one.step == length)

    def with_step(self, changed: Rollup) -> "Rollups":
        """With one step replaced."""
        return replace(self, steps=tuple(changed if one.step == changed.step else one for one in self.steps))

    def marked(self, ranges: Sequence[Range]) -> "tuple[Rollups, list[Mark], list[Mark]]":
        """With marks for ranges, as far as they are rolled up and not marked yet; the marks that came and that went."""
        open_marks = [mark for mark in self.marks if mark.number > self.handled]
        wanted = [
            (start, min(stop, self.planned))
            for start, stop in ranges
            if start < self.planned and not any(mark.start <= start and stop <= mark.stop for mark in open_marks)
        ]
        gone: list[Mark] = []
        if wanted and len(self.marks) + len(wanted) > _MOST_MARKS:
            gone = open_marks
            every = [*wanted, *((mark.start, mark.stop) for mark in gone)]
            wanted = [(min(start for start, _ in every), max(stop for _, stop in every))]
        number = max([self.handled, *(mark.number for mark in self.marks)])
        made = [Mark(number + place, start, stop) for place, (start, stop) in enumerate(wanted, start=1)]
        kept = tuple(mark for mark in self.marks if mark not in gone)
        return replace(self, marks=(*kept, *made)), made, gone


NO_ROLLUPS: Final = Rollups()


def rollup_tables(table: str) -> list[str]:
    """SQL tables that the roll-ups of a measurement can have."""
    return [f"{table}_{name}" for name in STEP_NAMES.values()]


def no_steps(table: str) -> tuple[Rollup, ...]:
    """All steps before anything was rolled up."""
    return tuple(Rollup(step, name) for step, name in zip(STEP_NAMES, rollup_tables(table), strict=True))


def merged(ranges: Iterable[Range], *, gap: int = 0) -> list[Range]:
    """Ranges in order, those that touch joined, or are no further apart than `gap`.

    >>> merged([(5, 7), (1, 2), (2, 3), (6, 9)])
    [(1, 3), (5, 9)]
    """
    found: list[Range] = []
    for start, stop in sorted(ranges):
        if found and start <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(found[-1][1], stop))
        else:
            found.append((start, stop))
    return found


def minutes_of(times: Any) -> list[Range]:
    """Ranges of whole minutes that hold all of some times; few, so with gaps among them where there are many.

    >>> minutes_of(np.array([0, 59, 61, 200]) * 1_000_000_000)
    [(0, 120000000000), (180000000000, 240000000000)]
    """
    minutes = np.unique(times // MINUTE)
    gaps = np.diff(minutes)
    apart = np.flatnonzero(gaps > 1)
    if len(apart) >= _MOST_RANGES:
        apart = np.sort(apart[np.argsort(-gaps[apart], kind="stable")[: _MOST_RANGES - 1]])
    first = minutes[np.append(0, apart + 1)]
    last = minutes[np.append(apart, len(minutes) - 1)]
    return [
        (max(BEGINNING, start * MINUTE), (stop + 1) * MINUTE)
        for start, stop in zip(first.tolist(), last.tolist(), strict=True)
    ]


@dataclass(slots=True)
class StoredRollups:
    """What the file says of roll-ups, by measurement table."""

    by_table: dict[str, Rollups] = field(default_factory=dict)

    @staticmethod
    def load(connection: DuckDBPyConnection) -> "StoredRollups":
        """Create the side tables or read them."""
        connection.execute(TABLES)
        found = StoredRollups()
        columns: dict[str, set[str]] = {}
        for table, column in connection.execute(
            "SELECT table_name, column_name FROM duckdb_columns() WHERE column_name LIKE '%\\_n' ESCAPE '\\'"
        ).fetchall():
            columns.setdefault(table, set()).add(column.removesuffix("_n"))
        for table, step, since, until, density in connection.execute("SELECT * FROM rollups").fetchall():
            rollups = found.of(table)
            known = rollups.step(step)
            present = frozenset(columns.get(known.table, ()))
            stored = Rollup(step, known.table, since, until, density, present)
            found.by_table[table] = rollups.with_step(stored)
        for table, *mark in connection.execute("SELECT * FROM rollup_marks ORDER BY number").fetchall():
            rollups = found.of(table)
            found.by_table[table] = replace(rollups, marks=(*rollups.marks, Mark(*mark)))
        for table, rollups in found.by_table.items():
            found.by_table[table] = replace(rollups, planned=rollups.reached())
        return found

    def of(self, table: str) -> Rollups:
        """Those of one measurement."""
        return self.by_table.get(table) or Rollups(no_steps(table))


def storing_marks(table: str, made: Collection[Mark], gone: Collection[Mark]) -> Callable[[DuckDBPyConnection], object]:
    """What repeats a change of marks in the file."""
    rows = [(table, mark.number, mark.start, mark.stop) for mark in made]
    numbers = [mark.number for mark in gone]

    def store(connection: DuckDBPyConnection) -> None:
        if numbers:
            connection.execute(
                "DELETE FROM rollup_marks WHERE table_name = ? AND number IN (SELECT unnest(?))", [table, numbers]
            )
        connection.executemany("INSERT INTO rollup_marks VALUES (?, ?, ?, ?)", rows)

    return store


def forget_rollups(connection: DuckDBPyConnection, table: str) -> None:
    """Remove all roll-ups of a measurement from the file."""
    for name in rollup_tables(table):
        connection.execute(f"DROP TABLE IF EXISTS {name}")
    for side_table in ("rollups", "rollup_marks"):
        connection.execute(f"DELETE FROM {side_table} WHERE table_name = ?", [table])  # noqa: S608 - our own names
