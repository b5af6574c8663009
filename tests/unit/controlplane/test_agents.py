from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import httpx

from streamswarm_core.probespecs import SPECS
from streamswarm_core.tokens import TokenVerifier
from tests.unit.controlplane.conftest import Client, enrol_agent


def api(admin: Client, path: str) -> str:
    return f"{admin.url}/api/v1{path}"


def add_test(admin: Client, **changes: object) -> httpx.Response:
    body = {"name": "Head office", "probe": "icmp", "target": "127.0.0.1"}
    return admin.http.post("/tests", json=body | changes)


def test_an_enrolment_token_works_once(admin: Client) -> None:
    token = admin.http.post("/enrolment-tokens", json={}).json()["token"]
    first = httpx.post(api(admin, "/agent/enrol"), json={"token": token, "name": "one"})
    second = httpx.post(api(admin, "/agent/enrol"), json={"token": token, "name": "two"})
    assert (first.status_code, second.status_code) == (201, 401)
    assert "was used by one" in second.json()["detail"]


def test_an_expired_or_unknown_enrolment_token_is_refused(admin: Client) -> None:
    token = admin.http.post("/enrolment-tokens", json={"hours": 1e-9}).json()["token"]
    expired = httpx.post(api(admin, "/agent/enrol"), json={"token": token, "name": "one"})
    unknown = httpx.post(api(admin, "/agent/enrol"), json={"token": "sse_x", "name": "one"})
    assert "has expired" in expired.json()["detail"]
    assert (expired.status_code, unknown.status_code) == (401, 401)


def test_a_name_in_use_is_taken_over_only_with_a_token_made_for_it(admin: Client) -> None:
    agent_id, _ = enrol_agent(admin, "one")
    any_token = admin.http.post("/enrolment-tokens", json={}).json()["token"]
    refused = httpx.post(api(admin, "/agent/enrol"), json={"token": any_token, "name": "one"})
    assert refused.status_code == 409
    own_token = admin.http.post("/enrolment-tokens", json={"agent_name": "one"}).json()["token"]
    again = httpx.post(api(admin, "/agent/enrol"), json={"token": own_token, "name": "one"})
    assert (again.status_code, again.json()["agent_id"]) == (201, agent_id)


def test_an_access_token_is_verified_by_the_published_keys(admin: Client) -> None:
    agent_id, headers = enrol_agent(admin)
    jwks = httpx.get(api(admin, "/keys")).json()
    claims = TokenVerifier(jwks).verify(headers["Authorization"].removeprefix("Bearer "))
    assert (claims.sub, claims.name, claims.site) == (agent_id, "berlin-1", "berlin")


def test_a_wrong_secret_gets_no_access_token(admin: Client) -> None:
    agent_id, _ = enrol_agent(admin)
    answer = httpx.post(api(admin, "/agent/token"), json={"agent_id": agent_id, "secret": "ssa_wrong"})
    assert answer.status_code == 401


def test_assignments_have_an_etag_and_a_version_that_grows_with_every_change(admin: Client) -> None:
    agent_id, headers = enrol_agent(admin)
    first = httpx.get(api(admin, "/agent/assignments"), headers=headers)
    same = httpx.get(api(admin, "/agent/assignments"), headers={**headers, "If-None-Match": first.headers["ETag"]})
    assert (first.status_code, same.status_code) == (200, 304)
    test = add_test(admin, agent_ids=[agent_id]).json()
    changes: list[Callable[[], object]] = [
        lambda: None,
        lambda: admin.http.patch(f"/tests/{test['id']}", json={"interval": 5}),
        lambda: admin.http.patch(f"/tests/{test['id']}", json={"paused": True}),
        lambda: admin.http.delete(f"/tests/{test['id']}"),
    ]
    versions = [first.json()["version"]]
    counts = []
    for change in changes:
        change()
        current = httpx.get(api(admin, "/agent/assignments"), headers=headers).json()
        versions.append(current["version"])
        counts.append(len(current["assignments"]))
    assert versions == sorted(set(versions))
    assert counts == [1, 1, 0, 0]


def test_a_revoked_agent_is_out_and_on_the_list_that_collectors_poll(admin: Client) -> None:
    agent_id, headers = enrol_agent(admin)
    before = httpx.get(api(admin, "/revocations"))
    admin.http.post(f"/agents/{agent_id}/revoke")
    after = httpx.get(api(admin, "/revocations"), headers={"If-None-Match": before.headers["ETag"]})
    assert after.json()["revoked"] == [agent_id]
    same = httpx.get(api(admin, "/revocations"), headers={"If-None-Match": after.headers["ETag"]})
    assert same.status_code == 304
    assert httpx.get(api(admin, "/agent/assignments"), headers=headers).status_code == 401


