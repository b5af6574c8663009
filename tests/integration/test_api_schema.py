"""The API held against its own description, with requests that fit it and such that don't (schemathesis).

Routes are read from the description: a new one is tested by being there.
"""

import re
import uuid
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import schemathesis
from schemathesis.checks import CheckFunction
from schemathesis.config import SchemathesisConfig
from schemathesis.specs.openapi.checks import positive_data_acceptance

from streamswarm_controlplane.app import create_app, describe
from streamswarm_controlplane.auth.models import UserSession
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from streamswarm_core.secret import SecretKind, hash_secret, new_secret
from tests.support import find_free_port, serve_app
from tests.unit.controlplane.conftest import PASSWORD, Client, add_user, enrol_agent

# Few examples, since every one of them is followed by the checks' own requests; the seed is fixed. Credentials come
# from the callers below; what happens without them, one of the checks tries.
GENERATION: dict[str, object] = {"max-examples": 3, "deterministic": True, "no-shrink": True, "database": "none"}
CONFIG = {
    "generation": {**GENERATION, "with-security-parameters": False},
    "phases": {"coverage": {"unexpected-methods": ["PUT"]}},  # one stands for all that a path doesn't take
}
# Viewers are mostly refused, whatever they send.
BRIEF = {
    "generation": {**GENERATION, "with-security-parameters": False, "max-examples": 1},
    "phases": {"coverage": {"enabled": False}, "examples": {"enabled": False}},
}

# What a value may be depends on more than the description can say, so that one that fits it may be refused.
RULES = {
    "POST /api/v1/tests": "target and options depend on the probe",
    "PATCH /api/v1/tests/{test_id}": "target and options depend on the probe",
    "POST /api/v1/users": "a mail address is no pattern",
    "PATCH /api/v1/users/{user_id}": "the same",
    "PATCH /api/v1/auth/me": "the same",
    "POST /api/v1/enrolment-tokens": "a token for one agent can be used once",
    "POST /api/v1/auth/tokens": "how long a token may live is configured",
    "POST /api/v1/schedules/preview": "cron expressions and time zones are no patterns",
    "POST /api/v1/selectors/preview": "a selector is no pattern",
    "POST /api/v1/maintenance": "what is given has to make one time and one scope",
    "PUT /api/v1/maintenance/{window_id}": "what is given has to make one time and one scope",
    "POST /api/v1/sites": "latitude and longitude are given together, and time zones are no patterns",
    "PATCH /api/v1/sites/{site_id}": "the same",
    "POST /api/v1/tokens": "the scope agent is for agents",
    "GET /api/v1/tests/{test_id}/results": "moments and durations are texts of many forms, fields those of the probe",
    "GET /api/v1/tests/{test_id}/results/latest": "the same",
    "GET /api/v1/tests/{test_id}/results/runs": "the same",
    "GET /api/v1/tests/{test_id}/results/export": "the same",
    "POST /api/v1/channels": "settings depend on the kind, and names are taken once",
    "PATCH /api/v1/channels/{channel_id}": "the same",
    "POST /api/v1/rules": "channels have to be there",
    "PATCH /api/v1/rules/{rule_id}": "the same",
    "POST /api/v1/silences": "they end in the future",
    "PATCH /api/v1/silences/{silence_id}": "the same",
}

# Whose success needs what nobody can make up.
BEHIND_MORE = {
    "GET /api/v1/auth/oidc/login": "an OpenID provider",
    "GET /api/v1/auth/oidc/callback": "an OpenID provider",
    "GET /api/v1/config/history": "a key that there is",
    "GET /api/v1/prometheus/sd": "a static token",
    "GET /api/v1/expectations": "a static token",
}

api = schemathesis.openapi.from_dict(describe(), config=SchemathesisConfig.from_dict(CONFIG))
api_in_brief = schemathesis.openapi.from_dict(describe(), config=SchemathesisConfig.from_dict(BRIEF))


AnyCase = schemathesis.Case[Any]
"""A request of whatever operation; an operation's own type is schemathesis's affair."""


