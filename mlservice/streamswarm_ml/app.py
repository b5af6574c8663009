"""The ML service: a loop that scores, and a small HTTP server that says how it goes."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from streamswarm_core import __version__
from streamswarm_core.errors import ConfigError
from streamswarm_core.exposition import barred, expose
from streamswarm_core.outbound import patience, trusted
from streamswarm_core.reader import TokenFile, open_reader
from streamswarm_core.writer import LineWriter
from streamswarm_ml.access import Gatekeeper
from streamswarm_ml.detectorjobs import DetectorJobs
from streamswarm_ml.expectations import ExpectationsClient
from streamswarm_ml.loops import repeat
from streamswarm_ml.metrics import MlMetrics
from streamswarm_ml.pipeline import Pipeline
from streamswarm_ml.plans import Plans
from streamswarm_ml.routes import routes_elsewhere
from streamswarm_ml.service import ModelService
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import StateFile

_LONGEST_DELAY: Final = 60.0


def create_app(settings: MlSettings) -> Starlette:
    """Put the ML service together; its loop runs with the app's lifespan.

    Raises:
        ConfigError: the data folder can't be used.
    """
    token = TokenFile(settings.token_path)
    try:
        state = StateFile(settings.folder)
        client = httpx.Client(timeout=patience(5.0), verify=trusted())
        expectations = ExpectationsClient(
            settings.controlplane_url, token, settings.folder / "expectations.json", client
        )
        plans = Plans(settings.maintenance, expectations, settings.time_zone)
        gatekeeper = Gatekeeper(settings.controlplane_url, token, settings.folder / "keys.json", client)
        models = ModelService(settings, plans, gatekeeper) if settings.shard == 0 else None
    except OSError as error:
        raise ConfigError(f"{settings.folder}: {error.strerror}; choose another with STREAMSWARM_DATA") from None
    reader = open_reader(settings, token)
    writer = LineWriter(settings.scores_url, token, bucket=settings.bucket)
    pipeline = Pipeline(settings, reader, writer, state, plans=plans)
    detectors = DetectorJobs(pipeline)
    metrics = MlMetrics()

    @contextlib.asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        loops = [asyncio.create_task(score_forever(pipeline, settings.interval))]
        if models is not None:
            loops.append(asyncio.create_task(models.run_forever()))
        try:
            yield
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)
            await asyncio.to_thread(detectors.close)
            await asyncio.to_thread(pipeline.close)
            if models is not None:
                await asyncio.to_thread(models.close)
            reader.close()
            writer.close()
            await asyncio.to_thread(client.close)

    async def health(_request: Request) -> Response:
        store = pipeline.counts.last_error or "ok"
        return JSONResponse({"status": "ok", "name": "streamswarm-ml", "version": __version__, "store": store})

    async def status(_request: Request) -> Response:
        return JSONResponse({**_progress(pipeline), "expectations": expectations.error or "ok"})

    async def exposition(request: Request) -> Response:
        if refusal := barred(request, settings.metrics_token):
            return refusal
        metrics.observe(pipeline)
        if models is not None:
            await asyncio.to_thread(metrics.observe_models, models.operations)
        return expose(metrics.registry, request)

    app = Starlette(
        routes=[
            Route("/health", health),
            Route("/status", status),
            Route("/metrics", exposition),
            *detectors.routes(gatekeeper),
            *(models.routes if models is not None else routes_elsewhere(settings.shards)),
        ],
        lifespan=lifespan,
    )
    app.router.redirect_slashes = False
    return app


def _progress(pipeline: Pipeline) -> dict[str, Any]:
    counts = pipeline.counts
    return {
        "series": len(pipeline.series),
        "series_not_watched": counts.series_not_watched,
        "points_scored": counts.points,
        "lag_seconds": counts.lag_seconds,
        "cycles": counts.cycles,
        "last_cycle_seconds": counts.last_seconds,
        "failures": counts.failures,
        "last_error": counts.last_error,
        "state_bytes": pipeline.state_bytes,
        "memory_bytes": pipeline.memory_bytes,
        "time_zones": pipeline.series_by_zone,
        "open_anomalies": [
            {"measurement": measurement, "field": name, "tags": dict(tags)}
            for measurement, tags, name in pipeline.open_anomalies()
        ],
    }


async def score_forever(pipeline: Pipeline, interval: float) -> None:
    """Score what is new every `interval` seconds, less often while that fails, until cancelled."""
    counts = pipeline.counts

    def note(failure: str) -> None:
        counts.last_error = failure
        counts.failures += bool(failure)

    await repeat(pipeline.cycle, note, name="scoring", interval=interval, longest=_LONGEST_DELAY)
