import base64
import json

import httpx
import pytest
from sqlalchemy import update

from streamswarm_controlplane.testplans import models as testplans
from tests.unit.controlplane.conftest import Client, database_of, enrol_agent


def names(admin: Client, path: str, key: str, **query: str | int) -> list[str]:
    """All of a list, page by page."""
    found: list[str] = []
    cursor = ""
    while True:
        page = admin.http.get(path, params={**query, **({"cursor": cursor} if cursor else {})}).json()
        found += [item[key] for item in page["items"]]
        cursor = page["next_cursor"]
        if cursor is None:
            return found
        assert len(page["items"]) == query["limit"]


@pytest.fixture
def tests(admin: Client) -> list[str]:
    """Keys of seven tests, some of which have the same name, as they may from before that was refused."""
    for number in range(7):
        body = {"name": f"Test {number}", "key": f"key-{number}", "probe": "system"}
        made = admin.http.post("/tests", json=body).raise_for_status().json()
        with database_of(admin).session() as db:
            row = update(testplans.TestPlan).where(testplans.TestPlan.id == made["id"])
            db.execute(row.values(name=f"Test {number // 3}", name_key=None))
    return [f"key-{number}" for number in range(7)]


@pytest.mark.parametrize("limit", [1, 2, 3, 7, 200])
def test_pages_together_are_the_list_without_gap_or_repetition(admin: Client, tests: list[str], limit: int) -> None:
    found = names(admin, "/tests", "key", limit=limit)
    assert sorted(found) == tests
    assert found == names(admin, "/tests", "key", limit=200)


def test_what_is_added_or_removed_meanwhile_shifts_nothing(admin: Client, tests: list[str]) -> None:
    first = admin.http.get("/tests", params={"limit": 4}).json()
    admin.http.delete(f"/tests/{first['items'][3]['id']}").raise_for_status()
    admin.http.post("/tests", json={"name": "A first one", "probe": "system"}).raise_for_status()
    second = admin.http.get("/tests", params={"limit": 4, "cursor": first["next_cursor"]}).json()
    assert sorted(item["key"] for item in [*first["items"], *second["items"]]) == tests


def test_newest_first_works_over_pages_too(admin: Client) -> None:
    times = names(admin, "/audit", "id", limit=1)
    assert times == sorted(times, reverse=True)
    assert len(times) > 2
    for name in ("a", "b", "c"):
        admin.http.post("/tokens", json={"name": name, "scopes": ["read"]}).raise_for_status()
    assert names(admin, "/tokens", "name", limit=2)[:3] == ["c", "b", "a"]


def test_a_list_outside_the_database_has_pages_too(admin: Client) -> None:
    found = names(admin, "/probes", "name", limit=3)
    assert found == sorted(found)
    assert "icmp" in found


def sealed_wrongly(values: list[object]) -> str:
    return base64.urlsafe_b64encode(json.dumps(values).encode()).decode().rstrip("=")


@pytest.mark.parametrize(
    "cursor",
    [
        "x",
        "äöü",
        "!!!!",
        sealed_wrongly([]),
        sealed_wrongly(["0123456789abcdef", "Test 0", "x"]),
        sealed_wrongly([[[]], {}]),
        base64.urlsafe_b64encode(b"[" * 900).decode(),
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
    ],
)
def test_a_cursor_that_was_tampered_with_is_refused_by_name(admin: Client, tests: list[str], cursor: str) -> None:
    assert tests
    answer = admin.http.get("/tests", params={"cursor": cursor})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "query.cursor")


def test_a_cursor_serves_only_the_list_and_the_filters_it_was_made_with(admin: Client, tests: list[str]) -> None:
    assert tests
    cursor = admin.http.get("/tests", params={"limit": 2, "q": "test"}).json()["next_cursor"]
    assert admin.http.get("/tests", params={"cursor": cursor, "q": "test", "limit": 3}).status_code == 200
    assert admin.http.get("/tests", params={"cursor": cursor, "q": "tes"}).status_code == 422
    assert admin.http.get("/assignments", params={"cursor": cursor, "q": "test"}).status_code == 422


@pytest.mark.parametrize("limit", ["0", "201", "-1", "many"])
def test_a_page_has_between_1_and_200_items(admin: Client, limit: str) -> None:
    answer = admin.http.get("/users", params={"limit": limit})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "query.limit")


