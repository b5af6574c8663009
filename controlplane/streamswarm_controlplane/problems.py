"""Errors of the API as RFC 9457 documents."""

import logging
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from itertools import groupby
from typing import Any, Final

from fastapi import APIRouter, FastAPI, Request
from fastapi.dependencies.models import Dependant
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from fastapi.routing import APIRoute
from pydantic import create_model
from sqlalchemy.exc import DataError, IntegrityError, InterfaceError, OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from sqlalchemy.orm.exc import StaleDataError
from starlette.exceptions import HTTPException

from streamswarm_controlplane.complaints import explain
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.problem import MEDIA_TYPE, InvalidField, Problem

log = logging.getLogger(__name__)

PASSWORD_CHANGE_REQUIRED = "urn:streamswarm:problem:password-change-required"  # noqa: S105 - a name, not a password
_RETRY: Final = {"Retry-After": "5"}
_TAKEN: Final = re.compile(
    r"UNIQUE constraint failed: (?P<sqlite>[\w., ]+)|Key \((?P<postgresql>[^)]*)\)=.*already exists"
)
_REFERENCE: Final = re.compile("foreign key", re.IGNORECASE)


class ApiError(Exception):
    """A refusal that a route or service decides on.

    Args:
        status: HTTP status code.
        detail: what is wrong, where, and what would be accepted.
        kind: URI of the kind of problem, where clients tell it apart.
        field: path of the value that can't be used, such as `body.name`.
        headers: to be sent along.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        kind: str = "about:blank",
        field: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        errors = (InvalidField(field=field, message=detail.removeprefix(f"{field}: ")),) if field else ()
        self.problem = Problem(type=kind, title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors)
        self.headers = dict(headers or {})


class Answered(Exception):  # noqa: N818 - an answer, no error
    """What is asked for has its answer already; the route has nothing to do."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def install(app: FastAPI, prefix: str, routers: Iterable[APIRouter]) -> None:
    """Make every error of the app, whose API these routers are, a problem document."""
    _take_refusals(app, prefix, [one for router in routers for one in router.routes if isinstance(one, APIRoute)])
    _take_faults(app)
    _take_database_errors(app)


def _take_refusals(app: FastAPI, prefix: str, routes: Sequence[APIRoute]) -> None:
    """What the caller can mend."""

    @app.exception_handler(ApiError)
    def refused(_request: Request, error: ApiError) -> JSONResponse:
        return respond(error.problem, error.headers)

    @app.exception_handler(Answered)
    def answered(_request: Request, answer: Answered) -> Response:
        return answer.response

    @app.exception_handler(HTTPException)
    def routing(request: Request, error: HTTPException) -> JSONResponse:
        title = HTTPStatus(error.status_code).phrase
        detail, headers = str(error.detail or title), dict(error.headers or {})
        path = request.url.path
        if error.status_code == HTTPStatus.NOT_FOUND and detail == title:
            mended = (
                "leave out the slash at its end" if path.endswith("/") else f"{app.openapi_url} lists what there is"
            )
            detail = f"nothing is at {path}; {mended}"
        elif error.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
            headers["Allow"] = ", ".join(_methods(routes, path.removeprefix(prefix))) or headers.get("Allow", "")
            detail = f"{path} doesn't take {request.method}; it takes {headers['Allow']}"
        elif error.status_code == HTTPStatus.BAD_REQUEST:
            detail = "body: it can't be read; send JSON in UTF-8"
        problem = Problem(title=title, status=error.status_code, detail=detail)
        return respond(problem, headers)

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        found = error.errors()
        if found and found[0]["type"] == "json_invalid":
            reason = found[0]["ctx"]["error"]
            detail = f"body: no JSON: {reason} at character {found[0]['loc'][-1]}"
            malformed = (InvalidField(field="body", message=detail),)
            return respond(Problem(title="Malformed JSON", status=400, detail=detail, errors=malformed))
        errors = tuple(_invalid_fields(request, found))
        detail = "; ".join(f"{one.field}: {one.message}" for one in errors)
        return respond(Problem(title="Invalid request", status=422, detail=detail, errors=errors))

    @app.exception_handler(UnicodeEncodeError)
    def not_unicode(_request: Request, _error: UnicodeEncodeError) -> JSONResponse:
        detail = "body: a text holds half of a surrogate pair, which is no character"
        return respond(Problem(title="Invalid request", status=422, detail=detail))


def _invalid_fields(request: Request, found: Sequence[Mapping[str, Any]]) -> Iterable[InvalidField]:
    route: APIRoute = request.scope["route"]
    for place, errors in groupby(found, key=lambda one: one["loc"][0]):
        yield from explain([{**one, "loc": one["loc"][1:]} for one in errors], _wanted(route, place), place)


