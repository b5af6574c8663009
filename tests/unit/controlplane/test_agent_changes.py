"""What users do to agents, and what agents hear of it."""

import socket
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import update

from streamswarm_collector.app import create_app as create_collector
from streamswarm_collector.settings import CollectorSettings
from streamswarm_controlplane.agents.models import Agent, RemovedAgent
from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from streamswarm_core.tokens import TokenVerifier
from tests.support import find_free_port, serve_app
from tests.unit.controlplane.conftest import PASSWORD, Client, add_user, enrol_agent
from tests.unit.controlplane.plans import FIRST_START, beat
from tests.unit.controlplane.refusals import is_problem


def assignments(admin: Client, headers: dict[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{admin.url}/api/v1/agent/assignments", headers=headers).json()
    return found


def test_labels_are_replaced_as_a_whole_and_found_by_filters(admin: Client) -> None:
    one, _ = enrol_agent(admin, "berlin-1")
    two, _ = enrol_agent(admin, "berlin-2")
    admin.http.patch(f"/agents/{one}", json={"labels": {"role": "edge", "provider": "acme"}}).raise_for_status()
    admin.http.patch(f"/agents/{two}", json={"labels": {"role": "core", "odd": "a\"b=c'%"}}).raise_for_status()

    def found(*labels: str) -> list[str]:
        answer = admin.http.get("/agents", params=[("label", label) for label in labels])
        return [agent["name"] for agent in answer.raise_for_status().json()["items"]]

    assert found("role") == ["berlin-1", "berlin-2"]
    assert found("role=edge") == ["berlin-1"]
    assert found("role=edge", "provider=acme") == ["berlin-1"]
    assert found("role=core", "provider=acme") == []
    assert found("odd=a\"b=c'%") == ["berlin-2"]
    assert found("provider=") == []
    changed = admin.http.patch(f"/agents/{one}", json={"labels": {"role": "core"}}).json()
    assert changed["labels"] == {"role": "core"}
    assert found("provider") == []
    (entry, *_) = admin.http.get("/audit", params={"action": "agent.update", "q": "berlin-1"}).json()["items"]
    assert (entry["before"]["labels"]["role"], entry["after"]["labels"]["role"]) == ("edge", "core")


@pytest.mark.parametrize(
    "labels",
    [
        {"9th": "x"},
        {"a-b": "x"},
        {"": "x"},
        {"__meta": "x"},
        {"agent": "x"},
        {"site": "x"},
        {"x" * 64: "x"},
        {"x": "y" * 201},
        {"x": "line\nbreak"},
        {"x": 1},
        {f"l{number}": "x" for number in range(33)},
    ],
)
def test_labels_are_what_prometheus_takes(admin: Client, labels: dict[str, Any]) -> None:
    agent, _ = enrol_agent(admin)
    answer = admin.http.patch(f"/agents/{agent}", json={"labels": labels})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"].startswith("body.labels")


def test_a_renamed_agent_gets_tokens_with_its_new_name_and_hears_of_it(admin: Client) -> None:
    agent, headers = enrol_agent(admin, "berlin-1")
    enrol_agent(admin, "berlin-2")
    taken = admin.http.patch(f"/agents/{agent}", json={"name": "berlin-2"})
    assert (taken.status_code, taken.json()["errors"][0]["field"]) == (409, "body.name")
    assert admin.http.patch(f"/agents/{agent}", json={"name": "two words"}).status_code == 422
    renamed = admin.http.patch(f"/agents/{agent}", json={"name": "munich-1", "site": "munich"})
    assert (renamed.json()["name"], renamed.json()["site"]) == ("munich-1", "munich")
    reply = beat(admin, headers)
    assert (reply["name"], reply["site"]) == ("munich-1", "munich")


def test_a_viewer_changes_nothing_and_an_operator_deletes_nothing(admin: Client) -> None:
    agent, _ = enrol_agent(admin)
    viewer, operator = add_user(admin, "vera", "viewer"), add_user(admin, "olga", "operator")
    assert viewer.http.patch(f"/agents/{agent}", json={"site": "x"}).status_code == 403
    assert operator.http.patch(f"/agents/{agent}", json={"site": "x"}).status_code == 200
    assert operator.http.delete(f"/agents/{agent}", params={"series": "keep"}).status_code == 403


def test_a_drained_agent_gets_nothing_to_run_and_keeps_its_assignments(admin: Client) -> None:
    agent, headers = enrol_agent(admin)
    test = {"name": "Host", "probe": "system", "agent_ids": [agent]}
    admin.http.post("/tests", json=test).raise_for_status()
    before = assignments(admin, headers)
    beat(admin, headers)
    drained = admin.http.post(f"/agents/{agent}/drain").json()
    assert (drained["state"], drained["draining"]) == ("draining", True)
    meanwhile = assignments(admin, headers)
    assert (meanwhile["draining"], meanwhile["assignments"]) == (True, [])
    assert meanwhile["version"] > before["version"]
    assert len(admin.http.get("/assignments", params={"agent_id": agent}).json()["items"]) == 1
    assert [one["name"] for one in admin.http.get("/agents?state=draining").json()["items"]] == ["berlin-1"]
    again = admin.http.post(f"/agents/{agent}/drain").json()
    assert assignments(admin, headers)["version"] == meanwhile["version"], "nothing has changed"
    assert again["draining"]
    assert admin.http.post(f"/agents/{agent}/undrain").json()["state"] == "online"
    after = assignments(admin, headers)
    assert after["assignments"] == before["assignments"]
    assert after["version"] > meanwhile["version"]


def test_a_restart_is_said_until_another_process_reports_and_then_never_again(admin: Client) -> None:
    agent, headers = enrol_agent(admin)
    never_seen = admin.http.post(f"/agents/{agent}/restart")
    assert (never_seen.status_code, "never been seen" in never_seen.text) == (409, True)
    assert not beat(admin, headers)["restart"]
    wanted = admin.http.post(f"/agents/{agent}/restart").json()
    assert wanted["restart_requested_at"]
    assert [beat(admin, headers)["restart"] for _ in range(2)] == [True, True], "an answer may get lost"
    second_start = "2026-01-31T12:30:00Z"
    assert [beat(admin, headers, started_at=second_start)["restart"] for _ in range(2)] == [False, False]
    assert admin.http.get(f"/agents/{agent}").json()["restart_requested_at"] is None
    admin.http.post(f"/agents/{agent}/revoke")
    assert admin.http.post(f"/agents/{agent}/restart").status_code == 409


def test_a_heartbeat_brings_addresses_facts_uptime_and_the_clock(admin: Client) -> None:
    agent, headers = enrol_agent(admin)
    beat(
        admin,
        headers,
        addresses=["192.0.2.7", "2001:db8::7"],
        host={"hostname": "probe-7"},
        clock={"offset": -1.5, "error": 0.002},
        something_newer={"x": 1},
    )
    shown = admin.http.get(f"/agents/{agent}").json()
    assert shown["addresses"] == ["192.0.2.7", "2001:db8::7"]
    assert shown["host"] == {"hostname": "probe-7"}
    assert (shown["clock_offset"], shown["clock_error"]) == (-1.5, 0.002)
    assert shown["uptime"] > 0
    beat(admin, headers)
    older = admin.http.get(f"/agents/{agent}").json()
    assert older["addresses"] == ["192.0.2.7", "2001:db8::7"], "what isn't sent stays"
    assert older["clock_error"] is None, "an older agent's offset has no bound"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"addresses": ["nowhere"]}, "body.addresses.0"),
        ({"addresses": ["192.0.2.1"] * 65}, "body.addresses"),
        ({"clock": {"offset": 1, "error": -1}}, "body.clock.error"),
        ({"queued_points": -1}, "body.queued_points"),
        ({"queued_points": 10**30}, "body.queued_points"),
        ({"started_at": "2026-01-31T11:00:00"}, "body.started_at"),
    ],
)
def test_a_heartbeat_that_makes_no_sense_is_refused_by_field(admin: Client, change: dict[str, Any], field: str) -> None:
    _, headers = enrol_agent(admin)
    body = {"version": "1", "started_at": FIRST_START, "sent_at": FIRST_START, "assignments_version": 1}
    answer = httpx.post(f"{admin.url}/api/v1/agent/heartbeat", json=body | change, headers=headers)
    assert (answer.status_code, answer.json()["errors"][0]["field"].startswith(field)) == (422, True), answer.text


