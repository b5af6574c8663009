"""Columns as expressions over what the store is asked for: arithmetic, mathematics, and transformations in time.

The store delivers atoms (fields, or aggregates of fields) row by row; an expression is evaluated over the rows of one
series of the answer. A missing value makes what is computed from it missing; a division by zero gives 0.
"""

import itertools
import math
import statistics
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from operator import and_, or_, xor
from typing import Any, Final

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.errors import ExecutionError, ParseError


@dataclass(frozen=True, slots=True)
class Atom:
    """The n-th value of a row."""

    index: int


@dataclass(frozen=True, slots=True)
class Constant:
    """A number."""

    value: float | int


@dataclass(frozen=True, slots=True)
class Arithmetic:
    """`+ - * / % & | ^` of two expressions."""

    operator: str
    left: "Node"
    right: "Node"


@dataclass(frozen=True, slots=True)
class Mathematics:
    """A function of the values of one row."""

    function: Callable[..., float | int]
    arguments: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Transformation:
    """A function of the values of many rows.

    Attributes:
        name: as in InfluxQL.
        argument: what it transforms.
        parameter: nanoseconds of a unit, or how many values.
    """

    name: str
    argument: "Node"
    parameter: int


Node = Atom | Constant | Arithmetic | Mathematics | Transformation

_MATHEMATICS: Final[Mapping[str, tuple[int, Callable[..., float | int]]]] = {
    "abs": (1, abs),
    "acos": (1, math.acos),
    "asin": (1, math.asin),
    "atan": (1, math.atan),
    "atan2": (2, math.atan2),
    "ceil": (1, lambda value: value if isinstance(value, int) else float(math.ceil(value))),
    "cos": (1, math.cos),
    "exp": (1, math.exp),
    "floor": (1, lambda value: value if isinstance(value, int) else float(math.floor(value))),
    "ln": (1, math.log),
    "log": (2, math.log),
    "log10": (1, math.log10),
    "log2": (1, math.log2),
    "pow": (2, lambda base, exponent: float(base) ** exponent),
    "round": (1, lambda value: value if isinstance(value, int) else math.copysign(math.floor(abs(value) + 0.5), value)),
    "sin": (1, math.sin),
    "sqrt": (1, math.sqrt),
    "tan": (1, math.tan),
}
_TRANSFORMATIONS: Final = frozenset(
    {
        "cumulative_sum",
        "derivative",
        "difference",
        "elapsed",
        "moving_average",
        "non_negative_derivative",
        "non_negative_difference",
    }
)
_LOOK_BACK_ONE: Final = frozenset(
    {"derivative", "non_negative_derivative", "difference", "non_negative_difference", "elapsed", "moving_average"}
)
_OF_BITS: Final[Mapping[str, Callable[[int, int], int]]] = {"&": and_, "|": or_, "^": xor}
_SECOND: Final = 1_000_000_000
_INTEGERS: Final = 2**63


def compile_expression(
    expression: ast.Expression, atom: Callable[[ast.Expression], int | None], *, every: int | None
) -> Node:
    """Turn an expression into something to evaluate.

    Args:
        expression: a column.
        atom: gives the index of what the store is asked for, or None for what has to be taken apart.
        every: length of a window in nanoseconds, the unit of a derivative of aggregates.

    Raises:
        ParseError: a part is not understood.
        ExecutionError: a function isn't known, or takes other arguments.
    """
    index = atom(expression)
    if index is not None:
        return Atom(index)
    match expression:
        case ast.Number(value):
            return Constant(value)
        case ast.Binary("+" | "-" | "*" | "/" | "%" | "&" | "|" | "^" as operator, left, right):
            return Arithmetic(
                operator,
                compile_expression(left, atom, every=every),
                compile_expression(right, atom, every=every),
            )
        case ast.Call(name, arguments) if name in _MATHEMATICS:
            count, function = _MATHEMATICS[name]
            _check_arguments(name, len(arguments), count, count)
            return Mathematics(function, tuple(compile_expression(one, atom, every=every) for one in arguments))
        case ast.Call(name, arguments) if name in _TRANSFORMATIONS:
            return _compile_transformation(name, arguments, atom, every)
        case ast.Call(name):
            raise ExecutionError(f"undefined function {name}()")
    raise ParseError("a column is a field, a tag, a number, or a function or arithmetic expression of these")


def _check_arguments(name: str, given: int, least: int, most: int) -> None:
    if not least <= given <= most:
        expected = str(least) if least == most else f"at least {least} and at most {most}"
        raise ExecutionError(f"invalid number of arguments for {name}, expected {expected}, got {given}")


def _compile_transformation(
    name: str,
    arguments: Sequence[ast.Expression],
    atom: Callable[[ast.Expression], int | None],
    every: int | None,
) -> Transformation:
    has_parameter = name not in {"cumulative_sum", "difference", "non_negative_difference"}
    least = 2 if name == "moving_average" else 1
    _check_arguments(name, len(arguments), least, 2 if has_parameter else 1)
    argument = compile_expression(arguments[0], atom, every=every)
    if isinstance(argument, Transformation):
        raise ExecutionError(f"{name}() of another transformation is not supported by the embedded store")
    parameter = (every or _SECOND) if name.endswith("derivative") else 1
    match arguments[1:]:
        case (ast.Duration(nanoseconds),) if name != "moving_average" and nanoseconds > 0:
            parameter = nanoseconds
        case (ast.Number(int(count)),) if name == "moving_average" and count > 1:
            parameter = count
        case ():
            pass
        case _:
            takes = "a number above 1" if name == "moving_average" else "a duration such as 1s"
            raise ExecutionError(f"the second argument of {name}() is {takes}")
    return Transformation(name, argument, parameter)


