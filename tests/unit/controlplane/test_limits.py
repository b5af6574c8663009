"""What an agent can't bear is refused before it is assigned."""

import pytest

from tests.unit.controlplane.conftest import Client
from tests.unit.controlplane.plans import PlayedAgent, add_test, try_test

KIND = "urn:streamswarm:problem:agent-overloaded"
HEAVY = {"params": {"count": 100, "spacing": 0.01}, "interval": 2}
"""Fifty packets a second."""


@pytest.fixture
def agent(admin: Client) -> PlayedAgent:
    agent = PlayedAgent(admin, "small")
    agent.beat(budget={"packets_per_second": 120, "bits_per_second": 10e6})
    return agent


def test_packets_beyond_the_budget_are_refused_with_agent_sum_and_limit(admin: Client, agent: PlayedAgent) -> None:
    for key in ("one", "two"):
        add_test(admin, agent, key=key, **HEAVY)
    refused = try_test(admin, agent, key="three", **HEAVY)
    assert refused.status_code == 409
    assert refused.json()["type"] == KIND
    for word in ("small", "150", "its budget is 120", "longer interval"):
        assert word in refused.json()["detail"]
    # Nothing of it stays.
    assert agent.tests() == ["one", "two"]
    assert "three" not in admin.http.get("/tests").text


def test_every_way_to_enable_too_much_is_refused(admin: Client, agent: PlayedAgent) -> None:
    one, two = (add_test(admin, agent, key=key, **HEAVY) for key in ("one", "two"))
    waiting = add_test(admin, agent, key="paused", paused=True, **HEAVY)
    loose = add_test(admin, key="loose", **HEAVY)
    path = f"/tests/{waiting['id']}"
    refusals = [
        admin.http.patch(path, json={"paused": False}),
        admin.http.post(f"{path}/resume"),
        admin.http.post(f"{path}/restart"),
        admin.http.post("/assignments", json={"test_id": loose["id"], "agent_id": agent.id}),
        admin.http.patch(f"/tests/{loose['id']}", json={"selector": "agent=small"}),
        admin.http.patch(f"/tests/{one['id']}", json={"interval": 1}),
    ]
    assert [(answer.status_code, answer.json()["type"]) for answer in refusals] == [(409, KIND)] * len(refusals)
    assert agent.tests() == ["one", "two"]
    assert admin.http.patch(f"/tests/{two['id']}", json={"paused": True}).status_code == 200
    assert admin.http.post(f"{path}/resume").status_code == 200


def test_what_asks_for_less_is_never_too_much(admin: Client, agent: PlayedAgent) -> None:
    made = [add_test(admin, agent, key=key, **HEAVY) for key in ("one", "two")]
    agent.beat(budget={"packets_per_second": 60, "bits_per_second": 10e6})
    path = f"/tests/{made[0]['id']}"
    assert admin.http.patch(path, json={"interval": 1.9}).status_code == 409
    assert admin.http.patch(path, json={"interval": 3, "name": "Slower"}).status_code == 200


def test_bits_beyond_the_budget_are_refused(admin: Client, agent: PlayedAgent) -> None:
    agent.beat(budget={"packets_per_second": 1e6, "bits_per_second": 10e6})
    refused = try_test(admin, agent, probe="bandwidth", target="192.0.2.1", interval=30)
    assert refused.status_code == 409
    assert "bit/s" in refused.json()["detail"]
    once_a_night = {"kind": "cron", "cron": "0 3 * * *"}
    assert try_test(admin, agent, probe="bandwidth", target="192.0.2.1", schedule=once_a_night).status_code == 201


def test_bandwidth_tests_that_would_overlap_are_refused(admin: Client, agent: PlayedAgent) -> None:
    long = {"probe": "bandwidth", "target": "192.0.2.1", "interval": 60, "params": {"seconds": 15, "budget": 100_000}}
    add_test(admin, agent, key="one", **long)
    refused = try_test(admin, agent, key="two", **long)
    assert refused.status_code == 409
    for word in ("58%", "117%", "overlap"):
        assert word in refused.json()["detail"]
    assert try_test(admin, agent, key="rare", **long | {"interval": 600}).status_code == 201


def test_an_agent_that_has_not_said_its_budget_has_the_default(admin: Client) -> None:
    agent = PlayedAgent(admin, "silent")
    for number in range(40):
        add_test(admin, agent, key=f"t{number}", **HEAVY)
    refused = try_test(admin, agent, key="one-too-many", **HEAVY)
    assert "its budget is 2,000" in refused.json()["detail"]
