"""Many requests at the same time at one process."""

import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, nullcontext
from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import delete, text, update
from sqlalchemy.event import listen

from streamswarm_controlplane import app as composition
from streamswarm_controlplane import db
from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.auth.models import UserSession
from streamswarm_controlplane.db import TURNS, Database
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.tokens.models import ApiToken
from tests.postgres import PostgreSQL
from tests.support import serve_app
from tests.unit.controlplane.conftest import PASSWORD, Client, database_of, enrol_agent

MANY = 6 * TURNS


def test_more_requests_than_connections_are_all_answered(admin: Client) -> None:
    """Those that waited for a connection once held the threads that those with one needed."""
    _, headers = enrol_agent(admin)
    poll = f"{admin.url}/api/v1/agent/assignments"
    barrier = threading.Barrier(MANY)

    def ask(_number: int) -> list[int]:
        with httpx.Client(headers=headers, timeout=60) as client:
            barrier.wait(60)
            return [client.get(poll).status_code for _ in range(3)]

    with ThreadPoolExecutor(MANY) as pool:
        assert {status for answers in pool.map(ask, range(MANY)) for status in answers} == {200}


def test_who_reads_does_not_wait_for_who_writes(settings: ControlPlaneSettings) -> None:
    database = Database(settings.database)
    count = text("SELECT count(*) FROM markers")
    with database.session() as writer:
        writer.execute(text("INSERT INTO markers VALUES ('x', '2026-01-01 00:00:00')"))
        with database.session(reading=True) as reader:
            assert reader.scalar(count) == 0
    with database.session(reading=True) as reader:
        assert reader.scalar(count) == 1
    database.close()


def test_who_began_by_reading_may_write_even_if_others_have_written_meanwhile(settings: ControlPlaneSettings) -> None:
    database = Database(settings.database)
    with database.session(reading=True) as late:
        assert late.scalar(text("SELECT count(*) FROM markers")) == 0
        with database.session() as writer:
            writer.execute(text("INSERT INTO markers VALUES ('x', '2026-01-01 00:00:00')"))
        late.execute(text("INSERT INTO markers VALUES ('y', '2026-01-01 00:00:00')"))
    with database.session(reading=True) as reader:
        assert reader.scalar(text("SELECT count(*) FROM markers")) == 2
    database.close()


def test_connections_that_the_server_ended_while_they_rested_are_made_anew(
    postgresql: PostgreSQL, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(db, "_FRESH_SECONDS", 0.0)
    url = postgresql.url(postgresql.new_database())
    database, other = Database(url), Database(url)
    with ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(database.session()).execute(text("SELECT 1"))
    with other.session() as killer:
        mine = "pid = pg_backend_pid() OR datname <> current_database()"
        ended = killer.scalars(text(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE NOT ({mine})"))
        assert len(ended.all()) == 3
    with ExitStack() as stack:
        for _ in range(3):
            assert stack.enter_context(database.session()).scalar(text("SELECT 1")) == 1
    database.close()
    other.close()


def test_writers_take_turns_and_one_that_fails_wakes_the_next(settings: ControlPlaneSettings) -> None:
    database = Database(settings.database)

    def add(number: int) -> bool:
        try:
            with database.session() as db:
                before = db.scalar(text("SELECT count(*) FROM markers"))
                db.execute(text("INSERT INTO markers VALUES (:name, '2026-01-01 00:00:00')"), {"name": f"{number}"})
                assert before is not None
                assert number % 2, "every other one fails"
        except AssertionError:
            return False
        return True

    with ThreadPoolExecutor(TURNS) as pool:
        assert sum(pool.map(add, range(40))) == 20
    with database.session(reading=True) as reader:
        assert reader.scalar(text("SELECT count(*) FROM markers")) == 20
    database.close()


def test_a_poll_without_news_and_a_heartbeat_ask_the_database_little(
    settings: ControlPlaneSettings, first_password: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(composition, "running", lambda _jobs: nullcontext())  # what they ask is none of the requests'
    app = create_app(settings)
    statements: list[str] = []
    with serve_app(app) as url:
        admin = Client(url)
        admin.log_in("admin", first_password)
        admin.change_password(first_password, PASSWORD)
        agent_id, headers = enrol_agent(admin)
        new = {"name": "x", "probe": "icmp", "target": "127.0.0.1", "agent_ids": [agent_id]}
        admin.http.post("/tests", json=new).raise_for_status()
        poll = f"{url}/api/v1/agent/assignments"
        tag = httpx.get(poll, headers=headers).headers["ETag"]
        listen(app.state.database.engine, "before_cursor_execute", lambda *args: statements.append(args[2]))
        assert httpx.get(poll, headers={**headers, "If-None-Match": tag}).status_code == 304
        assert len([one for one in statements if one.startswith("SELECT")]) == 1
        statements.clear()
        at = datetime.now(UTC).isoformat()
        beat = {"version": "1", "started_at": at, "sent_at": at, "assignments_version": 1}
        httpx.post(f"{url}/api/v1/agent/heartbeat", headers=headers, json=beat).raise_for_status()
        kinds = [one.split()[0] for one in statements if not one.startswith("BEGIN")]
        assert kinds == (["UPDATE"] if app.state.database.engine.name == "postgresql" else ["UPDATE", "SELECT"])


@pytest.mark.parametrize("table", [UserSession, ApiToken])
def test_what_is_ended_while_it_is_used_still_gets_its_answer(
    admin: Client, table: type[UserSession] | type[ApiToken]
) -> None:
    """Its last use is noted with a statement that then finds no row."""
    database, begun = database_of(admin), threading.Event()
    path, headers = f"{admin.url}/api/v1/auth/me", {}
    if table is ApiToken:
        made = admin.http.post("/auth/tokens", json={"name": "script", "scope": "read", "expires_in_days": 1}).json()
        headers = {"Authorization": f"Bearer {made['token']}"}
    with database.session() as db:
        db.execute(update(UserSession).values(last_seen_at=datetime.now(UTC) - timedelta(minutes=2)))

    def note(*about: object) -> None:
        if "FROM users" in str(about[2]):  # whose it is, is read after it
            begun.set()

    with httpx.Client(cookies=None if headers else admin.http.cookies, headers=headers, timeout=60) as client:
        client.get(f"{admin.url}/health")  # it is connected
        with ThreadPoolExecutor(1) as pool:
            with database.session() as db:
                db.execute(delete(table))
                listen(database.engine, "before_cursor_execute", note)
                asked = pool.submit(client.get, path)
                assert begun.wait(20)
            assert asked.result().status_code == 200, asked.result().text
        assert client.get(path).status_code == 401
