"""The models over HTTP; docs/models.md says what each route takes and answers."""

import asyncio
import dataclasses
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ConfigDict, Field
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.problem import Problem
from streamswarm_core.tokens import Scope
from streamswarm_ml.access import Gatekeeper
from streamswarm_ml.answering import ProblemError, guarded, problem_response, read_body
from streamswarm_ml.explain.incidents import find_incidents
from streamswarm_ml.forecast.model import ForecastModel
from streamswarm_ml.health.model import UnknownWindowError
from streamswarm_ml.infrastructure.model import InfrastructureModel, UnknownResultError
from streamswarm_ml.labels import CauseFeedback, HealthFeedback
from streamswarm_ml.models import MODELS
from streamswarm_ml.operations import Operations
from streamswarm_ml.windows import WINDOW_NS, is_probe

_MOST_HOURS: Final = 168
_REMEMBERED_HOURS: Final = 24
_MOST_SUSPECTS: Final = 20
_FEEDBACK: Final[Mapping[str, type[HealthFeedback | CauseFeedback]]] = {
    "health": HealthFeedback,
    "infrastructure": CauseFeedback,
}

Kind = TypeVar("Kind")


class ResetRequest(BaseModel):
    """Which models to make anew."""

    model_config = ConfigDict(extra="forbid")

    models: list[str] = Field(default_factory=lambda: list(MODELS), min_length=1, max_length=len(MODELS))