def test_a_deleted_agents_tokens_are_worth_nothing_at_once(admin: Client, settings: ControlPlaneSettings) -> None:
    agent, headers = enrol_agent(admin)
    test = {"name": "Host", "probe": "system", "agent_ids": [agent]}
    admin.http.post("/tests", json=test).raise_for_status()
    undecided = is_problem(admin.http.delete(f"/agents/{agent}"), 422, "query.series")
    assert undecided["detail"] == "query.series: is missing; one of 'keep', 'delete'"
    removed = admin.http.delete(f"/agents/{agent}", params={"series": "keep"})
    assert (removed.status_code, removed.json()["series"]) == (200, "keep")
    assert admin.http.get(f"/agents/{agent}").status_code == 404
    assert admin.http.get("/assignments").json()["items"] == []
    assert httpx.get(f"{admin.url}/api/v1/agent/assignments", headers=headers).status_code == 401
    assert httpx.get(f"{admin.url}/api/v1/revocations").json()["revoked"] == [agent]
    jwks = httpx.get(f"{admin.url}/api/v1/keys").json()
    assert TokenVerifier(jwks).verify(headers["Authorization"].removeprefix("Bearer ")).sub == agent
    database = Database(settings.database)
    with database.session() as db:
        db.execute(update(RemovedAgent).values(removed_at=now().replace(year=2020)))
    other, _ = enrol_agent(admin, "berlin-1")
    admin.http.delete(f"/agents/{other}", params={"series": "keep"}).raise_for_status()
    assert httpx.get(f"{admin.url}/api/v1/revocations").json()["revoked"] == [other], "old ones are forgotten"
    database.close()