def test_lists_are_filtered_by_what_their_nouns_have(admin: Client, tests: list[str]) -> None:
    assert names(admin, "/tests", "key", limit=50, q="KEY-3") == ["key-3"]
    assert names(admin, "/tests", "key", limit=50, q="%") == []
    assert names(admin, "/tests", "key", limit=50, probe="icmp") == []
    test = admin.http.get("/tests", params={"q": "key-3"}).json()["items"][0]
    admin.http.patch(f"/tests/{test['id']}", json={"paused": True})
    assert names(admin, "/tests", "key", limit=50, paused="true") == ["key-3"]
    assert len(names(admin, "/tests", "key", limit=50, paused="false")) == len(tests) - 1
    assert names(admin, "/users", "username", limit=50, role="viewer") == []
    assert names(admin, "/users", "username", limit=50, q="ADM", active="true") == ["admin"]
    created = admin.http.get("/audit", params={"action": "test.create", "q": "key-1"}).json()["items"]
    assert [(entry["actor"], entry["object"]) for entry in created] == [("admin", "key-1")]
    later = {"since": created[0]["time"], "action": "test.create"}
    assert len(admin.http.get("/audit", params=later).json()["items"]) == len(tests) - 1
    earlier = {"until": created[0]["time"], "action": "test.create"}
    assert len(admin.http.get("/audit", params=earlier).json()["items"]) == 1
    assert names(admin, "/audit", "id", limit=50, actor="nobody") == []


def test_agents_are_filtered_by_state_site_and_name(admin: Client) -> None:
    _, headers = enrol_agent(admin, "berlin-1")
    gone, _ = enrol_agent(admin, "berlin-2")
    enrol_agent(admin, "paris-1")
    admin.http.post(f"/agents/{gone}/revoke").raise_for_status()
    beat = {"version": "1", "started_at": "2024-01-01T00:00:00Z", "sent_at": "2024-01-01T00:00:00Z"}
    url = f"{admin.url}/api/v1/agent/heartbeat"
    httpx.post(url, json={**beat, "assignments_version": 1}, headers=headers).raise_for_status()
    by_state = {
        state: names(admin, "/agents", "name", limit=50, state=state)
        for state in ("online", "late", "offline", "draining", "never seen", "revoked")
    }
    assert by_state == {
        "online": ["berlin-1"],
        "late": [],
        "offline": [],
        "draining": [],
        "never seen": ["paris-1"],
        "revoked": ["berlin-2"],
    }
    assert names(admin, "/agents", "name", limit=50, q="BERLIN") == ["berlin-1", "berlin-2"]
    assert len(names(admin, "/agents", "name", limit=50, site="berlin")) == 3
    assert names(admin, "/agents", "name", limit=50, site="") == []


def test_every_list_of_named_things_is_searched_alike_and_shows_one_by_its_id(admin: Client) -> None:
    webhook = {"kind": "webhook", "url": "https://hooks.example.com/x"}
    channel = admin.http.post("/channels", json={"name": "Night shift", "settings": webhook}).json()["id"]
    window = {"cron": "0 2 * * *", "duration": 60, "everything": True}
    made = {
        "/rules": {"name": "Night shift", "channel_ids": [channel]},
        "/maintenance": {"name": "Night shift", **window},
        "/tokens": {"name": "Night shift", "scopes": ["read"]},
        "/enrolment-tokens": {"site": "Night shift"},
        "/sites": {"name": "Night shift"},
        "/tests": {"name": "Night shift", "probe": "system"},
    }
    for path, body in made.items():
        admin.http.post(path, json=body).raise_for_status()
    for path in ("/channels", *made):
        found = admin.http.get(path, params={"q": "GHT s"}).json()["items"]
        assert len(found) == 1, path
        one = admin.http.get(f"{path}/{found[0]['id']}")
        assert (one.json()["id"], "ETag" in one.headers) == (found[0]["id"], True), path
        assert "token" not in one.json(), path
        for absent in ("ght_s", "%", "day"):
            assert admin.http.get(path, params={"q": absent}).json()["items"] == [], path
        assert admin.http.get(f"{path}/nobody").status_code == 404


def test_one_assignment_is_shown_by_its_id(admin: Client) -> None:
    agent, _ = enrol_agent(admin)
    admin.http.post("/tests", json={"name": "Host", "probe": "system", "agent_ids": [agent]}).raise_for_status()
    listed = admin.http.get("/assignments").json()["items"][0]
    assert admin.http.get(f"/assignments/{listed['id']}").json() == listed
