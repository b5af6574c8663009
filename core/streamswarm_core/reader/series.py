"""What every reader answers with."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

Value = float | int | bool | str | None


@dataclass(frozen=True, slots=True)
class Series:
    """One series of an answer.

    Attributes:
        name: the measurement.
        tags: those the statement grouped by; a missing tag is "".
        columns: column names; the first is "time" (nanoseconds since the epoch) for a SELECT.
        rows: values in the order of the columns, None where there is none.
    """

    name: str
    tags: Mapping[str, str]
    columns: tuple[str, ...]
    rows: Sequence[Sequence[Value]]

    def column(self, name: str) -> list[Value]:
        """All values of one column.

        Raises:
            ValueError: there is no such column.
        """
        index = self.columns.index(name)
        return [row[index] for row in self.rows]

    def records(self) -> Iterator[dict[str, Value]]:
        """Each row as a mapping from column to value."""
        return (dict(zip(self.columns, row, strict=True)) for row in self.rows)
