import socket
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from sqlalchemy import event

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.bodies import LARGEST_BODY
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.users.models import User
from streamswarm_core.clock import now
from tests.support import find_free_port, serve_app
from tests.unit.controlplane.conftest import Client, enrol_agent
from tests.unit.controlplane.refusals import is_problem


def test_an_unknown_path_says_where_the_known_ones_are(url: str) -> None:
    assert "/api/v1/openapi.json" in is_problem(httpx.get(f"{url}/api/v1/nowhere"), 404)["detail"]
    is_problem(httpx.get(f"{url}/static/nowhere.js"), 404)


@pytest.mark.parametrize(
    ("path", "allowed"),
    [("/users", "GET, POST"), ("/users/1", "DELETE, GET, PATCH"), ("/tokens/introspect", "POST"), ("/keys", "GET")],
)
def test_a_wrong_method_is_told_all_the_right_ones(url: str, path: str, allowed: str) -> None:
    answer = httpx.put(f"{url}/api/v1{path}")
    is_problem(answer, 405)
    assert answer.headers["Allow"] == allowed


@pytest.mark.parametrize("content", [b'{"name": ', b"\xff\xfe{", b"[" * 100_000, b"nonsense"])
def test_a_body_that_is_no_json_is_refused_with_the_place(admin: Client, content: bytes) -> None:
    answer = admin.http.post("/users", content=content, headers={"Content-Type": "application/json"})
    assert "body" in is_problem(answer, 400)["detail"]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", ""])
def test_a_body_of_another_type_is_told_the_right_one(admin: Client, kind: str) -> None:
    answer = admin.http.post("/users", content=b'{"username": "kim"}', headers={"Content-Type": kind})
    assert "application/json" in is_problem(answer, 415, "header.Content-Type")["detail"]


def test_a_json_body_may_have_a_charset_or_a_structured_type(admin: Client) -> None:
    for number, kind in enumerate(("application/json; charset=utf-8", "application/merge-patch+json")):
        content = b'{"username": "kim-%d"}' % number
        assert admin.http.post("/users", content=content, headers={"Content-Type": kind}).status_code == 201


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_long_is_refused_with_the_limit(admin: Client, chunked: bool) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"username": "'
        yield b"x" * LARGEST_BODY

    content = pieces() if chunked else b"".join(pieces())
    answer = admin.http.post("/users", content=content, headers={"Content-Type": "application/json"})
    assert str(LARGEST_BODY) in is_problem(answer, 413)["detail"]


def test_a_body_that_does_not_come_is_given_up(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamswarm_controlplane.bodies.BODY_SECONDS", 0.3)
    target = httpx.URL(url)
    with socket.create_connection((target.host, target.port or 80), timeout=20) as slow:
        head = b"POST /api/v1/auth/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
        slow.sendall(head + b"Content-Length: 9\r\n\r\n{")
        answer = slow.recv(10_000)
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"did not arrive within 0.3 s" in answer


def test_half_a_surrogate_pair_is_refused_and_nothing_is_stored(admin: Client) -> None:
    json = {"Content-Type": "application/json"}
    name = admin.http.post("/users", content=rb'{"username": "\ud800"}', headers=json)
    is_problem(name, 422, "body.username")
    key = admin.http.post("/users", content=rb'{"username": "kim", "\ud800": 1}', headers=json)
    assert is_problem(key, 422)["errors"][0]["message"]
    before = admin.http.get("/tests").json()
    params = rb'{"name": "a", "probe": "http", "target": "http://127.0.0.1/", "params": {"headers": {"a": "\ud800"}}}'
    is_problem(admin.http.post("/tests", content=params, headers=json), 422)
    assert admin.http.get("/tests").json() == before


def test_an_answer_that_the_database_refuses_is_a_conflict_that_names_the_field(
    admin: Client, settings: ControlPlaneSettings
) -> None:
    """Two requests at the same time both find the name free; the second is refused by the constraint."""
    agent, _ = enrol_agent(admin)
    test = admin.http.post("/tests", json={"name": "x", "probe": "icmp", "target": "127.0.0.1"}).json()["id"]
    app = create_app(settings)

    @app.post("/race")
    def race() -> None:
        with app.state.database.session() as db:
            db.add(User(username="ADMIN", username_key="admin", role="viewer", password_hash="", created_at=now()))

    @app.post("/gone")
    def gone() -> None:
        with app.state.database.session() as db:
            db.add(AssignmentRow(test_id="no such test", agent_id=agent, created_at=now()))

    @app.post("/again")
    def again() -> None:
        with app.state.database.session() as db:
            for _ in range(2):
                db.add(AssignmentRow(test_id=test, agent_id=agent, created_at=now()))

    with serve_app(app) as url:
        both = is_problem(httpx.post(f"{url}/again"), 409, "body.test_id")
        assert "same test_id and agent_id" in both["detail"]
        taken = httpx.post(f"{url}/race")
        assert "same username" in is_problem(taken, 409, "body.username")["detail"]
        assert "removed" in is_problem(httpx.post(f"{url}/gone"), 409)["detail"]


@pytest.fixture
def impatient(tmp_path: Path) -> FastAPI:
    """A control plane that waits for a locked SQLite only a moment."""
    settings = ControlPlaneSettings(data=tmp_path)
    bootstrap(settings)
    app = create_app(settings)

    def hurry(connection: Any, _record: Any) -> None:
        connection.execute("PRAGMA busy_timeout = 50")

    event.listen(app.state.database.engine, "connect", hurry)
    return app


def test_a_locked_database_is_said_so_with_a_time_to_wait(impatient: FastAPI, tmp_path: Path) -> None:
    with serve_app(impatient) as url:
        other = sqlite3.connect(tmp_path / "controlplane" / "controlplane.db", isolation_level=None)
        other.execute("BEGIN EXCLUSIVE")
        answer = httpx.post(f"{url}/api/v1/auth/login", json={"username": "admin", "password": "x"})
        assert "busy" in is_problem(answer, 503)["detail"]
        assert int(answer.headers["Retry-After"]) > 0
        other.execute("ROLLBACK")
        other.close()
        assert httpx.post(f"{url}/api/v1/auth/login", json={"username": "admin", "password": "x"}).status_code == 401


def test_a_database_that_is_away_is_said_so_without_its_address(settings: ControlPlaneSettings) -> None:
    app = create_app(settings)
    with serve_app(app) as url:
        away = f"postgresql+psycopg://somebody:s3cret@127.0.0.1:{find_free_port()}/x"
        app.state.database = Database(away)
        answer = httpx.post(f"{url}/api/v1/auth/login", json={"username": "admin", "password": "x"})
        body = is_problem(answer, 503)
        assert "can't be reached" in body["detail"]
        assert "127.0.0.1" not in answer.text
        assert answer.headers["Retry-After"] == "5"


def test_a_mistake_of_ours_is_a_problem_document_without_its_inside(settings: ControlPlaneSettings) -> None:
    app = create_app(settings)

    @app.get("/mistake")
    def mistake() -> None:
        raise LookupError("the inside")

    with serve_app(app) as url:
        body = is_problem(httpx.get(f"{url}/mistake"), 500)
    assert "inside" not in str(body)
    assert "log" in body["detail"]
