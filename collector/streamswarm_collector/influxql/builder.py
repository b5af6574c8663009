"""From lark's tree to statements."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from lark import Token, Transformer, v_args

from streamswarm_collector.influxql import ast, regex
from streamswarm_collector.influxql.errors import ParseError
from streamswarm_core.lineprotocol import INT64_MAX

_ESCAPE: Final = re.compile(r"\\(.)")
_DURATION_PART: Final = re.compile(r"(\d+)(ns|us|ms|u|µ|s|m|h|d|w)")
_DURATION: Final = re.compile(rf"({_DURATION_PART.pattern})+", re.ASCII)
_MOST_DIGITS: Final = 640
_MOST_SHOWN: Final = 20
_MOST_REPLICAS: Final = 2**31 - 1
_COUNTED: Final = {
    "SERIES": ast.Subject.SERIES,
    "MEASUREMENT": ast.Subject.MEASUREMENTS,
    "TAG KEY": ast.Subject.TAG_KEYS,
    "TAG VALUES": ast.Subject.TAG_VALUES,
    "FIELD KEY": ast.Subject.FIELD_KEYS,
}


def _unquote(text: str) -> str:
    return _ESCAPE.sub(lambda match: "\n" if match.group(1) == "n" else match.group(1), text[1:-1])


@v_args(inline=True)
class StatementBuilder(Transformer[Token, Any]):
    """Turns lark's tree into statements."""

    def __init__(self, parameters: Mapping[str, object]) -> None:
        super().__init__()
        self._parameters = parameters

    def start(self, *statements: ast.Statement) -> tuple[ast.Statement, ...]:
        return statements

    # Values

    def identifier(self, token: str) -> str:
        return _unquote(token) if token.startswith('"') else str(token)

    def number(self, token: Token) -> ast.Number:
        return ast.Number(_integer(token, 2**64 - 1) if token.type == "INTEGER" else float(token))

    def signed_number(self, *parts: Any) -> ast.Number:
        number: ast.Number = parts[-1]
        return ast.Number(-number.value) if len(parts) == 2 else number

    def duration(self, token: str) -> ast.Duration:
        parts = _DURATION_PART.findall(token)
        nanoseconds = sum(_integer(amount) * ast.DURATION_UNITS[unit] for amount, unit in parts)
        if nanoseconds > INT64_MAX:
            raise ParseError(f"error parsing query: invalid duration {_short(token)}; at most 106751d, 292 years")
        return ast.Duration(nanoseconds)

    def string(self, token: Token) -> ast.String:
        return ast.String(_unquote(token))

    def boolean(self, token: Token) -> ast.Boolean:
        return ast.Boolean(token.lower() == "true")

    def regex(self, token: Token) -> ast.Regex:
        return _regex(token[1:-1].replace("\\/", "/"))

    def parameter(self, token: Token) -> ast.Expression:
        name = self.identifier(token[1:])
        if name not in self._parameters:
            raise ParseError(f"missing parameter: {name}")
        match self._parameters[name]:
            case bool(value):
                return ast.Boolean(value)
            case {"float": int(value) | float(value)}:
                return ast.Number(float(value))
            case int(value) | float(value) | {"integer": int(value)}:
                return ast.Number(value)
            case str(value) | {"string": str(value)}:
                return ast.String(value)
            case {"duration": str(value)} if _DURATION.fullmatch(value):
                return self.duration(value)
            case {"identifier": str(value)}:
                return ast.Reference(value)
            case {"regex": str(pattern)}:
                return _regex(pattern)
        raise ParseError(
            f"unusable parameter: {name}; a number, text, true, false, or one of "
            '{"regex": "…"}, {"duration": "1h"}, {"identifier": "…"}, {"string": "…"}, {"integer": 1}, {"float": 1}'
        )

    # Expressions

    def reference(self, *parts: Any) -> ast.Reference:
        name = str(parts[0]) if parts and not isinstance(parts[0], _Cast) else "time"
        cast = parts[-1].kind if parts and isinstance(parts[-1], _Cast) else ""
        return ast.Reference(name, cast)

    def cast(self, *tokens: Token) -> "_Cast":
        return _Cast(tokens[0][2:].lower() if tokens else "tag")

    def wildcard(self, _star: Token, cast: "_Cast | None" = None) -> ast.Wildcard:
        return ast.Wildcard(cast.kind if cast else "")

    def distinct_of(self, name: str) -> ast.Call:
        return ast.Call("distinct", (ast.Reference(name),))

    def call(self, name: Token, *arguments: ast.Expression) -> ast.Call:
        return ast.Call(name.lower(), arguments)

    def negative(self, _minus: Token, operand: ast.Expression) -> ast.Expression:
        if isinstance(operand, ast.Number):
            return ast.Number(-operand.value)
        if isinstance(operand, ast.Duration):
            return ast.Duration(-operand.nanoseconds)
        return ast.Binary("*", ast.Number(-1), operand)

    def expression(self, *operands: ast.Expression) -> ast.Expression:
        return ast.folded("OR", operands)

    def conjunction(self, *operands: ast.Expression) -> ast.Expression:
        return ast.folded("AND", operands)

    def comparison(self, left: ast.Expression, operator: Token, right: ast.Expression) -> ast.Expression:
        if operator in {"=~", "!~"} and not isinstance(right, ast.Regex):
            raise ParseError(f'error parsing query: {operator} takes a parameter of the form {{"regex": "…"}}')
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

    def measurement_path(self, database: str, *rest: Any) -> ast.Measurement:
        """`database..name` or `database.policy.name`."""
        return ast.Measurement(rest[-1], database, rest[0] if len(rest) == 2 else None)

    def measurement_policy(self, policy: str, name: str | ast.Regex) -> ast.Measurement:
        return ast.Measurement(name, None, policy)

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
        return _Clause("limit", _integer(token))

    def offset(self, token: Token) -> "_Clause":
        return _Clause("offset", _integer(token))

    def slimit(self, token: Token) -> "_Clause":
        return _Clause("series_limit", _integer(token))

    def soffset(self, token: Token) -> "_Clause":
        return _Clause("series_offset", _integer(token))

    def tz(self, token: Token) -> "_Clause":
        name = _unquote(token)
        try:
            return _Clause("zone", ZoneInfo(name))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ParseError(f"error parsing query: unable to find time zone {name}") from None

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

    def show_plain(self, subject: Token) -> ast.Show:
        name = " ".join(subject.upper().split())
        if name in {"STATS", "SHARDS"}:
            raise ParseError(f"SHOW {name} has no meaning for the embedded store; see /metrics")
        return ast.Show(ast.Subject(name))

    def show_cardinality(self, subject: Token, *parts: Any) -> ast.Show:
        clauses = [part for part in parts if isinstance(part, _Clause)]
        if any(clause.name == "group_by" for clause in clauses):
            raise ParseError("a cardinality with GROUP BY is not supported by the embedded store")
        counted = _COUNTED["SERIES" if subject.upper() == "SERIES" else " ".join(subject.upper().split())]
        shown = _show(counted, clauses)
        return replace(shown, cardinality="EXACT" if len(clauses) < len(parts) else "ESTIMATED")

    def show_grants(self, _user: str) -> ast.Show:
        return ast.Show(ast.Subject.GRANTS)

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

    # Statements that change the store

    def lifetime(self, token: Token) -> int:
        return self.duration(token).nanoseconds if token.type == "DURATION" else 0

    def policy_duration(self, nanoseconds: int) -> "_Clause":
        return _Clause("duration", nanoseconds)

    def policy_shard(self, nanoseconds: int) -> "_Clause":
        return _Clause("shard_duration", nanoseconds)

    def policy_replication(self, token: Token) -> "_Clause":
        replication = _integer(token, _MOST_REPLICAS)
        if replication < 1:
            raise ParseError(f"error parsing query: invalid value {token}: must be 1 <= n <= {_MOST_REPLICAS}")
        return _Clause("replication", replication)

    def policy_name(self, name: str) -> "_Clause":
        return _Clause("name", name)

    def policy_default(self) -> "_Clause":
        return _Clause("default", True)  # noqa: FBT003 - the value of a clause

    def create_database(self, name: str, *clauses: "_Clause") -> ast.CreateDatabase:
        return ast.CreateDatabase(name, _policy(clauses) if clauses else None)

    def drop_database(self, name: str) -> ast.DropDatabase:
        return ast.DropDatabase(name)

    def create_policy(self, name: str, database: "_Clause", *clauses: "_Clause") -> ast.CreatePolicy:
        options = _policy(clauses)
        if options.duration is None or options.replication is None:
            raise ParseError("error parsing query: CREATE RETENTION POLICY needs DURATION and REPLICATION")
        return ast.CreatePolicy(name, database.value, options)

    def alter_policy(self, name: str, database: "_Clause", *clauses: "_Clause") -> ast.AlterPolicy:
        return ast.AlterPolicy(name, database.value, _policy(clauses))

    def drop_policy(self, name: str, database: "_Clause") -> ast.DropPolicy:
        return ast.DropPolicy(name, database.value)

    def delete(self, *clauses: "_Clause") -> ast.Delete:
        return _delete(clauses, series=False)

    def drop_series(self, *clauses: "_Clause") -> ast.Delete:
        return _delete(clauses, series=True)

    def drop_measurement(self, name: str) -> ast.DropMeasurement:
        return ast.DropMeasurement(name)


def _integer(digits: str, most: int = INT64_MAX) -> int:
    # Python itself refuses to read thousands of digits.
    if len(digits) > _MOST_DIGITS or int(digits) > most:
        raise ParseError(f"error parsing query: unable to parse integer {_short(digits)}: at most {most}")
    return int(digits)


def _short(text: str) -> str:
    return text if len(text) <= 2 * _MOST_SHOWN else f"{text[:_MOST_SHOWN]}..."


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


def _policy(clauses: Sequence[_Clause]) -> ast.PolicyOptions:
    return ast.PolicyOptions(**{clause.name: clause.value for clause in clauses})


def _delete(clauses: Sequence[_Clause], *, series: bool) -> ast.Delete:
    if not clauses:
        raise ParseError("error parsing query: found EOF, expected FROM, WHERE")
    return ast.Delete(series=series, **{clause.name: clause.value for clause in clauses})


def _regex(pattern: str) -> ast.Regex:
    regex.check(pattern)
    return ast.Regex(pattern)


def _chain(parts: Sequence[Any]) -> ast.Expression:
    first: ast.Expression = parts[0]
    for operator, operand in zip(parts[1::2], parts[2::2], strict=True):
        first = ast.Binary(str(operator), first, operand)
    return first
