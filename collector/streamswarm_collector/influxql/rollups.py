"""Long ranges from roll-ups: where they hold the windows of a SELECT, and raw rows for the ends and what is left.

Every part gives the same partial results for a group and window; they are put together in one statement.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from duckdb import DuckDBPyConnection

from streamswarm_collector.influxql.columns import AggregateAtom
from streamswarm_collector.influxql.conditions import RowFilter, TimeRange
from streamswarm_collector.influxql.functions import whole_sum
from streamswarm_collector.influxql.source import Groups, Limits, source_sql
from streamswarm_collector.influxql.windows import Windows
from streamswarm_collector.store.rollups import BEGINNING, STEP_NAMES, Rollup, Rollups
from streamswarm_collector.store.schema import FieldColumn, FieldType, MeasurementSchema

_MOST_PARTS: Final = 32
"""Each part is planned by itself; beyond so many, raw rows are as fast."""
_PARTIAL: Final = {
    "count": (),
    "sum": ("sum",),
    "mean": ("sum",),
    "min": ("low",),
    "max": ("high",),
    "spread": ("low", "high"),
}
"""What a function needs beside the number of values."""
_OF_ROWS: Final = {"sum": "sum", "low": "min", "high": "max"}


@dataclass(frozen=True, slots=True)
class Part:
    """A range of time, and the roll-up that it is read from; None for raw rows."""

    rollup: Rollup | None
    range: TimeRange


@dataclass(frozen=True, slots=True)
class Rolled:
    """How a SELECT is answered with the help of roll-ups.

    Attributes:
        parts: in no order; they don't overlap and make up the range that was asked for.
    """

    parts: tuple[Part, ...]

    @staticmethod
    def of(
        measurement: MeasurementSchema,
        atoms: Sequence[AggregateAtom],
        rows: RowFilter,
        time_range: TimeRange,
        windows: Windows | None,
        zone_windows: Sequence[int],
        limits: Limits,
    ) -> "Rolled | None":
        """None where raw rows have to be asked, or where asking them costs little."""
        rollups = measurement.rollups
        if limits.rollups_from is None or rows.sql or not rollups.reached() > BEGINNING:
            return None
        if not all(map(_is_rolled_up, atoms)):
            return None
        parts = [Part(None, time_range)]
        for rollup in reversed(rollups.steps):
            if rollup.kept and _holds(rollup.step, windows, zone_windows):
                parts = [piece for part in parts for piece in _split(part, rollup, rollups)]
        saved = sum(map(_rows_of_series, parts)) * len(measurement.series)
        if saved < limits.rollups_from or not 1 <= len(parts) <= _MOST_PARTS:
            return None
        return Rolled(tuple(parts))

    def note(self) -> str:
        """For whoever asked.

        >>> Rolled((Part(None, TimeRange(0, 1)), Part(Rollup(60_000_000_000, "t"), TimeRange()))).note()
        'answered from 1m roll-ups, and raw rows where there are none'
        """
        steps = sorted({part.rollup.step for part in self.parts if part.rollup}, reverse=True)
        raw = any(part.rollup is None for part in self.parts)
        names = " and ".join(STEP_NAMES[step] for step in steps)
        return f"answered from {names} roll-ups{', and raw rows where there are none' if raw else ''}"

    def source(
        self,
        measurement: MeasurementSchema,
        atoms: Sequence[AggregateAtom],
        groups: Groups,
        rows: RowFilter,
        window: str,
        connection: DuckDBPyConnection,
        *,
        zone_windows: Sequence[int] = (),
    ) -> tuple[str, list[object]]:
        """`FROM …` that yields partial results by `gid`, if there are several groups, and `bucket`; its bound values.

        Args:
            measurement: what is read.
            atoms: functions of fields.
            groups: the series to read.
            rows: without a condition on rows.
            window: SQL for the begin of the window that a `time` is in, or "" without windows.
            connection: the statement's.
            zone_windows: see `source_sql`.
        """
        wanted: dict[str, tuple[FieldColumn, set[str]]] = {}
        for atom in atoms:
            if atom.field:
                wanted.setdefault(atom.field.column, (atom.field, set()))[1].update(_PARTIAL[atom.name])
        keys = [*([] if len(groups.tags) == 1 else ["gid"]), *([f"{window} AS bucket"] if window else [])]
        grouping = [*([] if len(groups.tags) == 1 else ["gid"]), *(["bucket"] if window else [])]
        statements, parameters = [], []
        for part in self.parts:
            source, bound = source_sql(
                measurement,
                groups,
                rows,
                part.range,
                connection,
                zone_windows=zone_windows,
                table=part.rollup.table if part.rollup else None,
            )
            columns = [one for field, partial in wanted.values() for one in _partial_sql(field, partial, part.rollup)]
            by = f" GROUP BY {', '.join(grouping)}" if grouping and part.rollup is None else ""
            statements.append(f"SELECT {', '.join([*keys, *columns])} {source}{by}")
            parameters += bound
        return f"FROM ({' UNION ALL '.join(statements)})", parameters


def whole_value(atom: AggregateAtom) -> str:
    """SQL that makes a function's value from partial results."""
    if atom.field is None:
        return "NULL"
    column = atom.field.column
    match atom.name:
        case "count":
            return f"CAST(sum({column}_n) AS BIGINT)"
        case "sum":
            return whole_sum(f"sum({column}_sum)", atom.field.type)
        case "mean":
            return f"CAST(sum({column}_sum) AS DOUBLE) / CAST(sum({column}_n) AS DOUBLE)"
        case "spread":
            return f"max({column}_high) - min({column}_low)"
        case name:
            return f"{name}({column}_{_PARTIAL[name][0]})"


