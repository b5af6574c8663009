"""InfluxQL for the embedded store: text in, the JSON document that InfluxDB would answer out."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any, Final
from zoneinfo import ZoneInfo

import duckdb
from duckdb import DuckDBPyConnection

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.admin import Administrator
from streamswarm_collector.influxql.errors import ExecutionError, ParseError, PostponedError
from streamswarm_collector.influxql.parser import LONG_TEXT, parse
from streamswarm_collector.influxql.select import execute_select
from streamswarm_collector.influxql.show import show, show_policies, show_server
from streamswarm_collector.influxql.source import Answer, Connect, Limits, Times
from streamswarm_collector.influxql.stopping import Stop
from streamswarm_collector.store.schema import DatabaseSchema, QueryableStore, RefusedError
from streamswarm_core.clock import from_ns, now_ns

_EPOCH_NS: Final[Mapping[str, int]] = {**ast.DURATION_UNITS, "n": 1}
_ROWS_AT_ONCE: Final = 100_000
_STATEMENTS_AT_ONCE: Final = 32
_OUT_OF_RANGE: Final = "a time or an integer of the answer does not fit into 64 bits; ask for a shorter range"
_TOO_DEEP: Final = ParseError("error parsing query: calculations or subqueries are nested too deeply")
_OF_SERVER: Final = frozenset(
    {
        ast.Subject.DATABASES,
        ast.Subject.USERS,
        ast.Subject.SUBSCRIPTIONS,
        ast.Subject.QUERIES,
        ast.Subject.DIAGNOSTICS,
        ast.Subject.CONTINUOUS_QUERIES,
        ast.Subject.GRANTS,
    }
)


@dataclass(frozen=True, slots=True)
class QueryReply:
    """An answer: HTTP status and JSON document."""

    status: int
    body: dict[str, Any]


class Engine:
    """Answers InfluxQL from a store.

    Args:
        store: where the points are.
        now_ns: what `now()` means.
        limits: what one statement may cost.
        administrator: carries out statements that change the store; None refuses them.
        seconds: how long a statement may work on the file, and the last of a request may begin after the first.
    """

    def __init__(
        self,
        store: QueryableStore,
        *,
        now_ns: Callable[[], int] = now_ns,
        limits: Limits = Limits(),  # noqa: B008 - frozen
        administrator: Administrator | None = None,
        seconds: float = 20.0,
    ) -> None:
        self._store = store
        self._now_ns = now_ns
        self._limits = limits
        self._limits_at_once = replace(limits, rows_at_once=_ROWS_AT_ONCE)
        self._administrator = administrator
        self._seconds = seconds

    def execute(
        self,
        text: str,
        *,
        database: str | None = None,
        epoch: str | None = None,
        policy: str | None = None,
        params: Mapping[str, object] | None = None,
        may_change: bool = False,
        at_once: bool = False,
        rollups: bool = True,
        stop: Stop | None = None,
    ) -> QueryReply:
        """Answer one or several statements. NaN stays NaN, which a JSON writer has to make null.

        Args:
            text: InfluxQL.
            database: for statements that name none.
            epoch: unit of the times in the answer; None for RFC 3339.
            policy: the retention policy to read, for statements that name none.
            params: values of `$name`.
            may_change: whether whoever asks may change the store.
            at_once: whether to give up on what needs the file, many rows or much reading.
            rollups: whether roll-ups may be used.
            stop: may tell it to stop, unless it changes something.

        Raises:
            StoppedError: it was told to stop.
            PostponedError: it can't be answered at once.
            Unavailable: the store can't be read at the moment.
        """
        if at_once and len(text) > LONG_TEXT:
            raise PostponedError
        try:
            statements = parse(text, params)
        except ParseError as error:
            return _not_understood(error)
        except RecursionError:
            return _not_understood(_TOO_DEEP)
        limits = self._limits_at_once if at_once else self._limits
        limits = limits if rollups else replace(limits, rollups_from=None)
        if at_once and len(statements) > _STATEMENTS_AT_ONCE:
            raise PostponedError
        if stop is None or not all(isinstance(one, ast.Select | ast.Show) for one in statements):
            stop = Stop()
        results: list[dict[str, Any]] = []
        rows, deadline = 0, time.monotonic() + self._seconds
        for number, statement in enumerate(statements):
            notes: list[str] = []
            stop.check()
            try:
                self._check_spent(rows, limits, deadline)
                series = self._answer(
                    statement, database, policy, limits, notes, stop, may_change=may_change, at_once=at_once
                )
            except ParseError as error:
                return _not_understood(error)
            except RecursionError:
                return _not_understood(_TOO_DEEP)
            except (ExecutionError, RefusedError, duckdb.Error) as error:
                stop.check()
                results.append({"statement_id": number, "error": self._words(error)})
                continue
            result: dict[str, Any] = {"statement_id": number}
            if series:
                times = _times_as(epoch, statement.zone) if isinstance(statement, ast.Select) else None
                result["series"] = [one for part in series for one in part.rendered(times)]
                rows += sum(len(one.get("values", ())) for one in result["series"])
            if notes:
                result["messages"] = [{"level": "info", "text": note} for note in dict.fromkeys(notes)]
            results.append(result)
        return QueryReply(200, {"results": results})

    def _words(self, error: Exception) -> str:
        match error:
            case duckdb.OutOfRangeException():
                return _OUT_OF_RANGE
            case duckdb.InterruptException():
                return f"query timeout: it took longer than {self._seconds:g} s; ask for less"
            case duckdb.Error():
                return str(error).splitlines()[0]
            case _:
                return str(error)

    def _check_spent(self, rows: int, limits: Limits, deadline: float) -> None:
        """Bound a request: each statement is bounded by itself, and a thousand in one would not be.

        Raises:
            ExecutionError: the statements before have taken all of it.
        """
        if rows > limits.rows or time.monotonic() > deadline:
            spent = f"{limits.rows} rows" if rows > limits.rows else f"{self._seconds:g} s"
            raise ExecutionError(
                f"the statements before have taken the {spent} that one request may; send fewer at a time"
            )

    def _answer(
        self,
        statement: ast.Statement,
        database: str | None,
        policy: str | None,
        limits: Limits,
        notes: list[str],
        stop: Stop,
        *,
        may_change: bool,
        at_once: bool,
    ) -> Sequence[Answer]:
        match statement:
            case ast.Show(ast.Subject.RETENTION_POLICIES):
                return show_policies(self._store.policies(_required(statement.database or database)))
            case ast.Show(subject) if subject in _OF_SERVER:
                return show_server(subject, self._store.databases())
            case ast.Show():
                schema = self._store.whole_database(_required(statement.database or database))
                return show(statement, schema, self._now_ns())
            case ast.Select():
                schema, now = self._schema(statement, database, policy), self._now_ns()
                if at_once:
                    return execute_select(statement, schema, _postpone, now_ns=now, limits=limits, notes=notes)
                with self._connecting(stop) as connect:
                    return execute_select(statement, schema, connect, now_ns=now, limits=limits, notes=notes)
            case _ if at_once:
                raise PostponedError
            case _:
                if self._administrator is None or not may_change:
                    raise ExecutionError("this token may not change databases; it takes one with the scope admin")
                self._administrator.carry_out(statement, database, self._now_ns())
                return []

    def _schema(self, statement: ast.Select, database: str | None, policy: str | None) -> DatabaseSchema:
        named = _named(statement)
        if len(named) > 1:
            raise ExecutionError("one SELECT reads from one database and retention policy")
        found, found_policy = next(iter(named), (None, None))
        return self._store.database(_required(found or database), found_policy or (None if found else policy))

    @contextmanager
    def _connecting(self, stop: Stop) -> Iterator[Connect]:
        """The statement's connection, opened when it is first needed, interrupted when it has taken too long."""
        with ExitStack() as stack:
            opened: list[DuckDBPyConnection] = []

            def connect() -> DuckDBPyConnection:
                if not opened:
                    connection = stack.enter_context(self._store.cursor())
                    stack.enter_context(stop.reaching(connection))
                    stop.check()
                    timer = threading.Timer(self._seconds, connection.interrupt)
                    timer.start()
                    stack.callback(timer.cancel)
                    opened.append(connection)
                return opened[0]

            yield connect


