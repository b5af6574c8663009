"""SELECT statements as values: user input becomes a quoted identifier or string, never syntax.

`render` gives InfluxQL; the reader for PromQL takes the same statement apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Literal


def quote_identifier(name: str) -> str:
    r"""Quote a measurement, field or tag key.

    >>> quote_identifier('a"b')
    '"a\\"b"'
    """
    return '"' + name.replace("\\", "\\\\").replace('"', r"\"").replace("\n", r"\n") + '"'


def quote_string(text: str) -> str:
    r"""Quote a string literal.

    >>> quote_string("it's")
    "'it\\'s'"
    """
    return "'" + text.replace("\\", "\\\\").replace("'", r"\'").replace("\n", r"\n") + "'"


class Function(StrEnum):
    """The aggregates and selectors that every store answers."""

    MEAN = "mean"
    MIN = "min"
    MAX = "max"
    COUNT = "count"
    SUM = "sum"
    FIRST = "first"
    LAST = "last"


class Fill(StrEnum):
    """What an empty window holds."""

    NULL = "null"
    NONE = "none"
    PREVIOUS = "previous"
    ZERO = "0"


@dataclass(frozen=True, slots=True)
class Aggregate:
    """One column: a function of a field, `AS` a name."""

    function: Function | Literal["mean", "min", "max", "count", "sum", "first", "last"]
    field: str
    name: str = ""

    def render(self) -> str:
        """InfluxQL text of the column."""
        return (
            f"{Function(self.function)}({quote_identifier(self.field)}) AS {quote_identifier(self.name or self.field)}"
        )


@dataclass(frozen=True, slots=True)
class Condition:
    """`tag = value`; an empty value means "without this tag"."""

    tag: str
    value: str
    operator: Literal["=", "!="] = "="

    def render(self) -> str:
        """InfluxQL text of the condition."""
        return f"{quote_identifier(self.tag)} {self.operator} {quote_string(self.value)}"


@dataclass(frozen=True, slots=True)
class Select:
    """One SELECT.

    Attributes:
        measurement: where from.
        columns: field names for raw points, or aggregates.
        start_ns: earliest time, included, nanoseconds since the epoch.
        stop_ns: latest time, excluded.
        where: all must hold.
        every_ns: window length for aggregates; None for one value over the whole range.
        group_by: tag keys; ("*",) for every tag.
        fill: what an empty window holds.
        descending: newest first.
        limit: rows a series at most.
    """

    measurement: str
    columns: Sequence[str | Aggregate]
    start_ns: int | None = None
    stop_ns: int | None = None
    where: Sequence[Condition] = ()
    every_ns: int | None = None
    group_by: Sequence[str] = ()
    fill: Fill = Fill.NONE
    descending: bool = False
    limit: int | None = None

    def render(self) -> str:
        """InfluxQL text of the statement.

        >>> Select("icmp", [Aggregate("mean", "rtt_mean")], start_ns=5, group_by=["agent"]).render()
        'SELECT mean("rtt_mean") AS "rtt_mean" FROM "icmp" WHERE time >= 5ns GROUP BY "agent"'
        """
        columns = ", ".join(
            quote_identifier(column) if isinstance(column, str) else column.render() for column in self.columns
        )
        parts = [f"SELECT {columns} FROM {quote_identifier(self.measurement)}"]  # noqa: S608 - every part is quoted
        conditions = [condition.render() for condition in self.where]
        if self.start_ns is not None:
            conditions.append(f"time >= {int(self.start_ns)}ns")
        if self.stop_ns is not None:
            conditions.append(f"time < {int(self.stop_ns)}ns")
        if conditions:
            parts.append("WHERE " + " AND ".join(conditions))
        groups = [] if self.every_ns is None else [f"time({int(self.every_ns)}ns)"]
        groups += ["*" if tag == "*" else quote_identifier(tag) for tag in self.group_by]
        if groups:
            parts.append("GROUP BY " + ", ".join(groups))
        if self.every_ns is not None:
            parts.append(f"fill({self.fill})")
        if self.descending:
            parts.append("ORDER BY time DESC")
        if self.limit is not None:
            parts.append(f"LIMIT {int(self.limit)}")
        return " ".join(parts)