def _wanted(route: APIRoute, place: str) -> Any:
    """Type of what a route takes at this place of a request; None for what has no names."""
    if place == "query":
        taken = {name: (kind, ...) for name, kind in query_parameters(route.dependant)}
        return create_model("Query", **taken)  # type: ignore[call-overload] # their names are known only here
    return route.body_field.field_info.annotation if route.body_field is not None and place == "body" else None


def query_parameters(dependant: Dependant) -> Iterator[tuple[str, Any]]:
    """Names and types of what a route and all that it depends on take behind the `?`."""
    yield from ((parameter.alias, parameter.field_info.annotation) for parameter in dependant.query_params)
    for inner in dependant.dependencies:
        yield from query_parameters(inner)


def _take_faults(app: FastAPI) -> None:
    """What the caller can't mend."""

    @app.exception_handler(Unavailable)
    def unavailable(_request: Request, error: Unavailable) -> JSONResponse:
        problem = Problem(title="Store unavailable", status=503, detail=str(error))
        return respond(problem, _RETRY)

    @app.exception_handler(Refused)
    def store_refused(_request: Request, error: Refused) -> JSONResponse:
        return respond(Problem(title="Store refused the query", status=502, detail=str(error)))

    @app.exception_handler(Exception)
    def mistake(request: Request, error: Exception) -> JSONResponse:
        # The server's log shows the error itself, with this number in front of it.
        number = uuid.uuid4().hex[:12]
        log.error("mistake %s: %s %s: %s", number, request.method, request.url.path, type(error).__name__)
        detail = f"a mistake of the control plane; its log has it under {number}"
        return respond(Problem(title="Internal Server Error", status=500, detail=detail))


def _take_database_errors(app: FastAPI) -> None:
    """What the database refuses, and that it is away."""

    @app.exception_handler(IntegrityError)
    def conflict(_request: Request, error: IntegrityError) -> JSONResponse:
        return respond(_conflict(error))

    @app.exception_handler(StaleDataError)
    def gone(_request: Request, _error: StaleDataError) -> JSONResponse:
        detail = "something that it changes was removed at the same time; read it again"
        return respond(Problem(title="Conflict", status=409, detail=detail))

    @app.exception_handler(DataError)
    def unusable(_request: Request, _error: DataError) -> JSONResponse:
        detail = "a value can't be stored: a text holds the character NUL, or a number is too large"
        return respond(Problem(title="Invalid request", status=422, detail=detail))

    def away(_request: Request, error: SQLAlchemyError) -> JSONResponse:
        reason = str(getattr(error, "orig", None) or error).splitlines()[0]
        log.warning("database: %s", reason)
        busy = "locked" in reason or "deadlock" in reason
        detail = "the database is busy" if busy else "the database can't be reached"
        problem = Problem(title="Database unavailable", status=503, detail=f"{detail}; try again in a moment")
        return respond(problem, _RETRY)

    for kind in (OperationalError, InterfaceError, NoConnection):
        app.exception_handler(kind)(away)


def _conflict(error: IntegrityError) -> Problem:
    """What a person can make of a constraint that doesn't hold. Values are left out: they may be secret."""
    reason = str(error.orig)
    found = _TAKEN.search(reason)
    errors: tuple[InvalidField, ...] = ()
    if found:
        named = (found["sqlite"] or found["postgresql"]).split(",")
        columns = [name.strip().rpartition(".")[2].removesuffix("_key") for name in named]
        detail = f"another with the same {' and '.join(columns)} was stored at the same time"
        errors = (InvalidField(field=f"body.{columns[0]}", message=detail),)
    elif _REFERENCE.search(reason):
        detail = "something that it refers to was removed at the same time, or is still in use; read it again"
    else:
        # PostgreSQL's second line shows the whole row.
        log.error("database: %s", reason.splitlines()[0])
        detail = "it contradicts what another request did at the same time; read it again"
    return Problem(title="Conflict", status=409, detail=detail, errors=errors)


def _methods(routes: Sequence[APIRoute], path: str) -> list[str]:
    """What a path takes, of all of its routes; each route by itself knows only its own."""
    found = [route for route in routes if route.path == path] or [
        route for route in routes if route.path_regex.match(path)
    ]
    return sorted({method for route in found for method in route.methods or ()})


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The HTTP answer of a problem."""
    return _Safe(problem.body(), problem.status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


class _Safe(JSONResponse):
    """It may quote what the caller sent, which need not be proper Unicode."""

    def render(self, content: object) -> bytes:
        return super().render(_proper(content))


def _proper(value: object) -> object:
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, dict):
        return {key: _proper(one) for key, one in value.items()}
    return [_proper(one) for one in value] if isinstance(value, list) else value
