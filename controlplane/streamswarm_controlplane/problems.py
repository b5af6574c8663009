"""Errors of the API as RFC 9457 documents."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.problem import MEDIA_TYPE, InvalidField, Problem

PASSWORD_CHANGE_REQUIRED = "urn:streamswarm:problem:password-change-required"  # noqa: S105 - a name, not a password


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
        errors = (InvalidField(field=field, message=detail),) if field else ()
        self.problem = Problem(type=kind, title=HTTPStatus(status).phrase, status=status, detail=detail, errors=errors)
        self.headers = dict(headers or {})


class Answered(Exception):  # noqa: N818 - an answer, no error
    """What is asked for has its answer already; the route has nothing to do."""

    def __init__(self, response: Response) -> None:
        super().__init__()
        self.response = response


def install(app: FastAPI) -> None:
    """Make every error of the app a problem document."""

    @app.exception_handler(ApiError)
    def refused(_request: Request, error: ApiError) -> JSONResponse:
        return respond(error.problem, error.headers)

    @app.exception_handler(Answered)
    def answered(_request: Request, answer: Answered) -> Response:
        return answer.response

    @app.exception_handler(HTTPException)
    def routing(_request: Request, error: HTTPException) -> JSONResponse:
        title = HTTPStatus(error.status_code).phrase
        problem = Problem(title=title, status=error.status_code, detail=str(error.detail or title))
        return respond(problem, error.headers or {})

    @app.exception_handler(RequestValidationError)
    def invalid(_request: Request, error: RequestValidationError) -> JSONResponse:
        errors = tuple(
            InvalidField(field=".".join(str(part) for part in one["loc"]), message=one["msg"]) for one in error.errors()
        )
        detail = "; ".join(f"{one.field}: {one.message}" for one in errors)
        return respond(Problem(title="Invalid request", status=422, detail=detail, errors=errors))

    @app.exception_handler(Unavailable)
    def unavailable(_request: Request, error: Unavailable) -> JSONResponse:
        problem = Problem(title="Store unavailable", status=503, detail=str(error))
        return respond(problem, {"Retry-After": "5"})

    @app.exception_handler(Refused)
    def store_refused(_request: Request, error: Refused) -> JSONResponse:
        return respond(Problem(title="Store refused the query", status=502, detail=str(error)))


def respond(problem: Problem, headers: Mapping[str, str] | None = None) -> JSONResponse:
    """The HTTP answer of a problem."""
    return JSONResponse(problem.body(), problem.status, headers=dict(headers or {}), media_type=MEDIA_TYPE)
