from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import httpx
import pytest

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.settings import ControlPlaneSettings
from tests.support import find_free_port, serve_app

PASSWORD = "nine quiet harbour lamps"


class Client:
    """Somebody who uses the API, with a session and its CSRF token."""

    opened: ClassVar[list[httpx.Client]] = []

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=f"{url}/api/v1", timeout=20)
        self.opened.append(self.http)
        self.url = url

    def log_in(self, username: str, password: str) -> httpx.Response:
        answer = self.http.post("/auth/login", json={"username": username, "password": password})
        if answer.status_code == 200:
            self.http.headers["X-CSRF-Token"] = answer.json()["csrf_token"]
        return answer

    def change_password(self, old: str, new: str) -> httpx.Response:
        return self.http.post("/auth/password", json={"old_password": old, "new_password": new})


@pytest.fixture(autouse=True)
def _close_clients() -> Iterator[None]:
    yield
    while Client.opened:
        Client.opened.pop().close()


@pytest.fixture
def settings(tmp_path: Path) -> ControlPlaneSettings:
    return ControlPlaneSettings(data=tmp_path, store_url=f"http://127.0.0.1:{find_free_port()}")


@pytest.fixture
def first_password(settings: ControlPlaneSettings) -> str:
    password = bootstrap(settings).admin_password
    assert password
    return password


@pytest.fixture
def url(settings: ControlPlaneSettings, first_password: str) -> Iterator[str]:
    assert first_password
    with serve_app(create_app(settings)) as url:
        yield url


@pytest.fixture
def admin(url: str, first_password: str) -> Client:
    client = Client(url)
    client.log_in("admin", first_password)
    client.change_password(first_password, PASSWORD)
    return client


def add_user(admin: Client, username: str, role: str) -> Client:
    """A new user who has chosen a password."""
    created = admin.http.post("/users", json={"username": username, "role": role}).json()
    client = Client(admin.url)
    client.log_in(username, created["password"])
    client.change_password(created["password"], PASSWORD)
    return client


def enrol_agent(admin: Client, name: str = "berlin-1") -> tuple[str, dict[str, str]]:
    """A new agent: its id, and the headers with its access token."""
    token = admin.http.post("/enrolment-tokens", json={"site": "berlin"}).json()["token"]
    agent = httpx.post(f"{admin.url}/api/v1/agent/enrol", json={"token": token, "name": name}).json()
    access = httpx.post(
        f"{admin.url}/api/v1/agent/token", json={"agent_id": agent["agent_id"], "secret": agent["secret"]}
    ).json()
    return agent["agent_id"], {"Authorization": f"Bearer {access['access_token']}"}
