"""What the console owes whoever uses it besides a page's purpose: a keyboard, a copy, and word of trouble."""

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from streamswarm_core.catalogue import CATALOGUE
from tests.e2e.browser import CONSOLE
from tests.e2e.stack import PASSWORD

pytestmark = [*CONSOLE, pytest.mark.usefixtures("logged_in")]


def call(url: str, path: str, body: dict[str, object]) -> dict[str, str]:
    with httpx.Client(base_url=f"{url}/api/v1") as client:
        me = client.post("/auth/login", json={"username": "admin", "password": PASSWORD}).json()
        answer = client.post(path, json=body, headers={"X-CSRF-Token": me["csrf_token"]})
        answer.raise_for_status()
        made: dict[str, str] = answer.json()
        return made


def test_the_keyboard_stays_where_it_is_when_a_page_draws_itself_anew(page: Page, url: str) -> None:
    token = call(url, "/enrolment-tokens", {})["token"]
    httpx.post(f"{url}/api/v1/agent/enrol", json={"token": token, "name": "berlin-1"}).raise_for_status()
    page.goto(f"{url}/agents")
    button = page.locator("tr[data-agent=berlin-1]").get_by_role("button", name="Delete")
    button.focus()
    drawn = page.locator("tr[data-agent=berlin-1]").element_handle()
    assert drawn
    page.wait_for_function("row => !row.isConnected", arg=drawn)
    expect(button).to_be_focused()


