"""A browser at the pages for people, tokens, the audit log and the configuration, with a control plane of its own."""

import re

import httpx
import pytest
from playwright.sync_api import Page, Route, expect

from tests.e2e.browser import CONSOLE, log_in

pytestmark = CONSOLE


@pytest.mark.usefixtures("logged_in")
def test_people_tokens_and_values_are_managed_and_found_in_the_audit_log(page: Page, url: str) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    page.click("nav summary")
    page.click("nav a[href='/users']")
    page.click("#add")
    page.fill("dialog [name=username]", "kim")
    page.fill("dialog [name=email]", "kim@example.org")
    page.select_option("dialog [name=role]", "operator")
    page.click("dialog button[type=submit]")
    expect(page.locator("dialog .secret")).to_have_text(page.locator("dialog .secret").inner_text())
    password = page.locator("dialog .secret").inner_text()
    assert len(password) > 20
    page.click("dialog button[value=done]")
    row = page.locator("tr[data-user=kim]")
    expect(row).to_contain_text("password to be changed")
    row.get_by_text("Deactivate").click()
    page.click("dialog button[value=yes]")
    expect(row).to_contain_text("deactivated")
    expect(page.locator("tr[data-user=admin]").get_by_text("Delete")).to_have_count(0)
    row.get_by_text("Delete").click()
    page.click("dialog button[value=no]")
    expect(row).to_have_count(1)
    page.click("#add")
    page.fill("dialog [name=username]", "KIM")
    page.click("dialog button[type=submit]")
    expect(page.locator("dialog .problem")).to_have_text("the user name 'KIM' is taken")
    page.locator("dialog").get_by_text("Cancel").click()

    page.click(".who a")
    page.click("#add-token")
    page.fill("dialog [name=token_name]", "backup")
    page.click("dialog button[type=submit]")
    token = page.locator("dialog .secret").inner_text()
    assert httpx.get(f"{url}/api/v1/users", headers={"Authorization": f"Bearer {token}"}).status_code == 403
    assert httpx.get(f"{url}/api/v1/tests", headers={"Authorization": f"Bearer {token}"}).status_code == 200
    page.click("dialog button[value=done]")
    page.locator("tr[data-token=backup]").get_by_text("Revoke").click()
    page.click("dialog button[value=yes]")
    expect(page.locator("#no-tokens")).to_be_visible()

    page.click("nav summary")
    page.click("nav a[href='/tokens']")
    page.click("#add-enrolment")
    page.fill("dialog [name=labels]", "role=edge, provider=acme")
    page.fill("dialog [name=uses]", "3")
    page.click("dialog button[type=submit]")
    expect(page.locator("dialog .secret")).to_contain_text("streamswarm agent enrol --url")
    page.click("dialog button[value=done]")
    expect(page.locator("#enrolment tr")).to_contain_text("3 of 3")
    expect(page.locator("#enrolment tr")).to_contain_text("role=edge")

    page.click("nav summary")
    page.click("nav a[href='/configuration']")
    late = page.locator("tr[data-key=late_seconds]")
    late.get_by_text("Change").click()
    page.fill("dialog [name=value]", "500")
    page.click("dialog button[type=submit]")
    expect(page.locator("dialog .problem")).to_contain_text("has to be less than offline_seconds")
    page.fill("dialog [name=value]", "45")
    page.click("dialog button[type=submit]")
    expect(late).to_contain_text("default 30")
    expect(page.locator("#history tr")).to_contain_text("default → 45")

    page.click("nav summary")
    page.click("nav a[href='/audit']")
    page.fill("[name=action]", "user.")
    page.click("#form button[type=submit]")
    expect(page.locator("#rows tr")).to_have_count(3)
    expect(page.locator("#rows tr").first).to_contain_text("active: true false")
    with page.expect_download() as download:
        page.click("#csv")
    lines = download.value.path().read_text().splitlines()
    assert len(lines) == 4
    assert "kim@example.org" in lines[2]
    assert errors == []


@pytest.mark.parametrize(
    "away",
    ["/%09/evil.test/", "//evil.test/", "/%5Cevil.test/", "https://evil.test/", "/.//evil.test/", "/%0A/evil.test/"],
)
def test_a_login_leads_to_no_other_site(page: Page, url: str, away: str) -> None:
    asked: list[str] = []

    def refuse(route: Route) -> None:
        asked.append(route.request.url)
        route.abort()

    page.route(re.compile(r"^https?://evil\.test"), refuse)
    log_in(page, f"{url}/login?next={away}")
    page.wait_for_url(re.compile(rf"^{url}/(?!login)"))
    assert asked == []


def test_a_login_leads_to_the_page_that_was_asked_for(page: Page, url: str) -> None:
    log_in(page, f"{url}/alerts?state=all")
    page.wait_for_url(f"{url}/alerts?state=all")
