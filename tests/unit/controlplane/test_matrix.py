"""Who may do what, for every route that there is: each is really called by everybody."""

from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.deps import AgentAuth, RequireRole, RequireSession, get_principal
from streamswarm_controlplane.notifications.events import DeliveryStatus, Event, MessageKind, Severity
from streamswarm_controlplane.notifications.models import Alert, Delivery
from streamswarm_controlplane.users.roles import Role
from streamswarm_core.clock import now
from tests.unit.controlplane.conftest import Client, add_user, database_of, enrol_agent, everything
from tests.unit.controlplane.routes import PUBLIC, ROUTES, calls, method, name

# What ends the caller's own session, so that a caller of its own is needed.
ENDS_SESSION = {"/auth/logout"}


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
            status = caller.http.request(method(route), path, json={}).status_code
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
# below when it is asked for. A route that isn't here fails the test; what leaves no entry says why in UNAUDITED.
Body = dict[str, Any] | None
WINDOW: dict[str, Any] = {"name": "x", "cron": "0 2 * * *", "duration": 3600, "everything": True}
WEBHOOK = {"kind": "webhook", "url": "http://127.0.0.1:9/"}
SILENCE = {"matchers": [{"label": "agent", "value": "a"}], "ends_at": "2999-01-01T00:00:00Z", "comment": "x"}
REQUESTS: dict[str, tuple[str, Body]] = {
    "POST /auth/login": ("/auth/login", {"username": "{spare}", "password": "nine quiet harbour lamps"}),
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
    "DELETE /users/{user_id}/identities": ("/users/{user}/identities?issuer=https://b.example&subject={number}", None),
    "POST /sites": ("/sites", {"name": "new site"}),
    "PATCH /sites/{site_id}": ("/sites/{site}", {"latitude": 52.52, "longitude": 13.405}),
    "DELETE /sites/{site_id}": ("/sites/{site}", None),
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
    "POST /tests/bulk": ("/tests/bulk", {"action": "pause", "ids": ["{test}"]}),
    "POST /tests/{test_id}/clone": ("/tests/{test}/clone", {}),
    "POST /tests/{test_id}/pause": ("/tests/{test}/pause", None),
    "POST /tests/{test_id}/resume": ("/tests/{paused}/resume", None),
    "POST /tests/{test_id}/run": ("/tests/{assigned}/run", None),
    "POST /tests/{test_id}/stop": ("/tests/{assigned}/stop", None),
    "POST /tests/{test_id}/restart": ("/tests/{assigned}/restart", None),
    "POST /runs/{run_id}/stop": ("/runs/{run}/stop", None),
    "POST /maintenance": ("/maintenance", WINDOW),
    "PUT /maintenance/{window_id}": ("/maintenance/{window}", {**WINDOW, "note": "again"}),
    "POST /maintenance/{window_id}/end": ("/maintenance/{window}/end", None),
    "DELETE /maintenance/{window_id}": ("/maintenance/{window}", None),
    "POST /channels": ("/channels", {"name": "x", "settings": WEBHOOK}),
    "PATCH /channels/{channel_id}": ("/channels/{channel}", {"enabled": False}),
    "DELETE /channels/{channel_id}": ("/channels/{channel}", None),
    "POST /channels/{channel_id}/test": ("/channels/{channel}/test", None),
    "POST /rules": ("/rules", {"name": "x", "channel_ids": ["{channel}"]}),
    "PATCH /rules/{rule_id}": ("/rules/{rule}", {"wait": 60}),
    "DELETE /rules/{rule_id}": ("/rules/{rule}", None),
    "POST /alerts/{alert_id}/acknowledge": ("/alerts/{alert}/acknowledge", {"comment": "looking"}),
    "DELETE /alerts/{alert_id}/acknowledge": ("/alerts/{known_alert}/acknowledge", None),
    "POST /silences": ("/silences", SILENCE),
    "PATCH /silences/{silence_id}": ("/silences/{silence}", {"comment": "longer"}),
    "DELETE /silences/{silence_id}": ("/silences/{silence}", None),
    "POST /deliveries/{delivery_id}/retry": ("/deliveries/{failed}/retry", None),
    "POST /assignments": ("/assignments", {"test_id": "{test}", "agent_id": "{agent}"}),
    "DELETE /assignments/{assignment_id}": ("/assignments/{assignment}", None),
    "POST /tokens": ("/tokens", {"name": "x", "scopes": ["read"]}),
    "DELETE /tokens/{token_id}": ("/tokens/{static}", None),
    "POST /auth/tokens": ("/auth/tokens", {"name": "x"}),
    "POST /auth/tokens/{token_id}/regenerate": ("/auth/tokens/{token}/regenerate", None),
    "DELETE /auth/tokens/{token_id}": ("/auth/tokens/{token}", None),
    "DELETE /users/{user_id}/tokens/{token_id}": ("/users/{me}/tokens/{token}", None),
    "PUT /config/{key}": ("/config/late_seconds", {"value": 40}),
    "DELETE /config/{key}": ("/config/{key}", None),
}
UNAUDITED = {
    "POST /agent/token": "every few minutes by every agent; it changes nothing that lasts",
    "POST /agent/heartbeat": "every few seconds by every agent",
    "POST /agent/runs": "every run of every agent; the records themselves are kept",
    "POST /tokens/introspect": "it asks, and changes nothing",
    "POST /schedules/preview": "it asks, and changes nothing",
    "POST /selectors/preview": "it asks, and changes nothing",
}
MUTATING = [route for route in ROUTES if method(route) not in {"GET", "HEAD"}]


