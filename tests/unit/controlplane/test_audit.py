import csv
import io
import json
import re
from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Executable, delete, select, text, update
from sqlalchemy.exc import DBAPIError

from streamswarm_controlplane.audit.models import AuditEntry
from streamswarm_controlplane.audit.retention import prune
from streamswarm_controlplane.audit.search import AuditFilter, export_jsonl
from streamswarm_controlplane.audit.service import SYSTEM, Actor, record
from streamswarm_controlplane.bootstrap import prune_audit
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from streamswarm_core.errors import ConfigError
from tests.unit.controlplane.conftest import Client, add_user, enrol_agent


@pytest.fixture
def database(settings: ControlPlaneSettings) -> Iterator[Database]:
    database = Database(settings.database)
    yield database
    database.close()


@pytest.mark.parametrize("how", ["update", "delete", "everything"])
def test_the_database_itself_refuses_to_change_the_log(database: Database, how: str) -> None:
    everything = {
        "sqlite": "INSERT OR REPLACE INTO audit (id, time, actor, address, action, object) "
        "VALUES (1, '2020', '', '', '', '')",
        "postgresql": "TRUNCATE audit",
    }[database.engine.dialect.name]
    statements: dict[str, Executable] = {
        "update": update(AuditEntry).values(actor="somebody else"),
        "delete": delete(AuditEntry),
        "everything": text(everything),
    }
    with database.session() as db:
        record(db, SYSTEM, "test.create", "one")
    with pytest.raises(DBAPIError, match="append-only"), database.session() as db:
        db.execute(statements[how])
    with database.session() as db:
        assert db.scalars(select(AuditEntry.actor)).all() == ["system"]


def test_pruning_deletes_what_is_old_and_says_so_and_the_log_is_closed_again(database: Database) -> None:
    with database.session() as db:
        for days in (400, 20, 0):
            db.add(AuditEntry(time=now() - timedelta(days=days), actor="a", address="", action="x", object=str(days)))
    with database.session() as db:
        assert prune(db, SYSTEM, now() - timedelta(days=30)) == 1
    with database.session() as db:
        assert db.scalars(select(AuditEntry.object).order_by(AuditEntry.id)).all() == ["20", "0", "audit"]
    with pytest.raises(DBAPIError, match="append-only"), database.session() as db:
        db.execute(delete(AuditEntry).where(AuditEntry.object == "20"))


def test_the_command_keeps_what_it_is_told_or_the_configuration_says(
    database: Database, settings: ControlPlaneSettings
) -> None:
    with database.session() as db:
        for days in (400, 20):
            db.add(AuditEntry(time=now() - timedelta(days=days), actor="a", address="", action="x", object=str(days)))
    with pytest.raises(ConfigError, match="--days 365"):
        prune_audit(settings, None)
    assert prune_audit(settings, 30) == 1
    assert prune_audit(settings.model_copy(update={"audit_retention_days": 10.0}), None) == 1


def test_entries_are_found_by_actor_action_target_time_and_text(admin: Client) -> None:
    add_user(admin, "kim", "viewer")
    add_user(admin, "lee", "operator")
    begun = now()
    admin.http.patch("/auth/me", json={"display_name": "Jürgen 50%"}).raise_for_status()

    def found(**wanted: str) -> list[str]:
        answer = admin.http.get("/audit", params=wanted)
        assert answer.status_code == 200, answer.text
        return [f"{entry['actor']} {entry['action']} {entry['object']}" for entry in answer.json()["items"]]

    assert found(action="user.create") == [
        "admin user.create lee",
        "admin user.create kim",
        "system user.create admin",
    ]
    assert found(action="user.", target="kim") == ["admin user.create kim"]
    assert found(action="user") == []
    assert found(actor="kim", action="auth.password") == ["kim auth.password kim"]
    assert found(since=begun.isoformat()) == ["admin user.profile admin"]
    assert "admin user.profile admin" not in found(until=begun.isoformat())
    assert found(q="jürgen 50%") == ["admin user.profile admin"]
    assert found(q="50_") == []
    assert found(actor_kind="system")
    assert set(found(actor_kind="system")).isdisjoint(found(actor_kind="user"))
    assert admin.http.get("/audit", params={"since": "yesterday"}).status_code == 422


