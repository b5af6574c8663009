"""`/query`: InfluxQL, answered by the embedded store or handed on to the store behind the collector."""

import asyncio
import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import parse_qsl

import httpx
import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Send
from starlette.types import Scope as AsgiScope

from streamswarm_collector.auth import ANYBODY, Authenticator, presented_token
from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.influxql.errors import PostponedError
from streamswarm_collector.influxql.stopping import Stop
from streamswarm_collector.metrics import CollectorMetrics
from streamswarm_collector.routes.answers import refuse
from streamswarm_collector.routes.body import BodyError, bounded_form
from streamswarm_collector.routes.csvform import as_csv, wants_csv
from streamswarm_collector.routes.lanes import GoneError, QueryLanes
from streamswarm_collector.routes.proxy import QueryProxy
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.errors import ScopeError, TokenError, Unavailable
from streamswarm_core.tokens import Scope

_CHUNK_ROWS: Final = 10_000
_MOST_FORM_BYTES: Final = 1_000_000
_HEADERS: Final = (
    (b"content-type", b"application/json"),
    (b"x-influxdb-version", b"1.8.10"),
    (b"x-influxdb-build", b"OSS"),
)
_ROWS: Final = re.compile(r"0*[1-9]\d{0,17}", re.ASCII)
_EPOCHS: Final = frozenset({"ns", "n", "u", "µ", "us", "ms", "s", "m", "h"})


