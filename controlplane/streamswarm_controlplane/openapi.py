"""The API's description, completed from what the routes are made of: who may, what can go wrong, examples."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import APIRouter, FastAPI
from fastapi.dependencies.models import Dependant
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute

from streamswarm_controlplane.deps import (
    CSRF_HEADER,
    SESSION_COOKIE,
    AgentAuth,
    RequireRole,
    RequireSession,
    get_principal,
    get_reader,
)
from streamswarm_controlplane.idempotency import KEY_HEADER, REPLAY_HEADER
from streamswarm_controlplane.notifications.webhook import webhooks
from streamswarm_core.problem import MEDIA_TYPE, Problem

_SAFE: Final = frozenset({"get", "head", "options"})
_DESCRIPTION: Final = f"""\
Lists come in pages: `limit` items, and `next_cursor` for more. What can be changed has an entity tag: `If-None-Match`
spares reading it again, `If-Match` refuses to overwrite somebody else's change. A POST with `{KEY_HEADER}` can be sent
again when its answer got lost. Every error is a problem document (RFC 9457). Times are UTC, durations seconds.

Scripts send a personal token: `Authorization: Bearer sst_…`. Browsers log in with `POST /api/v1/auth/login`, keep the
cookie, and send `{CSRF_HEADER}` with whatever changes something."""
_TAGS: Final = {
    "auth": "Logging in and out, and the caller's own password.",
    "users": "People who may log in, and their roles.",
    "agents": "The hosts that measure, how they are, and the one-time tokens that new ones enrol with.",
    "sites": "Where agents are.",
    "for agents": "What agents themselves ask for.",
    "tests": "What is measured, how often, and which agents do it.",
    "runs": "What came of each start of a test.",
    "maintenance": "Times in which nobody is alerted.",
    "results": "What was measured.",
    "notifications": "What is wrong, who is told and how, and what became of the messages.",
    "tokens": "Static tokens of Telegraf, Grafana and scripts, and what collectors need to check tokens.",
    "personal tokens": "Tokens by which scripts act as the person who made them.",
    "configuration": "Settings of the whole installation, and who changed them.",
    "audit": "Who changed what, and when.",
}
_MORE_STATUSES: Final = {
    "/auth/oidc/login": (404, 502),
    "/auth/oidc/callback": (401, 403, 404, 409, 502),
    "/config/history": (404,),
    "/prometheus/sd": (401, 403),
    "/expectations": (401, 403),
}
"""What a route answers that can't be told from what it is made of, by the end of its path."""
_SCHEMES: Final[Mapping[str, Mapping[str, str]]] = {
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": SESSION_COOKIE,
        "description": "Set by `POST /api/v1/auth/login`.",
    },
    "csrf": {
        "type": "apiKey",
        "in": "header",
        "name": CSRF_HEADER,
        "description": "`csrf_token` of `GET /api/v1/auth/me`; needed with the session for whatever changes something.",
    },
    "token": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "sst_…",
        "description": "A user's personal token, from `POST /api/v1/auth/tokens`; it needs no `csrf`.",
    },
    "agent": {
        "type": "http",
        "scheme": "bearer",
        "bearerFormat": "JWT",
        "description": "An agent's access token, from `POST /api/v1/agent/token`.",
    },
}
_REASONS: Final = {
    400: "The body can't be read.",
    401: "The caller isn't known.",
    403: "The caller may not do this.",
    404: "It isn't there.",
    408: "The body took too long to arrive.",
    409: "It conflicts with what is there.",
    412: "It has changed since it was read.",
    413: "The body is too long.",
    415: "The body is of another type than JSON.",
    422: "A value can't be used; the document names it.",
    429: "Too many attempts; `Retry-After` says when to try again.",
    500: "A mistake of the control plane.",
    502: "The store refused what it was asked.",
    503: "The database or the store is busy or away; `Retry-After` says when to try again.",
}
_SIGNS: Final = {
    ">": "ABOVE",
    ">=": "AT_LEAST",
    "<": "BELOW",
    "<=": "AT_MOST",
    "=": "EQUAL",
    "!=": "NOT_EQUAL",
    "~": "LIKE",
}
"""What generators of clients are to call values that make no names."""
_TEXTS: Final = {"date-time": "2026-01-31T12:00:00Z", "date": "2026-01-31", "uri": "https://example.org/"}


