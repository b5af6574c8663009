"""Reads InfluxQL.

A dashboard asks the same again and again with other times. So a statement is read once for its shape, with other
numbers in the place of its times, and these are put back where they belong.

Reading takes about five microseconds a character, and a statement that is kept about thirteen bytes for each.
"""

import re
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, fields
from functools import cache, lru_cache
from importlib.resources import files
from operator import itemgetter
from typing import Any, Final

from lark import Lark, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken
from lark.exceptions import VisitError
from lark.lexer import PatternStr

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.builder import StatementBuilder
from streamswarm_collector.influxql.errors import ParseError
from streamswarm_core.lineprotocol import INT64_MAX

LONG_TEXT: Final = 4_000
"""Characters of InfluxQL, from which on reading it keeps everybody else in a thread waiting noticeably."""
_TIME_BOUND: Final = re.compile(r"(\b(?i:time)\s*[<>]=?\s*)(\d{9,19})(ns|u|ms|s|m)?\b")
_MARKS: Final = [str(4_611_686_018_427_380_000 + place) for place in range(64)]
"""What stands for the times of a shape; so late that nobody asks for them."""

_OPERAND: Final = ["identifier", "string", "number", "bool"]
_SPELT: Final = {
    "$END": "EOF",
    "IDENTIFIER": "identifier",
    "QUOTED_IDENTIFIER": "identifier",
    "STRING": "string",
    "INTEGER": "integer",
    "DECIMAL": "number",
    "DURATION": "duration",
    "REGEX": "regex",
    "PARAMETER": "$parameter",
    "COMPARISON": "<, <=, >, >=",
    "UNEQUAL": "!=",
    "DIRECTION": "ASC, DESC",
    "FILL_WORD": "null, none, previous, linear",
    "FIELD_CAST": "::",
    "_TAG_CAST": "::",
    "INFINITE": "INF",
    "PLAIN_SUBJECT": "DATABASES, QUERIES, CONTINUOUS QUERIES, DIAGNOSTICS, SUBSCRIPTIONS, USERS",
}
_PUNCTUATION: Final = {"COMMA", "COUNTED", "DOT", "FIELD_CAST", "LPAR", "SEMICOLON", "_TAG_CAST"}
"""Not told where a word may stand, too."""

_Literal = ast.Number | ast.Duration
_Bound = Callable[[Sequence[_Literal]], Any]
"""Makes a part of a statement from the times that belong in it."""


@dataclass(frozen=True, slots=True)
class _Cache:
    """Shapes and texts up to a length that were read lately.

    Attributes:
        longest: characters.
        most: how many are kept.
        read: statements of a text.
        read_shape: statements of a shape, see _read_shape.
    """

    longest: float
    most: int
    read: Callable[[str], tuple[ast.Statement, ...]] = field(init=False)
    read_shape: Callable[[tuple[str | None, ...]], tuple[_Bound, ...] | None] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "read", lru_cache(self.most)(_read))
        object.__setattr__(self, "read_shape", lru_cache(self.most)(_read_shape))


def parse(text: str, parameters: Mapping[str, object] | None = None) -> tuple[ast.Statement, ...]:
    """Read one or several statements; of long texts one at a time, as each slows down whatever else goes on.

    Args:
        text: InfluxQL.
        parameters: values of `$name`: numbers, strings, booleans, or `{"regex": "…"}`.

    Raises:
        ParseError: where it goes wrong, and at what.
    """
    with _one_long_text if len(text) > LONG_TEXT else nullcontext():
        return _parse(text, parameters) if parameters else _parse_remembered(text)


def _parse_remembered(text: str) -> tuple[ast.Statement, ...]:
    known = next(one for one in _CACHES if len(text) <= one.longest)
    # What is between two times, and of each time the comparison, the number and the unit (which a mark goes without:
    # marks are so late that only nanoseconds of them are less than 64 bits)
    pieces = _TIME_BOUND.split(text)
    if len(pieces) == 1:
        return known.read(text)
    times = list(map(_literal, pieces[2::4], pieces[3::4]))
    if len(times) > len(_MARKS) or any(isinstance(one, ast.Duration) and one.nanoseconds > INT64_MAX for one in times):
        return known.read(text)
    pieces[2::4], pieces[3::4] = _MARKS[: len(times)], [None] * len(times)
    bound = known.read_shape(tuple(pieces))
    if bound is None:
        return known.read(text)
    return tuple(one(times) for one in bound)


def _read(text: str) -> tuple[ast.Statement, ...]:
    statements: Any
    try:
        statements = _statements_at_once().parse(text)
    except (UnexpectedEOF, UnexpectedToken, UnexpectedCharacters) as error:
        raise _explained(error, text) from None
    return tuple(statements)


def _read_shape(pieces: tuple[str | None, ...]) -> tuple[_Bound, ...] | None:
    """Statements that take their times; None where not every mark was found in a WHERE, or nothing understood."""
    marks = [ast.Number(int(mark or 0)) for mark in pieces[2::4]]
    try:
        statements = _read("".join(filter(None, pieces)))
    except ParseError:
        return None  # the text itself has the right places for the message
    found = [literal for statement in statements for literal in _literals(statement) if literal in marks]
    if len(found) != len(marks):
        return None
    return tuple(_bound_statement(statement, marks) or _constant(statement) for statement in statements)


