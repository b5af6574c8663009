"""How agents come in, and how their secrets change without a gap: the agent's own code at a real control plane."""

import threading
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydantic import SecretStr

from streamswarm_agent.controlplane import ControlPlane
from streamswarm_agent.enrol import Credential, credential_path, enrol, keep, load_credential
from streamswarm_agent.settings import AgentSettings
from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.enrolment.models import AgentSecret
from streamswarm_core.clock import now
from streamswarm_core.errors import Refused
from tests.unit.controlplane.conftest import Client, database_of


def make(admin: Client, **body: Any) -> dict[str, Any]:
    made: dict[str, Any] = admin.http.post("/enrolment-tokens", json=body).raise_for_status().json()
    return made


def use(admin: Client, token: str, name: str) -> httpx.Response:
    return httpx.post(f"{admin.url}/api/v1/agent/enrol", json={"token": token, "name": name}, timeout=30)


def test_a_counted_token_is_for_so_many_agents_and_gives_them_site_and_labels(admin: Client) -> None:
    made = make(admin, uses=2, site="berlin", labels={"role": "edge"})
    statuses = [use(admin, made["token"], name).status_code for name in ("a", "b", "c")]
    assert statuses == [201, 201, 401]
    agents = admin.http.get("/agents").json()["items"]
    assert [(one["name"], one["site"], one["labels"]) for one in agents] == [
        ("a", "berlin", {"role": "edge"}),
        ("b", "berlin", {"role": "edge"}),
    ]
    (listed,) = admin.http.get("/enrolment-tokens").json()["items"]
    assert (listed["uses"], listed["uses_left"], listed["used_by"]) == (2, 0, "b")


