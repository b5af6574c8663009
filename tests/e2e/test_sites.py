"""Where a site is: from the console or the API over the agent into the store, and onto the dashboard's map."""

import time
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from streamswarm_grafana.ask_store import Store
from streamswarm_grafana.expand import View
from tests.e2e.browser import log_in
from tests.e2e.stack import Administrator, Stack
from tests.integration.dashboard_files import load, panels, sites_of
from tests.support import eventually
from tests.unit.controlplane.conftest import Client, enrol_agent

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.mark.xdist_group("stack")
def test_a_site_that_is_given_a_place_is_on_the_map_with_its_agent_and_its_tests(
    stack: Stack, administrator: Administrator
) -> None:
    agent = administrator.agent()
    place = {"latitude": -33.92, "longitude": 18.42}
    administrator.call("POST", "/sites", json={"name": "cape town", **place})
    administrator.call("PATCH", f"/agents/{agent['id']}", json={"site": "cape town"})
    panel = next(one for one in panels(load("embedded", "overview")) if one["title"] == "Sites")
    token = (stack.folder / "data" / "secrets" / "ml.token").read_text().strip()
    store = Store(stack.collector, "influxdb", "streamswarm")

    def on_the_map() -> dict[str, Any]:
        now_ms = int(time.time() * 1000)
        view = View(now_ms - 3_600_000, now_ms)
        answers = {one["refId"]: store.run(client, one, view, panel["interval"]) for one in panel["targets"]}
        return sites_of(panel, answers).get("cape town", {})

    with httpx.Client(headers={"Authorization": f"Bearer {token}"}, timeout=30) as client:
        known = {**place, "agents": 1, "agents offline": 0, "worst loss": 0}
        eventually(on_the_map, lambda site: known.items() <= site.items() and "tests failing (share)" in site, 90)


@pytest.fixture
def page(page: Page, admin: Client) -> Page:
    """The sites page of an admin."""
    log_in(page, f"{admin.url}/sites")
    page.wait_for_url("**/sites")
    return page


@pytest.mark.needs("chromium", "chromium")
@pytest.mark.xdist_group("console")
def test_sites_are_added_edited_and_deleted_on_their_page(admin: Client, page: Page) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    expect(page.locator("#empty")).to_contain_text("No site yet")

    enrol_agent(admin, "berlin-1")
    page.reload()
    row = page.locator("tr[data-site=berlin]")
    expect(row).to_contain_text("no coordinates")
    row.get_by_role("button", name="Add coordinates").click()
    dialog = page.locator("dialog")
    expect(dialog.locator("[name=name]")).to_have_value("berlin")
    dialog.locator("[name=coordinates]").fill("52° 31' N")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.locator(".problem")).to_contain_text("are no coordinates")
    dialog.locator("[name=coordinates]").fill("152.52, 13.405")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.locator(".problem")).to_contain_text("latitude: Input should be less than or equal to 90")
    dialog.locator("[name=coordinates]").fill("52.52, 13.405")
    dialog.locator("[name=time_zone]").fill("Berlin")
    dialog.get_by_role("button", name="Add").click()
    expect(dialog.locator(".problem")).to_contain_text("did you mean Europe/Berlin?")
    offered = page.locator("#zones option").evaluate_all("options => options.map((option) => option.value)")
    assert {"UTC", "Europe/Berlin"} <= set(offered)
    dialog.locator("[name=time_zone]").fill("Europe/Berlin")
    dialog.get_by_role("button", name="Add").click()
    expect(row).to_contain_text("52.52° N, 13.405° E")
    expect(row).to_contain_text("Europe/Berlin")

    (site,) = admin.http.get("/sites").json()["items"]
    row.get_by_role("button", name="Edit").click()
    admin.http.patch(f"/sites/{site['id']}", json={"address": "Mitte"}).raise_for_status()
    dialog.locator("[name=coordinates]").fill("-52.52 -13.4")
    dialog.get_by_role("button", name="Save").click()
    expect(dialog.locator(".problem")).to_contain_text("Somebody else has changed it")
    dialog.get_by_role("button", name="Cancel").click()
    row.get_by_role("button", name="Edit").click()
    expect(dialog.locator("[name=address]")).to_have_value("Mitte")
    dialog.locator("[name=coordinates]").fill("-52.52 -13.4")
    dialog.get_by_role("button", name="Save").click()
    expect(row).to_contain_text("52.52° S, 13.4° W")
    row.get_by_role("button", name="Edit").click()
    expect(dialog.locator("[name=time_zone]")).to_have_value("Europe/Berlin")
    dialog.locator("[name=time_zone]").fill("")
    dialog.get_by_role("button", name="Save").click()
    expect(row).not_to_contain_text("Europe/Berlin")

    row.get_by_role("button", name="Delete").click()
    expect(dialog).to_contain_text("Its agents keep the name")
    dialog.get_by_role("button", name="Delete").click()
    expect(row).to_contain_text("no coordinates")
    row.get_by_role("link", name="1").click()
    page.wait_for_url("**/agents?q=berlin")
    expect(page.locator("tr[data-agent=berlin-1]")).to_be_visible()
    expect(page.locator("#search")).to_have_value("berlin")
    assert errors == []