def test_entries_say_what_was_before_and_after(admin: Client) -> None:
    add_user(admin, "kim", "viewer")
    kim = next(user for user in admin.http.get("/users").json()["items"] if user["username"] == "kim")
    admin.http.patch(f"/users/{kim['id']}", json={"role": "operator"}).raise_for_status()
    (entry,) = admin.http.get("/audit", params={"action": "user.update"}).json()["items"]
    assert (entry["before"]["role"], entry["after"]["role"]) == ("viewer", "operator")
    assert (entry["actor"], entry["actor_kind"], entry["address"]) == ("admin", "user", "127.0.0.1")


def test_an_export_has_every_entry_in_both_formats_and_no_formulas(admin: Client) -> None:
    admin.http.post("/users", json={"username": "=1+1", "role": "viewer"}).raise_for_status()
    listed = admin.http.get("/audit", params={"limit": 200}).json()["items"]
    answer = admin.http.get("/audit/export", params={"format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert [int(row["id"]) for row in rows] == [entry["id"] for entry in listed]
    assert next(row for row in rows if row["action"] == "user.create")["object"] == "'=1+1"
    lines = admin.http.get("/audit/export", params={"format": "jsonl", "action": "user.create"}).text.splitlines()
    assert [json.loads(line)["object"] for line in lines] == ["=1+1", "admin"]


def test_an_export_of_many_batches_misses_and_repeats_nothing(database: Database) -> None:
    with database.session() as db:
        for number in range(1234):
            record(db, Actor("a"), "x", str(number))
    numbers = [int(json.loads(line)["object"]) for line in export_jsonl(database, AuditFilter())]
    assert numbers == list(range(1233, -1, -1))


def test_whatever_is_done_is_listed_by_its_name_and_not_by_its_id(admin: Client) -> None:
    def post(path: str, **body: object) -> str:
        return str(admin.http.post(path, json=body).raise_for_status().json()["id"])

    agent, _ = enrol_agent(admin, "berlin-1")
    token = post("/enrolment-tokens", site="paris", labels={"role": "edge"}, uses=400)
    admin.http.delete(f"/enrolment-tokens/{token}").raise_for_status()
    test = post("/tests", name="Office", probe="icmp", target="127.0.0.1", agent_ids=[agent], selector="site=berlin")
    channel = post("/channels", name="NOC", settings={"kind": "webhook", "url": "http://192.0.2.1/"})
    rule = post("/rules", name="All", channel_ids=[channel])
    ends = {"ends_at": "2031-01-01T00:00:00Z"}
    silence = post("/silences", matchers=[{"label": "agent", "operator": "=", "value": "b"}], comment="card", **ends)
    starts = {"starts_at": "2030-01-01T00:00:00Z"}
    window = post("/maintenance", name="Upgrade", agent_ids=[agent], test_ids=[test], **starts, **ends)
    post("/auth/tokens", name="backup")
    post("/tokens", name="grafana", scopes=["read"])
    for path in (f"/silences/{silence}", f"/maintenance/{window}", f"/rules/{rule}", f"/channels/{channel}"):
        admin.http.delete(path).raise_for_status()
    admin.http.post(f"/agents/{agent}/revoke").raise_for_status()
    for path in (f"/tests/{test}", f"/agents/{agent}?series=keep"):
        admin.http.delete(path).raise_for_status()

    entries = admin.http.get("/audit", params={"limit": 200}).json()["items"]
    named = {entry["action"]: entry["object"] for entry in reversed(entries)}
    assert named["enrolment.create"] == named["enrolment.withdraw"] == "400 agents of paris with role=edge"
    assert named["silence.create"] == named["silence.end"] == "agent=b"
    values = {entry["action"]: entry["before"] or entry["after"] for entry in entries}
    assert values["agent.enrol"]["enrolment"] == "any agent of berlin"
    assert values["rule.delete"]["channels"] == ["NOC"]
    assert (values["maintenance.delete"]["agents"], values["maintenance.delete"]["tests"]) == (["berlin-1"], ["office"])
    of_things = {"id", "enrolment_id"}
    for entry in entries:
        told = {**(entry["before"] or {}), **(entry["after"] or {})}
        shown = json.dumps([entry["object"], {name: one for name, one in told.items() if name not in of_things}])
        assert not re.search("[0-9a-f]{32}", shown), entry
