"""WHERE, taken apart: the time range, the series that can match, and what DuckDB has to test row by row."""

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Final
from zoneinfo import ZoneInfo

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.errors import ExecutionError, ParseError
from streamswarm_collector.store.schema import FieldColumn, FieldType, MeasurementSchema
from streamswarm_collector.store.tagindex import TagIndex
from streamswarm_core.clock import to_ns

_TIME_OPERATORS: Final = frozenset({"=", "<", "<=", ">", ">="})
_MIRRORED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
_COMPARISONS: Final = frozenset({"=", "!=", "<", "<=", ">", ">="})
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


def split_time(
    where: ast.Expression | None, now_ns: int, zone: ZoneInfo | None = None
) -> tuple[TimeRange, ast.Expression | None]:
    """Separate the comparisons of `time` from the rest; times without a zone are in `zone`, or UTC.

    Raises:
        ParseError: `time` is compared in a way that is not understood.
    """
    if where is None:
        return TimeRange(), None
    time_range = TimeRange()
    others: list[ast.Expression] = []
    for term in _conjuncts(where):
        comparison = _time_comparison(term)
        if comparison is not None:
            time_range = time_range.narrowed(comparison[0], constant_time(comparison[1], now_ns, zone))
        elif _mentions_time(term):
            raise ParseError("time can be compared with AND only, and with =, <, <=, > or >=")
        else:
            others.append(term)
    return time_range, ast.folded("AND", others) if others else None


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


def constant_time(expression: ast.Expression, now_ns: int, zone: ZoneInfo | None = None) -> int:
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
            return parse_time(text, zone)
        case ast.Call("now", ()):
            return now_ns
        case ast.Binary("+", left, right):
            return constant_time(left, now_ns, zone) + constant_time(right, now_ns, zone)
        case ast.Binary("-", left, right):
            return constant_time(left, now_ns, zone) - constant_time(right, now_ns, zone)
    raise ParseError("time is compared with something that is no time; write now() - 1h, '2024-01-01T00:00:00Z' or 5s")


