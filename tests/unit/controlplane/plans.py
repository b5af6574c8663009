"""What the tests of plans have in common: agents that play their part, and tests for them."""

from datetime import UTC, datetime
from typing import Any

import httpx

from streamswarm_core.assignment import AssignmentSet
from tests.unit.controlplane.conftest import Client, enrol_agent

FIRST_START = "2026-01-31T11:00:00Z"


class PlayedAgent:
    """An agent, played by the test: it polls, beats and reports as the real one does."""

    def __init__(self, admin: Client, name: str) -> None:
        self.name = name
        self.id, self._headers = enrol_agent(admin, name)
        self._api = f"{admin.url}/api/v1/agent"

    def poll(self) -> AssignmentSet:
        answer = httpx.get(f"{self._api}/assignments", headers=self._headers)
        return AssignmentSet.model_validate(answer.raise_for_status().json())

    def tests(self) -> list[str]:
        return sorted(one.test for one in self.poll().assignments)

    def beat(self, **more: object) -> None:
        at = datetime.now(UTC).isoformat()
        version = self.poll().version
        body = {"version": "1", "started_at": at, "sent_at": at, "assignments_version": version} | more
        httpx.post(f"{self._api}/heartbeat", json=body, headers=self._headers).raise_for_status()

    def report(self, *runs: dict[str, object]) -> dict[str, Any]:
        answer = httpx.post(f"{self._api}/runs", json={"runs": list(runs)}, headers=self._headers)
        taken: dict[str, Any] = answer.raise_for_status().json()
        return taken


def beat(admin: Client, headers: dict[str, str], **changes: Any) -> dict[str, Any]:
    """A heartbeat of an agent that started at FIRST_START, and what it is answered."""
    body = {"version": "1", "started_at": FIRST_START, "sent_at": "2026-01-31T12:00:00Z", "assignments_version": 1}
    answer = httpx.post(f"{admin.url}/api/v1/agent/heartbeat", json=body | changes, headers=headers)
    assert answer.status_code == 200, answer.text
    reply: dict[str, Any] = answer.json()
    return reply


def add_test(admin: Client, *agents: PlayedAgent, **changes: object) -> dict[str, Any]:
    """A test that has been made, as it was answered."""
    answer = try_test(admin, *agents, **changes)
    assert answer.status_code == 201, answer.text
    made: dict[str, Any] = answer.json()
    return made


def try_test(admin: Client, *agents: PlayedAgent, **changes: object) -> httpx.Response:
    name = changes.get("key", "Head office")
    body: dict[str, object] = {"name": name, "probe": "icmp", "target": "127.0.0.1"}
    if agents:
        body["agent_ids"] = [agent.id for agent in agents]
    return admin.http.post("/tests", json=body | changes)


def items(admin: Client, path: str, **params: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = admin.http.get(path, params=params).raise_for_status().json()["items"]
    return found


def field(answer: httpx.Response) -> str:
    """The value that a refusal names."""
    assert answer.status_code == 422, answer.text
    named: str = answer.json()["errors"][0]["field"]
    return named


def running(run_id: str, assignment_id: str, **more: object) -> dict[str, object]:
    """An agent's report of a run record."""
    at = datetime.now(UTC).isoformat()
    return {
        "id": run_id,
        "assignment_id": assignment_id,
        "kind": "scheduled",
        "status": "running",
        "started_at": at,
    } | more