def look_back(nodes: Sequence[Node]) -> int:
    """How many windows before the range the transformations need, so that the first window within has a value."""
    windows = 0
    for node in nodes:
        match node:
            case Transformation(name, argument, _):
                # Of a moving average of more than two windows the first have no value, as in InfluxDB.
                windows = max(windows, int(name in _LOOK_BACK_ONE) + look_back([argument]))
            case Arithmetic(_, left, right):
                windows = max(windows, look_back([left, right]))
            case Mathematics(_, arguments):
                windows = max(windows, look_back(arguments))
            case _:
                pass
    return windows


def outline(node: Node, leaves: list[Node]) -> Node:
    """An expression over its leaves: the transformations and atoms that have values of their own, not row by row.

    Args:
        node: the expression.
        leaves: takes them; the n-th is Atom(n) of what is returned.
    """
    match node:
        case Atom() | Transformation():
            if node not in leaves:
                leaves.append(node)
            return Atom(leaves.index(node))
        case Arithmetic(operator, left, right):
            return Arithmetic(operator, outline(left, leaves), outline(right, leaves))
        case Mathematics(function, arguments):
            return Mathematics(function, tuple(outline(one, leaves) for one in arguments))
    return node


def is_transformed(node: Node) -> bool:
    """Whether a transformation is part of the expression, so that rows can be without a value."""
    match node:
        case Transformation():
            return True
        case Arithmetic(_, left, right):
            return is_transformed(left) or is_transformed(right)
        case Mathematics(_, arguments):
            return any(map(is_transformed, arguments))
    return False


def evaluate(node: Node, times: Sequence[int], atoms: Sequence[list[Any]]) -> list[Any]:
    """The value of an expression for each row, given the atoms column by column; times ascend, or all descend."""
    match node:
        case Atom(index):
            return atoms[index]
        case Constant(value):
            return [value] * len(times)
        case Arithmetic(operator, left, right):
            pairs = zip(evaluate(left, times, atoms), evaluate(right, times, atoms), strict=True)
            return [_calculate(operator, a, b) for a, b in pairs]
        case Mathematics(function, arguments):
            columns = [evaluate(argument, times, atoms) for argument in arguments]
            return [_apply(function, values) for values in zip(*columns, strict=True)]
        case Transformation(name, argument, parameter):
            return _transform(name, parameter, times, evaluate(argument, times, atoms))


def _calculate(operator: str, left: Any, right: Any) -> Any:
    if left is None or right is None:
        return None
    if operator in _OF_BITS:
        if not isinstance(left, int) or not isinstance(right, int):
            raise ExecutionError(f"type error: {operator} takes integers; cast with ::integer")
        return _OF_BITS[operator](left, right)
    if operator in "/%" and right == 0:
        return 0 if isinstance(left, int) and isinstance(right, int) else 0.0
    match operator:
        case "+":
            result = left + right
        case "-":
            result = left - right
        case "*":
            result = left * right
        case "/":
            result = left / right
        case _ if isinstance(left, int) and isinstance(right, int):
            result = abs(left) % abs(right) * (1 if left > 0 else -1)  # exact, with the sign of Go's remainder
        case _:
            result = math.fmod(left, right)
    return _wrapped(result)


def _wrapped(value: Any) -> Any:
    """As InfluxDB's integers of 64 bits: what is too large for them comes out at their other end."""
    if isinstance(value, int) and not -_INTEGERS <= value < _INTEGERS:
        return (value + _INTEGERS) % (2 * _INTEGERS) - _INTEGERS
    return value


def _apply(function: Callable[..., float | int], values: Sequence[Any]) -> float | int | None:
    if any(value is None for value in values):
        return None
    try:
        return _finite(_wrapped(function(*values)))
    except (ValueError, OverflowError, ZeroDivisionError):
        return None


def _finite(value: Any) -> float | int | None:
    if isinstance(value, complex) or not math.isfinite(value):
        return None
    result: float | int = value
    return result


def _transform(name: str, parameter: int, times: Sequence[int], values: Sequence[Any]) -> list[Any]:
    result: list[Any] = [None] * len(values)
    known = [position for position, value in enumerate(values) if value is not None]
    if name == "cumulative_sum":
        total = 0
        for position in known:
            total = _wrapped(total + values[position])
            result[position] = total
    elif name == "moving_average":
        window: deque[float] = deque(maxlen=parameter)
        for position in known:
            window.append(values[position])
            if len(window) == parameter:
                result[position] = statistics.fmean(window)
    else:
        for before, after in itertools.pairwise(known):
            change = _wrapped(values[after] - values[before])
            elapsed = abs(times[after] - times[before])
            if name == "elapsed":
                # From newest on InfluxDB's is negative.
                result[after] = _wrapped(elapsed // parameter) * (1 if times[after] > times[before] else -1)
            elif name.endswith("difference"):
                result[after] = change
            elif elapsed:
                result[after] = change / (elapsed / parameter)
            if name.startswith("non_negative") and result[after] is not None and result[after] < 0:
                result[after] = None
    return result


def expression_name(expression: ast.Expression) -> str:
    """The name of a column without an alias: of an expression, the names of its parts joined by `_`."""
    match expression:
        case ast.Reference(name):
            return name
        case ast.Call(function):
            return function
        case ast.Binary(_, left, right):
            return "_".join(filter(None, (expression_name(left), expression_name(right))))
    return ""
