"""Samples of single metrics put together to the rows of a SELECT."""

from collections.abc import Sequence

from streamswarm_core.reader.promwindows import MILLISECOND, Span
from streamswarm_core.reader.select import Aggregate, Fill, Select
from streamswarm_core.reader.series import Series, Value

Tags = tuple[tuple[str, str], ...]
"""Tags of a series, sorted, without empty ones."""

_Rows = dict[int, dict[str, Value]]
"""Values by column, by milliseconds since the epoch."""


class Table:
    """Groups of series, each series with its rows.

    Args:
        group_by: tag keys; ("*",) for every tag.
    """

    def __init__(self, group_by: Sequence[str]) -> None:
        self._keys = None if "*" in group_by else tuple(group_by)
        self._groups: dict[Tags, dict[Tags, _Rows]] = {}

    def put(self, tags: Tags, time_ms: int, column: str, value: Value) -> None:
        """Set one value of one row."""
        self._groups.setdefault(self._group(tags), {}).setdefault(tags, {}).setdefault(time_ms, {})[column] = value

    def count(self, tags: Tags) -> int:
        """How many rows the group has that these tags are of."""
        return sum(len(rows) for rows in self._groups.get(self._group(tags), {}).values())

    def answer(self, statement: Select, windows: Sequence[Span] = ()) -> list[Series]:
        """The series of a statement, sorted by tags; filled, ordered and limited as it says.

        Args:
            statement: what was asked.
            windows: the windows to fill, if it asked for windows.
        """
        columns = [one if isinstance(one, str) else one.name or one.field for one in statement.columns]
        keys = self._keys
        if keys is None:
            keys = tuple(sorted({key for tags in self._groups for key, _ in tags}))
        fill = statement.fill if statement.every_ns is not None else Fill.NONE
        found = []
        for group, members in sorted(self._groups.items()):
            rows = [(time, values) for series in members.values() for time, values in series.items()]
            if fill is not Fill.NONE:
                rows = _filled(dict(rows), columns, windows, statement)
            rows.sort(key=lambda row: row[0], reverse=statement.descending)
            named = dict(group)
            found.append(
                Series(
                    name=statement.measurement,
                    tags={key: named.get(key, "") for key in keys},
                    columns=("time", *columns),
                    rows=[
                        [self._time(time, statement), *(values.get(column) for column in columns)]
                        for time, values in rows[: statement.limit]
                    ],
                )
            )
        return sorted(found, key=lambda series: list(series.tags.values()))

    def _group(self, tags: Tags) -> Tags:
        if self._keys is None:
            return tags
        named = dict(tags)
        return tuple((key, named.get(key, "")) for key in self._keys)

    @staticmethod
    def _time(time_ms: int, statement: Select) -> int:
        """Nanoseconds of a row; the one row without windows has the statement's own start."""
        if statement.every_ns is None and isinstance(statement.columns[0], Aggregate):
            return statement.start_ns or 0
        return time_ms * MILLISECOND


def _filled(
    rows: _Rows, columns: Sequence[str], windows: Sequence[Span], statement: Select
) -> list[tuple[int, dict[str, Value]]]:
    filled: list[tuple[int, dict[str, Value]]] = []
    previous: dict[str, Value] = {}
    for time in (span.label + index * span.length for span in windows for index in range(span.count)):
        known = rows.get(time, {})
        match statement.fill:
            case Fill.ZERO:
                values: dict[str, Value] = {column: known.get(column, 0) for column in columns}
            case Fill.PREVIOUS:
                values = {column: known.get(column, previous.get(column)) for column in columns}
            case _:
                values = known
        previous = values
        filled.append((time, values))
    return filled
