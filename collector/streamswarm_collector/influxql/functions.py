"""The functions of a SELECT that give one value for a window, as DuckDB expressions over one column."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.errors import ExecutionError
from streamswarm_collector.store.schema import FieldColumn, FieldType

_NUMERIC: Final = frozenset({FieldType.FLOAT, FieldType.INTEGER})
_ORDERED: Final = _NUMERIC | {FieldType.BOOLEAN}
_ANY: Final = frozenset(FieldType)


@dataclass(frozen=True, slots=True)
class Function:
    """An aggregate or selector.

    Attributes:
        sql: its value, given the column and the further arguments.
        types: the field types it takes.
        tied_sql: the same where several series may have points of one time, if that makes a difference.
        time_sql: for a selector, the time of the point it selects.
        order_sql: for a selector, an expression of the row it selects, given the column, the arguments and it.
        empty: what it gives for a window without points (`count` is 0).
        arguments: how many numbers follow the field.
        sparse: whether a window with points can be without a value, and is then left out.
        finish: makes the value from what `sql` gives, where SQL alone can't.
        memory: how it is computed from rows in memory, if it can be; see memory.py.
        streamed: whether it goes through the points in order across windows; see integral.py.
    """

    sql: Callable[[FieldColumn, Sequence[float]], str]
    types: frozenset[FieldType] = _NUMERIC
    tied_sql: Callable[[FieldColumn, Sequence[float]], str] | None = None
    time_sql: Callable[[FieldColumn, Sequence[float]], str] | None = None
    order_sql: Callable[[FieldColumn, Sequence[float], str], str] | None = None
    empty: int | None = None
    arguments: int = 0
    sparse: bool = False
    finish: Callable[[Any], Any] | None = None
    memory: bool = False
    streamed: bool = False


def _call(function: str) -> Callable[[FieldColumn, Sequence[float]], str]:
    return lambda column, _arguments: f"{function}({column.column})"


def whole_sum(total: str, type_of_values: FieldType) -> str:
    """SQL for a sum as an answer shows it; one of integers that leaves 64 bits goes on at their other end.

    Args:
        total: SQL for the sum.
        type_of_values: what is added up.
    """
    if type_of_values is not FieldType.INTEGER:
        return f"CAST({total} AS DOUBLE)"
    return f"CAST((({total} + {2**63}) & {2**64 - 1}::HUGEINT) - {2**63} AS BIGINT)"


def _sum(column: FieldColumn, _arguments: Sequence[float]) -> str:
    return whole_sum(f"sum({column.column})", column.type)


def _stddev(column: FieldColumn, _arguments: Sequence[float]) -> str:
    # One point has no deviation, yet its window is not empty: NaN keeps fill() away, and becomes null in the answer.
    name = column.column
    return f"CASE WHEN count({name}) = 1 THEN 'nan'::DOUBLE ELSE stddev_samp({name}) END"


def _rank(column: FieldColumn, arguments: Sequence[float]) -> str:
    """Nearest rank, floor(n·p/100 + 0.5), counted from 1; below 1 there is no value."""
    return f"CAST(floor(count({column.column}) * {float(arguments[0])!r} / 100 + 0.5) AS BIGINT)"


def _percentile(column: FieldColumn, arguments: Sequence[float]) -> str:
    rank = _rank(column, arguments)
    values = f"list_sort(list({column.column}) FILTER (WHERE {column.column} IS NOT NULL))"
    return f"CASE WHEN {rank} BETWEEN 1 AND count({column.column}) THEN {values}[{rank}] END"


def _first(column: FieldColumn, _arguments: Sequence[float]) -> str:
    """Of several first points the greatest value, but of booleans false, by InfluxDB's rule (`FloatFirstReduce` …)."""
    name = column.column
    if column.type is FieldType.BOOLEAN:
        return f"arg_min({name}, struct_pack(t := time, v := {name}))"
    return f"arg_max({name}, struct_pack(t := -time, v := {name}))"


def _last(column: FieldColumn, _arguments: Sequence[float]) -> str:
    """Of several last points the greatest value."""
    return f"arg_max({column.column}, struct_pack(t := time, v := {column.column}))"


def _beside(pick: str, order: str) -> Callable[[FieldColumn, Sequence[float], str], str]:
    """What stands beside the value that a selector picks, such as its time.

    Args:
        pick: `arg_min` or `arg_max`.
        order: by what it picks, of value and time: of several points with the extreme value the earliest, and of
            several of the first or last time that with the greatest value, as in InfluxDB.
    """

    def what_it_is(column: FieldColumn, _arguments: Sequence[float], what: str) -> str:
        name = column.column
        by = order.format(value=f"v := {name}")
        return f"{pick}({what}, struct_pack({by})) FILTER (WHERE {name} IS NOT NULL)"

    return what_it_is


