"""Secrets that can be recognised are put wherever one can be put, and then looked for everywhere."""

import base64
import logging
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.db import Base
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.errors import ConfigError
from tests.support import eventually, find_free_port, serve_app
from tests.unit.controlplane.conftest import Client, database_of, everything

PLANTED = "pl4nted"
# Probes need their options as they are, and their agents get them; all else is hashed.
MAY_HOLD = {"tests"}


def planted(where: str) -> str:
    return f"{PLANTED}-{where}-forest-lamp-9"


def use_the_api(admin: Client) -> dict[str, str]:
    """Every input that takes a secret, in requests that succeed and in ones that don't; returns the secrets."""
    secrets = {"old": planted("old"), "new": planted("new"), "typed": planted("typed"), "probe": planted("probe")}
    for name in ("admin", planted("as-a-name")):
        Client(admin.url).log_in(name, secrets["typed"])
    admin.change_password(secrets["typed"], secrets["new"])
    admin.change_password("nine quiet harbour lamps", secrets["new"]).raise_for_status()
    admin.change_password(secrets["new"], "short")
    options = {
        "username": "u",
        "password": secrets["probe"],
        "headers": {"Authorization": f"Bearer {secrets['probe']}", "X-Api-Key": secrets["probe"]},
    }
    body = {"name": "x", "probe": "http", "target": "http://127.0.0.1/", "params": options}
    test = admin.http.post("/tests", json=body).raise_for_status().json()["id"]
    admin.http.post("/tests", json=body | {"params": options | {"colour": "red"}})
    admin.http.post("/tests", json=body | {"params": options | {"wait": "never"}})
    admin.http.patch(f"/tests/{test}", json={"params": options | {"wait": 2}}).raise_for_status()
    admin.http.post(f"/tests/{test}/clone", json={"name": "copy"}).raise_for_status()
    made = {
        "static": admin.http.post("/tokens", json={"name": "x", "scopes": ["read"]}),
        "personal": admin.http.post("/auth/tokens", json={"name": "x", "scope": "admin"}),
        "enrolment": admin.http.post("/enrolment-tokens", json={"uses": 2}),
    }
    secrets |= {name: answer.raise_for_status().json()["token"] for name, answer in made.items()}
    personal = made["personal"].json()["id"]
    secrets["regenerated"] = admin.http.post(f"/auth/tokens/{personal}/regenerate").json()["token"]
    kim = admin.http.post("/users", json={"username": "kim"}).json()
    secrets["generated"] = kim["password"]
    secrets["reset"] = admin.http.post(f"/users/{kim['id']}/reset-password").json()["password"]
    secrets["session"] = admin.http.cookies["streamswarm_session"]
    agent = httpx.post(f"{admin.url}/api/v1/agent/enrol", json={"token": secrets["enrolment"], "name": "a"}).json()
    secrets["agent"] = agent["secret"]
    body = {"agent_id": agent["agent_id"], "secret": agent["secret"]}
    secrets["agent-next"] = httpx.post(f"{admin.url}/api/v1/agent/secret", json=body).json()["secret"]
    for path in ("token", "secret", "enrol"):
        wrong = {"agent_id": agent["agent_id"], "secret": planted("wrong"), "token": planted("wrong"), "name": "b"}
        httpx.post(f"{admin.url}/api/v1/agent/{path}", json=wrong)
    for headers in (
        {"Authorization": f"Bearer {planted('bearer')}"},
        {"Cookie": f"streamswarm_session={planted('c')}"},
    ):
        httpx.get(f"{admin.url}/api/v1/tests", headers=headers)
    secrets |= use_channels(admin)
    admin.http.put("/config/late_seconds", json={"value": planted("config")})
    httpx.get(f"{admin.url}/api/v1/auth/oidc/callback", params={"code": planted("code"), "state": planted("state")})
    return secrets


def delivery(admin: Client, sent: str) -> dict[str, Any]:
    found: dict[str, Any] = admin.http.get(f"/deliveries/{sent}").raise_for_status().json()
    return found


def use_channels(admin: Client) -> dict[str, str]:
    """Channels of every kind, made, changed, refused, and tried with receivers that nobody is at."""
    secrets = {name: planted(name) for name in ("header", "smtp", "chat", "header-new")}
    secrets["signing"] = "whsec_" + base64.b64encode(planted("signing-of-a-webhook").encode()).decode()
    away = f"http://127.0.0.1:{find_free_port()}"
    webhook: dict[str, object] = {
        "kind": "webhook",
        "url": away,
        "secret": secrets["signing"],
        "headers": {"X-Key": secrets["header"]},
    }
    mail: dict[str, object] = {
        "kind": "email",
        "host": "127.0.0.1",
        "port": 9,
        "sender": "a@example.org",
        "recipients": ["b@example.org"],
    }
    mail |= {"username": "u", "password": secrets["smtp"]}
    chat: dict[str, object] = {"kind": "slack", "url": f"{away}/{secrets['chat']}"}
    for number, settings in enumerate((webhook, mail, chat)):
        body = {"name": f"channel {number}", "settings": settings}
        channel = admin.http.post("/channels", json=body).raise_for_status().json()["id"]
        admin.http.post("/channels", json=body)  # the name is taken
        admin.http.post("/channels", json={**body, "settings": settings | {"colour": "red"}})
        sent = admin.http.post(f"/channels/{channel}/test").raise_for_status().json()["id"]
        eventually(partial(delivery, admin, sent), lambda one: bool(one["last_error"]))
    made = admin.http.post("/channels", json={"name": "made", "settings": {"kind": "webhook", "url": away}}).json()
    secrets["signing-made"] = made["signing_secret"]
    changed = {"kind": "webhook", "url": away, "headers": {"X-Key": secrets["header-new"]}}
    admin.http.patch(f"/channels/{made['id']}", json={"settings": changed}).raise_for_status()
    admin.http.patch(f"/channels/{made['id']}", json={"settings": changed | {"url": "nowhere"}})
    return secrets