_CACHES: Final = (_Cache(LONG_TEXT, 512), _Cache(80_000, 16), _Cache(float("inf"), 0))
_one_long_text: Final = threading.Lock()


def _literal(number: str | None, unit: str | None) -> _Literal:
    value = int(number or 0)
    return ast.Duration(value * ast.DURATION_UNITS[unit]) if unit else ast.Number(value)


def _literals(statement: ast.Statement) -> Iterator[_Literal]:
    if isinstance(statement, ast.Select):
        waiting = [statement.where]
        while waiting:
            match waiting.pop():
                case ast.Binary(_, left, right):
                    waiting += [left, right]
                case ast.Number() | ast.Duration() as literal:
                    yield literal
        for source in statement.sources:
            if isinstance(source, ast.Select):
                yield from _literals(source)


def _constant(part: Any) -> _Bound:
    return lambda _: part


def _bound_statement(statement: ast.Statement, marks: Sequence[_Literal]) -> _Bound | None:
    """None where no time belongs in it."""
    if not isinstance(statement, ast.Select):
        return None
    where = _bound(statement.where, marks) if statement.where else None
    inner = [_bound_statement(one, marks) if isinstance(one, ast.Select) else None for one in statement.sources]
    if where is None and not any(inner):
        return None
    wheres = where or _constant(statement.where)
    columns, sources, _, *others = (getattr(statement, one.name) for one in fields(statement))
    if not any(inner):
        return lambda times: ast.Select(columns, sources, wheres(times), *others)
    inners = [bound or _constant(one) for bound, one in zip(inner, sources, strict=True)]
    return lambda times: ast.Select(columns, tuple(one(times) for one in inners), wheres(times), *others)


def _bound(expression: ast.Expression, marks: Sequence[_Literal]) -> _Bound | None:
    """None where no time belongs in it."""
    if isinstance(expression, ast.Binary):
        operator, left, right = expression.operator, _bound(expression.left, marks), _bound(expression.right, marks)
        if left is None and right is None:
            return None
        lefts, rights = left or _constant(expression.left), right or _constant(expression.right)
        return lambda times: ast.Binary(operator, lefts(times), rights(times))
    if isinstance(expression, ast.Number | ast.Duration) and expression in marks:
        return itemgetter(marks.index(expression))
    return None


def _parse(text: str, parameters: Mapping[str, object]) -> tuple[ast.Statement, ...]:
    try:
        tree = _grammar().parse(text)
        statements: tuple[ast.Statement, ...] = StatementBuilder(parameters).transform(tree)
    except (UnexpectedEOF, UnexpectedToken, UnexpectedCharacters) as error:
        raise _explained(error, text) from None
    except VisitError as error:
        if isinstance(error.orig_exc, ParseError):
            raise error.orig_exc from None
        raise
    return statements


def _explained(error: UnexpectedEOF | UnexpectedToken | UnexpectedCharacters, text: str) -> ParseError:
    """What was found, what would have been understood there, and where that is."""
    line, column = error.line, error.column
    if isinstance(error, UnexpectedCharacters):
        word = re.match(r"\w+|.", text[error.pos_in_stream or 0 :], re.DOTALL)
        found = word.group() if word else "EOF"
        if found in {"'", '"'}:
            found += " without its end"
        expected = set(error.allowed or ())
    elif isinstance(error, UnexpectedToken) and error.token.type != "$END":
        found, expected = str(error.token), set(error.accepts or error.expected)
    else:
        # lark names the place of the last token
        *before, last = text.rstrip().split("\n")
        found, line, column = "EOF", len(before) + 1, len(last) + 1
        expected = set((isinstance(error, UnexpectedToken) and error.accepts) or error.expected)
    wanted = ", ".join(_names(expected))
    return ParseError(f"error parsing query: found {found}, expected {wanted} at line {line}, char {column}")


def _names(terminals: set[str]) -> list[str]:
    """How people call what may come; as InfluxDB names it, what begins an operand is not told in full."""
    if "STAR" in terminals and "BOOLEAN" in terminals:
        return _OPERAND
    written = {one.name: one.pattern.value for one in _grammar().terminals if isinstance(one.pattern, PatternStr)}
    wordy = any(name.startswith("_") for name in terminals)
    terminals -= _PUNCTUATION if wordy else set()
    spelt = {_SPELT.get(name) or written.get(name) or name.strip("_").replace("_WORD", "") for name in terminals}
    return sorted(spelt, key=lambda name: (not name[0].isupper(), name))


@cache
def _grammar() -> Lark:
    return _lark(None)


@cache
def _statements_at_once() -> Lark:
    """Builds statements while it reads, without a tree in between: a third faster, but without parameters."""
    return _lark(StatementBuilder({}))


def _lark(transformer: StatementBuilder | None) -> Lark:
    grammar = files(__package__).joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", maybe_placeholders=False, transformer=transformer)
