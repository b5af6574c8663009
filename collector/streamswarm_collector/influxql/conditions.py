"""WHERE, taken apart: the time range, the series that can match, and what DuckDB has to test row by row."""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.errors import ExecutionError, ParseError
from streamswarm_collector.store.schema import FieldColumn, FieldType, MeasurementSchema
from streamswarm_core.clock import to_ns

_TIME_OPERATORS: Final = frozenset({"=", "<", "<=", ">", ">="})
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
_ORDER: Final[Mapping[str, Callable[[str, str], bool]]] = {"=": operator.eq, "!=": operator.ne}
_FRACTION: Final = re.compile(r"(.*:\d\d)\.(\d{1,9})(.*)\Z")


@dataclass(frozen=True, slots=True)
class TimeRange:
    """Nanoseconds since the epoch, `start` included, `stop` excluded; None where the statement sets no bound."""

    start: int | None = None
    stop: int | None = None

    def narrowed(self, operator_text: str, time_ns: int) -> "TimeRange":
        """The range after one more comparison of `time`."""
        start, stop = self.start, self.stop
        if operator_text in {">", ">=", "="}:
            bound = time_ns + (operator_text == ">")
            start = bound if start is None else max(start, bound)
        if operator_text in {"<", "<=", "="}:
            bound = time_ns + (operator_text != "<")
            stop = bound if stop is None else min(stop, bound)
        return TimeRange(start, stop)

    def intersected(self, other: "TimeRange") -> "TimeRange":
        """The range that both ranges have in common."""
        starts = [bound for bound in (self.start, other.start) if bound is not None]
        stops = [bound for bound in (self.stop, other.stop) if bound is not None]
        return TimeRange(max(starts, default=None), min(stops, default=None))


def split_time(where: ast.Expression | None, now_ns: int) -> tuple[TimeRange, ast.Expression | None]:
    """Separate the comparisons of `time` from the rest.

    Raises:
        ParseError: `time` is compared in a way that is not understood.
    """
    if where is None:
        return TimeRange(), None
    time_range, rest = TimeRange(), None
    for term in _conjuncts(where):
        comparison = _time_comparison(term)
        if comparison is not None:
            time_range = time_range.narrowed(comparison[0], constant_time(comparison[1], now_ns))
        elif _mentions_time(term):
            raise ParseError("time can be compared with AND only, and with =, <, <=, > or >=")
        else:
            rest = term if rest is None else ast.Binary("AND", rest, term)
    return time_range, rest


def _conjuncts(expression: ast.Expression) -> list[ast.Expression]:
    if isinstance(expression, ast.Binary) and expression.operator == "AND":
        return [*_conjuncts(expression.left), *_conjuncts(expression.right)]
    return [expression]


def _time_comparison(term: ast.Expression) -> tuple[str, ast.Expression] | None:
    if not isinstance(term, ast.Binary) or term.operator not in _TIME_OPERATORS:
        return None
    if _is_time(term.left):
        return term.operator, term.right
    return (_MIRRORED[term.operator], term.left) if _is_time(term.right) else None


def _is_time(expression: ast.Expression) -> bool:
    return isinstance(expression, ast.Reference) and expression.name.lower() == "time" and not expression.cast


def _mentions_time(expression: ast.Expression) -> bool:
    if isinstance(expression, ast.Binary):
        return _mentions_time(expression.left) or _mentions_time(expression.right)
    return _is_time(expression)


def constant_time(expression: ast.Expression, now_ns: int) -> int:
    """Nanoseconds since the epoch that an expression beside `time` means.

    Raises:
        ParseError: it is no time.
    """
    match expression:
        case ast.Number(value):
            return int(value)
        case ast.Duration(nanoseconds):
            return nanoseconds
        case ast.String(text):
            return parse_time(text)
        case ast.Call("now", ()):
            return now_ns
        case ast.Binary("+", left, right):
            return constant_time(left, now_ns) + constant_time(right, now_ns)
        case ast.Binary("-", left, right):
            return constant_time(left, now_ns) - constant_time(right, now_ns)
    raise ParseError("time is compared with something that is no time; write now() - 1h, '2024-01-01T00:00:00Z' or 5s")


def parse_time(text: str) -> int:
    """Read RFC 3339, or InfluxDB's `YYYY-MM-DD HH:MM:SS.fffffffff`, as UTC unless it says otherwise.

    Raises:
        ParseError: it is neither.

    >>> parse_time("2024-01-01 00:00:00.000000001")
    1704067200000000001
    """
    nanoseconds = 0
    whole = text
    fraction = _FRACTION.match(text)
    if fraction:
        whole = fraction.group(1) + fraction.group(3)
        nanoseconds = int(fraction.group(2).ljust(9, "0"))
    try:
        moment = datetime.fromisoformat(whole)
    except ValueError:
        raise ParseError(f"invalid operation: {text!r} is no time; write '2024-01-01T00:00:00Z'") from None
    return to_ns(moment if moment.tzinfo else moment.replace(tzinfo=UTC)) + nanoseconds


