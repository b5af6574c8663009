"""Without a login, on this machine, for a while, and never without saying so."""

import logging
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.audit.models import AuditEntry
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.development.mode import HEADER
from streamswarm_controlplane.development.models import DevelopmentWindow
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from streamswarm_core.errors import ConfigError
from tests.support import eventually, serve_app
from tests.unit.controlplane.conftest import Client


@pytest.fixture
def settings(settings: ControlPlaneSettings) -> ControlPlaneSettings:
    return settings.model_copy(update={"development_minutes": 30.0})


@pytest.fixture
def database(settings: ControlPlaneSettings) -> Iterator[Database]:
    database = Database(settings.database)
    yield database
    database.close()


def entries(database: Database) -> list[tuple[str, str]]:
    with database.session() as db:
        rows = db.query(AuditEntry).order_by(AuditEntry.id)
        return [(row.actor, row.action) for row in rows if row.action.startswith("development.")]


def test_a_request_of_this_machine_needs_no_login_and_is_told_so(url: str) -> None:
    answer = httpx.get(f"{url}/api/v1/users")
    assert answer.status_code == 200
    assert answer.headers[HEADER].startswith("no login until 20")
    me = httpx.get(f"{url}/api/v1/auth/me").json()
    assert (me["username"], me["method"], me["development_until"] is not None) == ("development", "development", True)
    created = httpx.post(f"{url}/api/v1/tests", json={"name": "x", "probe": "icmp", "target": "127.0.0.1"})
    assert created.status_code == 201
    (entry,) = httpx.get(f"{url}/api/v1/audit", params={"action": "test.create"}).json()["items"]
    assert (entry["actor"], entry["actor_kind"]) == ("development", "development")


def test_accounts_are_kept_and_still_work(url: str, first_password: str) -> None:
    users = httpx.get(f"{url}/api/v1/users").json()["items"]
    assert [user["username"] for user in users] == ["admin"]
    client = Client(url)
    assert client.log_in("admin", first_password).status_code == 200
    assert client.http.get("/auth/me").json()["username"] == "admin"
    assert httpx.post(f"{url}/api/v1/auth/tokens", json={"name": "x"}).status_code == 409


@pytest.mark.parametrize(
    "headers",
    [
        {"X-Forwarded-For": "127.0.0.1"},
        {"Forwarded": "for=127.0.0.1"},
        {"Via": "1.1 proxy"},
        {"X-Real-IP": "127.0.0.1"},
        {"Host": "console.example.org"},
        {"Host": "127.0.0.1.example.org:8800"},
        {"Authorization": "Bearer sst_wrong"},
    ],
    ids=str,
)
def test_what_came_by_another_way_has_to_log_in(url: str, headers: dict[str, str]) -> None:
    assert httpx.get(f"{url}/api/v1/users", headers=headers).status_code == 401


@pytest.mark.parametrize("origin", ["https://evil.example.org", "null", "http://127.0.0.1:1"])
def test_a_page_of_another_site_changes_nothing(url: str, origin: str) -> None:
    body = {"username": "mallory", "role": "admin"}
    assert httpx.post(f"{url}/api/v1/users", json=body, headers={"Origin": origin}).status_code == 401
    own = httpx.post(f"{url}/api/v1/users", json={"username": "kim"}, headers={"Origin": url})
    assert own.status_code == 201


def test_the_door_closes_by_itself(url: str, database: Database) -> None:
    with database.session() as db:
        db.query(DevelopmentWindow).one().until = now() - timedelta(seconds=1)
    answer = httpx.get(f"{url}/api/v1/users")
    assert (answer.status_code, HEADER in answer.headers) == (401, False)


def test_start_and_end_are_in_the_log_and_in_the_audit_log(
    settings: ControlPlaneSettings, first_password: str, database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    assert first_password
    with caplog.at_level(logging.WARNING), serve_app(create_app(settings)):
        assert entries(database) == [("development", "development.start")]
        eventually(lambda: caplog.text, lambda text: text.count("DEVELOPMENT MODE: no login") >= 1)
    assert entries(database)[-1] == ("development", "development.end")
    assert "everybody has to log in" in caplog.text


def test_a_start_without_the_setting_closes_what_a_crash_left_open(
    settings: ControlPlaneSettings, first_password: str, database: Database
) -> None:
    assert first_password
    with database.session() as db:
        db.add(DevelopmentWindow(started_at=now(), until=now() + timedelta(hours=1)))
    with serve_app(create_app(settings.model_copy(update={"development_minutes": 0.0}))) as url:
        assert httpx.get(f"{url}/api/v1/users").status_code == 401
    assert entries(database) == [("development", "development.end")]


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "console.example.org"])  # noqa: S104 - refused
def test_it_is_refused_where_others_can_reach_the_control_plane(settings: ControlPlaneSettings, host: str) -> None:
    with pytest.raises(ConfigError, match="needs a loopback address"):
        create_app(settings.model_copy(update={"host": host}))


def test_nobody_asks_for_more_than_eight_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STREAMSWARM_CONTROLPLANE_DEVELOPMENT_MINUTES", "481")
    with pytest.raises(ConfigError, match="less than or equal to 480"):
        ControlPlaneSettings.load()
