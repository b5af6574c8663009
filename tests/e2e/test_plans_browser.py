"""Tests by calendar and on request, limits, run records and silences, as somebody plans them in a browser."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import log_in, new_page
from tests.e2e.stack import Administrator, Stack
from tests.support import eventually

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs("chromium", "chromium"),
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("stack"),
]


@pytest.fixture
def page(stack: Stack, administrator: Administrator, browser: Browser) -> Iterator[Page]:
    administrator.agent()  # has enrolled
    errors: list[str] = []
    with new_page(browser, "Europe/Berlin") as page:
        page.on("pageerror", lambda error: errors.append(str(error)))
        log_in(page, stack.console)
        page.wait_for_url(f"{stack.console}/")
        yield page
    assert errors == []


def test_a_test_is_planned_run_on_request_changed_copied_and_deleted(
    stack: Stack, administrator: Administrator, page: Page
) -> None:
    page.goto(f"{stack.console}/tests")
    page.click("#add")
    page.select_option("[name=probe]", "icmp")
    page.fill("[name=name]", "By night")
    page.fill("[name=target]", "127.0.0.1")
    page.select_option("[name=schedule-kind]", "cron")
    page.fill("[name=schedule-cron]", "61 3 * * *")
    expect(page.locator("#schedule-preview")).to_contain_text("Bad minute")
    page.fill("[name=schedule-cron]", "30 3 * * *")
    expect(page.locator("#schedule-preview")).to_contain_text("3:30")
    page.uncheck("[name=agent]")
    page.fill("[name=selector]", "agent in (local")
    expect(page.locator("#selector-preview")).to_contain_text("a comma or a closing bracket")
    page.fill("[name=selector]", "agent in (local)")
    expect(page.locator("#selector-preview")).to_have_text("Matches 1 of 1 agents: local")
    page.click("text=Limits and objective")
    page.click("#add-threshold")
    page.select_option(".threshold [data-part=field]", "icmp.loss")
    page.fill(".threshold [data-part=bad]", "5")
    page.click("#submit")
    expect(page.locator("#problem")).to_contain_text("5 % is 0.05")
    page.fill(".threshold [data-part=bad]", "0.05")
    page.click("#submit")
    row = page.locator("tr[data-test=by-night]")
    expect(row).to_contain_text("Europe/Berlin, one run")

    row.get_by_role("button", name="Run now").click()
    expect(page.locator("#notice")).to_have_text("By night asked to run.")
    row.get_by_role("button", name="By night").click()
    record = page.locator("#run-rows tr").first
    expect(record).to_have_attribute("data-status", "done", timeout=20_000)
    expect(record).to_contain_text("by admin")
    expect(page.locator("#progress-rows tr[data-agent=local]")).to_contain_text("newest", timeout=20_000)
    expect(page.locator("#progress-rows tr[data-agent=local]")).to_contain_text("up", timeout=20_000)
    page.click("#detail-close")

    row.get_by_role("button", name="Edit").click()
    expect(page.locator("[name=schedule-cron]")).to_have_value("30 3 * * *")
    page.fill("[name=name]", "By day")
    page.fill("[name=schedule-cron]", "30 15 * * *")
    page.click("#submit")
    expect(row).to_contain_text("By day")
    stored = next(one for one in administrator.call("GET", "/tests")["items"] if one["key"] == "by-night")
    assert stored["schedule"]["cron"] == "30 15 * * *"
    assert [(one["field"], one["bad"]) for one in stored["thresholds"]] == [("loss", 0.05)]

    row.locator("summary").click()
    row.get_by_role("button", name="Copy").click()
    copy = page.locator("tr[data-test=by-day-copy]")
    expect(copy).to_contain_text("paused")
    page.click("#form button[type=reset]")
    for line in (row, copy):
        line.locator("[type=checkbox]").check()
    expect(page.locator("#bulk-count")).to_have_text("2 chosen")
    page.click("[data-bulk=run]")
    expect(page.locator("#notice")).to_contain_text("1 of 2 tests asked to run. By day (copy): by-day-copy is paused")
    page.click("[data-bulk=delete]")
    page.click("dialog .danger")
    expect(page.locator("#notice")).to_have_text("2 of 2 tests deleted.")
    expect(row).to_have_count(0)


def test_a_test_that_is_stopped_measures_no_more_and_begins_anew_when_restarted(
    stack: Stack, administrator: Administrator, page: Page
) -> None:
    once = {"name": "Halted", "probe": "icmp", "target": "127.0.0.1", "interval": 1}
    test = administrator.call("POST", "/tests", json={**once, "agent_ids": [administrator.agent()["id"]]})

    def records() -> list[tuple[str, int]]:
        runs = administrator.call("GET", "/runs", params={"test_id": test["id"]})["items"]
        return [(run["status"], run["executions"]) for run in runs]

    eventually(records, lambda found: len(found) == 1 and found[0][1] >= 2, 40)
    page.goto(f"{stack.console}/tests")
    row = page.locator("tr[data-test=halted]")
    row.locator("summary").click()
    row.get_by_role("button", name="Stop").click()
    expect(row).to_contain_text("paused")
    assert [status for status, _ in records()] == ["stopped"]
    row.locator("summary").click()
    row.get_by_role("button", name="Restart").click()
    expect(row).to_contain_text("active")
    eventually(records, lambda found: [status for status, _ in found] == ["running", "stopped"], 40)


def test_alerts_are_silenced_for_a_while(stack: Stack, administrator: Administrator, page: Page) -> None:
    page.goto(f"{stack.console}/maintenance")
    expect(page.locator("#empty")).to_be_visible()
    page.click("#add")
    page.fill("[name=name]", "Router upgrade")
    page.click("#submit")
    expect(page.locator("#problem")).to_contain_text("everything=true for all alerts")
    page.select_option("[name=agent_ids]", label="local")
    page.click("#submit")
    row = page.locator("tr[data-window='Router upgrade']")
    expect(row).to_contain_text("silences now")
    expect(row).to_contain_text("on local")
    assert len(administrator.call("GET", "/maintenance/active")["items"]) == 1
    row.get_by_role("button", name="End").click()
    page.click("dialog[open] button[value=yes]")
    expect(row).to_contain_text("over")
    assert administrator.call("GET", "/maintenance/active")["items"] == []
