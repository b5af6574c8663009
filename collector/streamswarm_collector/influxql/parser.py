"""Reads InfluxQL."""

import re
from collections.abc import Mapping
from functools import cache, lru_cache
from importlib.resources import files
from typing import Final

from lark import Lark, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken
from lark.exceptions import VisitError

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.builder import StatementBuilder
from streamswarm_collector.influxql.errors import ParseError

_MOST_CACHED_STATEMENTS: Final = 512


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
    return _parse_cached(text)


@lru_cache(_MOST_CACHED_STATEMENTS)
def _parse_cached(text: str) -> tuple[ast.Statement, ...]:
    return _parse(text, {})


def _parse(text: str, parameters: Mapping[str, object]) -> tuple[ast.Statement, ...]:
    try:
        tree = _grammar().parse(text)
        statements: tuple[ast.Statement, ...] = StatementBuilder(parameters).transform(tree)
    except UnexpectedEOF:
        raise ParseError("error parsing query: found EOF, the statement is not complete") from None
    except UnexpectedToken as error:
        found = "EOF" if error.token.type == "$END" else str(error.token)
        raise ParseError(f"error parsing query: found {found} at line {error.line}, char {error.column}") from None
    except UnexpectedCharacters as error:
        word = re.match(r"\w+|.", text[error.pos_in_stream or 0 :], re.DOTALL)
        found = word.group() if word else "EOF"
        raise ParseError(f"error parsing query: found {found} at line {error.line}, char {error.column}") from None
    except VisitError as error:
        if isinstance(error.orig_exc, ParseError):
            raise error.orig_exc from None
        raise
    return statements


@cache
def _grammar() -> Lark:
    grammar = files(__package__).joinpath("grammar.lark").read_text(encoding="utf-8")
    return Lark(grammar, parser="lalr", lexer="contextual", maybe_placeholders=False)
