"""Who may do what, for every route that there is: each is really called by everybody."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from streamswarm_controlplane import app as composition
from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.deps import AgentAuth, RequireRole, RequireSession, get_principal
from streamswarm_controlplane.users.models import Role
from streamswarm_core.clock import now
from tests.unit.controlplane.conftest import Client, add_user, database_of, enrol_agent, everything
from tests.unit.controlplane.test_routes import PUBLIC

ROUTES = [route for router in composition._ROUTERS for route in router.routes if isinstance(route, APIRoute)]
# What ends the caller's own session, so that a caller of its own is needed.
ENDS_SESSION = {"/auth/logout"}


def calls(dependant: Dependant) -> Iterator[object]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from calls(inner)


@dataclass(frozen=True)
class Guard:
    """Who a route says it is for."""

    public: bool
    agent: bool
    browser: bool
    role: Role | None


def guard_of(route: APIRoute) -> Guard:
    found = list(calls(route.dependant))
    role = next((one.role for one in found if isinstance(one, RequireRole)), None)
    agent = any(isinstance(one, AgentAuth) for one in found)
    anybody = get_principal in found
    return Guard(not (agent or anybody), agent, any(isinstance(one, RequireSession) for one in found), role)


@dataclass(frozen=True)
class Caller:
    """Somebody with a session, a token, both of an agent, or nothing."""

    name: str
    http: httpx.Client
    role: Role | None = None
    token: bool = False
    agent: bool = False

    def expected(self, guard: Guard) -> set[int]:
        """Refusals that this caller has to get; empty: none of 401 and 403."""
        if guard.public:
            return set()
        if guard.agent:
            return set() if self.agent else {401}
        if self.role is None:
            return {401}
        if guard.browser and self.token:
            return {403}
        return set() if guard.role is None or self.role.includes(guard.role) else {403}


def name(route: APIRoute) -> str:
    return f"{min(route.methods)} {route.path}"


def client(url: str, **headers: str) -> httpx.Client:
    made = httpx.Client(base_url=f"{url}/api/v1", headers=headers, timeout=20)
    Client.opened.append(made)
    return made


@pytest.fixture
def callers(admin: Client) -> list[Caller]:
    people = {
        Role.ADMIN: admin,
        Role.OPERATOR: add_user(admin, "olga", "operator"),
        Role.VIEWER: add_user(admin, "vera", "viewer"),
    }
    scopes = {"read": Role.VIEWER, "operate": Role.OPERATOR, "admin": Role.ADMIN}
    tokens = [
        Caller(
            f"{role} with a token of scope {scope}",
            client(admin.url, Authorization=f"Bearer {secret}"),
            may,
            token=True,
        )
        for role, person in people.items()
        for scope, may in scopes.items()
        if role.includes(may)
        for secret in [person.http.post("/auth/tokens", json={"name": scope, "scope": scope}).json()["token"]]
    ]
    static = admin.http.post("/tokens", json={"name": "grafana", "scopes": ["read", "write"]}).json()["token"]
    return [
        Caller("nobody", client(admin.url)),
        Caller("a forged cookie", client(admin.url, Cookie="streamswarm_session=sss_forged")),
        Caller("a collector's static token", client(admin.url, Authorization=f"Bearer {static}")),
        Caller("an agent", client(admin.url, **enrol_agent(admin)[1]), agent=True),
        *(Caller(f"{role} at a browser", person.http, role) for role, person in people.items()),
        *tokens,
    ]


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_every_route_declares_who_it_is_for(route: APIRoute) -> None:
    guard = guard_of(route)
    assert guard.public == (route.path in PUBLIC), f"{name(route)}: declare a role, or add it to PUBLIC with the reason"


def test_everybody_gets_what_the_route_table_says_and_nothing_else(callers: list[Caller]) -> None:
    wrong = []
    for route in ROUTES:
        if route.path in PUBLIC or route.path in ENDS_SESSION:
            continue
        guard = guard_of(route)
        path = route.path.replace("{", "no-such-").replace("}", "")
        for caller in callers:
            status = caller.http.request(min(route.methods), path, json={}).status_code
            refused = {status} & {401, 403}
            if refused != caller.expected(guard) or status >= 500:
                wrong.append(f"{name(route)} as {caller.name}: {status}, expected {caller.expected(guard) or 'entry'}")
    assert not wrong, "\n".join(wrong)


def test_the_matrix_leaves_no_kind_of_guard_out() -> None:
    guards = [guard_of(route) for route in ROUTES]
    assert {guard.role for guard in guards} == {None, *Role}
    assert any(guard.agent for guard in guards)
    assert any(guard.browser for guard in guards)


# How every route that changes something is called so that it does: path and body. What is in braces is made by `world`
# below. A route that isn't here fails the test; what leaves no entry says why in UNAUDITED.
Body = dict[str, Any] | None
REQUESTS: dict[str, tuple[str, Body]] = {
    "POST /auth/login": ("/auth/login", {"username": "spare", "password": "nine quiet harbour lamps"}),
    "POST /auth/logout": ("/auth/logout", None),
    "PATCH /auth/me": ("/auth/me", {"display_name": "Somebody"}),
    "POST /auth/password": (
        "/auth/password",
        {"old_password": "nine quiet harbour lamps", "new_password": "eleven loud forest birds"},
    ),
    "DELETE /auth/sessions": ("/auth/sessions", None),
    "DELETE /auth/sessions/{session_id}": ("/auth/sessions/{session}", None),
    "POST /users": ("/users", {"username": "new"}),
    "PATCH /users/{user_id}": ("/users/{user}", {"role": "operator"}),
    "POST /users/{user_id}/reset-password": ("/users/{user}/reset-password", None),
    "POST /users/{user_id}/unlock": ("/users/{user}/unlock", None),
    "DELETE /users/{user_id}": ("/users/{user}", None),
    "DELETE /users/{user_id}/sessions": ("/users/{user}/sessions", None),
    "POST /users/{user_id}/identities": ("/users/{user}/identities", {"issuer": "https://a.example", "subject": "1"}),
    "DELETE /users/{user_id}/identities": ("/users/{user}/identities?issuer=https://b.example&subject=2", None),
    "PATCH /agents/{agent_id}": ("/agents/{agent}", {"labels": {"role": "edge"}}),
    "DELETE /agents/{agent_id}": ("/agents/{agent}?series=keep", None),
    "POST /agents/{agent_id}/drain": ("/agents/{agent}/drain", None),
    "POST /agents/{agent_id}/undrain": ("/agents/{drained}/undrain", None),
    "POST /agents/{agent_id}/restart": ("/agents/{agent}/restart", None),
    "POST /agents/{agent_id}/revoke": ("/agents/{agent}/revoke", None),
    "POST /agents/{agent_id}/rotate-secret": ("/agents/{agent}/rotate-secret", None),
    "POST /agent/enrol": ("/agent/enrol", {"token": "{enrolment}", "name": "fresh"}),
    "POST /agent/secret": ("/agent/secret", {"agent_id": "{agent}", "secret": "{agent_secret}"}),
    "POST /enrolment-tokens": ("/enrolment-tokens", {}),
    "DELETE /enrolment-tokens/{token_id}": ("/enrolment-tokens/{enrolment_id}", None),
    "POST /tests": ("/tests", {"name": "x", "probe": "icmp", "target": "127.0.0.1"}),
    "PATCH /tests/{test_id}": ("/tests/{test}", {"paused": True}),
    "DELETE /tests/{test_id}": ("/tests/{test}", None),
    "POST /assignments": ("/assignments", {"test_id": "{test}", "agent_id": "{agent}"}),
    "DELETE /assignments/{assignment_id}": ("/assignments/{assignment}", None),
    "POST /tokens": ("/tokens", {"name": "x", "scopes": ["read"]}),
    "DELETE /tokens/{token_id}": ("/tokens/{static}", None),
    "POST /auth/tokens": ("/auth/tokens", {"name": "x"}),
    "POST /auth/tokens/{token_id}/regenerate": ("/auth/tokens/{token}/regenerate", None),
    "DELETE /auth/tokens/{token_id}": ("/auth/tokens/{token}", None),
    "DELETE /users/{user_id}/tokens/{token_id}": ("/users/{me}/tokens/{token}", None),
    "PUT /config/{key}": ("/config/late_seconds", {"value": 40}),
    "DELETE /config/{key}": ("/config/offline_seconds", None),
}
UNAUDITED = {
    "POST /agent/token": "every few minutes by every agent; it changes nothing that lasts",
    "POST /agent/heartbeat": "every few seconds by every agent",
    "POST /tokens/introspect": "it asks, and changes nothing",
}
MUTATING = [route for route in ROUTES if min(route.methods) not in {"GET", "HEAD"}]


def world(admin: Client) -> dict[str, str]:
    """One of everything that a request can be about."""
    post: Callable[..., Any] = lambda path, body=None: admin.http.post(path, json=body).raise_for_status().json()  # noqa: E731
    add_user(admin, "spare", "viewer")
    user = post("/users", {"username": "victim"})["id"]
    post(f"/users/{user}/identities", {"issuer": "https://b.example", "subject": "2"})
    first = post("/enrolment-tokens", {"uses": 2})
    enrolled = post("/agent/enrol", {"token": first["token"], "name": "old"})
    drained = post("/agent/enrol", {"token": first["token"], "name": "drained"})["agent_id"]
    post(f"/agents/{drained}/drain")
    with database_of(admin).session() as db:
        db.get_one(Agent, enrolled["agent_id"]).started_at = now()  # as its first heartbeat says
    enrolment = post("/enrolment-tokens", {})
    body = {"name": "y", "probe": "icmp", "target": "127.0.0.1"}
    test, assigned = post("/tests", body)["id"], post("/tests", body)["id"]
    assignment = post("/assignments", {"test_id": assigned, "agent_id": enrolled["agent_id"]})["id"]
    admin.http.put("/config/offline_seconds", json={"value": 500}).raise_for_status()
    return {
        "user": user,
        "me": admin.http.get("/auth/me").json()["id"],
        "session": admin.http.get("/auth/sessions").json()["items"][0]["id"],
        "agent": enrolled["agent_id"],
        "drained": drained,
        "agent_secret": enrolled["secret"],
        "enrolment": enrolment["token"],
        "enrolment_id": enrolment["id"],
        "test": test,
        "assignment": assignment,
        "static": post("/tokens", {"name": "x", "scopes": ["read"]})["id"],
        "token": post("/auth/tokens", {"name": "x"})["id"],
    }


def filled(value: Any, things: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: filled(inner, things) for key, inner in value.items()}
    return value.format(**things) if isinstance(value, str) and value.startswith(("{", "/")) else value


@pytest.mark.parametrize("route", MUTATING, ids=name)
def test_every_route_that_changes_something_leaves_an_entry_in_the_audit_log(route: APIRoute, admin: Client) -> None:
    if name(route) in UNAUDITED:
        return
    assert name(route) in REQUESTS, (
        f"{name(route)}: say in REQUESTS how it is called, or in UNAUDITED why it leaves none"
    )
    path, body = REQUESTS[name(route)]
    things = world(admin)
    database = database_of(admin)

    def entries() -> list[Any]:
        with database.session() as db:
            return list(db.execute(everything("audit").order_by("id")).all())

    before = len(entries())
    answer = admin.http.request(min(route.methods), filled(path, things), json=filled(body, things))
    assert answer.status_code < 300, answer.text
    added = entries()[before:]
    assert added, f"{name(route)} left no entry"
    assert all(entry.actor and entry.action and entry.object for entry in added)


def test_a_refused_change_leaves_no_entry(admin: Client) -> None:
    me = admin.http.get("/auth/me").json()["id"]
    before = admin.http.get("/audit").json()["items"][0]["id"]
    assert admin.http.patch(f"/users/{me}", json={"role": "viewer"}).status_code == 409
    assert admin.http.get("/audit").json()["items"][0]["id"] == before