class RollbackRequest(BaseModel):
    """Which version to go back to; the one before the current if none is named."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = Field(None, ge=1)


def model_routes(operations: Operations, gatekeeper: Gatekeeper) -> list[Route]:
    """All routes below /models, and /incidents."""

    def route(path: str, method: str, scope: Scope, answer: Callable[[Operations, Request], Awaitable[Any]]) -> Route:
        status = 202 if answer in _BEGIN else 200
        return guarded(path, method, gatekeeper, scope, partial(answer, operations), status)

    return [
        route("/models", "GET", Scope.READ, _list),
        route("/models/job", "GET", Scope.READ, _job),
        route("/models/job", "DELETE", Scope.ADMIN, _cancel),
        route("/models/train", "POST", Scope.ADMIN, _train),
        route("/models/reset", "POST", Scope.ADMIN, _reset),
        route("/models/forecast/prospect", "GET", Scope.READ, _prospect),
        route("/models/infrastructure/suspects", "GET", Scope.READ, _suspects),
        route("/models/{name}", "GET", Scope.READ, _status),
        route("/models/{name}/versions", "GET", Scope.READ, _versions),
        route("/models/{name}/rollback", "POST", Scope.ADMIN, _roll_back),
        route("/models/{name}/feedback", "POST", Scope.WRITE, _feedback),
        route("/incidents", "GET", Scope.READ, _incidents),
    ]


def routes_elsewhere(shards: int) -> list[Route]:
    """The same paths on a service that is not the first shard, where the models are: 421, with where to ask."""

    async def endpoint(_request: Request) -> Response:
        detail = f"the models of these {shards} ML services run on shard 0 alone, for all series; ask that one"
        return problem_response(Problem(title="Models are elsewhere", status=421, detail=detail))

    methods = ["GET", "POST", "DELETE"]
    return [Route(path, endpoint, methods=methods) for path in ("/models", "/models/{rest:path}", "/incidents")]


async def _list(operations: Operations, _request: Request) -> Any:
    return {"models": [await asyncio.to_thread(operations.status, name) for name in MODELS]}


async def _status(operations: Operations, request: Request) -> Any:
    return await asyncio.to_thread(operations.status, _known(request))


async def _versions(operations: Operations, request: Request) -> Any:
    name = _known(request)
    versions = await asyncio.to_thread(operations.store.versions, name)
    current = operations.store.current(name)
    return {"current": current, "versions": [known.model_dump(mode="json") for known in versions]}


async def _job(operations: Operations, _request: Request) -> Any:
    return {"job": dataclasses.asdict(operations.job) if operations.job else None}


async def _cancel(operations: Operations, _request: Request) -> Any:
    job = operations.cancel()
    return {"job": dataclasses.asdict(job) if job else None}


async def _train(operations: Operations, _request: Request) -> Any:
    return {"job": dataclasses.asdict(await asyncio.to_thread(operations.train))}


async def _reset(operations: Operations, request: Request) -> Any:
    asked = await read_body(request, ResetRequest)
    for name in asked.models:
        if name not in MODELS:
            raise ProblemError(422, "Unknown model", f"there is no model {name!r}; there are {', '.join(MODELS)}")
    return {"job": dataclasses.asdict(await asyncio.to_thread(operations.reset, asked.models))}


async def _roll_back(operations: Operations, request: Request) -> Any:
    name = _known(request)
    asked = await read_body(request, RollbackRequest)
    known = await asyncio.to_thread(operations.roll_back, name, asked.version)
    return known.model_dump(mode="json")


async def _feedback(operations: Operations, request: Request) -> Any:
    kind = _FEEDBACK.get(_known(request))
    if kind is None:
        raise ProblemError(404, "No feedback", f"this model learns from no labels; {' and '.join(_FEEDBACK)} do")
    label = await read_body(request, kind)
    try:
        await asyncio.to_thread(operations.feedback, label)
    except (UnknownWindowError, UnknownResultError) as error:
        raise ProblemError(404, "Nothing to label", str(error)) from None
    return {"learned": label.model_dump(mode="json")}


async def _prospect(operations: Operations, request: Request) -> Any:
    asked = request.query_params
    probe, name = asked.get("measurement", ""), asked.get("field", "")
    measurements = [found.name for found in CATALOGUE.values() if is_probe(found) and found.features]
    if probe not in measurements:
        raise ProblemError(422, "Unknown measurement", f"measurement must be one of {', '.join(measurements)}")
    fields = [found.name for found in CATALOGUE[probe].features]
    if name not in fields:
        raise ProblemError(422, "Unknown field", f"field must be one of {', '.join(fields)}")
    model = _model(operations, "forecast", ForecastModel)
    place = {key: asked.get(key, "") for key in ("site", "agent", "target")}
    found = await asyncio.to_thread(lambda: model.history.prospect(probe, name, **place))
    return {"measurement": probe, "field": name, **place, **dataclasses.asdict(found)}


async def _suspects(operations: Operations, request: Request) -> Any:
    hours = _hours(request, usual=1, most=_REMEMBERED_HOURS)
    model = _model(operations, "infrastructure", InfrastructureModel)
    since = (operations.now() - hours * 3600 * NANOSECONDS) // WINDOW_NS
    found = await asyncio.to_thread(model.suspects, since)
    return {
        "suspects": [{"place": place, "name": name, "share": share} for (place, name), share in found[:_MOST_SUSPECTS]]
    }


async def _incidents(operations: Operations, request: Request) -> Any:
    hours = _hours(request, usual=24, most=_MOST_HOURS)
    found = await asyncio.to_thread(find_incidents, operations.reader, operations.now(), hours)
    return {"incidents": [incident.as_json() for incident in found]}


def _model(operations: Operations, name: str, kind: type[Kind]) -> Kind:
    model = operations.model(name)
    if not isinstance(model, kind):  # pragma: no cover - MODELS says what it is
        raise TypeError(type(model))
    return model


def _hours(request: Request, *, usual: int, most: int) -> int:
    written = request.query_params.get("hours", str(usual))
    # int() refuses thousands of digits with an error of its own
    if not written.isdecimal() or len(written) > 3 or not 1 <= int(written) <= most:
        raise ProblemError(422, "Bad range", f"hours must be a whole number from 1 to {most}")
    return int(written)


_BEGIN: Final = {_train, _reset}


def _known(request: Request) -> str:
    name = str(request.path_params["name"])
    if name not in MODELS:
        raise ProblemError(404, "Unknown model", f"there is no model {name!r}; there are {', '.join(MODELS)}")
    return name
