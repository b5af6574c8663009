"""Rows of a test in order of time, a bounded number in memory at once however long the range is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from streamswarm_controlplane.results.fields import Selection, usual_aggregate
from streamswarm_controlplane.results.times import TimeRange
from streamswarm_core.catalogue.model import Field, Kind
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.reader import Aggregate, Condition, Reader, Select
from streamswarm_core.reader.select import Function
from streamswarm_core.reader.series import Value

ROWS_A_SERIES: Final = 5_000
"""Asked for at once; a part of the range that has more is asked for in halves."""
_FEW_ROWS: Final = 2_000
"""A part with fewer in its longest series makes the next one twice as long."""
_LONGEST_NS: Final = 7 * 86_400 * NANOSECONDS

Row = tuple[int, tuple[str, ...], tuple[Value, ...]]
"""Nanoseconds since the epoch, tags and values in the order of the columns."""


@dataclass(frozen=True, slots=True)
class Column:
    """One field of the export.

    Attributes:
        field: as the catalogue declares it.
        kind: type of the values: a mean of integers is none.
        aggregate: what is made of a window; None for single points.
    """

    field: Field
    kind: Kind
    aggregate: Function | None = None

    def value(self, value: Value) -> Value:
        """As its type: stores that speak PromQL answer with floats only."""
        if value is None or self.kind is Kind.STRING:
            return value
        return int(value) if self.kind is Kind.INTEGER else float(value)


@dataclass(frozen=True, slots=True)
class Extract:
    """What is exported.

    Attributes:
        selection: measurement and fields.
        columns: one for each field.
        where: which series.
        agents: whose points; all if empty.
        span: the range.
        every_ns: length of windows; None for single points.
        first_ns: length of the part of the range that is asked for first.
    """

    selection: Selection
    columns: tuple[Column, ...]
    where: tuple[Condition, ...]
    agents: tuple[str, ...]
    span: TimeRange
    every_ns: int | None
    first_ns: int

    @property
    def tags(self) -> tuple[str, ...]:
        """The columns between the time and the fields."""
        return self.selection.measurement.tags


def make_columns(selection: Selection, *, windows: bool, aggregate: Function | None) -> tuple[Column, ...]:
    """A column for each field."""
    return tuple(_column(selection, field, windows=windows, aggregate=aggregate) for field in selection.fields)


def _column(selection: Selection, field: Field, *, windows: bool, aggregate: Function | None) -> Column:
    if not windows:
        return Column(field, field.kind)
    function = aggregate or usual_aggregate(selection.measurement, field) or Function.COUNT
    kind = {Function.MEAN: Kind.FLOAT, Function.COUNT: Kind.INTEGER}.get(function, field.kind)
    return Column(field, kind, function)


def parts(reader: Reader, extract: Extract) -> Iterator[list[Row]]:
    """The rows in order of time and tags, part by part of the range; parts without rows are left out.

    A part's length follows the density of the points: it doubles while there are few and halves where there are many.

    Raises:
        Unavailable: the store can't be reached.
        Refused: the store doesn't take the question.
    """
    at, length = extract.span.start_ns, extract.first_ns
    while at < extract.span.stop_ns:
        end = min(_end(at, length, extract.every_ns), extract.span.stop_ns)
        rows, longest = _read(reader, extract, at, end)
        if longest >= ROWS_A_SERIES and end - at > 1:
            length = max(1, (end - at) // 2)
            if extract.every_ns is None or length >= extract.every_ns:
                continue
        if rows:
            yield rows
        if longest < _FEW_ROWS:
            length = min(2 * length, max(_LONGEST_NS, (extract.every_ns or 0) * _FEW_ROWS))
        at = end


def _end(at: int, length: int, every_ns: int | None) -> int:
    """Where a part ends: windows are never cut in two."""
    if every_ns is None:
        return at + length
    return (at // every_ns + max(1, length // every_ns)) * every_ns


def _read(reader: Reader, extract: Extract, start: int, stop: int) -> tuple[list[Row], int]:
    """The rows of a part, and how many its longest series has."""
    names: list[str | Aggregate] = [
        column.field.name if column.aggregate is None else Aggregate(column.aggregate, column.field.name)
        for column in extract.columns
    ]
    statement = Select(
        extract.selection.measurement.name,
        names,
        start_ns=start,
        stop_ns=stop,
        where=extract.where,
        every_ns=extract.every_ns,
        group_by=extract.tags,
        limit=ROWS_A_SERIES,
    )
    rows: list[Row] = []
    longest = 0
    for series in reader.select(statement):
        longest = max(longest, len(series.rows))
        if extract.agents and series.tags.get("agent", "") not in extract.agents:
            continue
        tags = tuple(series.tags.get(tag, "") for tag in extract.tags)
        where = [series.columns.index(column.field.name) for column in extract.columns]
        rows += (_row(row, tags, where, extract.columns) for row in series.rows)
    rows.sort(key=lambda row: row[:2])
    return rows, longest


def _row(row: Sequence[Value], tags: tuple[str, ...], where: Sequence[int], columns: Sequence[Column]) -> Row:
    values = tuple(column.value(row[index]) for index, column in zip(where, columns, strict=True))
    return int(row[0] or 0), tags, values