def _postpone() -> DuckDBPyConnection:
    raise PostponedError


def _required(name: str | None) -> str:
    if not name:
        raise ExecutionError("database name required")
    return name


def _named(statement: ast.Select) -> set[tuple[str | None, str | None]]:
    """The databases and policies that FROM names, subqueries included."""
    named: set[tuple[str | None, str | None]] = set()
    for source in statement.sources:
        if isinstance(source, ast.Select):
            named |= _named(source)
        elif source.database or source.policy:
            named.add((source.database, source.policy))
    return named


def _not_understood(error: ParseError) -> QueryReply:
    prefix = "error parsing query: "
    return QueryReply(400, {"error": prefix + str(error).removeprefix(prefix)})


def _times_as(epoch: str | None, zone: ZoneInfo | None) -> Times | None:
    """How times are written; None leaves them as they are."""
    if not epoch:
        return lambda times: [rfc3339(time, zone) for time in times]
    unit = _EPOCH_NS[epoch]
    return (lambda times: [time // unit for time in times]) if unit > 1 else None


def rfc3339(time_ns: int, zone: ZoneInfo | None = None) -> str:
    """Write a time as InfluxDB does: as many digits of the second as it needs, in UTC or a zone's local time.

    >>> rfc3339(1704067200000000000), rfc3339(1704067200100000000)
    ('2024-01-01T00:00:00Z', '2024-01-01T00:00:00.1Z')
    >>> rfc3339(1704067200000000000, ZoneInfo("Europe/Berlin"))
    '2024-01-01T01:00:00+01:00'
    """
    moment = from_ns(time_ns // 1_000_000_000 * 1_000_000_000)
    whole = (moment.astimezone(zone) if zone else moment).isoformat()
    fraction = f"{time_ns % 1_000_000_000:09d}".rstrip("0")
    ending = whole[19:].replace("+00:00", "Z")
    return f"{whole[:19]}.{fraction}{ending}" if fraction else f"{whole[:19]}{ending}"