@dataclass(slots=True)
class RowFilter:
    """What is left of WHERE for one measurement.

    Attributes:
        sids: the series that can have matching rows.
        sql: a condition to test row by row, or "".
        parameters: its bound values.
    """

    sids: list[int]
    sql: str = ""
    parameters: list[object] = field(default_factory=list)


def filter_rows(condition: ast.Expression | None, measurement: MeasurementSchema) -> RowFilter:
    """Resolve a condition without `time` against a measurement's series and fields.

    Raises:
        ParseError: a part is not understood.
    """
    if condition is None:
        return RowFilter(list(measurement.series))
    terms = _conjuncts(condition)
    on_tags = [term for term in terms if not _mentions_field(term, measurement)]
    on_rows = [term for term in terms if _mentions_field(term, measurement)]
    sids = [sid for sid, tags in measurement.series.items() if all(matches_tags(term, tags) for term in on_tags)]
    row_filter = RowFilter(sids)
    parts = [_row_condition(term, measurement, row_filter.parameters) for term in on_rows]
    row_filter.sql = " AND ".join(parts)
    return row_filter


def _mentions_field(expression: ast.Expression, measurement: MeasurementSchema) -> bool:
    if isinstance(expression, ast.Binary):
        return _mentions_field(expression.left, measurement) or _mentions_field(expression.right, measurement)
    return field_of(expression, measurement) is not None


def field_of(expression: ast.Expression, measurement: MeasurementSchema) -> FieldColumn | None:
    """The field that a reference names; None for a tag, an unknown name or something else."""
    if not isinstance(expression, ast.Reference) or expression.cast == "tag":
        return None
    return measurement.fields.get(expression.name)


def matches_tags(condition: ast.Expression, tags: Mapping[str, str]) -> bool:
    """Whether a series matches a condition on tags; a missing tag is the same as an empty one.

    Raises:
        ParseError: the condition is not understood.
    """
    match condition:
        case ast.Binary("AND", left, right):
            return matches_tags(left, tags) and matches_tags(right, tags)
        case ast.Binary("OR", left, right):
            return matches_tags(left, tags) or matches_tags(right, tags)
        case ast.Binary("=" | "!=" as sign, ast.Reference(key), ast.String(value)) | ast.Binary(
            "=" | "!=" as sign, ast.String(value), ast.Reference(key)
        ):
            return _ORDER[sign](tags.get(key, ""), value)
        case ast.Binary("=~", ast.Reference(key), ast.Regex() as regex):
            return regex.matches(tags.get(key, ""))
        case ast.Binary("!~", ast.Reference(key), ast.Regex() as regex):
            return not regex.matches(tags.get(key, ""))
        case ast.Boolean(value):
            return value
        case ast.Binary(_, ast.Reference(), ast.Number() | ast.Boolean()):
            return False
    raise ParseError("a condition compares a field or tag with =, !=, =~ or !~, or a field with <, <=, > or >=")


def _row_condition(expression: ast.Expression, measurement: MeasurementSchema, parameters: list[object]) -> str:
    if isinstance(expression, ast.Binary) and expression.operator in {"AND", "OR"}:
        left = _row_condition(expression.left, measurement, parameters)
        right = _row_condition(expression.right, measurement, parameters)
        return f"({left} {expression.operator} {right})"
    if not _mentions_field(expression, measurement):
        sids = [sid for sid, tags in measurement.series.items() if matches_tags(expression, tags)]
        parameters.append(sids)
        return "list_contains(?, sid)"
    if isinstance(expression, ast.Binary):
        column = field_of(expression.left, measurement)
        if column is not None:
            return _field_condition(column, expression.operator, expression.right, parameters)
        column = field_of(expression.right, measurement)
        if column is not None and expression.operator in _MIRRORED:
            return _field_condition(column, _MIRRORED[expression.operator], expression.left, parameters)
    raise ParseError("a field is compared with a number, string or boolean, or with =~ and a regular expression")


def _field_condition(column: FieldColumn, sign: str, value: ast.Expression, parameters: list[object]) -> str:
    match column.type, value:
        case (FieldType.FLOAT | FieldType.INTEGER, ast.Number(number)):
            parameters.append(number)
        case (FieldType.STRING, ast.String(text)) if sign in {"=", "!="}:
            parameters.append(text)
        case (FieldType.BOOLEAN, ast.Boolean(truth)) if sign in {"=", "!="}:
            parameters.append(truth)
        case (FieldType.STRING, ast.Regex(pattern)):
            parameters.append(pattern)
            return f"{'NOT ' if sign == '!~' else ''}regexp_matches({column.column}, ?)"
        case (_, ast.Number() | ast.String() | ast.Boolean()):
            return "false"
        case _:
            raise ExecutionError(f"field {column.name!r} is compared with an expression; only a constant is understood")
    if sign not in {"=", "!=", "<", "<=", ">", ">="}:
        raise ParseError(f"operator {sign} takes a regular expression")
    return f"{column.column} {sign} ?"
