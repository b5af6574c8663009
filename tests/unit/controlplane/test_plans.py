"""Tests: what they may be made of, and what becomes of a change."""

import pytest

from streamswarm_core.schedule import read_schedule
from tests.unit.controlplane.conftest import Client
from tests.unit.controlplane.plans import PlayedAgent, add_test, field, items, try_test

CRON = {"kind": "cron", "cron": "30 3 * * *", "zone": "Europe/Berlin", "duration": 600.0}


def test_a_schedule_reaches_the_agent_as_it_was_given(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    always = add_test(admin, agent, key="always")
    nightly = add_test(admin, agent, key="nightly", schedule=CRON)
    assert always["schedule"]["kind"] == "interval"
    assert nightly["schedule"]["zone"] == "Europe/Berlin"
    assignments = {one.test: one for one in agent.poll().assignments}
    assert assignments["always"].schedule is None
    assert read_schedule(assignments["nightly"].schedule) == read_schedule(CRON)


@pytest.mark.parametrize(
    ("schedule", "said"),
    [
        ({"kind": "cron", "cron": "61 * * * *"}, "Bad minute"),
        ({"kind": "cron", "cron": "0 3 * * *", "zone": "Europe/Atlantis"}, "no time zone 'Europe/Atlantis'"),
        ({"kind": "once", "at": "2030-01-01T00:00:00"}, "time zone"),
        ({"kind": "sometimes"}, "interval"),
    ],
)
def test_a_schedule_that_can_not_be_used_is_refused_with_the_reason(
    admin: Client, schedule: dict[str, str], said: str
) -> None:
    answer = try_test(admin, schedule=schedule)
    assert answer.status_code == 422
    assert said in answer.json()["detail"]


@pytest.mark.parametrize(
    ("probe", "target", "said"),
    [
        ("http", "https://kim:s3cret@example.org/x", "options username and password"),
        ("http", "https://kim@example.org/", "options username and password"),
        ("tcp", "kim:s3cret@example.org:80", "uses none"),
    ],
)
def test_credentials_in_a_target_are_refused_and_told_where_they_belong(
    admin: Client, probe: str, target: str, said: str
) -> None:
    answer = try_test(admin, probe=probe, target=target)
    assert field(answer) == "body.target"
    assert said in answer.json()["detail"]
    assert "s3cret" not in answer.text
    made = add_test(admin, probe=probe, target="https://example.org/a@b" if probe == "http" else "example.org:80")
    again = admin.http.patch(f"/tests/{made['id']}", json={"target": target})
    assert field(again) == "body.target"


def test_stored_secrets_do_not_follow_a_target_to_another_host(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    params = {"username": "kim", "password": "s3cret", "headers": {"Authorization": "k3y"}}
    made = add_test(admin, agent, probe="http", target="https://example.org/a", params=params)
    path = f"/tests/{made['id']}"
    for elsewhere in ("https://evil.example/a", "http://example.org/a", "https://example.org:8443/a"):
        assert field(admin.http.patch(path, json={"target": elsewhere})) == "body.params.headers.Authorization"
        masked = {"target": elsewhere, "params": {**made["params"], "password": "n3w"}}
        assert field(admin.http.patch(path, json=masked)) == "body.params.headers.Authorization"
        masked = {"target": elsewhere, "params": {**made["params"], "headers": {}}}
        assert field(admin.http.patch(path, json=masked)) == "body.params.password"
        copied = admin.http.post(f"{path}/clone", json={"target": elsewhere})
        assert field(copied) == "body.params.headers.Authorization"
    assert admin.http.patch(path, json={"target": "https://example.org/b"}).status_code == 200
    given = {"target": "https://evil.example/", "params": {"username": "kim", "password": "n3w"}}
    assert admin.http.patch(path, json=given).status_code == 200
    (assignment,) = agent.poll().assignments
    assert assignment.params == {"username": "kim", "password": "n3w"}


def test_a_copy_has_a_key_of_its_own_the_same_secrets_and_waits_to_be_resumed(admin: Client) -> None:
    agent = PlayedAgent(admin, "a")
    params = {"username": "kim", "password": "s3cret"}
    made = add_test(
        admin, agent, probe="http", target="https://example.org/", params=params, schedule=CRON, selector="site=x"
    )
    copy = admin.http.post(f"/tests/{made['id']}/clone", json={}).json()
    assert (copy["name"], copy["key"], copy["paused"]) == ("Head office (copy)", "head-office-copy", True)
    assert (copy["schedule"], copy["selector"]) == (made["schedule"], "site=x")
    assert agent.tests() == ["head-office"]
    admin.http.post(f"/tests/{copy['id']}/resume").raise_for_status()
    assert {one.test: one.params for one in agent.poll().assignments}["head-office-copy"] == params


def test_thresholds_are_held_against_the_catalogue_and_come_back(admin: Client) -> None:
    limits = [{"field": "rtt_mean", "warn": 0.05, "bad": 0.2, "window": 60}, {"field": "loss", "bad": 0.1}]
    made = add_test(admin, thresholds=limits, objective={"target": 0.999, "days": 30})
    assert [one["field"] for one in made["thresholds"]] == ["rtt_mean", "loss"]
    assert made["objective"] == {"target": 0.999, "days": 30}
    path = f"/tests/{made['id']}"
    refused = admin.http.patch(path, json={"thresholds": [limits[0], {"field": "loss", "bad": 5}]})
    assert field(refused) == "body.thresholds.1.bad"
    assert field(try_test(admin, thresholds=[{"field": "mos", "bad": 1}])) == "body.thresholds.0.field"
    changed = admin.http.patch(path, json={"objective": None, "thresholds": []}).json()
    assert (changed["objective"], changed["thresholds"]) == (None, [])


def test_probes_list_the_numbers_that_thresholds_can_be_set_on(admin: Client) -> None:
    icmp = next(one for one in items(admin, "/probes") if one["name"] == "icmp")
    fields = {one["field"]: one for one in icmp["fields"]}
    assert fields["rtt_mean"]["unit"] == "seconds"
    assert "error" not in fields


def test_a_change_of_a_test_that_goes_on_keeps_its_record_unless_its_schedule_says_otherwise(admin: Client) -> None:
    for recurrence, generation in (("continue", 1), ("new_run", 2)):
        made = add_test(admin, schedule={"kind": "interval", "recurrence": recurrence})
        path = f"/tests/{made['id']}"
        admin.http.patch(path, json={"name": "Other", "thresholds": []})
        assert admin.http.get(path).json()["generation"] == 1
        admin.http.patch(path, json={"interval": 7})
        assert admin.http.get(path).json()["generation"] == generation
        # Another kind of schedule has records of another kind.
        changed = admin.http.patch(path, json={"schedule": CRON}).json()
        assert changed["generation"] == generation + 1


def test_measuring_the_same_twice_is_allowed_and_said(admin: Client) -> None:
    one, other = PlayedAgent(admin, "one"), PlayedAgent(admin, "other")
    assert add_test(admin, one, key="first", params={"count": 5})["warnings"] == []
    # A default that is written out is the same as one that isn't.
    twin = add_test(admin, one, key="twin", params={"count": 5, "family": "any"})
    assert twin["warnings"] == ["the agent one measures the same already with the test first"]
    assert add_test(admin, other, key="elsewhere", params={"count": 5})["warnings"] == []
    body = {"test_id": twin["id"], "agent_id": other.id}
    made = admin.http.post("/assignments", json=body).json()
    assert "the agent other measures the same already with the test elsewhere" in made["warnings"]


def test_a_schedule_can_be_tried_before_it_is_used(admin: Client) -> None:
    starts = admin.http.post("/schedules/preview", json={"schedule": CRON}).json()["starts"]
    assert len(starts) == 5
    assert {moment[11:16] for moment in starts} <= {"01:30", "02:30"}
    gone = {"kind": "once", "at": "2020-01-01T00:00:00Z"}
    assert admin.http.post("/schedules/preview", json={"schedule": gone}).json() == {"starts": [], "over": True}
