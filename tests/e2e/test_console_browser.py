"""A browser logs in with the printed password, is made to change it, and sees a live value change.

The collector keeps nothing itself: everybody else knows only its address, whatever stands behind it.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.browser import log_in
from tests.e2e.stack import PASSWORD, Stack, running_stack
from tests.support import RunningInfluxDB, eventually, run_influxdb

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.needs("chromium", "chromium"),
    pytest.mark.needs("influxd", "influxdb"),
    pytest.mark.timeout(300),
    pytest.mark.xdist_group("stack"),
]


DATABASE = "streamswarm"


@pytest.fixture
def remote(tmp_path: Path) -> Iterator[RunningInfluxDB]:
    """The store."""
    with run_influxdb(tmp_path / "influx") as influxdb:
        influxdb.create_database(DATABASE)
        yield influxdb


@pytest.fixture
def stack(remote: RunningInfluxDB, tmp_path: Path) -> Iterator[Stack]:
    """A system that nobody has logged in to."""
    sinks = [{"name": "influx", "url": remote.url, "api": "v1"}]
    more = {"STREAMSWARM_COLLECTOR_EMBEDDED": "false", "STREAMSWARM_COLLECTOR_SINKS": json.dumps(sinks)}
    with running_stack(tmp_path, **more) as stack:
        yield stack


def test_from_the_first_login_to_a_live_value(stack: Stack, remote: RunningInfluxDB, page: Page) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))

    log_in(page, f"{stack.console}/agents", "a wrong password")
    expect(page.locator("#problem")).to_have_text("wrong user name or password")
    page.fill("[name=password]", stack.first_password())
    page.click("button[type=submit]")

    page.wait_for_url("**/password")
    for field, text in {"old": stack.first_password(), "new": PASSWORD, "again": PASSWORD + "!"}.items():
        page.fill(f"[name={field}]", text)
    page.click("button[type=submit]")
    expect(page.locator("#problem")).to_have_text("The two new passwords differ.")
    page.fill("[name=again]", PASSWORD)
    page.click("button[type=submit]")
    page.wait_for_url(f"{stack.console}/")

    row = page.locator("tr[data-test=loopback-ping]")
    expect(row).to_have_attribute("data-state", "up", timeout=40_000)
    value = row.locator("td.value")
    before = value.get_attribute("data-raw")
    expect(value).not_to_have_attribute("data-raw", before or "", timeout=20_000)

    page.fill("#search", "no such thing")
    expect(page.locator("#empty")).to_have_text("Nothing matches the filter.")
    page.goto(f"{stack.console}/agents")
    expect(page.locator("tr[data-agent=local] .state")).to_contain_text("online")

    page.goto(f"{stack.console}/tests")
    page.click("#add")
    page.select_option("[name=probe]", "tcp")
    page.fill("[name=name]", "Closed port")
    page.fill("[name=target]", "127.0.0.1:9")
    page.fill("[name=interval]", "1")
    page.click("#form button[type=submit]")
    # Whoever leaves the page before the answer is there breaks the request off.
    expect(page.locator("tbody tr", has_text="Closed port")).to_be_visible(timeout=20_000)
    page.goto(stack.console)
    expect(page.locator("tr[data-test=closed-port]")).to_have_attribute("data-state", "down", timeout=40_000)
    expect(page.locator("tr[data-test=closed-port]")).to_contain_text("refused: Connection refused")

    page.click("#logout")
    page.wait_for_url("**/login")
    page.goto(stack.console)
    page.wait_for_url("**/login?next=/")
    assert errors == []

    scores = "SELECT score FROM anomaly WHERE \"measurement\" = 'icmp' LIMIT 1"
    eventually(lambda: remote.query(DATABASE, scores), lambda answer: "series" in str(answer), 60)
    assert not (stack.folder / "data" / "collector" / "store.duckdb").exists()
