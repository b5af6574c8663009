"""Two people who change the same thing: the console's forms overwrite nothing that their reader hasn't seen."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import CONSOLE
from tests.e2e.stack import PASSWORD

pytestmark = [*CONSOLE, pytest.mark.usefixtures("logged_in")]


@pytest.fixture
def other(url: str) -> Iterator[httpx.Client]:
    """Another admin, who uses the API."""
    with httpx.Client(base_url=f"{url}/api/v1") as client:
        me = client.post("/auth/login", json={"username": "admin", "password": PASSWORD}).json()
        client.headers["X-CSRF-Token"] = me["csrf_token"]
        yield client


def ask(client: httpx.Client, method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    answer = client.request(method, path, json=body)
    answer.raise_for_status()
    answered: dict[str, Any] = answer.json()
    return answered


def enrol(client: httpx.Client, name: str) -> str:
    token = ask(client, "POST", "/enrolment-tokens", {})["token"]
    agent_id: str = ask(client, "POST", "/agent/enrol", {"token": token, "name": name})["agent_id"]
    return agent_id


def test_a_test_that_somebody_else_has_changed_meanwhile_is_not_overwritten(
    page: Page, url: str, other: httpx.Client
) -> None:
    path = f"/tests/{ask(other, 'POST', '/tests', {'name': 'Office', 'probe': 'icmp', 'target': '127.0.0.1'})['id']}"
    page.goto(f"{url}/tests")
    edit = page.locator("tr[data-test=office]").get_by_role("button", name="Edit")
    edit.click()
    ask(other, "PATCH", path, {"interval": 7, "params": {"count": 9}})
    page.fill("#form [name=name]", "Head office")
    page.click("#submit")
    expect(page.locator("#problem")).to_contain_text("Somebody else has changed it")
    found = ask(other, "GET", path)
    assert (found["name"], found["interval"], found["params"]) == ("Office", 7, {"count": 9})

    page.click("#form button[type=reset]")
    edit.click()
    expect(page.locator("#form [name=interval]")).to_have_value("7")
    page.fill("#form [name=name]", "Head office")
    page.click("#submit")
    expect(page.locator("tr[data-test=office]")).to_contain_text("Head office")
    found = ask(other, "GET", path)
    assert (found["name"], found["interval"], found["params"]) == ("Head office", 7, {"count": 9})


def test_what_was_refused_of_the_agents_can_be_sent_again_from_the_same_form(
    page: Page, url: str, other: httpx.Client
) -> None:
    one, two = enrol(other, "berlin-1"), enrol(other, "paris-1")
    flood = {"probe": "icmp", "target": "127.0.0.1", "params": {"count": 100, "spacing": 0.01, "size": 20_000}}
    ask(other, "POST", "/tests", {**flood, "name": "Heavy", "interval": 1, "agent_ids": [two]})
    office = {**flood, "name": "Office", "interval": 1, "agent_ids": [one]}
    path = f"/tests/{ask(other, 'POST', '/tests', office)['id']}"
    page.goto(f"{url}/tests")
    page.locator("tr[data-test=office]").get_by_role("button", name="Edit").click()
    page.fill("#form [name=name]", "Head office")
    page.get_by_label("paris-1").check()
    page.click("#submit")
    expect(page.locator("#problem")).to_contain_text("budget")
    page.fill("#form [name=interval]", "3600")
    page.click("#submit")
    expect(page.locator("#form")).to_be_hidden()
    found = ask(other, "GET", path)
    assert (found["name"], found["interval"]) == ("Head office", 3600)


def test_windows_channels_rules_users_and_values_are_not_overwritten_either(
    page: Page, url: str, other: httpx.Client
) -> None:
    times = {"starts_at": "2031-01-01T00:00:00Z", "ends_at": "2031-01-02T00:00:00Z"}
    window = {"name": "Upgrade", "everything": True, **times}
    window_path = f"/maintenance/{ask(other, 'POST', '/maintenance', window)['id']}"
    settings = {"kind": "webhook", "url": "http://192.0.2.1/hook"}
    channel = ask(other, "POST", "/channels", {"name": "NOC", "settings": settings})["id"]
    rule_path = f"/rules/{ask(other, 'POST', '/rules', {'name': 'All', 'channel_ids': [channel]})['id']}"
    user_path = f"/users/{ask(other, 'POST', '/users', {'username': 'kim', 'role': 'viewer'})['id']}"

    def refused(place: str, row: str, button: str, change: tuple[str, str, dict[str, Any]], submit: str) -> None:
        page.goto(f"{url}/{place}")
        page.locator(row).get_by_role("button", name=button, exact=True).click()
        expect(page.locator(submit)).to_be_visible()
        ask(other, *change)
        page.click(submit)
        expect(page.get_by_role("alert").filter(has_text="Somebody else has changed it")).to_be_visible()

    note = {**window, "note": "ask Kim"}
    refused("maintenance", "tr[data-window=Upgrade]", "Edit", ("PUT", window_path, note), "#submit")
    moved = {"settings": {**settings, "url": "http://192.0.2.2/hook"}}
    submit = "#channel-form button[type=submit]"
    refused("notifications", "tr[data-channel=NOC]", "Edit", ("PATCH", f"/channels/{channel}", moved), submit)
    submit = "#rule-form button[type=submit]"
    refused("notifications", "tr[data-rule=All]", "Edit", ("PATCH", rule_path, {"sites": ["berlin"]}), submit)
    submit = "dialog button[type=submit]"
    refused("users", "tr[data-user=kim]", "Edit", ("PATCH", user_path, {"role": "admin"}), submit)
    key = "session_idle_minutes"
    refused("configuration", f"tr[data-key={key}]", "Change", ("PUT", f"/config/{key}", {"value": 77}), submit)

    assert ask(other, "GET", window_path)["note"] == "ask Kim"
    assert ask(other, "GET", f"/channels/{channel}")["settings"]["url"] == "http://192.0.2.2/hook"
    assert ask(other, "GET", rule_path)["sites"] == ["berlin"]
    assert ask(other, "GET", user_path)["role"] == "admin"
    assert ask(other, "GET", f"/config/{key}")["value"] == 77


def test_times_keep_their_seconds_in_a_form_that_changes_something_else(
    page: Page, url: str, other: httpx.Client
) -> None:
    schedule = {"kind": "interval", "start": "2031-03-01T08:00:17Z", "until": "2031-03-01T09:30:59.123456Z"}
    body = {"name": "Office", "probe": "icmp", "target": "127.0.0.1", "schedule": schedule}
    test_path = f"/tests/{ask(other, 'POST', '/tests', body)['id']}"
    window = {"name": "Upgrade", "everything": True, "starts_at": schedule["start"], "ends_at": schedule["until"]}
    window_path = f"/maintenance/{ask(other, 'POST', '/maintenance', window)['id']}"

    page.goto(f"{url}/tests")
    page.locator("tr[data-test=office]").get_by_role("button", name="Edit").click()
    page.fill("#form [name=name]", "Head office")
    page.fill("#form [name=schedule-start]", "2031-03-01T08:00:18")
    page.click("#submit")
    expect(page.locator("tr[data-test=office]")).to_contain_text("Head office")
    kept = ask(other, "GET", test_path)["schedule"]
    assert (kept["start"], kept["until"]) == ("2031-03-01T08:00:18Z", "2031-03-01T09:30:59.123456Z")

    page.goto(f"{url}/maintenance")
    page.locator("tr[data-window=Upgrade]").get_by_role("button", name="Edit").click()
    page.fill("#form [name=note]", "ask Kim")
    page.click("#submit")
    expect(page.locator("tr[data-window=Upgrade]")).to_contain_text("ask Kim")
    found = ask(other, "GET", window_path)
    assert (found["starts_at"], found["ends_at"]) == ("2031-03-01T08:00:17Z", "2031-03-01T09:30:59.123456Z")


def test_agents_are_found_and_ticked_by_the_dozen_and_one_that_came_meanwhile_stays(
    page: Page, url: str, other: httpx.Client
) -> None:
    ids = {name: enrol(other, name) for name in (f"{site}-{n}" for site in ("berlin", "paris") for n in range(6))}
    body = {"name": "Office", "probe": "icmp", "target": "127.0.0.1", "agent_ids": [ids["paris-0"]]}
    test_id = ask(other, "POST", "/tests", body)["id"]
    page.goto(f"{url}/tests")
    page.locator("tr[data-test=office]").get_by_role("button", name="Edit").click()
    expect(page.locator("#agent-count")).to_have_text("1 of 12 chosen")
    ask(other, "POST", "/assignments", {"test_id": test_id, "agent_id": ids["paris-5"]})
    page.fill("#agent-search", "berlin")
    page.press("#agent-search", "Enter")
    expect(page.locator("#form")).to_be_visible()
    page.click("#agents-all")
    page.uncheck("#agents label:has-text('berlin-3') input")
    expect(page.locator("#agent-count")).to_have_text("6 of 12 chosen")
    page.click("#submit")
    expect(page.locator("#form")).to_be_hidden()
    rows = ask(other, "GET", f"/assignments?test_id={test_id}")["items"]
    names = {agent_id: name for name, agent_id in ids.items()}
    expected = {"berlin-0", "berlin-1", "berlin-2", "berlin-4", "berlin-5", "paris-0", "paris-5"}
    assert {names[row["agent_id"]] for row in rows} == expected


def test_the_agents_in_a_state_are_one_click_away(page: Page, url: str, other: httpx.Client) -> None:
    ids = [enrol(other, f"berlin-{number}") for number in range(3)]
    other.post(f"/agents/{ids[1]}/revoke").raise_for_status()
    page.goto(f"{url}/agents")
    expect(page.locator("#states button")).to_have_text(["all 3", "✕ revoked 1", "… never seen 2"])
    page.click("#states [data-state=revoked]")
    expect(page.locator("#rows tr")).to_have_count(1)
    expect(page.locator("#rows tr")).to_contain_text("berlin-1")
    page.click("#states [data-state='']")
    expect(page.locator("#rows tr")).to_have_count(3)