class QueryRoute:
    """The route.

    Args:
        settings: the collector's settings.
        engine: answers from the embedded store; None hands queries on to the store behind the collector.
        lanes: where queries run that can't be answered at once.
        authenticator: None where no token is asked for.
        metrics: to be kept up to date.
        client: for handing on.
    """

    methods: Final = ("GET", "POST")

    def __init__(
        self,
        settings: CollectorSettings,
        engine: Engine | None,
        lanes: QueryLanes,
        authenticator: Authenticator | None,
        metrics: CollectorMetrics,
        client: httpx.AsyncClient,
    ) -> None:
        self._settings = settings
        self._engine = engine
        self._lanes = lanes
        self._authenticator = authenticator
        self._metrics = metrics
        self._proxy = QueryProxy(settings, client)

    def route(self) -> Route:
        """For the app."""
        return Route("/query", self, methods=list(self.methods))

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI); as a class, a route spares it what it wraps around functions."""
        started = time.monotonic()
        try:
            response = await self._answer(Request(scope, receive, send))
        finally:
            self._metrics.query.observe(time.monotonic() - started)
        await response(scope, receive, send)

    async def _answer(self, request: Request) -> Response:
        parameters = dict(parse_qsl(request.scope["query_string"].decode("latin-1"), keep_blank_values=True))
        bearer = ANYBODY
        try:
            if request.method == "POST":
                parameters |= await bounded_form(request, _MOST_FORM_BYTES, self._settings.body_seconds)
            if self._authenticator is not None:
                bearer = await self._authenticator.check(presented_token(request, parameters), Scope.READ)
            if not parameters.get("q"):
                return refuse(400, 'missing required parameter "q"', v2=False)
            may_change = Scope.ADMIN in bearer.scopes
            if self._engine is None:
                return await self._proxy.answer(request.method, parameters, request.headers, may_change=may_change)
            in_csv = wants_csv(request.headers.get("Accept", ""))
            return await self._from_store(self._engine, request, parameters, may_change=may_change, in_csv=in_csv)
        except BodyError as error:
            return refuse(error.status, str(error), v2=False)
        except ScopeError as error:
            return refuse(403, str(error), v2=False)
        except TokenError as error:
            return refuse(401, str(error), v2=False)
        except Unavailable as error:
            return refuse(503, str(error), v2=False, retry_after=5)

    async def _from_store(
        self, engine: Engine, request: Request, parameters: Mapping[str, str], *, may_change: bool, in_csv: bool
    ) -> Response:
        epoch = parameters.get("epoch") or None
        if epoch and epoch not in _EPOCHS:
            return refuse(400, f"invalid epoch {epoch!r}; one of ns, u, ms, s, m, h", v2=False)
        try:
            bound = json.loads(parameters["params"]) if parameters.get("params") else {}
        except (ValueError, RecursionError):
            bound = None
        if not isinstance(bound, dict):
            return refuse(400, "the parameter params is not a JSON object", v2=False)
        chunk_rows = 0
        if parameters.get("chunked") == "true":
            size = parameters.get("chunk_size") or str(_CHUNK_ROWS)
            if not _ROWS.fullmatch(size):
                return refuse(400, f"invalid chunk_size {size[:40]!r}; a number of rows from 1", v2=False)
            chunk_rows = int(size)
        if parameters.get("rollups", "true") not in {"true", "false"}:
            return refuse(400, f"invalid rollups {parameters['rollups']!r}; true or false", v2=False)
        pretty = parameters.get("pretty") == "true"

        def answer(stop: Stop | None = None, *, at_once: bool = False) -> tuple[int, list[bytes]]:
            reply = engine.execute(
                parameters["q"],
                database=parameters.get("db"),
                policy=parameters.get("rp"),
                epoch=epoch or ("ns" if in_csv else None),
                params=bound,
                may_change=may_change,
                at_once=at_once,
                rollups=parameters.get("rollups") != "false",
                stop=stop,
            )
            if in_csv:
                return reply.status, [as_csv(reply.body)]
            bodies = in_chunks(reply.body, chunk_rows) if chunk_rows else iter([reply.body])
            return reply.status, [_dump(body, pretty=pretty) for body in bodies]

        try:
            # Handing a query to a thread takes longer than answering one of a few recent rows.
            status, documents = answer(at_once=True)
        except PostponedError:
            gone = asyncio.ensure_future(_disconnected(request.receive))
            try:
                status, documents = await self._lanes.run(answer, gone)
            except GoneError:
                return Response(status_code=499)  # as nginx calls it; nobody reads it
            except asyncio.CancelledError:
                # Only the end of the server cancels a request, and answers 500 if nobody else does.
                raise Unavailable("the collector is being stopped; ask again in a moment") from None
            finally:
                gone.cancel()
        return (_Table if in_csv else _Document)(b"".join(documents), status)


async def _disconnected(receive: Receive) -> None:
    """Return when the client closes its connection."""
    while (await receive())["type"] != "http.disconnect":
        pass


class _Document(Response):
    """A JSON document; its headers are always the same."""

    fixed_headers = _HEADERS

    def init_headers(self, headers: Mapping[str, str] | None = None) -> None:
        """Set them as they go out."""
        _ = headers
        self.raw_headers = [*self.fixed_headers, (b"content-length", b"%d" % len(self.body))]


class _Table(_Document):
    """CSV."""

    fixed_headers = ((b"content-type", b"text/csv"), *_HEADERS[1:])


def in_chunks(body: Mapping[str, Any], rows: int) -> Iterator[Mapping[str, Any]]:
    """An answer as InfluxDB streams it: one document for each statement and at most so many rows of one series.

    >>> list(in_chunks({"results": [{"statement_id": 0, "series": [{"columns": ["v"], "values": [[1], [2]]}]}]}, 1))[1]
    {'results': [{'statement_id': 0, 'series': [{'columns': ['v'], 'values': [[2]]}]}]}
    """
    if "results" not in body:
        yield body
        return
    for result in body["results"]:
        pieces = [
            (series, start, start + rows < len(series.get("values", [])))
            for series in result.get("series", [])
            for start in range(0, max(1, len(series.get("values", []))), rows)
        ]
        if not pieces:
            yield {"results": [result]}
        for place, (series, start, more) in enumerate(pieces):
            piece = {**series, **({"partial": True} if more else {})}
            if "values" in series:
                piece["values"] = series["values"][start : start + rows]
            partial = {"partial": True} if place + 1 < len(pieces) else {}
            messages = {"messages": result["messages"]} if place == 0 and "messages" in result else {}
            yield {"results": [{"statement_id": result["statement_id"], "series": [piece], **messages, **partial}]}


def _dump(body: Mapping[str, Any], *, pretty: bool) -> bytes:
    return orjson.dumps(body, option=orjson.OPT_APPEND_NEWLINE | (orjson.OPT_INDENT_2 if pretty else 0))
