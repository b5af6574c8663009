"""What holds for every route, read from the route table: a new one is tested by being there."""

from pathlib import Path

import httpx
import pytest
from fastapi.routing import APIRoute

from streamswarm_controlplane.deps import AgentAuth, RequireRole, get_principal
from streamswarm_controlplane.etags import _changing, _reading
from streamswarm_controlplane.idempotency import ApiRoute, _once
from streamswarm_controlplane.pages import _page_request
from streamswarm_controlplane.users.roles import Role
from tests.unit.controlplane.conftest import Client, add_user
from tests.unit.controlplane.routes import PUBLIC, ROUTES, calls, method, name

# POSTs that take no Idempotency-Key, and why.
REPEATABLE = {
    "/agent/token": "each answer is as good as another",
    "/agent/heartbeat": "the newest one counts",
    "/tokens/introspect": "it changes nothing",
    "/schedules/preview": "it changes nothing",
    "/selectors/preview": "it changes nothing",
    "/agent/runs": "a record that is said again replaces itself",
}
BY_ROLE = [
    (route, guard.role) for route in ROUTES for guard in calls(route.dependant) if isinstance(guard, RequireRole)
]


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_every_route_says_who_may_use_it(route: APIRoute) -> None:
    guards = list(calls(route.dependant))
    guarded = any(isinstance(guard, RequireRole | AgentAuth) or guard is get_principal for guard in guards)
    assert guarded != (route.path in PUBLIC), f"{name(route)}: declare a role, or add it to PUBLIC with the reason"


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_every_route_has_a_summary_and_a_description(route: APIRoute) -> None:
    assert route.summary
    assert route.description


@pytest.mark.parametrize("route", ROUTES, ids=name)
def test_every_route_is_of_the_class_that_keeps_answers(route: APIRoute) -> None:
    assert isinstance(route, ApiRoute), f"{name(route)}: give its router route_class=ApiRoute"


@pytest.mark.parametrize("route", [route for route in ROUTES if method(route) == "POST"], ids=name)
def test_every_post_takes_an_idempotency_key_once_it_knows_the_caller(route: APIRoute) -> None:
    guards = list(calls(route.dependant))
    taken = [place for place, guard in enumerate(guards) if guard is _once]
    assert bool(taken) != (route.path in REPEATABLE), f"{name(route)}: add OnceDep, or the reason to REPEATABLE"
    who = [place for place, guard in enumerate(guards) if isinstance(guard, RequireRole | AgentAuth)]
    assert not taken or not who or who[-1] < taken[0], f"{name(route)}: OnceDep has to come last"


IN_ANOTHERS_FORM = {"discover_exporters"}
"""Lists whose form is Prometheus's (HTTP service discovery), not ours."""


@pytest.mark.parametrize("route", [route for route in ROUTES if method(route) == "GET"], ids=name)
def test_every_list_comes_in_pages(route: APIRoute) -> None:
    paged = _page_request in calls(route.dependant)
    model = getattr(route.response_model, "__name__", str(route.response_model))
    assert paged == model.startswith("Page["), name(route)
    if route.name not in IN_ANOTHERS_FORM:
        assert not model.startswith("list"), f"{name(route)}: answer a Page"


@pytest.mark.parametrize("route", [route for route in ROUTES if route.path.endswith("_id}")], ids=name)
def test_every_thing_has_an_entity_tag(route: APIRoute) -> None:
    guards = set(calls(route.dependant))
    readable = any(other.path == route.path and method(other) == "GET" for other in ROUTES)
    if method(route) == "GET":
        assert _reading in guards, f"{name(route)}: take a ReadingDep"
    elif readable:
        assert _changing in guards, f"{name(route)}: take a ChangingDep"


def test_operation_ids_are_unique() -> None:
    ids = [route.name for route in ROUTES]
    assert len(ids) == len(set(ids))


@pytest.fixture
def users(admin: Client) -> dict[Role, Client]:
    return {
        Role.ADMIN: admin,
        Role.OPERATOR: add_user(admin, "olga", "operator"),
        Role.VIEWER: add_user(admin, "vera", "viewer"),
    }


def test_every_route_lets_in_its_role_and_those_above_and_nobody_else(users: dict[Role, Client], url: str) -> None:
    assert BY_ROLE
    for route, needed in BY_ROLE:
        path = route.path.replace("{", "").replace("}", "")
        assert httpx.request(method(route), f"{url}/api/v1{path}").status_code == 401, name(route)
        for role, client in users.items():
            status = client.http.request(method(route), path, json={}).status_code
            assert (status == 403) != role.includes(needed), f"{name(route)} as {role}: {status}"


def test_an_unknown_path_and_a_wrong_method_are_problem_documents(url: str) -> None:
    for answer in (httpx.get(f"{url}/api/v1/nowhere"), httpx.delete(f"{url}/api/v1/keys")):
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == answer.status_code


def test_an_invalid_body_names_every_field(admin: Client) -> None:
    answer = admin.http.post("/tests", json={"name": "", "interval": 0, "colour": "red"})
    assert answer.status_code == 422
    assert {error["field"] for error in answer.json()["errors"]} == {
        "body.name",
        "body.probe",
        "body.interval",
        "body.colour",
    }


def test_nothing_secret_is_in_the_audit_log(admin: Client, tmp_path: Path) -> None:
    token = admin.http.post("/tokens", json={"name": "grafana", "scopes": ["read"]}).json()["token"]
    created = admin.http.post("/users", json={"username": "kim"}).json()
    test = {
        "name": "x",
        "probe": "http",
        "target": "http://127.0.0.1/",
        "params": {"headers": {"Authorization": "Bearer planted-secret"}},
    }
    admin.http.post("/tests", json=test).raise_for_status()
    log = admin.http.get("/audit").text
    assert "test.create" in log
    service_token = (tmp_path / "secrets" / "ml.token").read_text().strip()
    for secret in (
        token,
        created["password"],
        "planted-secret",
        service_token,
        admin.http.cookies["streamswarm_session"],
    ):
        assert secret not in log