class World(dict[str, str]):
    """What a request can be about, made when it is first asked for."""

    def __init__(self, admin: Client, number: int) -> None:
        super().__init__()
        self.admin = admin
        self.number = number  # part of the names that have to be unique
        self["number"] = str(number)

    def __missing__(self, key: str) -> str:
        made = getattr(self, f"make_{key}")()
        self[key] = made
        return str(made)

    def post(self, path: str, body: Any = None) -> Any:
        return self.admin.http.post(path, json=body).raise_for_status().json()

    def add(self, row: Alert | Delivery) -> str:
        """What only the control plane itself makes."""
        with database_of(self.admin).session() as db:
            db.add(row)
            db.flush()
            return str(row.id)

    def make_spare(self) -> str:
        add_user(self.admin, f"spare-{self.number}", "viewer")
        return f"spare-{self.number}"

    def make_user(self) -> str:
        user: str = self.post("/users", {"username": f"victim-{self.number}"})["id"]
        self.post(f"/users/{user}/identities", {"issuer": "https://b.example", "subject": f"{self.number}"})
        return user

    def make_me(self) -> str:
        return str(self.admin.http.get("/auth/me").json()["id"])

    def make_session(self) -> str:
        return str(self.admin.http.get("/auth/sessions").json()["items"][0]["id"])

    def make_enrolment(self) -> str:
        made = self.post("/enrolment-tokens", {"uses": 2})
        self["enrolment_id"] = made["id"]
        return str(made["token"])

    def make_enrolment_id(self) -> str:
        return str(self["enrolment"] and self["enrolment_id"])

    def make_agent(self) -> str:
        made = self.post("/agent/enrol", {"token": self["enrolment"], "name": f"agent-{self.number}"})
        self["agent_secret"] = made["secret"]
        with database_of(self.admin).session() as db:
            db.get_one(Agent, made["agent_id"]).started_at = now()  # as its first heartbeat says
        return str(made["agent_id"])

    def make_site(self) -> str:
        return str(self.post("/sites", {"name": f"site-{self.number}"})["id"])

    def make_drained(self) -> str:
        self.post(f"/agents/{self['agent']}/drain")
        return self["agent"]

    def make_test(self) -> str:
        return str(self.post("/tests", {"name": f"y-{self.number}", "probe": "icmp", "target": "127.0.0.1"})["id"])

    def make_paused(self) -> str:
        self.post(f"/tests/{self['test']}/pause")
        return self["test"]

    def make_assignment(self) -> str:
        return str(self.post("/assignments", {"test_id": self["test"], "agent_id": self["agent"]})["id"])

    def make_assigned(self) -> str:
        return self["assignment"] and self["test"]

    def make_run(self) -> str:
        return str(self.post(f"/tests/{self['assigned']}/run")[0]["id"])

    def make_window(self) -> str:
        return str(self.post("/maintenance", WINDOW)["id"])

    def make_channel(self) -> str:
        return str(self.post("/channels", {"name": f"channel-{self.number}", "settings": WEBHOOK})["id"])

    def make_rule(self) -> str:
        return str(self.post("/rules", {"name": f"rule-{self.number}", "channel_ids": [self["channel"]]})["id"])

    def make_silence(self) -> str:
        return str(self.post("/silences", SILENCE)["id"])

    def make_alert(self) -> str:
        key = f"planted-{self.number}"
        what = {"event": Event.STORE_UNAVAILABLE, "severity": Severity.CRITICAL, "summary": "x", "labels": {}}
        return self.add(Alert(fingerprint=key, open_key=key, opened_at=now(), seen_at=now(), **what))

    def make_known_alert(self) -> str:
        self.post(f"/alerts/{self['alert']}/acknowledge", {})
        return self["alert"]

    def make_failed(self) -> str:
        times = dict.fromkeys(("created_at", "next_attempt_at", "give_up_at"), now())
        what = {"channel_name": "x", "kind": MessageKind.TEST, "status": DeliveryStatus.DEAD}
        return self.add(Delivery(channel_id=self["channel"], **what, **times))

    def make_static(self) -> str:
        return str(self.post("/tokens", {"name": "x", "scopes": ["read"]})["id"])

    def make_token(self) -> str:
        return str(self.post("/auth/tokens", {"name": "x"})["id"])

    def make_key(self) -> str:
        self.admin.http.put("/config/offline_seconds", json={"value": 500}).raise_for_status()
        return "offline_seconds"