def test_a_token_can_be_copied_where_the_browser_has_no_clipboard_to_offer(page: Page, url: str) -> None:
    # As on http://192.0.2.1:8800, where most consoles are.
    page.add_init_script("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.goto(f"{url}/profile")
    page.click("#add-token")
    page.fill("dialog [name=token_name]", "backup")
    page.click("dialog button[type=submit]")
    token = page.locator("dialog .secret").inner_text()
    page.get_by_role("button", name="Copy").click()
    expect(page.get_by_role("button", name="Copied")).to_be_focused()
    page.click("dialog button[value=done]")
    page.focus("[name=display_name]")
    page.keyboard.press("Control+V")
    expect(page.locator("[name=display_name]")).to_have_value(token)


def test_a_page_says_that_it_is_cut_off_and_stops_when_it_is_back(page: Page, url: str) -> None:
    for path in ("agents", "notifications", "alerts"):
        page.goto(f"{url}/{path}")
        expect(page.locator("h1").first).to_be_visible()
        page.context.set_offline(True)
        expect(page.locator("#banner")).to_contain_text("doesn't answer since", timeout=20_000)
        page.context.set_offline(False)
        expect(page.locator("#banner")).to_be_hidden(timeout=20_000)
        expect(page.locator("#problem")).to_be_hidden()


def test_an_answer_that_a_later_question_has_overtaken_is_not_shown(page: Page, url: str) -> None:
    held: list[Route] = []
    page.route("**/api/v1/audit?limit=100", lambda route: held.append(route))  # noqa: PLW0108 - it is marked
    page.goto(f"{url}/audit")
    page.fill("[name=action]", "nothing.like.this")
    page.click("#form button[type=submit]")
    expect(page.locator("#empty")).to_be_visible()
    with page.expect_response("**/api/v1/audit?limit=100"):
        held[0].continue_()
    page.wait_for_load_state("networkidle")
    expect(page.locator("#rows tr")).to_have_count(0)


def test_what_cannot_be_undone_is_asked_first(page: Page, url: str) -> None:
    call(url, "/enrolment-tokens", {"site": "berlin"})
    page.goto(f"{url}/tokens")
    row = page.locator("#enrolment tr")
    row.get_by_role("button", name="Revoke").click()
    page.click("dialog button[value=no]")
    expect(row).to_contain_text("good")
    row.get_by_role("button", name="Revoke").click()
    page.click("dialog button[value=yes]")
    expect(row).to_contain_text("revoked")


def test_labels_that_are_none_are_refused_and_the_others_are_kept_whole(page: Page, url: str) -> None:
    page.goto(f"{url}/tokens")
    page.click("#add-enrolment")
    page.fill("dialog [name=labels]", "edge")
    page.click("dialog button[type=submit]")
    expect(page.locator("dialog .problem")).to_contain_text("write name=value")
    page.fill("dialog [name=labels]", "filter=a=b, role=edge")
    page.click("dialog button[type=submit]")
    page.click("dialog button[value=done]")
    expect(page.locator("#enrolment tr")).to_contain_text("filter=a=b")


def test_on_a_phone_every_list_is_read_without_scrolling_sideways(page: Page, url: str) -> None:
    token = call(url, "/enrolment-tokens", {"site": "berlin", "labels": {"provider": "Acme Networks", "rack": "a-12"}})
    enrol = {"token": token["token"], "name": "berlin-branch-office-with-a-long-name-1"}
    agent = httpx.post(f"{url}/api/v1/agent/enrol", json=enrol).raise_for_status().json()["agent_id"]
    target = "https://shop.example.net/a/rather/long/path"
    body: dict[str, object] = {"name": "Shop", "probe": "http", "target": target, "agent_ids": [agent]}
    test = call(url, "/tests", body)
    call(url, f"/tests/{test['id']}/run", {})
    settings = {"kind": "webhook", "url": "http://127.0.0.1:9/hooks/a-long-path/of-the-operations-centre"}
    channel = call(url, "/channels", {"name": "NOC", "settings": settings})
    call(url, "/rules", {"name": "All", "channel_ids": [channel["id"]]})
    ends = {"ends_at": "2031-01-06T02:00:00Z"}
    call(url, "/maintenance", {"name": "Upgrade", "starts_at": "2030-01-05T22:00:00Z", "agent_ids": [agent], **ends})
    matcher = {"label": "agent", "operator": "=", "value": enrol["name"]}
    call(url, "/silences", {"matchers": [matcher], "comment": "new line card", **ends})
    call(url, "/users", {"username": "kim", "role": "operator", "email": "kim.someone@branch.example.org"})
    call(url, "/tokens", {"name": "grafana", "scopes": ["read"]})
    page.set_viewport_size({"width": 390, "height": 844})
    wide = """() => [document.documentElement, ...document.querySelectorAll(".scroll")]
        .filter((one) => one.scrollWidth > one.clientWidth + 1).map((one) => one.innerText)"""
    for path in (
        "agents",
        "sites",
        "tests",
        "maintenance",
        "alerts",
        "notifications",
        "profile",
        "tokens",
        "users",
        "audit",
    ):
        page.goto(f"{url}/{path}")
        if path == "tests":
            page.locator("tr[data-test=shop]").get_by_role("button", name="Shop", exact=True).click()
            expect(page.locator("#run-rows tr")).to_have_count(1)
        expect(page.locator("tbody tr").first).to_be_visible()
        assert page.evaluate(wide) == [], path
    named = page.locator("#rows tr").first.locator("td").first
    assert named.evaluate("cell => getComputedStyle(cell, '::before').content") == '"Time"'
    page.set_viewport_size({"width": 1280, "height": 900})
    assert named.evaluate("cell => getComputedStyle(cell, '::before').content") == "none"


def test_results_of_no_test_lead_to_the_overview(page: Page, url: str) -> None:
    page.goto(f"{url}/results")
    page.wait_for_url(f"{url}/")


def test_a_little_loss_is_not_shown_as_none(page: Page) -> None:
    script = """async (values) => {
        const { formatValue } = await import('/static/format.js');
        return values.map((value) => formatValue(value, 'ratio 0..1'));
    }"""
    shown = page.evaluate(script, [0, 0.0004, 0.25, 0.9996, 0.9999999, 1])
    assert shown == ["0.0 %", "0.04 %", "25.0 %", "99.96 %", "99.999 %", "100.0 %"]


def test_every_unit_of_the_catalogue_is_shown_with_a_value(page: Page) -> None:
    bare = {"count", "number", "0 or 1", "score 0..1", "text"}
    fields = [field for one in CATALOGUE.values() for field in one.fields]
    units = sorted({field.unit.name for field in fields} - bare)
    script = """async (units) => {
        const { formatValue } = await import('/static/format.js');
        return units.map((unit) => formatValue(45.5, unit));
    }"""
    shown = dict(zip(units, page.evaluate(script, units), strict=True))
    assert [unit for unit, text in shown.items() if text == "45.5"] == []
    assert (shown["degrees Celsius"], shown["hertz"]) == ("45.5 °C", "45.5 Hz")
    assert (shown["bytes per second"], shown["bytes per second of a link"]) == ("45.5 B/s", "364 bit/s")
