"""What the database refuses, as problem documents: two requests at the same time are nobody's fault."""

import logging
import re
from typing import Final

from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from sqlalchemy.exc import IntegrityError, OperationalError

from streamswarm_controlplane.problems import ApiError, respond

_TAKEN: Final = (
    re.compile(r"UNIQUE constraint failed: (?P<columns>[\w., ]+)"),
    re.compile(r"Key \((?P<columns>[^)]*)\)=.* already exists"),
)
_MISSING: Final = re.compile(r"foreign key", re.IGNORECASE)
_RETRY: Final = {"Retry-After": "1"}
_log: Final = logging.getLogger(__name__)


def install(app: FastAPI) -> None:
    """Answer 409 to what another request did first, and 503 while the database is away or too busy."""

    @app.exception_handler(IntegrityError)
    def conflict(_request: Request, error: IntegrityError) -> JSONResponse:
        problem = describe(error)
        return respond(problem.problem, problem.headers)

    @app.exception_handler(OperationalError)
    def away(_request: Request, error: OperationalError) -> JSONResponse:
        # The message may hold the address of the database: it is for the log, not for whoever asked.
        _log.warning("database: %s", str(error.orig).strip())
        problem = ApiError(503, "the database is away or too busy; try again", headers=_RETRY)
        return respond(problem.problem, problem.headers)


def describe(error: IntegrityError) -> ApiError:
    """What a person can make of a constraint that doesn't hold. Values are left out: they may be secret."""
    text = str(error.orig)
    for pattern in _TAKEN:
        found = pattern.search(text)
        if found:
            columns = [name.strip().rpartition(".")[2] for name in found["columns"].split(",")]
            detail = f"another request was quicker: this {' and '.join(columns)} is taken; choose another"
            return ApiError(409, detail, field=f"body.{columns[0]}")
    if _MISSING.search(text):
        return ApiError(409, "what this refers to was removed by another request, or is still in use; read it again")
    _log.error("database: %s", text.strip())
    return ApiError(409, "the database refuses this: it contradicts what another request did; read it again")
