"""`dry_run=true` answers what would be, and nothing of it stays."""

import uuid
from typing import Any

import pytest

from tests.unit.controlplane.conftest import Client, enrol_agent
from tests.unit.controlplane.refusals import is_problem

TRY = {"dry_run": True}
PING = {"name": "Head office", "probe": "icmp", "target": "192.0.2.1"}


def everything(admin: Client) -> dict[str, object]:
    lists = ("tests", "sites", "channels", "rules", "maintenance", "agents", "assignments", "audit")
    return {name: admin.http.get(f"/{name}").json()["items"] for name in lists}


def test_what_would_be_added_is_answered_and_not_added(admin: Client) -> None:
    agent, _ = enrol_agent(admin)
    channel = {"name": "NOC", "settings": {"kind": "webhook", "url": "https://hooks.example.com/x"}}
    window = {"name": "Backup", "cron": "0 2 * * *", "duration": 60, "everything": True}
    before = everything(admin)
    bodies: dict[str, dict[str, Any]] = {
        "/tests": {**PING, "agent_ids": [agent]},
        "/sites": {"name": "x"},
        "/channels": channel,
        "/maintenance": window,
    }
    for path, body in bodies.items():
        answer = admin.http.post(path, json=body, params=TRY)
        assert (answer.status_code, answer.json()["name"]) == (201, body["name"])
    assert everything(admin) == before


def test_a_secret_that_nobody_keeps_is_not_shown(admin: Client) -> None:
    user = {"username": "kim", "role": "viewer"}
    channel = {"name": "NOC", "settings": {"kind": "webhook", "url": "https://hooks.example.com/x"}}
    for tried, params in ((True, TRY), (False, {})):
        added = admin.http.post("/users", json=user, params=params).json()
        made = admin.http.post("/channels", json=channel, params=params).json()
        assert (added["password"] == "", made["signing_secret"] is None) == (tried, tried)


def test_what_would_be_changed_is_answered_and_not_changed(admin: Client) -> None:
    agent, _ = enrol_agent(admin)
    test = f"/tests/{admin.http.post('/tests', json=PING).json()['id']}"
    site = f"/sites/{admin.http.post('/sites', json={'name': 'berlin'}).json()['id']}"
    before = everything(admin)
    assert admin.http.patch(test, json={"interval": 7, "agent_ids": [agent]}, params=TRY).json()["interval"] == 7
    assert admin.http.patch(site, json={"address": "x"}, params=TRY).json()["address"] == "x"
    assert admin.http.patch(f"/agents/{agent}", json={"labels": {"a": "b"}}, params=TRY).json()["labels"] == {"a": "b"}
    assert admin.http.delete(test, params=TRY).status_code == 204
    assert everything(admin) == before


def test_what_would_be_refused_is_refused(admin: Client) -> None:
    admin.http.post("/tests", json=PING).raise_for_status()
    is_problem(admin.http.post("/tests", json=PING, params=TRY), 409, "body.name")
    is_problem(admin.http.post("/tests", json={**PING, "name": "x", "params": {"count": 0}}, params=TRY), 422)


def test_a_key_that_was_tried_is_still_good(admin: Client) -> None:
    key = {"Idempotency-Key": str(uuid.uuid4())}
    assert admin.http.post("/tests", json=PING, params=TRY, headers=key).status_code == 201
    assert admin.http.post("/tests", json=PING, headers=key).status_code == 201
    assert len(admin.http.get("/tests").json()["items"]) == 1


def test_what_can_not_be_taken_back_can_not_be_tried(admin: Client) -> None:
    agent, _ = enrol_agent(admin)
    is_problem(admin.http.delete(f"/agents/{agent}", params={**TRY, "series": "keep"}), 422, "query.dry_run")
    assert admin.http.get(f"/agents/{agent}").status_code == 200


def test_a_filter_that_a_list_does_not_have_is_refused(admin: Client) -> None:
    refused = is_problem(admin.http.get("/tests", params={"site": "berlin"}), 422, "query.site")
    assert refused["detail"] == "query.site: isn't known here; it takes probe, paused, q, limit, cursor"
    is_problem(admin.http.get("/auth/me", params={"x": "1"}), 422, "query.x")


@pytest.mark.parametrize("path", ["/audit/export?q=", "/audit?actor=", "/agents?label=", "/users?q="])
def test_the_character_nul_is_looked_for_nowhere(admin: Client, path: str) -> None:
    refused = is_problem(admin.http.get(f"{path}a%00b"), 422)
    assert "without the character NUL" in refused["detail"]


def test_head_is_answered_as_get_without_a_body(admin: Client) -> None:
    for path in ("/tests", "/auth/me", "/openapi.json"):
        head, got = admin.http.head(path), admin.http.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == got.headers["content-length"]
    assert admin.http.head("/users/nobody").status_code == 404
