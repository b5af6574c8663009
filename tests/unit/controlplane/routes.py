"""The control plane's routes, as tests walk over them: a new one is tested by being there."""

from collections.abc import Iterator

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from streamswarm_controlplane import app as composition

ROUTES = [route for router in composition._ROUTERS for route in router.routes if isinstance(route, APIRoute)]
# What can be asked without a session, and why.
PUBLIC = {
    "/auth/login": "it makes the session",
    "/agent/enrol": "a one-time token is in the body",
    "/agent/token": "the agent's secret is in the body",
    "/agent/secret": "the agent's secret is in the body",
    "/keys": "public keys",
    "/revocations": "ids, of no use to anybody else",
    "/tokens/introspect": "checks a static token of its own",
    "/auth/oidc/login": "it begins a login elsewhere",
    "/auth/oidc/callback": "it makes the session; a state and a cookie of this browser are needed",
    "/prometheus/sd": "checks a static token of its own",
    "/expectations": "checks a static token of its own",
}


def calls(dependant: Dependant) -> Iterator[object]:
    """Everything that is called for a request, in its order."""
    yield dependant.call
    for inner in dependant.dependencies:
        yield from calls(inner)


def method(route: APIRoute) -> str:
    """The route's method, or the first of its methods in the alphabet."""
    assert route.methods
    return min(route.methods)


def name(route: APIRoute) -> str:
    return f"{method(route)} {route.path}"
