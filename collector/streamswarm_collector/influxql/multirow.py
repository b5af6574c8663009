"""distinct(), top() and bottom(): functions that answer with several rows for a window."""

import heapq
import itertools
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.columns import column_names, raw_columns
from streamswarm_collector.influxql.conditions import RowFilter, TimeRange
from streamswarm_collector.influxql.errors import ExecutionError
from streamswarm_collector.influxql.raw import select_raw
from streamswarm_collector.influxql.source import Connect, Groups, Limits, ResultSeries, limited
from streamswarm_collector.influxql.windows import Windows
from streamswarm_collector.store.schema import FieldType, MeasurementSchema

_FUNCTIONS: Final = frozenset({"distinct", "top", "bottom"})
_Point = tuple[Any, ...]
"""Time, value, and what stands beside it."""


@dataclass(frozen=True, slots=True)
class MultiRow:
    """A SELECT of one of these functions.

    Attributes:
        function: its name.
        field: what it looks at.
        tags: for top() and bottom(), the tags that differ from row to row.
        count: how many rows for a window.
        names: of the columns.
        beside: fields and tags shown beside the value, those of `tags` first.
    """

    function: str
    field: ast.Reference
    tags: tuple[str, ...]
    count: int
    names: tuple[str, ...]
    beside: tuple[ast.Reference, ...]

    @staticmethod
    def of(statement: ast.Select) -> "MultiRow | None":
        """None if the SELECT has no such function.

        Raises:
            ExecutionError: it has, and can't be answered.
        """
        calls = [column for column in statement.columns if _called(column.expression)]
        if not calls:
            return None
        call, alias = calls[0].expression, calls[0].alias
        if not isinstance(call, ast.Call) or call.function not in _FUNCTIONS:
            raise ExecutionError("distinct(), top() and bottom() stand by themselves, not in an expression")
        others = [column for column in statement.columns if column is not calls[0]]
        if call.function == "distinct":
            return _distinct(call, alias, others)
        return _ranking(call, alias, others, statement)

    def answer(
        self,
        statement: ast.Select,
        measurement: MeasurementSchema,
        groups: Groups,
        rows: RowFilter,
        time_range: TimeRange,
        limits: Limits,
        connect: Connect,
    ) -> list[ResultSeries]:
        """Answer it for one measurement.

        Raises:
            ExecutionError: the field can't be ranked, or there are too many points.
        """
        stored = measurement.fields.get(self.field.name)
        if stored is None:
            return []
        if self.function != "distinct" and stored.type not in {FieldType.FLOAT, FieldType.INTEGER}:
            raise ExecutionError(f"unsupported {self.function} iterator type: {stored.type} field {stored.name}")
        present = ast.Column(replace(self.field, cast="field"), "value")
        plain = replace(
            statement,
            columns=(present, *(ast.Column(one, f"beside {place}") for place, one in enumerate(self.beside))),
            window=None,
            limit=0,
            offset=0,
        )
        columns = raw_columns(plain, measurement, [measurement], groups.keys)
        found = select_raw(plain, measurement, columns, groups, rows, time_range, limits, connect)
        windows = statement.window and Windows(statement.window.every, statement.window.offset, statement.zone)
        answer = []
        for series in found:
            points = [point for point in zip(*series.columns, strict=True) if point[1] is not None]
            floor = windows.floor if windows else _always(time_range.start or 0)
            kept = [
                row
                for start, own in itertools.groupby(points, key=lambda one: floor(one[0]))
                for row in self._rows(start, list(own))
            ]
            columns_of_rows = [list(column) for column in zip(*kept, strict=True)] or [[] for _ in self.names]
            if isinstance(statement.fill, ast.Number):
                columns_of_rows = [
                    [statement.fill.value if one is None else one for one in column] for column in columns_of_rows
                ]
            result = limited(statement, columns_of_rows)
            if result[0]:
                answer.append(ResultSeries(series.name, series.tags, list(self.names), result))
        return answer

    def _rows(self, start: int, points: Sequence[_Point]) -> Iterable[_Point]:
        """Those of one window. As in InfluxDB ORDER BY turns the windows round, not the rows within one."""
        if self.function == "distinct":
            first_met = {point[1]: point[0] for point in reversed(points)}
            return [(start, value) for value in sorted(first_met, key=first_met.__getitem__)]
        sign = -1 if self.function == "top" else 1

        def rank(point: _Point) -> tuple[Any, ...]:
            return sign * point[1], point[0]

        candidates: Iterable[_Point] = points
        if self.tags:
            best: dict[tuple[Any, ...], _Point] = {}
            for point in points:
                key = point[2 : 2 + len(self.tags)]
                best[key] = min(best.get(key, point), point, key=rank)
            candidates = best.values()
        return sorted(heapq.nsmallest(self.count, candidates, key=rank), key=lambda one: one[0])


def _called(expression: ast.Expression) -> bool:
    match expression:
        case ast.Call("count", (ast.Call("distinct"),)):
            return False
        case ast.Call(function, arguments):
            return function in _FUNCTIONS or any(map(_called, arguments))
        case ast.Binary(_, left, right):
            return _called(left) or _called(right)
    return False


def _always(start: int) -> Callable[[int], int]:
    return lambda _time: start


def _distinct(call: ast.Call, alias: str, others: Sequence[ast.Column]) -> MultiRow:
    if others:
        raise ExecutionError("aggregate function distinct() cannot be combined with other functions or fields")
    match call.arguments:
        case (ast.Reference() as reference,):
            return MultiRow("distinct", reference, (), 0, ("time", alias or "distinct"), ())
    raise ExecutionError("expected field argument in distinct()")


def _ranking(call: ast.Call, alias: str, others: Sequence[ast.Column], statement: ast.Select) -> MultiRow:
    name = call.function
    if len(call.arguments) < 2:
        raise ExecutionError(f"invalid number of arguments for {name}, expected at least 2, got {len(call.arguments)}")
    field, *tags, count = call.arguments
    if not isinstance(field, ast.Reference) or not all(isinstance(tag, ast.Reference) for tag in tags):
        raise ExecutionError(f"{name}() takes a field, tags if wanted, and how many")
    if not isinstance(count, ast.Number) or not isinstance(count.value, int):
        raise ExecutionError(f"expected integer as last argument in {name}()")
    if count.value < 1:
        raise ExecutionError(f"limit ({count.value}) in {name} function must be at least 1")
    if statement.limit and count.value > statement.limit:
        raise ExecutionError(
            f"limit ({count.value}) in {name} function can not be larger than the LIMIT ({statement.limit}) "
            "in the select statement"
        )
    beside = [tag for tag in tags if isinstance(tag, ast.Reference)]
    labels = [(name, alias), *((tag.name, "") for tag in beside)]
    for column in others:
        if not isinstance(column.expression, ast.Reference):
            raise ExecutionError(f"selector function {name}() cannot be combined with other functions")
        labels.append((column.expression.name, column.alias))
    more = [column.expression for column in others if isinstance(column.expression, ast.Reference)]
    return MultiRow(
        name, field, tuple(tag.name for tag in beside), count.value, ("time", *column_names(labels)), (*beside, *more)
    )