def _is_rolled_up(atom: AggregateAtom) -> bool:
    if atom.name not in _PARTIAL or not atom.field or not atom.field.column.isidentifier():
        return False
    return not _PARTIAL[atom.name] or atom.field.type in {FieldType.FLOAT, FieldType.INTEGER}


def any_present(atoms: Sequence[AggregateAtom]) -> str:
    """What makes a window count as having points."""
    return " OR ".join(f"sum({atom.field.column}_n) > 0" for atom in atoms if atom.field)


def _partial_sql(field: FieldColumn, partial: set[str], rollup: Rollup | None) -> list[str]:
    column = field.column
    if rollup is None:
        return [
            f"count({column}) AS {column}_n",
            *(f"{_OF_ROWS[one]}({column}) AS {column}_{one}" for one in sorted(partial)),
        ]
    if column not in rollup.columns:
        return [f"NULL AS {column}_{one}" for one in ("n", *sorted(partial))]
    return [f"{column}_{one}" for one in ("n", *sorted(partial))]


def _holds(step: int, windows: Windows | None, zone_windows: Sequence[int]) -> bool:
    """Whether every window begins where one of the step does."""
    if windows is None:
        return True
    if zone_windows:
        return all(start % step == 0 for start in zone_windows)
    return windows.every % step == 0 and windows.offset % step == 0


def _split(part: Part, rollup: Rollup, rollups: Rollups) -> list[Part]:
    """A part of raw rows, with what a roll-up has of it taken out."""
    if part.rollup is not None:
        return [part]
    start = BEGINNING if part.range.start is None else part.range.start
    found: list[Part] = []
    for first, last in rollup.true_ranges(rollups.marks):
        begin = first if start == BEGINNING else max(first, rollup.ceiling(start))
        end = last if part.range.stop is None else min(last, rollup.floor(part.range.stop))
        if begin < end:
            if start < begin:
                found.append(Part(None, TimeRange(None if start == BEGINNING else start, begin)))
            found.append(Part(rollup, TimeRange(None if begin == BEGINNING else begin, end)))
            start = end
    if not found:
        return [part]
    if part.range.stop is None or start < part.range.stop:
        found.append(Part(None, TimeRange(start, part.range.stop)))
    return found


def _rows_of_series(part: Part) -> float:
    """About how many rows of a series need not be read because a roll-up has them."""
    if part.rollup is None or part.range.stop is None:
        return 0
    length = part.range.stop - (BEGINNING if part.range.start is None else part.range.start)
    return length / part.rollup.step * part.rollup.density
