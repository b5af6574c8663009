"""`POST /api/v2/write` (InfluxDB 2.x and 3.x) and `POST /write` (1.x)."""

import zlib
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamswarm_collector.auth import ANYBODY, Authenticator, Bearer, presented_token
from streamswarm_collector.batch import Batch
from streamswarm_collector.metrics import CollectorMetrics
from streamswarm_collector.pipeline import Pipeline, UnknownDatabaseError
from streamswarm_collector.routes.answers import refuse
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.errors import TokenError, Unavailable
from streamswarm_core.lineprotocol import PRECISION_NS
from streamswarm_core.tokens import Scope

_MOST_NAMED_LINES: Final = 10
_GZIP_WINDOW: Final = 16 + zlib.MAX_WBITS


class BodyTooLargeError(Exception):
    """The body, or what it decompresses to, is larger than the limit."""


class WriteRoutes:
    """The two routes.

    Args:
        settings: the collector's settings.
        pipeline: takes the bodies.
        authenticator: None where no token is asked for.
        metrics: to be kept up to date.
        clock: the time of lines without one.
    """

    def __init__(
        self,
        settings: CollectorSettings,
        pipeline: Pipeline,
        authenticator: Authenticator | None,
        metrics: CollectorMetrics,
        clock: Callable[[], int],
    ) -> None:
        self._settings = settings
        self._pipeline = pipeline
        self._authenticator = authenticator
        self._metrics = metrics
        self._clock = clock

    def routes(self) -> list[Route]:
        """For the app."""
        return [
            Route("/api/v2/write", self._write_v2, methods=["POST"]),
            Route("/write", self._write_v1, methods=["POST"]),
        ]

    async def _write_v2(self, request: Request) -> Response:
        database, _, policy = request.query_params.get("bucket", "").partition("/")
        return await self._answer(request, database, policy, v2=True)

    async def _write_v1(self, request: Request) -> Response:
        parameters = request.query_params
        return await self._answer(request, parameters.get("db", ""), parameters.get("rp", ""), v2=False)

    async def _answer(self, request: Request, database: str, policy: str, *, v2: bool) -> Response:
        response = await self._accept(request, database, policy, v2=v2)
        if response.status_code >= 400:
            self._metrics.rejected.labels(str(response.status_code)).inc()
        return response

    async def _accept(self, request: Request, database: str, policy: str, *, v2: bool) -> Response:
        precision = request.query_params.get("precision") or "ns"
        if not database:
            return refuse(400, f"the parameter {'bucket' if v2 else 'db'} is missing", v2=v2)
        if "/" in database or "/" in policy or "\n" in database + policy:
            return refuse(400, "the name of a database or retention policy has no slash and no line break", v2=v2)
        if precision not in PRECISION_NS:
            return refuse(400, f"invalid precision {precision!r}; one of ns, us, ms, s", v2=v2)
        try:
            bearer = await _bearer(request, self._authenticator)
            body = await read_body(request, self._settings.max_body_bytes)
            batch = await self._pipeline.write(
                body.decode(errors="surrogateescape"),
                bucket=self._pipeline.bucket(database, policy),
                precision=precision,
                received_ns=self._clock(),
                stamp=bearer.stamp(),
            )
        except TokenError as error:
            return refuse(401, str(error), v2=v2)
        except BodyTooLargeError as error:
            return refuse(413, str(error), v2=v2)
        except zlib.error:
            return refuse(400, "the body is not valid gzip although Content-Encoding says so", v2=v2)
        except UnknownDatabaseError as error:
            return refuse(404, str(error), v2=v2)
        except Unavailable as error:
            status = 429 if error.retry_after else 503
            return refuse(status, str(error), v2=v2, retry_after=error.retry_after or 5)
        if batch.refused:
            return refuse(400, _refusal(batch), v2=v2)
        return Response(status_code=204)


async def _bearer(request: Request, authenticator: Authenticator | None) -> Bearer:
    return ANYBODY if authenticator is None else await authenticator.check(presented_token(request), Scope.WRITE)


async def read_body(request: Request, most_bytes: int) -> bytes:
    """Read and decompress a request's body.

    Raises:
        BodyTooLargeError: it is larger than `most_bytes`, packed or unpacked.
        zlib.error: it says gzip and isn't.
    """
    unpack: Any = zlib.decompressobj(_GZIP_WINDOW) if request.headers.get("Content-Encoding") == "gzip" else None
    body = bytearray()
    async for chunk in request.stream():
        body += unpack.decompress(chunk, most_bytes + 1 - len(body)) if unpack else chunk
        if len(body) > most_bytes:
            raise BodyTooLargeError(f"the body is larger than {most_bytes} bytes; send smaller batches")
    if unpack and body and not unpack.eof:
        raise zlib.error("cut short")
    return bytes(body)


def _refusal(batch: Batch) -> str:
    named = "; ".join(f"line {line.number}: {line.reason}" for line in batch.refused[:_MOST_NAMED_LINES])
    rest = len(batch.refused) - _MOST_NAMED_LINES
    more = f"; and {rest} more" if rest > 0 else ""
    # InfluxDB says so, too, when lines were understood and none was kept; an older Telegraf then stops sending them.
    understood = any(not line.reason.startswith("unable to parse") for line in batch.refused)
    kept = "partial write: " if batch.lines or understood else ""
    return f"{kept}{named}{more} dropped={len(batch.refused)}"