def filled(value: Any, world: World) -> Any:
    """With ids in place of names in braces."""
    if isinstance(value, dict):
        return {key: filled(inner, world) for key, inner in value.items()}
    if isinstance(value, list):
        return [filled(inner, world) for inner in value]
    return value.format_map(world) if isinstance(value, str) else value


def test_every_route_that_changes_something_says_how_it_is_called_or_why_it_is_not_audited() -> None:
    assert {*map(name, MUTATING)} - set(UNAUDITED) == set(REQUESTS)
    assert set(UNAUDITED) <= {*map(name, MUTATING)}


def test_every_route_that_changes_something_leaves_an_entry_in_the_audit_log(admin: Client) -> None:
    database = database_of(admin)

    def entries() -> list[Any]:
        with database.session() as db:
            return list(db.execute(everything("audit").order_by("id")).all())

    wrong = []
    for number, (route, (path, body)) in enumerate(REQUESTS.items()):
        # What ends sessions is sent by somebody who isn't needed afterwards.
        caller = add_user(admin, f"ada-{number}", "admin") if path.startswith("/auth") else admin
        world = World(caller, number)
        path, body = filled(path, world), filled(body, world)  # noqa: PLW2901 - the same with ids
        before = len(entries())
        answer = caller.http.request(route.partition(" ")[0], path, json=body)
        added = entries()[before:]
        if answer.status_code >= 300:
            wrong.append(f"{route}: {answer.status_code} {answer.text}")
        elif not added:
            wrong.append(f"{route} left no entry")
        elif not all(entry.actor and entry.action and entry.object for entry in added):
            wrong.append(f"{route} left an entry with something missing")
    assert not wrong, "\n".join(wrong)


def test_a_refused_change_leaves_no_entry(admin: Client) -> None:
    me = admin.http.get("/auth/me").json()["id"]
    before = admin.http.get("/audit").json()["items"][0]["id"]
    assert admin.http.patch(f"/users/{me}", json={"role": "viewer"}).status_code == 409
    assert admin.http.get("/audit").json()["items"][0]["id"] == before
