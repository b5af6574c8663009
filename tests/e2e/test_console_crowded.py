"""The console with much in it, and with what people do in a hurry."""

import httpx
import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import CONSOLE, log_in
from tests.e2e.stack import PASSWORD
from tests.unit.controlplane.conftest import Client

pytestmark = [*CONSOLE, pytest.mark.usefixtures("logged_in")]
LONG = "w" * 60
"""Names without a place to break at, as long as may be."""
WIDER = "document.documentElement.scrollWidth > document.documentElement.clientWidth"
CUT = "[...document.querySelectorAll('.scroll')].some((one) => one.scrollWidth > one.clientWidth + 1)"


def enrol(admin: Client, name: str) -> str:
    token = admin.http.post("/enrolment-tokens", json={"site": LONG}).json()["token"]
    answer = httpx.post(f"{admin.url}/api/v1/agent/enrol", json={"token": token, "name": name})
    agent: str = answer.raise_for_status().json()["agent_id"]
    return agent


def add_test(admin: Client, agent: str, name: str) -> None:
    body = {"name": name, "probe": "icmp", "target": "127.0.0.1", "interval": 3600, "agent_ids": [agent]}
    admin.http.post("/tests", json=body).raise_for_status()


def test_long_names_cut_nothing_off(page: Page, url: str, admin: Client) -> None:
    add_test(admin, enrol(admin, LONG), LONG)
    user = {"username": LONG, "display_name": LONG, "email": f"{LONG}@noc.example", "role": "viewer"}
    admin.http.post("/users", json=user).raise_for_status()
    for width in (1280, 390):
        page.set_viewport_size({"width": width, "height": 900})
        for path in ("", "agents", "users", "tests", "sites", "tokens"):
            page.goto(f"{url}/{path}")
            expect(page.locator("tbody").first).to_contain_text("w" if path == "tokens" else LONG)
            assert not page.evaluate(WIDER), (path, width)
            assert not page.evaluate(CUT), (path, width)
    page.goto(f"{url}/tests")
    page.click("#add")
    expect(page.locator("#agents")).to_contain_text(LONG)
    assert not page.evaluate(WIDER)


def test_the_overview_draws_the_worst_two_hundred_until_all_are_wanted(page: Page, admin: Client) -> None:
    agent = enrol(admin, "berlin-1")
    for number in range(203):
        add_test(admin, agent, f"Test {number}")
    page.reload()
    rows = page.locator("#rows tr")
    expect(rows).to_have_count(200)
    expect(page.locator("#count-pending")).to_have_text("203")
    page.get_by_role("button", name="Show all 203").click()
    expect(rows).to_have_count(203)
    page.fill("#search", "Test 20")
    expect(rows).to_have_count(5)


def test_enrolment_tokens_are_found_by_state_site_and_label(page: Page, url: str, admin: Client) -> None:
    for site in ("berlin", "paris"):
        body = {"site": site, "labels": {"role": "edge"}}
        made = admin.http.post("/enrolment-tokens", json=body).raise_for_status().json()
    admin.http.delete(f"/enrolment-tokens/{made['id']}").raise_for_status()
    page.goto(f"{url}/tokens")
    rows = page.locator("#enrolment tr")
    expect(rows).to_have_count(2)
    page.fill("#search", "revoked role=edge")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("paris")
    page.fill("#search", "nowhere")
    expect(page.locator("#no-enrolment")).to_have_text("Nothing matches the filter.")


def test_a_second_click_sends_nothing_twice(page: Page, url: str, admin: Client) -> None:
    page.goto(f"{url}/tokens")
    page.click("#add-enrolment")
    page.locator("dialog button[type=submit]").dblclick()
    expect(page.locator("dialog .secret")).to_have_count(1)
    page.goto(f"{url}/agents")
    page.click("#add")
    page.locator("#form button[type=submit]").dblclick()
    expect(page.locator("#copy")).to_be_focused()
    assert len(admin.http.get("/enrolment-tokens").json()["items"]) == 2


def test_copied_is_said_of_the_token_that_was(page: Page, url: str) -> None:
    page.goto(f"{url}/agents")
    copy = page.locator("#copy")
    for _ in range(2):
        page.click("#add")
        page.click("#form button[type=submit]")
        expect(copy).to_have_text("Copy")
        copy.click()
        expect(copy).not_to_have_text("Copy")


def test_what_is_entered_outlives_the_session(page: Page, url: str, admin: Client) -> None:
    page.goto(f"{url}/maintenance")
    page.click("#add")
    page.fill("#form [name=name]", "Router upgrade")
    page.check("[name=everything]")
    for session in admin.http.get("/auth/sessions").json()["items"]:
        if not session["current"]:
            admin.http.delete(f"/auth/sessions/{session['id']}").raise_for_status()
    page.click("#submit")
    expect(page.locator("#problem")).to_contain_text("Your session has ended. What you have entered is still here")
    other = page.context.new_page()
    log_in(other, url, PASSWORD)
    other.wait_for_url(f"{url}/")
    other.close()
    page.click("#submit")
    expect(page.locator("#rows")).to_contain_text("Router upgrade")
    expect(page.locator("#banner")).to_be_hidden()


def test_another_login_in_the_same_browser_changes_nothing_for_the_first_page(page: Page, url: str) -> None:
    page.goto(f"{url}/profile")
    page.fill("[name=display_name]", "Kim")
    page.click("#form button[type=submit]")
    expect(page.locator("#saved")).to_be_visible()
    page.context.clear_cookies()
    other = page.context.new_page()
    log_in(other, url, PASSWORD)
    other.wait_for_url(f"{url}/")
    other.close()
    page.fill("[name=display_name]", "Kim Lee")
    page.click("#form button[type=submit]")
    expect(page.locator("#saved")).to_be_visible()


def test_a_page_says_which_clock_it_tells_times_by(page: Page) -> None:
    expect(page.locator("footer")).to_contain_text("Times are those of UTC")
