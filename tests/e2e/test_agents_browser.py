"""The agents page in a browser, at a control plane whose agents the test plays."""

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import CONSOLE, log_in
from tests.unit.controlplane.conftest import Client, enrol_agent
from tests.unit.controlplane.plans import beat

pytestmark = CONSOLE


@pytest.fixture
def page(page: Page, admin: Client) -> Page:
    """The agents page of an admin."""
    log_in(page, f"{admin.url}/agents")
    page.wait_for_url("**/agents")
    return page


def test_agents_are_edited_drained_restarted_and_deleted(admin: Client, page: Page) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    expect(page.locator("#empty")).to_contain_text("No agent is enrolled yet")

    agent, headers = enrol_agent(admin, "berlin-1")
    enrol_agent(admin, "paris-1")
    beat(admin, headers, addresses=["192.0.2.7", "2001:db8::7"], clock={"offset": -0.0021, "error": 0.0004})
    page.reload()
    row = page.locator("tr[data-agent=berlin-1]")
    expect(row).to_contain_text("online")
    expect(row).to_contain_text("-2.10 ms")
    expect(row).to_contain_text("± 400 µs")
    expect(row).to_contain_text("192.0.2.7 and 1 more")

    row.get_by_role("button", name="Edit").click()
    page.fill("[name=labels]", "role=edge\nno label")
    page.click("#edit button[type=submit]")
    expect(page.locator("#edit-problem")).to_contain_text("“no label” is no label")
    page.fill("[name=labels]", "role=edge\n9=x")
    page.click("#edit button[type=submit]")
    expect(page.locator("#edit-problem")).to_contain_text("labels")
    page.fill("[name=labels]", "role=edge\nprovider = acme")
    admin.http.patch(f"/agents/{agent}", json={"site": "munich"}).raise_for_status()
    page.click("#edit button[type=submit]")
    expect(page.locator("#edit-problem")).to_contain_text("Somebody else has changed it")
    page.click("#cancel-edit")
    row.get_by_role("button", name="Edit").click()
    page.fill("[name=new_name]", "munich-1")
    page.fill("[name=labels]", "role=edge\nprovider = acme")
    page.click("#edit button[type=submit]")
    row = page.locator("tr[data-agent=munich-1]")
    expect(row.locator(".label")).to_have_text(["provider=acme", "role=edge"])

    page.fill("#search", "role=edge")
    expect(page.locator("tr[data-agent=paris-1]")).to_have_count(0)
    page.fill("#search", "nowhere")
    expect(page.locator("#empty")).to_have_text("Nothing matches the filter.")
    page.fill("#search", "")

    row.get_by_role("button", name="Drain").click()
    expect(page.locator("#question")).to_contain_text("Its assignments stay")
    page.locator("#confirm").get_by_role("button", name="Cancel").click()
    expect(row).to_contain_text("online")
    row.get_by_role("button", name="Drain").click()
    page.click("#yes")
    expect(row.locator(".state")).to_contain_text("draining")
    row.get_by_role("button", name="Undrain").click()
    expect(row.locator(".state")).to_contain_text("online")

    row.get_by_role("button", name="Restart").click()
    page.click("#yes")
    expect(row).to_contain_text("restart is wanted")
    assert beat(admin, headers)["restart"]

    row.get_by_role("button", name="Delete").click()
    page.check("[name=series][value=delete]")
    page.click("#yes")
    expect(page.locator("#said")).to_contain_text("shut it out first")
    row.get_by_role("button", name="Shut out").click()
    page.click("#yes")
    expect(row.locator(".state")).to_contain_text("revoked")
    expect(row.get_by_role("button", name="Drain")).to_have_count(0)
    row.get_by_role("button", name="Delete").click()
    expect(page.locator("[name=series][value=keep]")).to_be_checked()
    page.click("#yes")
    expect(page.locator("#said")).to_contain_text("munich-1 is deleted; its series stay in the store.")
    expect(row).to_have_count(0)
    assert errors == []