def test_no_secret_is_in_a_log_an_answer_an_export_or_where_hashes_are(
    admin: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        secrets = use_the_api(admin)
        kept = [
            admin.http.get(path).text
            for path in (
                "/audit?limit=200",
                "/audit/export?format=csv",
                "/audit/export?format=jsonl",
                "/tests",
                "/users",
                "/tokens",
                "/auth/tokens",
                "/auth/sessions",
                "/enrolment-tokens",
                "/agents",
                "/config/history",
                "/channels",
                "/rules",
                "/deliveries",
                "/alerts",
                "/runs",
                "/status",
            )
        ]
    said = "\n".join([caplog.text, *kept])
    assert "auth.password" in said, "the scenario has done something"
    assert [name for name, secret in secrets.items() if secret in said] == []
    assert PLANTED not in said
    with database_of(admin).session() as db:
        tables = {name: repr(db.execute(everything(name)).all()) for name in Base.metadata.tables}
    assert planted("probe") in tables["tests"], "looking works"
    leaks = {
        (name, table)
        for table, rows in tables.items()
        if table not in MAY_HOLD
        for name, secret in {**secrets, "anything planted": PLANTED}.items()
        if secret in rows
    }
    assert leaks == set()


def test_answers_to_failing_requests_repeat_no_secret(admin: Client) -> None:
    answers = [
        admin.http.post("/auth/login", json={"username": "admin", "password": planted("login"), "colour": "red"}),
        admin.http.post("/auth/password", json={"old_password": planted("old"), "new_password": planted("new")}),
        admin.http.post("/auth/password", json={"old_password": [planted("old")], "new_password": {"x": planted("n")}}),
        admin.http.post("/agent/enrol", json={"token": planted("token"), "name": "/"}),
        admin.http.post("/agent/token", json={"agent_id": "x", "secret": planted("agent") * 50}),
        admin.http.post("/tests", json={"name": "x", "probe": "http", "params": {"password": {"x": planted("probe")}}}),
        admin.http.post("/tests", content=planted("no json")),
        admin.http.get("/tests", headers={"Authorization": f"Bearer {planted('bearer')}"}),
        admin.http.post("/channels", json={"name": "x", "settings": {"kind": "webhook", "secret": planted("sign")}}),
        admin.http.post("/channels", json={"name": "x", "settings": {"kind": "slack", "url": planted("chat")}}),
        admin.http.post("/channels", json={"name": "x", "settings": {"kind": "email", "password": planted("smtp")}}),
        admin.http.post("/channels", json={"name": "x", "settings": [planted("list")]}),
    ]
    assert [answer.status_code for answer in answers if answer.status_code < 400] == []
    assert [answer.url.path for answer in answers if PLANTED in answer.text] == []


@pytest.fixture(autouse=True)
def _quiet_clients() -> Iterator[None]:
    """What the tests' own clients say is none of the product's logs; it silences its own in the same way."""
    levels = {name: logging.getLogger(name).level for name in ("httpx", "httpcore", "uvicorn.access")}
    for name in levels:
        logging.getLogger(name).setLevel(logging.WARNING)
    yield
    for name, level in levels.items():
        logging.getLogger(name).setLevel(level)


def test_an_error_of_the_database_does_not_show_its_password(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    url = f"postgresql+psycopg://u:{planted('db')}@127.0.0.1:1/x"
    settings = ControlPlaneSettings(data=tmp_path, database_url=url)
    with caplog.at_level(logging.DEBUG), pytest.raises(ConfigError) as refused:
        bootstrap(settings)
    assert PLANTED not in str(refused.value) + caplog.text + repr(settings) + str(settings.effective())


def test_the_secret_of_single_sign_on_is_shown_nowhere(
    settings: ControlPlaneSettings, first_password: str, caplog: pytest.LogCaptureFixture
) -> None:
    planted_secret = {"oidc_client_secret": planted("oidc"), "oidc_issuer": "http://127.0.0.1:1", "oidc_client_id": "x"}
    changed = ControlPlaneSettings(**{**settings.model_dump(), **planted_secret})
    with caplog.at_level(logging.DEBUG), serve_app(create_app(changed)) as url:
        away = httpx.get(f"{url}/api/v1/auth/oidc/login")
        client = Client(url)
        client.log_in("admin", first_password)
        shown = client.http.get("/config").text
    assert away.status_code == 502
    assert PLANTED not in away.text + shown + caplog.text + repr(changed) + str(changed.effective())
