"""InfluxQL for the embedded store: text in, the JSON document that InfluxDB would answer out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import duckdb

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.errors import ExecutionError, ParseError
from streamswarm_collector.influxql.parser import parse
from streamswarm_collector.influxql.select import execute_select
from streamswarm_collector.influxql.show import show, show_databases, show_retention_policies
from streamswarm_collector.influxql.source import Limits, ResultSeries
from streamswarm_collector.store.schema import DatabaseSchema, QueryableStore
from streamswarm_core.clock import from_ns, now_ns

_EPOCH_NS: Final[Mapping[str, int]] = {**ast.DURATION_UNITS, "n": 1}


@dataclass(frozen=True, slots=True)
class QueryReply:
    """An answer: HTTP status and JSON document."""

    status: int
    body: dict[str, Any]


class AdminActions(Protocol):
    """What statements that change the store need."""

    def create_database(self, name: str) -> None:
        """Add a database unless it is there."""

    def drop_database(self, name: str) -> None:
        """Remove a database and all its data."""


class Engine:
    """Answers InfluxQL from a store.

    Args:
        store: where the points are.
        now_ns: what `now()` means.
        limits: what one statement may cost.
        admin: carries out statements that change the store; None refuses them.
    """

    def __init__(
        self,
        store: QueryableStore,
        *,
        now_ns: Callable[[], int] = now_ns,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        admin: AdminActions | None = None,
    ) -> None:
        self._store = store
        self._now_ns = now_ns
        self._limits = limits
        self._admin = admin

    def execute(
        self,
        text: str,
        *,
        database: str | None = None,
        epoch: str | None = None,
        params: Mapping[str, object] | None = None,
    ) -> QueryReply:
        """Answer one or several statements.

        Args:
            text: InfluxQL.
            database: for statements that name none.
            epoch: unit of the times in the answer; None for RFC 3339.
            params: values of `$name`.

        Raises:
            Unavailable: the store can't be read at the moment.
        """
        try:
            statements = parse(text, params)
        except ParseError as error:
            return _not_understood(error)
        results: list[dict[str, Any]] = []
        for number, statement in enumerate(statements):
            try:
                series = self._answer(statement, database)
            except ParseError as error:
                return _not_understood(error)
            except (ExecutionError, duckdb.Error) as error:
                results.append({"statement_id": number, "error": str(error).splitlines()[0]})
                continue
            result: dict[str, Any] = {"statement_id": number}
            if series:
                result["series"] = [_render(one, epoch, timed=isinstance(statement, ast.Select)) for one in series]
            results.append(result)
        return QueryReply(200, {"results": results})

    def _answer(self, statement: ast.Statement, database: str | None) -> list[ResultSeries]:
        match statement:
            case ast.Show(ast.Subject.DATABASES):
                return show_databases(self._store.databases())
            case ast.Show(ast.Subject.RETENTION_POLICIES):
                self._schema(statement.database or database)
                return show_retention_policies()
            case ast.Show():
                return show(statement, self._schema(statement.database or database), self._now_ns())
            case ast.Select():
                named = _named_databases(statement)
                schema = self._schema(next(iter(named), None) or database)
                with self._store.cursor() as connection:
                    return execute_select(statement, schema, connection, now_ns=self._now_ns(), limits=self._limits)
            case ast.CreateDatabase(name):
                self._administrator().create_database(name)
            case ast.DropDatabase(name):
                self._administrator().drop_database(name)
        return []

    def _administrator(self) -> AdminActions:
        if self._admin is None:
            raise ExecutionError("this token may not change databases")
        return self._admin

    def _schema(self, name: str | None) -> DatabaseSchema:
        if not name:
            raise ExecutionError("database name required")
        schema = self._store.database(name)
        if schema is None:
            raise ExecutionError(f"database not found: {name}")
        return schema


def _named_databases(statement: ast.Select) -> set[str]:
    """The databases that FROM names, subqueries included."""
    named: set[str] = set()
    for source in statement.sources:
        if isinstance(source, ast.Select):
            named |= _named_databases(source)
        elif source.database:
            named.add(source.database)
    return named


def _not_understood(error: ParseError) -> QueryReply:
    prefix = "error parsing query: "
    return QueryReply(400, {"error": prefix + str(error).removeprefix(prefix)})


def _render(series: ResultSeries, epoch: str | None, *, timed: bool) -> dict[str, Any]:
    rendered: dict[str, Any] = {}
    if series.name:
        rendered["name"] = series.name
    if series.tags is not None:
        rendered["tags"] = series.tags
    rendered["columns"] = series.columns
    rendered["values"] = _with_times(series.rows, epoch) if timed else series.rows
    return rendered


def _with_times(rows: Sequence[list[Any]], epoch: str | None) -> list[list[Any]]:
    if not epoch:
        return [[rfc3339(row[0]), *row[1:]] for row in rows]
    unit = _EPOCH_NS[epoch]
    return [[row[0] // unit, *row[1:]] for row in rows] if unit > 1 else list(rows)


def rfc3339(time_ns: int) -> str:
    """Write a time as InfluxDB does: as many digits of the second as it needs.

    >>> rfc3339(1704067200000000000), rfc3339(1704067200100000000)
    ('2024-01-01T00:00:00Z', '2024-01-01T00:00:00.1Z')
    """
    whole = from_ns(time_ns // 1_000_000_000 * 1_000_000_000).strftime("%Y-%m-%dT%H:%M:%S")
    fraction = f"{time_ns % 1_000_000_000:09d}".rstrip("0")
    return f"{whole}.{fraction}Z" if fraction else f"{whole}Z"