def test_a_heartbeat_makes_an_agent_online_and_measures_its_clock(admin: Client) -> None:
    agent_id, headers = enrol_agent(admin)
    assert admin.http.get(f"/agents/{agent_id}").json()["state"] == "never seen"
    beat = {
        "version": "0.1.0",
        "started_at": datetime.now(UTC).isoformat(),
        "sent_at": datetime.now(UTC).isoformat(),
        "assignments_version": 1,
    }
    answer = httpx.post(api(admin, "/agent/heartbeat"), json=beat, headers=headers)
    assert answer.json()["assignments_version"] == 1
    agent = admin.http.get(f"/agents/{agent_id}").json()
    assert (agent["state"], agent["version"]) == ("online", "0.1.0")
    assert abs(agent["clock_offset"]) < 5


def test_a_static_token_is_introspected_only_for_those_who_may(admin: Client, tmp_path: Path) -> None:
    token = admin.http.post("/tokens", json={"name": "grafana", "scopes": ["read"]}).json()
    own = {"Authorization": f"Bearer {(tmp_path / 'secrets' / 'collector.token').read_text().strip()}"}
    found = httpx.post(api(admin, "/tokens/introspect"), json={"token": token["token"]}, headers=own).json()
    assert (found["active"], found["sub"], found["scopes"]) == (True, token["id"], ["read"])
    stranger = {"Authorization": f"Bearer {token['token']}"}
    assert httpx.post(api(admin, "/tokens/introspect"), json={"token": "x"}, headers=stranger).status_code == 401
    admin.http.delete(f"/tokens/{token['id']}")
    gone = httpx.post(api(admin, "/tokens/introspect"), json={"token": token["token"]}, headers=own).json()
    assert gone == {"active": False}


def test_options_that_the_probe_does_not_take_are_named(admin: Client) -> None:
    answer = add_test(admin, params={"count": 500, "colour": "red"})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("body.params.")


def test_a_test_needs_a_known_probe_a_target_and_a_free_key(admin: Client) -> None:
    assert "one of icmp, dns" in add_test(admin, probe="telepathy").json()["detail"]
    assert add_test(admin, target="").json()["errors"][0]["field"] == "body.target"
    assert add_test(admin, key="office").status_code == 201
    assert add_test(admin, key="office").status_code == 409
    assert [add_test(admin, name=name).json()["key"] for name in ("Zürich Büro", "Zurich-Buro!")] == [
        "zurich-buro",
        "zurich-buro-2",
    ]


def test_the_status_lists_assignments_even_when_the_store_is_away(admin: Client) -> None:
    agent_id, _ = enrol_agent(admin)
    add_test(admin, agent_ids=[agent_id])
    status = admin.http.get("/status").json()
    assert not status["store"]["ok"]
    assert [item["state"] for item in status["items"]] == ["pending"]


def test_every_probe_is_described_with_a_schema_for_forms(admin: Client) -> None:
    probes = {probe["name"]: probe for probe in admin.http.get("/probes").json()["items"]}
    assert set(probes) == set(SPECS)
    assert probes["icmp"]["params"]["properties"]["count"]["maximum"] == 100


def test_secrets_among_the_options_reach_the_agent_and_nobody_else(admin: Client) -> None:
    agent_id, headers = enrol_agent(admin)
    secret = {"username": "kim", "password": "s3cret", "headers": {"X-Api-Key": "k3y"}}
    asked = {"probe": "http", "target": "http://127.0.0.1/", "params": secret, "agent_ids": [agent_id]}
    created = add_test(admin, **asked).json()
    masked = {"username": "kim", "password": "********", "headers": {"X-Api-Key": "********"}}
    assert created["params"] == masked

    # What is read can be sent back: asterisks stand for what is stored.
    changed = admin.http.patch(f"/tests/{created['id']}", json={"params": {**masked, "wait": 3}})
    assert changed.json()["params"] == {**masked, "wait": 3}
    for path in (f"/tests/{created['id']}", "/tests", "/status", "/audit"):
        said = admin.http.get(path).text
        assert "s3cret" not in said
        assert "k3y" not in said

    (assignment,) = httpx.get(api(admin, "/agent/assignments"), headers=headers).json()["assignments"]
    assert assignment["params"] == {**secret, "wait": 3}


def test_facts_of_a_host_are_cut_to_what_a_person_reads(admin: Client) -> None:
    agent_id, headers = enrol_agent(admin)
    at = datetime.now(UTC).isoformat()
    host = {
        "hostname": "x" * 100_000,
        "cpus": 4,
        "vm": True,
        "rack": None,
        "deep": [[{"a": "x" * 100_000}]],
        "n" * 999: "y",
    }
    beat = {"version": "1", "started_at": at, "sent_at": at, "assignments_version": 1, "host": host}
    httpx.post(f"{admin.url}/api/v1/agent/heartbeat", json=beat, headers=headers).raise_for_status()
    shown = admin.http.get(f"/agents/{agent_id}").json()["host"]
    assert shown == {"hostname": "x" * 200, "cpus": 4, "vm": True, "rack": None, "n" * 40: "y"}
