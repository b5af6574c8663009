"""The collector: the gateway that every point passes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from streamswarm_collector.auth import Authenticator
from streamswarm_collector.influxql.admin import Administrator
from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.metrics import CollectorMetrics
from streamswarm_collector.pipeline import Pipeline
from streamswarm_collector.routes.answers import refuse
from streamswarm_collector.routes.lanes import QueryLanes
from streamswarm_collector.routes.query import QueryRoute
from streamswarm_collector.routes.write import WriteRoutes
from streamswarm_collector.settings import CollectorSettings
from streamswarm_collector.snapshots import Snapshots
from streamswarm_core import __version__
from streamswarm_core.clock import now_ns
from streamswarm_core.errors import ConfigError
from streamswarm_core.exposition import barred, expose
from streamswarm_core.outbound import trusted
from streamswarm_core.reflector.service import Reflector

_PATHS: Final = (
    "/write and /api/v2/write (line protocol), /query (InfluxQL, no Flux or SQL), /ping, /health, /ready, /metrics"
)


def create_app(
    settings: CollectorSettings, *, clock: Callable[[], int] = now_ns, on_fatal: Callable[[], None] = lambda: None
) -> Starlette:
    """Put the collector together; its files are opened here, its tasks run with the app's lifespan.

    Args:
        settings: the collector's settings.
        clock: nanoseconds since the epoch.
        on_fatal: as in EmbeddedStore.

    Raises:
        ConfigError: the data folder or the store's file can't be used.
    """
    metrics = CollectorMetrics()
    reflector = Reflector(settings)
    metrics.registry.register(reflector)
    try:
        settings.folder.mkdir(parents=True, exist_ok=True)
        pipeline = Pipeline(settings, metrics, clock, on_fatal)
    except OSError as error:
        raise ConfigError(f"{settings.folder}: {error.strerror}; choose another folder with STREAMSWARM_DATA") from None
    client = httpx.AsyncClient(timeout=5.0, verify=trusted())
    # A pool of its own: slow queries must not keep tokens from being checked.
    store_client = httpx.AsyncClient(verify=trusted())
    authenticator = (
        Authenticator(settings.controlplane_url, settings.token_path, settings.folder, client)
        if settings.auth
        else None
    )
    lanes = QueryLanes(settings.query_threads, settings.query_seconds)
    engine = None
    if pipeline.store:
        administrator = Administrator(pipeline.store, pipeline.forget)
        engine = Engine(pipeline.store, now_ns=clock, administrator=administrator, seconds=settings.query_seconds)

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        pipeline.start()
        await reflector.start()
        tasks = [asyncio.create_task(pipeline.release_forever())]
        if authenticator is not None:
            tasks.append(asyncio.create_task(authenticator.poll_revocations()))
        try:
            async with Snapshots(settings.folder, pipeline.store):
                yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await reflector.close()
            lanes.close()
            await asyncio.to_thread(pipeline.close)
            await client.aclose()
            await store_client.aclose()

    async def health(_request: Request) -> Response:
        failures = pipeline.failures()
        # Points are taken and answered all the same when a job of the store fails, so that is a warning.
        neglected = pipeline.maintenance.failures if pipeline.maintenance else {}
        status = "fail" if failures else "warn" if neglected else "pass"
        body: dict[str, Any] = {"status": status, "name": "streamswarm-collector", "version": __version__}
        refused = {name: size for name, size in pipeline.dead_bytes().items() if size}
        details = {"sinks": failures, "dead_letter_bytes": refused, "maintenance": neglected}
        return JSONResponse(body | {key: one for key, one in details.items() if one}, 503 if failures else 200)

    async def ready(_request: Request) -> Response:
        return JSONResponse({"status": "ready"})

    async def ping(request: Request) -> Response:
        headers = {"X-Influxdb-Version": "1.8.10", "X-Influxdb-Build": "OSS"}
        if request.query_params.get("verbose", "") in {"", "0", "false"}:
            return Response(status_code=204, headers=headers)
        return JSONResponse({"version": headers["X-Influxdb-Version"]}, headers=headers)

    async def exposition(request: Request) -> Response:
        if refusal := barred(request, settings.metrics_token):
            return refusal
        pipeline.observe()
        return expose(metrics.registry, request)

    query = QueryRoute(settings, engine, lanes, authenticator, metrics, store_client)
    return _Collector(
        query,
        routes=[
            query.route(),
            *WriteRoutes(settings, pipeline, authenticator, metrics, clock).routes(),
            Route("/ping", ping, methods=["GET", "HEAD"]),
            Route("/health", health),
            Route("/ready", ready),
            Route("/metrics", exposition),
        ],
        lifespan=lifespan,
        exception_handlers={404: _not_here, 405: _not_so},
    )


async def _not_here(request: Request, _error: Exception) -> Response:
    """For who points a tool of another version of InfluxDB's API here, or a browser."""
    path = request.url.path
    return refuse(404, f"there is no {path[:100]}; there are {_PATHS}", v2=path.startswith("/api/"))


async def _not_so(request: Request, error: Exception) -> Response:
    path = request.url.path
    allowed = (error.headers or {}).get("Allow", "") if isinstance(error, HTTPException) else ""
    answer = refuse(405, f"{request.method} {path} is not answered; {allowed} is", v2=path.startswith("/api/"))
    answer.headers["Allow"] = allowed
    return answer


class _Collector(Starlette):
    """Takes the shortest way to `/query`: what lies before a route takes as long as finding a last value."""

    def __init__(self, query: QueryRoute, **more: Any) -> None:
        super().__init__(**more)
        self.router.redirect_slashes = False
        self._query = query

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI)."""
        if scope["type"] == "http" and scope["path"] == "/query" and scope["method"] in QueryRoute.methods:
            await self._query(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
