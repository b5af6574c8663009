"""Reads InfluxQL.

A dashboard asks the same again and again with other times. So a statement is read once for its shape, with other
numbers in the place of its times, and these are put back where they belong.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final

from lark import Lark, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken
from lark.exceptions import VisitError

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.builder import StatementBuilder
from streamswarm_collector.influxql.errors import ParseError

_MOST_CACHED_STATEMENTS: Final = 512
_TIME_BOUND: Final = re.compile(r"(\b(?i:time)\s*[<>]=?\s*)(\d{9,19})(ns|u|ms|s|m|h)?\b")
_FIRST_MARK: Final = 4_611_686_018_427_380_000
"""What stands for the first time of a shape; so late that nobody asks for it."""

_Literal = ast.Number | ast.Duration


def parse(text: str, parameters: Mapping[str, object] | None = None) -> tuple[ast.Statement, ...]:
    """Read one or several statements.

    Args:
        text: InfluxQL.
        parameters: values of `$name`: numbers, strings, booleans, or `{"regex": "…"}`.

    Raises:
        ParseError: where it goes wrong, and at what.
    """
    if parameters:
        return _parse(text, parameters)
    shape, times = _without_times(text)
    statements = _read_shape(shape)
    if statements is None:
        return _read(text)
    return tuple(_with_times(statement, times) for statement in statements) if times else statements


@lru_cache(_MOST_CACHED_STATEMENTS)
def _read(text: str) -> tuple[ast.Statement, ...]:
    statements: Any
    try:
        statements = _statements_at_once().parse(text)
    except (UnexpectedEOF, UnexpectedToken, UnexpectedCharacters) as error:
        raise _explained(error, text) from None
    return tuple(statements)


@lru_cache(_MOST_CACHED_STATEMENTS)
def _read_shape(shape: str) -> tuple[ast.Statement, ...] | None:
    """Statements with marks for times; None where not every mark was found in a WHERE, or nothing understood."""
    marks = {_literal(int(match[2]), match[3] or "") for match in _TIME_BOUND.finditer(shape)}
    try:
        statements = _read(shape)
    except ParseError:
        return None  # the text itself has the right places for the message
    found = [literal for statement in statements for literal in _literals(statement) if literal in marks]
    return statements if len(found) == len(marks) else None


def _without_times(text: str) -> tuple[str, Mapping[_Literal, _Literal]]:
    """The text with marks for its times, and what each mark stands for."""
    times: dict[_Literal, _Literal] = {}

    def mark(match: re.Match[str]) -> str:
        number, unit = _FIRST_MARK + len(times), match[3] or ""
        times[_literal(number, unit)] = _literal(int(match[2]), unit)
        return f"{match[1]}{number}{unit}"

    return _TIME_BOUND.sub(mark, text), times


def _literal(number: int, unit: str) -> _Literal:
    return ast.Duration(number * ast.DURATION_UNITS[unit]) if unit else ast.Number(number)


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


def _with_times(statement: ast.Statement, times: Mapping[_Literal, _Literal]) -> ast.Statement:
    if not isinstance(statement, ast.Select):
        return statement
    where = _replaced(statement.where, times) if statement.where else None
    if any(isinstance(source, ast.Select) for source in statement.sources):
        sources = tuple(_with_times(source, times) for source in statement.sources)  # type: ignore[arg-type]
        return replace(statement, where=where, sources=sources)  # type: ignore[arg-type]
    return replace(statement, where=where)


def _replaced(expression: ast.Expression, times: Mapping[_Literal, _Literal]) -> ast.Expression:
    if isinstance(expression, ast.Binary):
        left, right = _replaced(expression.left, times), _replaced(expression.right, times)
        if left is expression.left and right is expression.right:
            return expression
        return ast.Binary(expression.operator, left, right)
    if isinstance(expression, ast.Number | ast.Duration):
        return times.get(expression, expression)
    return expression


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
    if isinstance(error, UnexpectedEOF):
        return ParseError("error parsing query: found EOF, the statement is not complete")
    if isinstance(error, UnexpectedToken):
        found = "EOF" if error.token.type == "$END" else str(error.token)
    else:
        word = re.match(r"\w+|.", text[error.pos_in_stream or 0 :], re.DOTALL)
        found = word.group() if word else "EOF"
    return ParseError(f"error parsing query: found {found} at line {error.line}, char {error.column}")


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