def install(app: FastAPI, prefix: str, routers: Sequence[APIRouter]) -> None:
    """Give the app its description, made at the first question for it.

    Args:
        app: the control plane.
        prefix: what the paths of the routers begin with.
        routers: all of the API.
    """

    def describe() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _complete(
                get_openapi(
                    title=app.title,
                    version=app.version,
                    summary=app.summary,
                    description=_DESCRIPTION,
                    routes=app.routes,
                    webhooks=webhooks.routes,
                ),
                {(prefix + route.path, method.lower()): route for route, method in _operations(routers)},
            )
        return app.openapi_schema

    app.openapi = describe  # type: ignore[method-assign]


def _operations(routers: Iterable[APIRouter]) -> Iterator[tuple[APIRoute, str]]:
    for router in routers:
        for route in router.routes:
            if isinstance(route, APIRoute):
                yield from ((route, method) for method in route.methods or ())


def _complete(schema: dict[str, Any], routes: Mapping[tuple[str, str], APIRoute]) -> dict[str, Any]:
    schemas = schema["components"]["schemas"]
    for unused in ("HTTPValidationError", "ValidationError"):
        schemas.pop(unused, None)
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas.update(problem.pop("$defs"))
    schemas["Problem"] = problem
    schema["components"]["responses"] = {_name(status): _problem(status) for status in _REASONS}
    schema["components"]["securitySchemes"] = dict(_SCHEMES)
    used = dict.fromkeys(tag for route in routes.values() for tag in route.tags)
    schema["servers"] = [{"url": "/", "description": "Where this document was read."}]
    schema["info"]["license"] = {"name": "MIT", "identifier": "MIT"}
    for one in schemas.values():
        _suit_generators(one, schemas)
    schema["tags"] = [{"name": str(tag), "description": _TAGS.get(str(tag), str(tag))} for tag in used]
    for sent in schema["webhooks"].values():
        sent["post"]["responses"].pop("422")  # what a receiver answers is its own business
        sent["post"]["security"] = []
    for path, operations in schema["paths"].items():
        for method, operation in operations.items():
            _complete_operation(operation, path, method, routes[path, method])
            _add_examples(operation, schemas)
    return schema


def _suit_generators(schema: dict[str, Any], schemas: dict[str, Any]) -> None:
    """What the generators of clients and of requests stumble over.

    They leave out a schema whose default is an object, tell kinds apart by what has to be there, and know the names
    that an object may have by `propertyNames` alone.
    """
    for one in (schema, *schema.get("properties", {}).values()):
        if set(one.get("enum", ())) & _SIGNS.keys():
            one["x-enum-varnames"] = [_SIGNS[value] for value in one["enum"]]
        if isinstance(one.get("default"), dict):
            del one["default"]
        for choice in (one, *one.get("anyOf", ())):
            for pattern in choice.get("patternProperties", ()):
                choice["propertyNames"] = {**choice.get("propertyNames", {}), "pattern": pattern}
            told = choice.get("discriminator", {})
            for kind in told.get("mapping", {}).values():
                named = schemas[kind.rpartition("/")[2]]
                named["properties"][told["propertyName"]].pop("default", None)
                named["required"] = sorted({*named.get("required", ()), told["propertyName"]})


def _complete_operation(operation: dict[str, Any], path: str, method: str, route: APIRoute) -> None:
    guards = list(calls(route.dependant))
    role = next((guard.role for guard in guards if isinstance(guard, RequireRole)), None)
    operation["security"] = _security(guards, method)
    if role is not None:
        operation["x-role"] = role.value
        operation["description"] += f" Needs the role {role.value}."
    parameters = operation.get("parameters", [])
    for parameter in parameters:
        parameter["schema"] = _without_null(parameter["schema"])
    names = {parameter["name"].lower() for parameter in parameters}
    responses = operation["responses"]
    responses.pop("422", None)
    for status in sorted(_statuses(operation, path, method, guards, names)):
        responses.setdefault(str(status), {"$ref": f"#/components/responses/{_name(status)}"})
    for status, response in responses.items():
        if status.startswith("2") and method != "post" and names & {"if-none-match", "if-match"}:
            response.setdefault("headers", {})["ETag"] = _header("Entity tag of what is answered.", required=False)
        if status.startswith("2") and KEY_HEADER.lower() in names:
            response.setdefault("headers", {})[REPLAY_HEADER] = _header(
                "`true` where this is the first answer once more.", required=False
            )
    if "if-none-match" in names:
        responses["304"] = {
            "description": "The caller has it as it is.",
            "headers": {"ETag": _header("Entity tag of what the caller has.", required=True)},
        }