class Caller:
    """Somebody logged in, and what they were answered."""

    def __init__(self, client: Client, agent_token: str, database: Database) -> None:
        self._client = client
        self._agent_token = agent_token
        self._database = database
        self._id = self.me().json()["id"]
        self.statuses: Counter[tuple[str, int]] = Counter()

    def call(self, case: AnyCase) -> None:
        """Send the request and check the answer, and what the checks ask beside it."""
        key = str(case.headers.get("Idempotency-Key", ""))
        if re.fullmatch("[!-~]{16,255}", key):
            case.headers["Idempotency-Key"] = str(uuid.uuid4())  # to repeat one with another body is a mistake
        cursor = case.query.get("cursor")
        if isinstance(cursor, str) and len(cursor) <= 2000:
            del case.query["cursor"]  # nobody can make one up
        excluded: list[CheckFunction] = [positive_data_acceptance] if case.operation.label in RULES else []
        answer = case.call_and_validate(
            self._client.url, headers=self._headers(case), excluded_checks=excluded, timeout=30
        )
        self.statuses[case.operation.label, answer.status_code] += 1

    def _headers(self, case: AnyCase) -> dict[str, str]:
        """What the operation wants to know the caller by."""
        wanted = case.operation.definition.raw.get("security", [])
        if any("agent" in one for one in wanted):
            return {"Authorization": self._agent_token}
        if not wanted:
            return {}
        session, csrf = self._client.http.cookies["streamswarm_session"], self._client.http.headers["X-CSRF-Token"]
        if case.operation.label.endswith("/logout"):
            session, csrf = self._another_session(), "csrf"  # all the other requests need theirs
        return {"Cookie": f"streamswarm_session={session}", "X-CSRF-Token": csrf}

    def _another_session(self) -> str:
        """Straight from the database: by now the address is blocked for all the wrong passwords."""
        secret = new_secret(SecretKind.SESSION)
        with self._database.session() as db:
            row = UserSession(token_hash=hash_secret(secret), user_id=self._id, csrf_token="csrf", created_at=now())
            row.last_seen_at = now()
            db.add(row)
        return secret

    def me(self) -> httpx.Response:
        return self._client.http.get("/auth/me")


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> ControlPlaneSettings:
    """Of a control plane whose store is away."""
    folder: Path = tmp_path_factory.mktemp("api")
    return ControlPlaneSettings(data=folder, store_url=f"http://127.0.0.1:{find_free_port()}")


@pytest.fixture(scope="module")
def database(settings: ControlPlaneSettings) -> Iterator[Database]:
    database = Database(settings.database)
    yield database
    database.close()


@pytest.fixture(scope="module")
def client(settings: ControlPlaneSettings) -> Iterator[Client]:
    """The first admin, at a control plane that has one of each thing."""
    password = bootstrap(settings).admin_password
    assert password
    with serve_app(create_app(settings)) as url:
        client = Client(url)
        client.log_in("admin", password)
        client.change_password(password, PASSWORD)
        agent, _ = enrol_agent(client)
        test = {"name": "Head office", "probe": "icmp", "target": "127.0.0.1", "agent_ids": [agent]}
        client.http.post("/tests", json=test).raise_for_status()
        client.http.post("/tokens", json={"name": "grafana", "scopes": ["read"]}).raise_for_status()
        yield client


@pytest.fixture(scope="module")
def agent_token(client: Client) -> str:
    return enrol_agent(client, "paris-1")[1]["Authorization"]


@pytest.fixture(scope="module")
def callers(client: Client, agent_token: str, database: Database) -> dict[str, Caller]:
    """Both at once: later the address is blocked for the wrong passwords that were sent."""
    return {role: Caller(add_user(client, f"a-{role}", role), agent_token, database) for role in ("admin", "viewer")}


@pytest.fixture(scope="module")
def admin(callers: dict[str, Caller]) -> Caller:
    return callers["admin"]


@pytest.fixture(scope="module")
def viewer(callers: dict[str, Caller]) -> Caller:
    return callers["viewer"]


@api.parametrize()
def test_every_answer_to_an_admin_is_one_that_is_described(case: AnyCase, admin: Caller) -> None:
    admin.call(case)


@api_in_brief.parametrize()
def test_every_answer_to_a_viewer_is_one_that_is_described(case: AnyCase, viewer: Caller) -> None:
    viewer.call(case)


def test_the_requests_got_behind_the_checks_of_who_may(admin: Caller, viewer: Caller) -> None:
    for caller in (admin, viewer):
        assert caller.me().status_code == 200
    reached = {label for label, status in admin.statuses if status < 300}
    lists = {f"GET {path}" for path, one in describe()["paths"].items() if "get" in one and "{" not in path}
    assert lists - set(BEHIND_MORE) <= reached
    assert {"POST /api/v1/tests", "POST /api/v1/agent/heartbeat", "POST /api/v1/users"} <= reached
    assert any(status == 403 for _, status in viewer.statuses)
    assert not any(status >= 500 and status != 503 for _, status in admin.statuses | viewer.statuses)