def test_where_the_store_is_read_as_promql_series_can_not_be_deleted(tmp_path: Path) -> None:
    settings = ControlPlaneSettings(data=tmp_path, store_kind="promql", store_url="http://127.0.0.1:9")
    password = bootstrap(settings).admin_password
    assert password
    with serve_app(create_app(settings)) as url:
        admin = Client(url)
        admin.log_in("admin", password)
        admin.change_password(password, PASSWORD)
        agent, _ = enrol_agent(admin)
        answer = admin.http.delete(f"/agents/{agent}", params={"series": "delete"})
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (409, "query.series")
        assert "series=keep" in answer.json()["detail"]
        assert admin.http.get(f"/agents/{agent}").status_code == 200


class Installation:
    """A control plane and a collector that checks its tokens."""

    def __init__(self, admin: Client, collector: str, read_token: str) -> None:
        self.admin = admin
        self.collector = collector
        self._read_token = read_token

    def write(self, headers: dict[str, str], lines: str) -> None:
        answer = httpx.post(
            f"{self.collector}/api/v2/write", params={"bucket": "streamswarm"}, content=lines, headers=headers
        )
        answer.raise_for_status()

    def ask(self, statement: str) -> Any:
        headers = {"Authorization": f"Token {self._read_token}"}
        answer = httpx.get(f"{self.collector}/query", params={"db": "streamswarm", "q": statement}, headers=headers)
        return answer.raise_for_status().json()["results"][0].get("series", [])


@pytest.fixture
def installation(tmp_path: Path) -> Iterator[Installation]:
    ports = find_free_port(), find_free_port()
    settings = ControlPlaneSettings(data=tmp_path, port=ports[0], store_url=f"http://127.0.0.1:{ports[1]}")
    password = bootstrap(settings).admin_password
    assert password
    with serve_app(create_app(settings)) as url:
        admin = Client(url)
        admin.log_in("admin", password)
        admin.change_password(password, PASSWORD)
        read_token = admin.http.post("/tokens", json={"name": "reader", "scopes": ["read"]}).json()["token"]
        collector = CollectorSettings(data=tmp_path, controlplane_url=url, reflector=False)
        with serve_app(create_collector(collector), port=ports[1]) as collector_url:
            yield Installation(admin, collector_url, read_token)


def test_an_agents_series_are_deleted_with_it_and_nobody_elses(installation: Installation, tmp_path: Path) -> None:
    admin = installation.admin
    agents = {name: enrol_agent(admin, name) for name in ("berlin-1", "berlin-2")}
    for agent, headers in agents.values():
        beat(admin, headers)
        installation.write(headers, "icmp,test=t,target=x rtt_mean=0.1,up=1i\nhost,h=a v=1")
        assert agent
    agent, _ = agents["berlin-1"]
    busy = admin.http.delete(f"/agents/{agent}", params={"series": "delete"})
    assert (busy.status_code, "shut it out first" in busy.json()["detail"]) == (409, True)
    admin.http.post(f"/agents/{agent}/revoke").raise_for_status()
    assert admin.http.delete(f"/agents/{agent}", params={"series": "delete"}).status_code == 409, "not all know it yet"
    database = Database(f"sqlite:///{tmp_path / 'controlplane' / 'controlplane.db'}")
    with database.session() as db:
        db.execute(update(Agent).where(Agent.id == agent).values(revoked_at=now().replace(year=2020)))
    database.close()
    removed = admin.http.delete(f"/agents/{agent}", params={"series": "delete"})
    assert removed.status_code == 200, removed.text
    assert "agent=berlin-1" in removed.json()["detail"]
    left = [(one["name"], one["tags"]["agent"]) for one in installation.ask("SELECT * FROM /.*/ GROUP BY agent")]
    assert sorted(left) == [("host", "berlin-2"), ("icmp", "berlin-2")]


def test_when_the_store_is_away_neither_series_nor_agent_are_deleted(admin: Client) -> None:
    agent, _ = enrol_agent(admin)
    answer = admin.http.delete(f"/agents/{agent}", params={"series": "delete"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert admin.http.get(f"/agents/{agent}").status_code == 200


def test_nobody_waits_while_the_store_deletes_an_agents_series(admin: Client, settings: ControlPlaneSettings) -> None:
    agent, _ = enrol_agent(admin)
    place = urlsplit(settings.store_url)
    with socket.create_server((place.hostname or "", place.port or 0)) as store, ThreadPoolExecutor(1) as pool:
        asked = pool.submit(admin.http.delete, f"/agents/{agent}", params={"series": "delete"})
        connection, _ = store.accept()
        with connection:
            connection.recv(65_536)
            other, headers = enrol_agent(admin, "berlin-2")
            beat(admin, headers)
            body = b'{"results":[{"statement_id":0}]}'
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))
        assert asked.result().status_code == 200, asked.result().text
    assert [one["id"] for one in admin.http.get("/agents").json()["items"]] == [other]
