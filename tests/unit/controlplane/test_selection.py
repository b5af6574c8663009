"""Selectors at work: new agents that match get a test by themselves, and lose it again."""

from pathlib import Path

import httpx

from tests.unit.controlplane.conftest import Client
from tests.unit.controlplane.plans import PlayedAgent, add_test, field, items, running, try_test


def label(admin: Client, agent: PlayedAgent, **labels: str) -> None:
    admin.http.patch(f"/agents/{agent.id}", json={"labels": labels}).raise_for_status()


def test_a_selector_gives_a_test_to_agents_there_are_and_to_those_that_come(admin: Client) -> None:
    first = PlayedAgent(admin, "first")
    add_test(admin, key="all", selector="site=berlin")
    add_test(admin, key="none", selector="site=paris")
    assert first.tests() == ["all"]
    before = first.poll().version
    second = PlayedAgent(admin, "second")
    assert second.tests() == ["all"]
    assert first.poll().version == before


def test_an_agent_whose_labels_match_no_more_loses_the_test(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    add_test(admin, key="edge", selector="role in (edge,core),!lab")
    assert agent.tests() == []
    label(admin, agent, role="edge")
    assert agent.tests() == ["edge"]
    before = agent.poll()
    label(admin, agent, role="edge", rack="7")
    assert agent.poll() == before
    label(admin, agent, role="edge", lab="yes")
    assert agent.tests() == []


def test_what_was_assigned_by_hand_stays_whatever_the_selector_says(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    label(admin, agent, role="edge")
    test = add_test(admin, agent, key="both", selector="role=edge")
    (assignment,) = agent.poll().assignments
    (row,) = items(admin, "/assignments")
    assert (row["explicit"], row["selected"]) == (True, True)
    admin.http.patch(f"/tests/{test['id']}", json={"selector": ""})
    (row,) = items(admin, "/assignments")
    assert (row["explicit"], row["selected"]) == (True, False)
    admin.http.patch(f"/tests/{test['id']}", json={"selector": "role=edge"})
    # Taken from it by hand it is still selected, and the same assignment, so that its run numbers go on.
    assert admin.http.delete(f"/assignments/{row['id']}").status_code == 204
    assert agent.poll().assignments == (assignment,)
    refused = admin.http.delete(f"/assignments/{row['id']}")
    assert refused.status_code == 409
    assert "the selector 'role=edge' matches it" in refused.json()["detail"]
    label(admin, agent)
    assert agent.tests() == []


def test_an_agent_that_is_shut_out_is_selected_no_more(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    add_test(admin, selector="agent")
    assert len(items(admin, "/assignments")) == 1
    admin.http.post(f"/agents/{agent.id}/revoke").raise_for_status()
    assert items(admin, "/assignments") == []


def test_who_would_match_can_be_asked_before(admin: Client) -> None:
    _, agent, _ = (PlayedAgent(admin, name) for name in ("a", "b", "c"))
    label(admin, agent, provider="Acme Ltd")
    found = admin.http.post("/selectors/preview", json={"selector": 'provider="Acme Ltd"'}).json()
    assert (found["count"], [one["name"] for one in found["agents"]]) == (1, ["b"])
    assert admin.http.post("/selectors/preview", json={"selector": "agent!=b"}).json()["count"] == 2
    refused = admin.http.post("/selectors/preview", json={"selector": "site="})
    assert field(refused) == "body.selector"
    assert "a value at the end" in refused.json()["detail"]
    assert field(try_test(admin, selector="a b")) == "body.selector"


def test_a_new_agent_that_can_not_bear_a_test_is_enrolled_without_it_and_the_log_says_why(
    admin: Client, tmp_path: Path
) -> None:
    assert tmp_path
    # Beyond any agent's budget, so nobody has it yet.
    add_test(admin, key="flood", selector="agent", interval=1, params={"count": 100, "spacing": 0.01})
    for number in range(25):
        add_test(admin, key=f"flood-{number}", selector="agent", interval=1, params={"count": 100, "spacing": 0.01})
    agent = PlayedAgent(admin, "late")
    assert len(agent.tests()) == 20
    log = [one for one in items(admin, "/audit", limit="200") if one["action"] == "assignment.refuse"]
    assert len(log) == 6
    assert "its budget is 2,000" in log[0]["after"]["reason"]


def test_a_viewer_may_ask_who_would_match_and_nobody_without_a_session(admin: Client, url: str) -> None:
    body = {"selector": "agent"}
    assert httpx.post(f"{url}/api/v1/selectors/preview", json=body).status_code == 401
    assert admin.http.post("/selectors/preview", json=body).status_code == 200


def test_an_agent_that_moves_or_is_deleted_takes_its_runs_with_it(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    add_test(admin, key="berlin", selector="site=berlin")
    (assignment,) = agent.poll().assignments
    agent.report(running("r1", assignment.id))
    admin.http.patch(f"/agents/{agent.id}", json={"site": "paris"}).raise_for_status()
    assert agent.tests() == []
    (run,) = items(admin, "/runs")
    assert (run["status"], run["error"]) == ("stopped", "the agent matches the test's selector no more")
    admin.http.patch(f"/agents/{agent.id}", json={"site": "berlin"}).raise_for_status()
    (assignment,) = agent.poll().assignments
    agent.report(running("r2", assignment.id))
    admin.http.delete(f"/agents/{agent.id}", params={"series": "keep"}).raise_for_status()
    (run, _) = items(admin, "/runs")
    assert (run["agent_id"], run["agent_name"], run["status"]) == (None, "a", "stopped")


def test_agents_by_hand_are_replaced_as_a_whole_and_those_of_the_selector_stay(admin: Client) -> None:
    one, two, three = (PlayedAgent(admin, name) for name in ("one", "two", "three"))
    test = add_test(admin, one, two, selector="agent in (two,three)")

    def having() -> dict[str, tuple[bool, bool]]:
        names = {agent.id: agent.name for agent in (one, two, three)}
        rows = items(admin, "/assignments", test_id=test["id"])
        return {names[row["agent_id"]]: (row["explicit"], row["selected"]) for row in rows}

    path = f"/tests/{test['id']}"
    admin.http.patch(path, json={"agent_ids": [three.id, three.id], "interval": 7}).raise_for_status()
    assert having() == {"two": (False, True), "three": (True, True)}
    assert one.tests() == []
    unknown = admin.http.patch(path, json={"agent_ids": [one.id, "nobody"], "interval": 9})
    assert (unknown.status_code, admin.http.get(path).json()["interval"]) == (404, 7)
    assert having() == {"two": (False, True), "three": (True, True)}
    admin.http.patch(path, json={"selector": "", "agent_ids": []}).raise_for_status()
    assert having() == {}
