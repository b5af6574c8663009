"""`POST /api/v2/write` (InfluxDB 2.x and 3.x) and `POST /write` (1.x)."""

from collections.abc import Callable
from typing import Final

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamswarm_collector.auth import ANYBODY, Authenticator, Bearer, presented_token
from streamswarm_collector.batch import Batch
from streamswarm_collector.metrics import CollectorMetrics
from streamswarm_collector.pipeline import Pipeline, UnknownDatabaseError
from streamswarm_collector.routes.answers import refuse
from streamswarm_collector.routes.body import BodyError, read_body
from streamswarm_collector.settings import CollectorSettings
from streamswarm_core.errors import ScopeError, TokenError, Unavailable
from streamswarm_core.lineprotocol import PRECISION_NS
from streamswarm_core.tokens import Scope

_MOST_NAMED_LINES: Final = 10


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
            return refuse(400, f"invalid precision {precision!r}; one of ns, us, ms, s, m, h", v2=v2)
        try:
            bearer = await _bearer(request, self._authenticator)
            self._pipeline.check_log()
            batch = await self._take(request, self._pipeline.bucket(database, policy), precision, bearer)
        except ScopeError as error:
            return refuse(403, str(error), v2=v2)
        except TokenError as error:
            return refuse(401, str(error), v2=v2)
        except BodyError as error:
            return refuse(error.status, str(error), v2=v2)
        except UnknownDatabaseError as error:
            return refuse(404, str(error), v2=v2)
        except Unavailable as error:
            status = 429 if error.retry_after else 503
            return refuse(status, str(error), v2=v2, retry_after=error.retry_after or 5)
        if batch.refused:
            return refuse(400, _refusal(batch), v2=v2)
        return Response(status_code=204)

    async def _take(self, request: Request, bucket: str, precision: str, bearer: Bearer) -> Batch:
        with self._pipeline.intake.room() as room:
            body = await read_body(
                request, room, most_bytes=self._settings.max_body_bytes, seconds=self._settings.body_seconds
            )
            return await self._pipeline.write(
                body.decode(errors="surrogateescape"),
                bucket=bucket,
                precision=precision,
                received_ns=self._clock(),
                stamp=bearer.stamp(),
                writer=bearer.writer,
            )


async def _bearer(request: Request, authenticator: Authenticator | None) -> Bearer:
    return ANYBODY if authenticator is None else await authenticator.check(presented_token(request), Scope.WRITE)


def _refusal(batch: Batch) -> str:
    named = "; ".join(f"line {line.number}: {line.reason}" for line in batch.refused[:_MOST_NAMED_LINES])
    rest = len(batch.refused) - _MOST_NAMED_LINES
    more = f"; and {rest} more" if rest > 0 else ""
    # InfluxDB says so, too, when lines were understood and none was kept; an older Telegraf then stops sending them.
    understood = any(not line.reason.startswith("unable to parse") for line in batch.refused)
    kept = "partial write: " if batch.lines or understood else ""
    return f"{kept}{named}{more} dropped={len(batch.refused)}"
