import re
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from importlib.resources import files
from typing import Any, Final

from lark import Lark, Token, Transformer, UnexpectedCharacters, UnexpectedEOF, UnexpectedToken, v_args
from lark.exceptions import VisitError

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.errors import ParseError

_ESCAPE: Final = re.compile(r"\\(.)")
_DURATION_PART: Final = re.compile(r"(\d+)(ns|us|ms|u|µ|s|m|h|d|w)")
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
        statements: tuple[ast.Statement, ...] = _Builder(parameters).transform(tree)
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


def _unquote(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match.group(1) == "n" else match.group(1), text[1:-1])


@v_args(inline=True)
class _Builder(Transformer[Token, Any]):
    """Turns lark's tree into statements."""

    def __init__(self, parameters: Mapping[str, object]) -> None:
        super().__init__()
        self._parameters = parameters

    def start(self, *statements: ast.Statement) -> tuple[ast.Statement, ...]:
        return statements

    # Values

    def identifier(self, token: Token) -> str:
        return _unquote(token) if token.startswith('"') else str(token)

    def number(self, token: Token) -> ast.Number:
        return ast.Number(int(token) if token.type == "INTEGER" else float(token))

    def signed_number(self, *parts: Any) -> ast.Number:
        number: ast.Number = parts[-1]
        return ast.Number(-number.value) if len(parts) == 2 else number

    def duration(self, token: Token) -> ast.Duration:
        parts = _DURATION_PART.findall(token)
        return ast.Duration(sum(int(amount) * ast.DURATION_UNITS[unit] for amount, unit in parts))

    def string(self, token: Token) -> ast.String:
        return ast.String(_unquote(token))

    def boolean(self, token: Token) -> ast.Boolean:
        return ast.Boolean(token.lower() == "true")

    def regex(self, token: Token) -> ast.Regex:
        return _regex(token[1:-1].replace("\\/", "/"))

    def parameter(self, token: Token) -> ast.Expression:
        name = token[1:]
        match self._parameters.get(name):
            case bool(value):
                return ast.Boolean(value)
            case int(value) | float(value):
                return ast.Number(value)
            case str(value):
                return ast.String(value)
            case {"regex": str(pattern)}:
                return _regex(pattern)
        raise ParseError(
            f"missing parameter: {name}" if name not in self._parameters else f"unusable parameter: {name}"
        )

    # Expressions

    def reference(self, *parts: Any) -> ast.Reference:
        name = str(parts[0]) if parts and not isinstance(parts[0], _Cast) else "time"
        cast = parts[-1].kind if parts and isinstance(parts[-1], _Cast) else ""
        return ast.Reference(name, cast)

    def cast(self, *tokens: Token) -> "_Cast":
        return _Cast(tokens[0][2:].lower() if tokens else "tag")

    def wildcard(self, _star: Token) -> ast.Wildcard:
        return ast.Wildcard()

    def call(self, name: Token, *arguments: ast.Expression) -> ast.Call:
        return ast.Call(name.lower(), arguments)

    def negative(self, _minus: Token, operand: ast.Expression) -> ast.Expression:
        if isinstance(operand, ast.Number):
            return ast.Number(-operand.value)
        if isinstance(operand, ast.Duration):
            return ast.Duration(-operand.nanoseconds)
        return ast.Binary("*", ast.Number(-1), operand)

    def expression(self, *operands: ast.Expression) -> ast.Expression:
        return _fold("OR", operands)

    def conjunction(self, *operands: ast.Expression) -> ast.Expression:
        return _fold("AND", operands)

    def comparison(self, left: ast.Expression, operator: Token, right: ast.Expression) -> ast.Expression:
        return ast.Binary("!=" if operator == "<>" else str(operator), left, right)

    def sum(self, *parts: Any) -> ast.Expression:
        return _chain(parts)

    def product(self, *parts: Any) -> ast.Expression:
        return _chain(parts)

    # SELECT

    def column(self, expression: ast.Expression, alias: str = "") -> ast.Column:
        return ast.Column(expression, alias)

    def columns(self, *columns: ast.Column) -> tuple[ast.Column, ...]:
        return columns

    def measurement_name(self, name: str) -> ast.Measurement:
        return ast.Measurement(name)

    def measurement_path(self, *names: str) -> ast.Measurement:
        # `database..name` or `database.policy.name`; the store has one policy, so it does not matter which.
        return ast.Measurement(names[-1], names[0])

    def measurement_regex(self, regex: ast.Regex) -> ast.Measurement:
        return ast.Measurement(regex)

    def measurement_select(self, select: ast.Select) -> ast.Select:
        return select

    def sources(self, *sources: ast.Measurement | ast.Select) -> tuple[ast.Measurement | ast.Select, ...]:
        return sources

    def where(self, condition: ast.Expression) -> "_Clause":
        return _Clause("where", condition)

    def dimension_all(self, _star: Token) -> ast.TagDimension:
        return ast.TagDimension(ast.Wildcard())

    def dimension_regex(self, regex: ast.Regex) -> ast.TagDimension:
        return ast.TagDimension(regex)

    def dimension_tag(self, name: str) -> ast.TagDimension:
        return ast.TagDimension(name)

    def dimension_time(self, every: ast.Duration, offset: ast.Expression | None = None) -> ast.TimeDimension:
        if every.nanoseconds <= 0:
            raise ParseError("error parsing query: time dimension must be greater than zero")
        if offset is not None and not isinstance(offset, ast.Duration):
            raise ParseError("error parsing query: time dimension offset must be a duration, such as -15m")
        return ast.TimeDimension(every.nanoseconds, offset.nanoseconds if offset else 0)

    def group_by(self, *dimensions: ast.TagDimension | ast.TimeDimension) -> "_Clause":
        return _Clause("group_by", dimensions)

    def fill(self, value: Any) -> "_Clause":
        return _Clause("fill", value if isinstance(value, ast.Number) else ast.FillMode(value.lower()))

    def order_by(self, *parts: Any) -> "_Clause":
        names = [part for part in parts if not isinstance(part, Token)]
        if names and names[0].lower() != "time":
            raise ParseError("error parsing query: only ORDER BY time supported at this time")
        directions = [part for part in parts if isinstance(part, Token)]
        return _Clause("descending", bool(directions) and directions[0].lower() == "desc")

    def limit(self, token: Token) -> "_Clause":
        return _Clause("limit", int(token))

    def offset(self, token: Token) -> "_Clause":
        return _Clause("offset", int(token))

    def slimit(self, token: Token) -> "_Clause":
        return _Clause("series_limit", int(token))

    def soffset(self, token: Token) -> "_Clause":
        return _Clause("series_offset", int(token))

    def select(
        self, columns: tuple[ast.Column, ...], sources: tuple[ast.Measurement | ast.Select, ...], *clauses: "_Clause"
    ) -> ast.Select:
        values = {clause.name: clause.value for clause in clauses}
        dimensions: Sequence[ast.TagDimension | ast.TimeDimension] = values.pop("group_by", ())
        windows = [dimension for dimension in dimensions if isinstance(dimension, ast.TimeDimension)]
        if len(windows) > 1:
            raise ParseError("error parsing query: multiple time dimensions not allowed")
        tags = tuple(dimension for dimension in dimensions if isinstance(dimension, ast.TagDimension))
        return ast.Select(columns, sources, window=windows[0] if windows else None, dimensions=tags, **values)

    # SHOW and the others

    def on(self, name: str) -> "_Clause":
        return _Clause("database", name)

    def from_sources(self, sources: tuple[ast.Measurement | ast.Select, ...]) -> "_Clause":
        if any(isinstance(source, ast.Select) for source in sources):
            raise ParseError("error parsing query: SHOW reads from measurements, not from a subquery")
        return _Clause("sources", sources)

    def with_measurement(self, _operator: Token, name: str | ast.Regex) -> "_Clause":
        return _Clause("sources", (ast.Measurement(name),))

    def with_key_is(self, operator: Token, name: str) -> "_Clause":
        return _Clause("keys", ((name,), operator.type == "UNEQUAL"))

    def with_key_matches(self, operator: Token, regex: ast.Regex) -> "_Clause":
        return _Clause("keys", ((regex,), operator.type == "MISMATCHES"))

    def with_key_in(self, *names: str) -> "_Clause":
        return _Clause("keys", (names, False))

    def show_databases(self) -> ast.Show:
        return ast.Show(ast.Subject.DATABASES)

    def show_measurements(self, *clauses: "_Clause") -> ast.Show:
        return _show(ast.Subject.MEASUREMENTS, clauses)

    def show_tag_keys(self, *clauses: "_Clause") -> ast.Show:
        return _show(ast.Subject.TAG_KEYS, clauses)

    def show_tag_values(self, *clauses: "_Clause") -> ast.Show:
        return _show(ast.Subject.TAG_VALUES, clauses)

    def show_field_keys(self, *clauses: "_Clause") -> ast.Show:
        return _show(ast.Subject.FIELD_KEYS, clauses)

    def show_series(self, *clauses: "_Clause") -> ast.Show:
        return _show(ast.Subject.SERIES, clauses)

    def show_retention_policies(self, *clauses: "_Clause") -> ast.Show:
        return _show(ast.Subject.RETENTION_POLICIES, clauses)

    def create_database(self, name: str) -> ast.CreateDatabase:
        return ast.CreateDatabase(name)

    def drop_database(self, name: str) -> ast.DropDatabase:
        return ast.DropDatabase(name)


class _Cast:
    def __init__(self, kind: str) -> None:
        self.kind = kind


class _Clause:
    def __init__(self, name: str, value: Any) -> None:
        self.name = name
        self.value = value


def _show(subject: ast.Subject, clauses: Sequence[_Clause]) -> ast.Show:
    values = {clause.name: clause.value for clause in clauses}
    keys, excluded = values.pop("keys", ((), False))
    return ast.Show(subject, keys=keys, keys_excluded=excluded, **values)


def _regex(pattern: str) -> ast.Regex:
    try:
        re.compile(pattern)
    except re.error as error:
        raise ParseError(f"error parsing query: invalid regular expression /{pattern}/: {error}") from None
    return ast.Regex(pattern)


def _fold(operator: str, operands: Sequence[ast.Expression]) -> ast.Expression:
    first, *rest = operands
    for operand in rest:
        first = ast.Binary(operator, first, operand)
    return first


def _chain(parts: Sequence[Any]) -> ast.Expression:
    first: ast.Expression = parts[0]
    for operator, operand in zip(parts[1::2], parts[2::2], strict=True):
        first = ast.Binary(str(operator), first, operand)
    return first