def test_many_agents_at_the_same_time_use_a_token_no_more_often_than_it_may_be(admin: Client) -> None:
    made = make(admin, uses=3)
    barrier = threading.Barrier(8)
    statuses: list[int] = []

    def come(number: int) -> None:
        barrier.wait(20)
        statuses.append(use(admin, made["token"], f"agent-{number}").status_code)

    threads = [threading.Thread(target=come, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(statuses) == [201] * 3 + [401] * 5
    assert len(admin.http.get("/agents").json()["items"]) == 3


def test_two_agents_of_one_name_at_the_same_time_are_one_and_a_refusal(admin: Client) -> None:
    made = make(admin, uses=10)
    barrier = threading.Barrier(4)
    statuses: list[int] = []

    def come() -> None:
        barrier.wait(20)
        statuses.append(use(admin, made["token"], "same").status_code)

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(statuses) == [201, 409, 409, 409]
    (listed,) = admin.http.get("/enrolment-tokens").json()["items"]
    assert listed["uses_left"] == 9, "a refused enrolment uses nothing up"


def test_a_revoked_token_lets_nobody_in_and_stays_in_the_list(admin: Client) -> None:
    made = make(admin, uses=5)
    assert use(admin, made["token"], "a").status_code == 201
    assert admin.http.delete(f"/enrolment-tokens/{made['id']}").status_code == 204
    refused = use(admin, made["token"], "b")
    assert (refused.status_code, "was revoked" in refused.json()["detail"]) == (401, True)
    (listed,) = admin.http.get("/enrolment-tokens").json()["items"]
    assert (listed["revoked_at"] is not None, listed["uses_left"]) == (True, 4)
    assert len(admin.http.get("/agents").json()["items"]) == 1


def test_a_token_for_one_name_can_not_be_for_several_agents(admin: Client) -> None:
    answer = admin.http.post("/enrolment-tokens", json={"agent_name": "a", "uses": 2})
    assert answer.status_code == 422
    assert "can be used once" in answer.json()["detail"]


class Enrolled:
    """An agent's credential in its folder, and what it does with it."""

    def __init__(self, admin: Client, folder: Path, client: httpx.AsyncClient) -> None:
        self.settings = AgentSettings(data=folder / "agent-data", controlplane_url=admin.url, name="one")
        self.first = enrol(self.settings, token=make(admin)["token"])
        self._client = client

    def stored(self) -> Credential:
        credential = load_credential(self.settings)
        assert credential
        return credential

    def start(self, *, crash: int | None = None) -> ControlPlane:
        """As the agent starts: with what is on the disk. `crash`: the write of this number never happens."""
        writes = iter(range(100))

        def write(credential: Credential) -> None:
            if next(writes) == crash:
                raise KeyboardInterrupt
            keep(credential_path(self.settings), credential)

        return ControlPlane(self.stored(), self.settings.controlplane_url, self._client, write)


@pytest.fixture
async def agent(admin: Client, tmp_path: Path) -> AsyncIterator[Enrolled]:
    async with httpx.AsyncClient(timeout=20) as client:
        yield Enrolled(admin, tmp_path, client)


def demand(admin: Client, agent: Enrolled) -> None:
    admin.http.post(f"/agents/{agent.first.agent_id}/rotate-secret").raise_for_status()


def ask(admin: Client, credential: Credential, path: str) -> httpx.Response:
    body = {"agent_id": credential.agent_id, "secret": credential.secret.get_secret_value()}
    return httpx.post(f"{admin.url}/api/v1{path}", json=body)


def exchange(admin: Client, credential: Credential) -> int:
    return ask(admin, credential, "/agent/token").status_code


async def test_an_agent_that_is_told_to_changes_its_secret_and_the_old_one_is_dead(
    admin: Client, agent: Enrolled
) -> None:
    demand(admin, agent)
    assert await agent.start().access_token()
    changed = agent.stored()
    assert changed.secret != agent.first.secret
    assert changed.next_secret is None
    assert (exchange(admin, changed), exchange(admin, agent.first)) == (200, 401)
    actions = [entry["action"] for entry in admin.http.get("/audit", params={"actor": "agent:one"}).json()["items"]]
    assert actions == ["agent.secret_changed", "agent.secret_issued", "agent.enrol"]


async def test_a_secret_changes_by_itself_at_its_age_and_only_then(admin: Client, agent: Enrolled) -> None:
    await agent.start().access_token()
    assert agent.stored().secret == agent.first.secret
    with database_of(admin).session() as db:
        db.get_one(AgentSecret, agent.first.agent_id).issued_at = now() - timedelta(days=91)
    await agent.start().access_token()
    second = agent.stored()
    assert second.secret != agent.first.secret
    await agent.start().access_token()
    assert agent.stored().secret == second.secret


@pytest.mark.parametrize("crash", [0, 1], ids=["before the new one is kept", "after it was used"])
async def test_a_crash_at_any_moment_leaves_an_agent_that_gets_in(admin: Client, agent: Enrolled, crash: int) -> None:
    demand(admin, agent)
    with pytest.raises(KeyboardInterrupt):
        await agent.start(crash=crash).access_token()
    assert await agent.start().access_token()
    changed = agent.stored()
    assert changed.secret != agent.first.secret
    assert changed.next_secret is None
    assert (exchange(admin, changed), exchange(admin, agent.first)) == (200, 401)


async def test_a_crash_between_keeping_and_using_leaves_both_secrets_and_either_is_taken(
    admin: Client, agent: Enrolled
) -> None:
    credential = agent.first
    issued = ask(admin, credential, "/agent/secret").json()["secret"]
    keep(credential_path(agent.settings), credential.model_copy(update={"next_secret": SecretStr(issued)}))
    assert exchange(admin, credential) == 200, "until the new one is used"
    await agent.start().access_token()
    assert agent.stored().secret.get_secret_value() == issued
    assert exchange(admin, credential) == 401


async def test_a_new_secret_that_came_too_late_is_dropped_and_the_old_one_goes_on(agent: Enrolled) -> None:
    late = agent.first.model_copy(update={"next_secret": SecretStr("ssa_never_issued")})
    keep(credential_path(agent.settings), late)
    assert await agent.start().access_token()
    assert agent.stored() == agent.first


async def test_after_the_grace_time_of_a_demand_the_old_secret_is_refused(admin: Client, agent: Enrolled) -> None:
    demand(admin, agent)
    with database_of(admin).session() as db:
        db.get_one(AgentSecret, agent.first.agent_id).rotate_by = now() - timedelta(seconds=1)
    with pytest.raises(Refused):
        await agent.start().access_token()
    own = make(admin, agent_name="one")["token"]
    enrol(agent.settings, token=own)
    assert await agent.start().access_token()


async def test_a_revoked_agent_gets_no_other_secret(admin: Client, agent: Enrolled) -> None:
    admin.http.post(f"/agents/{agent.first.agent_id}/revoke").raise_for_status()
    assert ask(admin, agent.first, "/agent/secret").status_code == 401


async def test_secrets_of_agents_are_nowhere_in_the_database(admin: Client, agent: Enrolled) -> None:
    demand(admin, agent)
    await agent.start().access_token()
    with database_of(admin).session() as db:
        rows = [repr(vars(row)) for model in (Agent, AgentSecret) for row in db.query(model)]
    secrets = [one.secret.get_secret_value() for one in (agent.first, agent.stored())]
    assert rows
    assert not any(secret in row for secret in secrets for row in rows)
