"""A browser looks at results, takes care of an alert, and sets up who is told; every server behind it is real."""

import csv
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from streamswarm_collector.app import create_app as create_collector
from streamswarm_collector.settings import CollectorSettings
from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.clock import NANOSECONDS, now, now_ns
from streamswarm_core.lineprotocol import encode_lines
from tests.e2e.browser import CONSOLE
from tests.support import eventually, find_free_port, serve_app
from tests.unit.controlplane.conftest import PASSWORD, Client, enrol_agent

pytestmark = CONSOLE


@dataclass
class Console:
    """A control plane with two agents that ping, one of which has lost its target."""

    url: str
    test_id: str
    hooks: str
    received: list[dict[str, Any]]


@pytest.fixture
def console(tmp_path: Path) -> Iterator[Console]:
    received: list[dict[str, Any]] = []

    async def take(request: Request) -> PlainTextResponse:
        received.append(json.loads(await request.body()))
        return PlainTextResponse("ok")

    store = CollectorSettings(
        data=tmp_path / "store",
        auth=False,
        flush_seconds=0.01,
        reflector_host="127.0.0.1",
        reflector_port=find_free_port(),
    )
    with (
        serve_app(create_collector(store)) as collector,
        serve_app(Starlette(routes=[Route("/hook", take, methods=["POST"])])) as hooks,
    ):
        settings = ControlPlaneSettings(
            data=tmp_path, store_url=collector, webhook_allow="127.0.0.0/8", alert_seconds=0.5, late_seconds=300
        )
        password = bootstrap(settings).admin_password or ""
        with serve_app(create_app(settings)) as url:
            admin = Client(url)
            admin.log_in("admin", password)
            admin.change_password(password, PASSWORD)
            agents = [enrol_agent(admin, name)[0] for name in ("berlin-1", "paris-1")]
            test = {"name": "Head office", "probe": "icmp", "target": "192.0.2.1", "interval": 10, "agent_ids": agents}
            test_id = admin.http.post("/tests", json=test).json()["id"]
            database = Database(settings.database)
            with database.session() as db:
                for agent_id in agents:
                    db.get_one(Agent, agent_id).last_seen_at = now() + timedelta(seconds=60)
            database.close()
            lines = encode_lines(point for ago in range(0, 600, 10) for point in runs(ago))
            httpx.post(f"{collector}/api/v2/write?bucket={store.bucket}", content=lines).raise_for_status()
            yield Console(url, test_id, hooks, received)
            admin.http.close()


def runs(ago: int) -> list[Any]:
    at = now_ns() - ago * NANOSECONDS
    tags = {"site": "north", "test": "head-office", "target": "192.0.2.1", "family": "ipv4"}
    good = ICMP.point({**tags, "agent": "berlin-1"}, time_ns=at, up=1, rtt_mean=0.0125, loss=0.0)
    bad = {"up": 0, "error": "timeout", "error_detail": "no reply", "loss": 1.0}
    other: dict[str, Any] = bad if ago < 60 else {"up": 1, "rtt_mean": 0.025, "loss": 0.0}
    return [good, ICMP.point({**tags, "agent": "paris-1"}, time_ns=at, **other)]


def test_results_alerts_and_channels_in_a_browser(console: Console, page: Page, tmp_path: Path) -> None:
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    page.goto(f"{console.url}/results?test={console.test_id}")
    expect(page).to_have_url(re.compile(r"/login\?next=/results%3Ftest%3D"))
    page.fill("[name=username]", "admin")
    page.fill("[name=password]", PASSWORD)
    page.click("button[type=submit]")
    expect(page).to_have_url(f"{console.url}/results?test={console.test_id}")

    expect(page.locator("#name")).to_have_text("Head office")
    expect(page.locator("#controls [name=field]")).to_have_value("icmp.rtt_mean")
    expect(page.locator("#chart path.line")).to_have_count(2)
    expect(page.locator("#legend")).to_contain_text("berlin-1 12.5 ms")
    expect(page.locator("#latest-head")).to_contain_text("✕ down")
    expect(page.locator("#run-rows tr")).to_have_count(26)  # 25, and the other one of the same moment
    page.select_option("[name=field]", "icmp.loss")
    expect(page.locator("#legend")).to_contain_text("paris-1 100.0 %")
    page.locator("#chart svg").hover(position={"x": 1000, "y": 100})
    expect(page.locator("#legend .when")).not_to_have_text("newest")
    page.select_option("[name=agent]", "berlin-1")
    expect(page.locator("#chart path.line")).to_have_count(1)
    with page.expect_download() as waiting:
        page.click("[data-format=csv]")
    waiting.value.save_as(tmp_path / "export.csv")
    with (tmp_path / "export.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["agent"] for row in rows} == {"berlin-1"}
    assert len(rows) == 60

    page.goto(f"{console.url}/notifications")
    expect(page.locator("#channels-empty")).to_be_visible()
    page.click("#add-channel")
    page.select_option("[name=kind]", "webhook")
    page.fill("#channel-form [name=name]", "NOC")
    page.fill("[data-kind=webhook] [name=url]", f"{console.hooks}/hook")
    page.click("#channel-form button[type=submit]")
    expect(page.locator("#secret-value")).to_contain_text("whsec_")
    page.click("#secret-done")
    page.locator("tr[data-channel=NOC] button", has_text="Test").click()
    expect(page.locator("#said")).to_contain_text("was delivered", timeout=20_000)
    assert [one["kind"] for one in console.received] == ["test"]
    page.click("#add-rule")
    page.fill("#rule-form [name=name]", "All")
    page.fill("#rule-form [name=wait]", "0")
    page.click("#rule-form button[type=submit]")
    expect(page.locator("tr[data-rule=All]")).to_contain_text("every event")
    told = eventually(lambda: console.received[1:], bool)
    assert [alert["event"] for one in told for alert in one["alerts"]] == ["test_down"]

    page.goto(f"{console.url}/alerts")
    row = page.locator("tr[data-alert=test_down]")
    row.get_by_role("link", name="Head office is down, seen from paris-1").click()
    expect(page).to_have_url(re.compile(r"/results\?test=head-office&agent=paris-1&since=20"))
    expect(page.locator("#name")).to_have_text("Head office")
    expect(page.locator("[name=agent]")).to_have_value("paris-1")
    expect(page.locator("[name=range]")).to_have_value("15m")
    expect(page.locator("#chart path.line")).to_have_count(1)
    page.goto(f"{console.url}/results?test=head-office&field=icmp.loss&since=2026-01-01T00:00:00Z")
    expect(page.locator("[name=field] optgroup option:checked")).to_have_text("loss")
    expect(page.locator("[name=range]")).to_have_value("30d")
    # 10 % of all its runs, and more of those in the newest window, whenever that began.
    expect(page.locator("#legend")).to_contain_text(re.compile(r"paris-1 [1-9]\d+\.\d %"))
    page.go_back()
    page.go_back()
    row.locator("button", has_text="Acknowledge").click()
    page.fill("#acknowledge [name=comment]", "ringing the provider")
    page.click("#acknowledge button[value=yes]")
    expect(row).to_contain_text("ringing the provider")
    row.locator("button", has_text="Silence").click()
    page.fill("#silence [name=comment]", "new line card")
    page.click("#silence button[value=yes]")
    expect(page.locator("#silence-rows")).to_contain_text("agent = paris-1")
    expect(row).to_contain_text("Not told: silenced until", timeout=20_000)
    page.locator("#silence-rows button", has_text="End").click()
    page.click("dialog[open] button[value=yes]")
    expect(page.locator("#silences")).to_be_hidden()
    assert errors == []