def _statuses(
    operation: Mapping[str, Any], path: str, method: str, guards: Sequence[object], names: set[str]
) -> Iterator[int]:
    """What can go wrong with an operation of this kind."""
    yield from (422, 500, 503)
    guarded = operation["security"] != []
    if guarded or "/agent/" in path or path.endswith(("/login", "/introspect")):
        yield from (401, 403)
    if "{" in path:
        yield 404
    if method not in _SAFE:
        yield from (404, 409)
    if "requestBody" in operation:
        yield from (400, 408, 413, 415)
    if "if-match" in names:
        yield 412
    if "if-match" not in names and path.endswith(("/login", "/password")):
        yield 429
    if get_reader in guards:
        yield 502
    yield from next((more for end, more in _MORE_STATUSES.items() if path.endswith(end)), ())


def _security(guards: Sequence[object], method: str) -> list[dict[str, list[str]]]:
    if any(isinstance(guard, AgentAuth) for guard in guards):
        return [{"agent": []}]
    if get_principal in guards:
        browser: dict[str, list[str]] = {"session": []} if method in _SAFE else {"session": [], "csrf": []}
        return [browser] if any(isinstance(guard, RequireSession) for guard in guards) else [browser, {"token": []}]
    return []


def calls(dependant: Dependant) -> Iterator[object]:
    """The route's function and everything that it depends on."""
    yield dependant.call
    for inner in dependant.dependencies:
        yield from calls(inner)


def _name(status: int) -> str:
    return HTTPStatus(status).name.title().replace("_", "")


def _problem(status: int) -> dict[str, Any]:
    phrase = HTTPStatus(status).phrase
    answer: dict[str, Any] = {
        "description": _REASONS[status],
        "content": {
            MEDIA_TYPE: {
                "schema": {"$ref": "#/components/schemas/Problem"},
                "example": {"title": phrase, "status": status, "detail": _REASONS[status]},
            }
        },
    }
    if status in {429, 503}:
        answer["headers"] = {"Retry-After": {"description": "Seconds.", "schema": {"type": "string"}}}
    return answer


def _header(description: str, *, required: bool) -> dict[str, Any]:
    return {"description": description, "required": required, "schema": {"type": "string"}}


def _without_null(schema: dict[str, Any]) -> dict[str, Any]:
    """A parameter that isn't sent is left out; there is no way to send null."""
    kinds = [kind for kind in schema.get("anyOf", []) if kind != {"type": "null"}]
    if len(kinds) != 1 or len(kinds) == len(schema["anyOf"]):
        return schema
    return {**kinds[0], **{key: value for key, value in schema.items() if key != "anyOf" and value is not None}}


def _add_examples(operation: dict[str, Any], schemas: Mapping[str, Any]) -> None:
    answers = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    for place in (operation.get("requestBody", {}), *answers):
        content = place.get("content", {}).get("application/json")
        if content and "example" not in content and "examples" not in content:
            content["example"] = example_of(content.get("schema", {}), schemas)


def example_of(schema: Mapping[str, Any], schemas: Mapping[str, Any]) -> Any:
    """The example that a schema gives, or one made of what its parts say."""
    if "$ref" in schema:
        return example_of(schemas[schema["$ref"].rpartition("/")[2]], schemas)
    for key in ("examples", "enum"):
        if schema.get(key):
            return schema[key][0]
    for key in ("const", "default"):
        if schema.get(key) is not None:
            return schema[key]
    for choice in ("anyOf", "oneOf"):
        if choice in schema:
            return example_of(schema[choice][0], schemas)
    match schema.get("type"):
        case "object":
            return {name: example_of(one, schemas) for name, one in schema.get("properties", {}).items()}
        case "array":
            items = schema.get("prefixItems") or ([schema["items"]] if schema.get("items") else [])
            return [example_of(one, schemas) for one in items]
        case "string":
            return _TEXTS.get(schema.get("format", ""), "…")
        case "integer" | "number":
            return schema.get("minimum", 1)
        case "boolean":
            return False
    return None