def parse_time(text: str, zone: ZoneInfo | None = None) -> int:
    """Read RFC 3339, or InfluxDB's `YYYY-MM-DD HH:MM:SS.fffffffff`, in `zone` or UTC unless it says otherwise.

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
    return to_ns(moment if moment.tzinfo else moment.replace(tzinfo=zone or UTC)) + nanoseconds


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
    on_tags = [term for term in terms if not mentions_field(term, measurement)]
    on_rows = [term for term in terms if mentions_field(term, measurement)]
    sids = measurement.tags.all
    for term in on_tags:
        sids &= find_series(term, measurement.tags)
    row_filter = RowFilter(sorted(sids))
    parts = [_row_condition(term, measurement, row_filter.parameters) for term in on_rows]
    row_filter.sql = " AND ".join(parts)
    return row_filter


def mentions_field(expression: ast.Expression, measurement: MeasurementSchema) -> bool:
    """Whether a condition needs more than tags."""
    if isinstance(expression, ast.Binary):
        return mentions_field(expression.left, measurement) or mentions_field(expression.right, measurement)
    return field_of(expression, measurement) is not None


def field_of(expression: ast.Expression, measurement: MeasurementSchema) -> FieldColumn | None:
    """The field that a reference names, cast if it says so; None for a tag, an unknown name or something else."""
    if not isinstance(expression, ast.Reference) or expression.cast == "tag":
        return None
    stored = measurement.fields.get(expression.name)
    if stored is None or expression.cast in {"", "field", stored.type}:
        return stored
    if (stored.type, expression.cast) == (FieldType.INTEGER, FieldType.FLOAT):
        return FieldColumn(stored.name, FieldType.FLOAT, f"CAST({stored.column} AS DOUBLE)")
    if (stored.type, expression.cast) == (FieldType.FLOAT, FieldType.INTEGER):
        # As Go's conversion does on amd64: towards zero, and the lowest integer for what does not fit.
        whole = f"CAST(trunc({stored.column}) AS BIGINT)"
        fits = f"abs({stored.column}) < 9.2233720368547e18"
        never = f"CASE WHEN {stored.column} IS NOT NULL THEN (-9223372036854775808)::BIGINT END"
        return FieldColumn(stored.name, FieldType.INTEGER, f"CASE WHEN {fits} THEN {whole} ELSE {never} END")
    return None


def find_series(condition: ast.Expression, tags: TagIndex) -> frozenset[int]:
    """The series that match a condition on tags; a missing tag is the same as an empty one.

    Raises:
        ParseError: the condition is not understood.
    """
    match condition:
        case ast.Binary("AND", left, right):
            return find_series(left, tags) & find_series(right, tags)
        case ast.Binary("OR", left, right):
            return find_series(left, tags) | find_series(right, tags)
        case ast.Binary("=" | "!=" as sign, ast.Reference(key, cast), ast.String(value)) | ast.Binary(
            "=" | "!=" as sign, ast.String(value), ast.Reference(key, cast)
        ):
            if cast not in {"", "tag"}:
                return frozenset()
            found = tags.equal(key, value)
            return found if sign == "=" else tags.all - found
        case ast.Binary("=~", ast.Reference(key), ast.Regex() as regex):
            return tags.matching(key, regex.among)
        case ast.Binary("!~", ast.Reference(key), ast.Regex() as regex):
            return tags.all - tags.matching(key, regex.among)
        case ast.Boolean(value):
            return tags.all if value else frozenset()
        case ast.Binary(_, ast.Reference(), ast.Number() | ast.Boolean()):
            return frozenset()
        case ast.Binary("=", ast.Reference(one), ast.Reference(other)):
            # Not the values but the presence of both tags is compared; whoever writes this mostly meant '…'.
            return tags.all - tags.equal(one, "") - tags.equal(other, "")
    raise ParseError("a condition compares a field or tag with =, !=, =~ or !~, or a field with <, <=, > or >=")


def _row_condition(expression: ast.Expression, measurement: MeasurementSchema, parameters: list[object]) -> str:
    if isinstance(expression, ast.Binary) and expression.operator in {"AND", "OR"}:
        left = _row_condition(expression.left, measurement, parameters)
        right = _row_condition(expression.right, measurement, parameters)
        return f"({left} {expression.operator} {right})"
    if not mentions_field(expression, measurement):
        parameters.append(sorted(find_series(expression, measurement.tags)))
        return "list_contains(?, sid)"
    if isinstance(expression, ast.Binary):
        column = field_of(expression.left, measurement)
        if column is not None and not mentions_field(expression.right, measurement):
            return _field_condition(column, expression.operator, expression.right, parameters)
        column = field_of(expression.right, measurement)
        if column is not None and expression.operator in _MIRRORED and not mentions_field(expression.left, measurement):
            return _field_condition(column, _MIRRORED[expression.operator], expression.left, parameters)
        if expression.operator in _COMPARISONS:
            left = _calculated(expression.left, measurement)
            right = _calculated(expression.right, measurement)
            return f"{left} {expression.operator} {right}"
    raise ParseError("a field is compared with a number, string or boolean, or with =~ and a regular expression")


def _calculated(expression: ast.Expression, measurement: MeasurementSchema) -> str:
    """One side of a comparison, calculated from fields and numbers."""
    match expression:
        case ast.Number(value):
            return f"({value!r})"
        case ast.Reference():
            column = field_of(expression, measurement)
            if column is not None and column.type in {FieldType.FLOAT, FieldType.INTEGER}:
                return column.column
        case ast.Binary("+" | "-" | "*" as sign, left, right):
            first = _calculated(left, measurement)
            return f"({first} {sign} {_calculated(right, measurement)})"
        case ast.Binary("/" | "%" as sign, left, right):
            first = _calculated(left, measurement)
            divisor = _calculated(right, measurement)
            return f"CASE WHEN {divisor} = 0 THEN 0 * {first} ELSE {first} {sign} {divisor} END"
        case ast.Binary("&" | "|" | "^" as sign, left, right):
            first = _whole(left, measurement)
            second = _whole(right, measurement)
            return f"xor({first}, {second})" if sign == "^" else f"({first} {sign} {second})"
    raise ParseError("a comparison calculates with numeric fields, numbers, +, -, *, /, %, &, | and ^ only")


def _whole(expression: ast.Expression, measurement: MeasurementSchema) -> str:
    """An operand of an operator that works on the bits of integers."""
    match expression:
        case ast.Number(int(value)):
            return f"({value!r})::BIGINT"
        case ast.Reference():
            column = field_of(expression, measurement)
            if column is not None and column.type is FieldType.INTEGER:
                return column.column
        case ast.Binary("&" | "|" | "^"):
            return _calculated(expression, measurement)
    raise ParseError("&, | and ^ in a comparison take fields that are integers, and whole numbers")


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
    if sign not in _COMPARISONS:
        raise ParseError(f"operator {sign} takes a regular expression")
    return f"{column.column} {sign} ?"
