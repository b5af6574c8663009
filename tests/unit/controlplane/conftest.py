import copy
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar

import httpx
import pytest
from fastapi import FastAPI
from pydantic import SecretStr
from sqlalchemy import Select, select
from starlette.datastructures import State
from starlette.types import Lifespan

from streamswarm_controlplane import app as app_module
from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.db import Base, Database, connect
from streamswarm_controlplane.schema import migrate
from streamswarm_controlplane.security import hash_password
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.users.models import User
from tests.conftest import leave_out
from tests.postgres import MISSING, PostgreSQL, find_program, run_postgresql
from tests.support import find_free_port, serve_app
from tests.unit.controlplane.shell import Shell

PASSWORD = "nine quiet harbour lamps"
DATABASES = ("sqlite", "postgresql")
"""A test that asks for a database runs on each of them, if its module is among these or all are asked for."""
ON_BOTH = frozenset(
    {
        "test_agents",
        "test_audit",
        "test_auth_and_users",
        "test_concurrency",
        "test_enrolment",
        "test_evaluation",
        "test_findings",
        "test_idempotency",
        "test_last_admin",
        "test_lease",
        "test_limits",
        "test_migrations",
        "test_names",
        "test_outbox",
        "test_pages",
        "test_planning",
        "test_problems",
        "test_runs",
        "test_selection",
        "test_silence",
        "test_sites",
        "test_takeover",
        "test_workers",
    }
)
"""Where the database decides: constraints, locks, races, migrations, order. STREAMSWARM_ALL_DATABASES=1 takes all."""


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave the other modules to SQLite: a database of PostgreSQL's for each of their tests takes too long."""
    if os.environ.get("STREAMSWARM_ALL_DATABASES"):
        return
    left = {item for item in items if _is_spared(item)}
    if left:
        config.hook.pytest_deselected(items=[item for item in items if item in left])
        items[:] = [item for item in items if item not in left]


def _is_spared(item: pytest.Item) -> bool:
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return (
        parameters.get("templates") == "postgresql"
        and item.path.stem not in ON_BOTH
        and Path(__file__).parent in item.path.parents
    )


class Client:
    """Somebody who uses the API, with a session and its CSRF token."""

    opened: ClassVar[list[httpx.Client]] = []

    def __init__(self, url: str) -> None:
        self.http = httpx.Client(base_url=f"{url}/api/v1", timeout=60)
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


@pytest.fixture(scope="session", autouse=True)
def _routes_made_once() -> Iterator[None]:
    """FastAPI takes half a second to make an app's routes ready; those of one process share them, and nothing else."""
    made = app_module._create_api(None)

    def another(lifespan: Lifespan[FastAPI] | None) -> FastAPI:
        app = copy.copy(made)
        app.state, app.middleware_stack = State(), None
        app.user_middleware, app.exception_handlers = [*made.user_middleware], {**made.exception_handlers}
        app.router = copy.copy(made.router)
        app.router.routes = [*made.router.routes]
        app.router.middleware_stack = app.router.app
        if lifespan is not None:
            app.router.lifespan_context = lifespan
        return app

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(app_module, "_create_api", another)
        yield


class Templates:
    """What a test's data folder and database are copied from, as making them takes longer than most tests.

    Attributes:
        first_password: of the admin of `installed`.
    """

    def __init__(self, folder: Path, server: PostgreSQL | None) -> None:
        self._server = server
        self._folders = {name: folder / name for name in ("empty", "installed", "settled")}
        self._databases = {name: server.new_database() if server else "" for name in self._folders}
        for path in self._folders.values():
            (path / "controlplane").mkdir(parents=True)
        engine = connect(self._settings("empty").database)
        migrate(engine)
        engine.dispose()
        password = bootstrap(self._settings("installed")).admin_password
        assert password
        self.first_password = password
        self._settle()

    def _settle(self) -> None:
        """As after the admin's first login, which has tests of its own."""
        settings = self._settings("settled")
        bootstrap(settings)
        database = Database(settings.database)
        with database.session() as db:
            admin = db.query(User).one()
            admin.password_hash, admin.must_change_password = hash_password(PASSWORD), False
        database.close()

    def _settings(self, name: str) -> ControlPlaneSettings:
        url = self._server.url(self._databases[name]) if self._server else ""
        return ControlPlaneSettings(data=self._folders[name], database_url=SecretStr(url))

    def copy(self, name: str, folder: Path) -> Iterator[str]:
        """Fill a data folder; yields the URL of its database, which is dropped afterwards."""
        shutil.copytree(self._folders[name], folder, dirs_exist_ok=True)
        if self._server is None:
            yield f"sqlite:///{folder / 'controlplane' / 'controlplane.db'}"
            return
        database = self._server.new_database(self._databases[name])
        yield self._server.url(database)
        self._server.drop_database(database)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """One server a test process; make a database of your own."""
    if find_program("postgres") is None:
        leave_out(MISSING)
    with run_postgresql() as server:
        yield server


@pytest.fixture(scope="session", params=DATABASES)
def templates(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Templates:
    server = request.getfixturevalue("postgresql") if request.param == "postgresql" else None
    return Templates(tmp_path_factory.mktemp(request.param), server)


@pytest.fixture
def database_url(request: pytest.FixtureRequest, templates: Templates, tmp_path: Path) -> Iterator[str]:
    """A database of the test's own: without rows, unless the test wants the first password or a control plane."""
    names = request.fixturenames
    template = "installed" if "first_password" in names else "settled" if "url" in names else "empty"
    yield from templates.copy(template, tmp_path)


@pytest.fixture
def settings(database_url: str, tmp_path: Path) -> ControlPlaneSettings:
    store_url = f"http://127.0.0.1:{find_free_port()}"
    return ControlPlaneSettings(
        data=tmp_path,
        database_url=SecretStr(database_url),
        store_url=store_url,
        alert_seconds=300,  # no alert that a test makes up is closed under its hands
    )


@pytest.fixture
def first_password(templates: Templates, settings: ControlPlaneSettings) -> str:
    """The generated password of `admin`, to be changed at the first login."""
    assert settings.folder.exists()
    return templates.first_password


_served: dict[str, Database] = {}


def database_of(client: Client) -> Database:
    """The database of the control plane that a client talks to, to look behind the API."""
    return _served[client.url]


def everything(table: str) -> Select[Any]:
    """All rows of a table, as the database has them."""
    return select(Base.metadata.tables[table])


@pytest.fixture
def url(settings: ControlPlaneSettings) -> Iterator[str]:
    """A control plane whose admin has chosen PASSWORD, unless the test wants the first one."""
    app = create_app(settings)
    with serve_app(app) as url:
        _served[url] = app.state.database
        yield url


@pytest.fixture
def admin(url: str) -> Client:
    client = Client(url)
    client.log_in("admin", PASSWORD)
    return client


@pytest.fixture
def shell(admin: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shell:
    """Somebody who is logged in as an admin."""
    made = Shell(admin.url, tmp_path / "home")
    made.home.mkdir()
    monkeypatch.chdir(made.home)
    made.ok("login", "--username", "admin", stdin=f"{PASSWORD}\n")
    return made


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