_of_least = _beside("arg_min", "{value}, t := time")
_of_greatest = _beside("arg_max", "{value}, t := -time")
_of_first = _beside("arg_max", "t := -time, {value}")
_of_last = _beside("arg_max", "t := time, {value}")


def _of_percentile(column: FieldColumn, arguments: Sequence[float], what: str) -> str:
    ordered = f"list({what} ORDER BY {column.column}, time) FILTER (WHERE {column.column} IS NOT NULL)"
    rank = _rank(column, arguments)
    return f"CASE WHEN {rank} BETWEEN 1 AND count({column.column}) THEN ({ordered})[{rank}] END"


def _mode(column: FieldColumn, _arguments: Sequence[float]) -> str:
    name = column.column
    ordered = f"ORDER BY {name}, time) FILTER (WHERE {name} IS NOT NULL)"
    return f"struct_pack(v := list({name} {ordered}, t := list(time {ordered})"


def _most_frequent(points: Mapping[str, Sequence[Any]] | None) -> Any:
    """The most frequent value; ties go as in InfluxDB (`FloatModeReduceSlice` in its sources).

    A run of equal values takes the lead from one as long if its first point is not later than the leader's last.
    """
    if points is None or not points["v"]:
        return None
    values, times = points["v"], points["t"]
    best, most, best_time = values[0], 0, times[0]
    current, count, current_time = values[0], 0, times[0]
    for value, time in zip(values, times, strict=True):
        if value != current:
            current, count, current_time = value, 1, time
            continue
        count += 1
        if most > count or (most == count and current_time > best_time):
            continue
        best, most, best_time = value, count, time
    return best


FUNCTIONS: Final[Mapping[str, Function]] = {
    "count": Function(_call("count"), types=_ANY, empty=0, memory=True),
    "count distinct": Function(lambda column, _: f"count(DISTINCT {column.column})", types=_ANY, empty=0),
    "mean": Function(_call("avg"), memory=True),
    "median": Function(_call("median"), memory=True),
    "mode": Function(_mode, types=_ANY, finish=_most_frequent),
    "sum": Function(_sum, memory=True),
    "integral": Function(_call("count"), streamed=True),
    "spread": Function(lambda column, _: f"max({column.column}) - min({column.column})", memory=True),
    "stddev": Function(_stddev, memory=True),
    "min": Function(
        _call("min"),
        types=_ORDERED,
        time_sql=lambda column, arguments: _of_least(column, arguments, "time"),
        order_sql=_of_least,
        memory=True,
    ),
    "max": Function(
        _call("max"),
        types=_ORDERED,
        time_sql=lambda column, arguments: _of_greatest(column, arguments, "time"),
        order_sql=_of_greatest,
        memory=True,
    ),
    "first": Function(
        lambda column, _: f"arg_min({column.column}, time)",
        types=_ANY,
        tied_sql=_first,
        time_sql=lambda column, _: f"min(time) FILTER (WHERE {column.column} IS NOT NULL)",
        order_sql=_of_first,
        memory=True,
    ),
    "last": Function(
        lambda column, _: f"arg_max({column.column}, time)",
        types=_ANY,
        tied_sql=_last,
        time_sql=lambda column, _: f"max(time) FILTER (WHERE {column.column} IS NOT NULL)",
        order_sql=_of_last,
        memory=True,
    ),
    "percentile": Function(
        _percentile,
        time_sql=lambda column, arguments: _of_percentile(column, arguments, "time"),
        order_sql=_of_percentile,
        arguments=1,
        sparse=True,
        memory=True,
    ),
}


def resolve(call: ast.Call) -> tuple[Function, tuple[float, ...]]:
    """The function that a call names, and its arguments behind the field.

    Raises:
        ExecutionError: the function isn't known, or takes other arguments.
    """
    function = FUNCTIONS.get(call.function)
    if function is None:
        raise ExecutionError(f"undefined function {call.function}()")
    if function.streamed:
        return function, (_unit(call),)
    expected = function.arguments + 1
    if len(call.arguments) != expected:
        raise ExecutionError(
            f"invalid number of arguments for {call.function}, expected {expected}, got {len(call.arguments)}"
        )
    numbers = []
    for argument in call.arguments[1:]:
        if not isinstance(argument, ast.Number):
            raise ExecutionError(f"expected float argument in {call.function}()")
        numbers.append(float(argument.value))
    return function, tuple(numbers)


def _unit(call: ast.Call) -> float:
    """The unit of time of integral(), in nanoseconds."""
    match call.arguments[1:]:
        case ():
            return 1e9
        case (ast.Duration(nanoseconds),) if nanoseconds > 0:
            return float(nanoseconds)
    raise ExecutionError(f"{call.function}() takes a field and a duration such as 1s")
