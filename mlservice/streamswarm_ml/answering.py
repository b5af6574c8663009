"""Routes that ask for a token, and answer faults as problem documents (RFC 9457)."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from streamswarm_core.errors import Refused, ScopeError, TokenError, Unavailable
from streamswarm_core.problem import MEDIA_TYPE, InvalidField, Problem
from streamswarm_core.tokens import Scope
from streamswarm_ml.access import Gatekeeper
from streamswarm_ml.jobs import Busy
from streamswarm_ml.registry import ModelRefused

_MOST_BODY: Final = 64_000

Body = TypeVar("Body", bound=BaseModel)


class ProblemError(Exception):
    """Ends a request with a problem document."""

    def __init__(self, status: int, title: str, detail: str, errors: tuple[InvalidField, ...] = ()) -> None:
        self.problem = Problem(title=title, status=status, detail=detail, errors=errors)
        super().__init__(detail)


def guarded(
    path: str,
    method: str,
    gatekeeper: Gatekeeper,
    scope: Scope,
    answer: Callable[[Request], Awaitable[Any]],
    status: int = 200,
) -> Route:
    """A route for those whose token has a scope; what `answer` gives is sent as JSON."""

    async def endpoint(request: Request) -> Response:
        try:
            await asyncio.to_thread(gatekeeper.check, request.headers.get("Authorization", ""), scope)
            return JSONResponse(await answer(request), status_code=status)
        except ScopeError as error:
            return problem_response(Problem(title="Forbidden", status=403, detail=str(error)))
        except TokenError as error:
            return problem_response(Problem(title="Unauthorized", status=401, detail=str(error)))
        except ProblemError as error:
            return problem_response(error.problem)
        except Busy as error:
            return problem_response(Problem(title="Busy", status=409, detail=str(error)))
        except ModelRefused as error:
            return problem_response(Problem(title="Version refused", status=409, detail=str(error)))
        except (Unavailable, Refused) as error:
            return problem_response(Problem(title="Store unavailable", status=503, detail=str(error)))

    return Route(path, endpoint, methods=[method])


async def read_body(request: Request, kind: type[Body]) -> Body:
    """The request's JSON as this model; ends the request if it is none."""
    content = bytearray()
    async for part in request.stream():
        content += part
        if len(content) > _MOST_BODY:
            raise ProblemError(413, "Too large", f"a body may have {_MOST_BODY} bytes")
    try:
        return kind.model_validate(json.loads(content or b"{}"))
    except ValidationError as error:
        errors = tuple(
            InvalidField(field="body." + ".".join(map(str, found["loc"])), message=found["msg"])
            for found in error.errors()
        )
        raise ProblemError(422, "Invalid body", "some values can't be used", errors) from None
    except (ValueError, RecursionError) as error:
        raise ProblemError(400, "Not JSON", f"the body must be a JSON object: {error}") from None


def problem_response(problem: Problem) -> Response:
    """A problem as an answer."""
    headers = {"WWW-Authenticate": 'Bearer realm="streamswarm"'} if problem.status == 401 else None
    return JSONResponse(problem.body(), status_code=problem.status, media_type=MEDIA_TYPE, headers=headers)
