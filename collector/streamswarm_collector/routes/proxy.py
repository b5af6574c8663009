"""Hands queries on to the store behind the collector, and its answers back as they come."""

import asyncio
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import aclosing
from typing import Final

import httpx
from starlette.responses import Response, StreamingResponse

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.errors import ParseError
from streamswarm_collector.influxql.parser import parse
from streamswarm_collector.routes.answers import refuse
from streamswarm_collector.settings import CollectorSettings

_OUR_CREDENTIALS: Final = frozenset({"u", "p"})
_KEPT_HEADERS: Final = (
    "Content-Type",
    "Content-Encoding",
    "X-Influxdb-Version",
    "X-Influxdb-Build",
    "X-Influxdb-Error",
)
_MAY_CHANGE: Final = re.compile(r"\b(INTO|CREATE|ALTER|DROP|DELETE|GRANT|REVOKE|SET|KILL)\b", re.IGNORECASE)

_VICTORIAMETRICS: Final = "X-Server-Hostname"
"""A header of its answers. Whatever it is asked at /query, it answers with a list of databases, and 200."""
_ASKS_FOR_DATABASES: Final = re.compile(r"\s*SHOW\s+DATABASES\s*;?\s*", re.IGNORECASE)


class QueryProxy:
    """Speaks to `query_url`, or to the first sink, with the sink's token.

    The sink's token may do more than whoever asks: what could change the store is for admins, as it is at the embedded
    store.

    Args:
        settings: the collector's settings.
        client: for the requests.
    """

    def __init__(self, settings: CollectorSettings, client: httpx.AsyncClient) -> None:
        self._settings = settings
        self._client = client

    async def answer(
        self, method: str, parameters: Mapping[str, str], headers: Mapping[str, str], *, may_change: bool
    ) -> Response:
        """The store's answer, streamed.

        Args:
            method: GET or POST, as the client chose.
            parameters: all of them, wherever they stood.
            headers: the client's.
            may_change: whether whoever asks may change the store.
        """
        if not may_change and not _only_reads(parameters["q"]):
            return refuse(403, "this token may not change databases; it takes one with the scope admin", v2=False)
        seconds = self._settings.query_seconds
        try:
            async with asyncio.timeout(seconds):
                answer = await self._client.send(self._request(method, parameters, headers), stream=True)
        except TimeoutError:
            return refuse(504, f"the store behind the collector did not answer within {seconds:g} s", v2=False)
        except httpx.HTTPError as error:
            message = f"the store behind the collector can't be reached: {str(error) or type(error).__name__}"
            return refuse(503, message, v2=False, retry_after=5)
        if _VICTORIAMETRICS in answer.headers and not _ASKS_FOR_DATABASES.fullmatch(parameters["q"]):
            await answer.aclose()
            message = "the store behind the collector is a VictoriaMetrics, which takes PromQL, at its own address"
            return refuse(400, message, v2=False)
        kept = {name: answer.headers[name] for name in _KEPT_HEADERS if name in answer.headers}
        return StreamingResponse(self._pieces(answer), answer.status_code, headers=kept)

    def _request(self, method: str, parameters: Mapping[str, str], headers: Mapping[str, str]) -> httpx.Request:
        sink = self._settings.sinks[0]
        token = sink.token.get_secret_value()
        passed = {key: value for key, value in parameters.items() if key not in _OUR_CREDENTIALS}
        asked = {"Accept-Encoding": headers.get("Accept-Encoding", "identity"), "Accept": headers.get("Accept", "*/*")}
        if sink.api == "v2" and token:
            asked["Authorization"] = f"Token {token}"
        request = self._client.build_request(
            method,
            f"{str(self._settings.query_url or sink.url).rstrip('/')}/query",
            params=passed if method == "GET" else None,
            data=passed if method == "POST" else None,
            headers=asked,
            timeout=self._settings.query_seconds,
        )
        if sink.api == "v1" and token:
            user, _, password = token.partition(":")
            next(httpx.BasicAuth(user, password).auth_flow(request))
        return request

    async def _pieces(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        """The body as it comes; what is too long or too slow is cut off, which a client sees as a broken answer."""
        size = 0
        async with aclosing(answer), asyncio.timeout(self._settings.query_seconds):
            async for piece in answer.aiter_raw():
                size += len(piece)
                if size > self._settings.query_bytes:
                    raise httpx.ReadError(f"an answer is larger than query_bytes={self._settings.query_bytes}")
                yield piece


def _only_reads(text: str) -> bool:
    """Whether none of the statements can change anything.

    A text without the words for it can't. Where one stands, it may be in a string or a regex, which the parser knows.
    """
    if not _MAY_CHANGE.search(text):
        return True
    try:
        return all(isinstance(statement, ast.Select | ast.Show) for statement in parse(text))
    except (ParseError, RecursionError):
        return False
