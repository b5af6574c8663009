"""What the ML service learns of thresholds and maintenance windows."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx

from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.expectations import Expectations
from streamswarm_core.thresholds import Threshold
from tests.unit.controlplane.conftest import Client
from tests.unit.controlplane.plans import PlayedAgent, add_test

LIMITS = [{"field": "rtt_mean", "warn": 0.05, "bad": 0.2}]
NOW = datetime.now(UTC)


def ask(admin: Client, token: str, etag: str = "") -> httpx.Response:
    headers = {"Authorization": f"Bearer {token}", "If-None-Match": etag}
    return httpx.get(f"{admin.url}/api/v1/expectations", headers=headers, timeout=30)


def reader(admin: Client, scope: str = "read") -> str:
    return str(admin.http.post("/tokens", json={"name": "ml", "scopes": [scope]}).json()["token"])


def told(admin: Client) -> Expectations:
    return Expectations.model_validate(ask(admin, reader(admin)).raise_for_status().json())


def plan(admin: Client, **more: object) -> str:
    times = {"starts_at": (NOW - timedelta(hours=9)).isoformat(), "ends_at": (NOW - timedelta(hours=8)).isoformat()}
    body = {"name": "Upgrade", **({} if "cron" in more else times)} | more
    return str(admin.http.post("/maintenance", json=body).raise_for_status().json()["id"])


def test_tests_with_thresholds_are_told_by_the_tag_of_their_results(admin: Client) -> None:
    limited = add_test(admin, thresholds=LIMITS)
    add_test(admin, name="Unlimited")
    (only,) = told(admin).tests
    assert (only.test, only.probe) == (limited["key"], "icmp")
    assert only.thresholds == (Threshold(field="rtt_mean", warn=0.05, bad=0.2),)


def test_windows_are_told_with_the_names_of_whom_they_are_about_and_when_they_are_over_too(admin: Client) -> None:
    berlin, other = PlayedAgent(admin, "berlin"), PlayedAgent(admin, "other")
    test = add_test(admin, berlin)
    plan(admin, everything=True)
    plan(admin, agent_ids=[other.id], selector="agent=berlin")
    plan(admin, test_ids=[test["id"]])
    plan(admin, selector="site=nowhere", cron="0 2 * * *", zone="Europe/Berlin", duration=3600)
    found = told(admin).maintenance
    both = (berlin.name, other.name)
    assert [(one.agents, one.tests) for one in found] == [
        (None, None),
        (both, None),
        (None, (test["key"],)),
        ((), None),
    ]
    assert found[0].ends_at == NOW - timedelta(hours=8)
    assert (found[3].cron, found[3].zone, found[3].duration) == ("0 2 * * *", "Europe/Berlin", 3600)


def test_the_time_zones_of_sites_that_have_one_are_told_by_their_names(admin: Client) -> None:
    assert told(admin).time_zones == {}
    for site in ({"name": "pune", "time_zone": "Asia/Kolkata"}, {"name": "berlin"}):
        admin.http.post("/sites", json=site).raise_for_status()
    assert told(admin).time_zones == {"pune": "Asia/Kolkata"}


def test_a_window_of_a_test_that_is_gone_covers_nothing(admin: Client) -> None:
    test = add_test(admin)
    plan(admin, test_ids=[test["id"]])
    admin.http.delete(f"/tests/{test['id']}").raise_for_status()
    assert told(admin).maintenance[0].tests == ()


def test_what_has_not_changed_is_not_sent_again(admin: Client) -> None:
    token = reader(admin)
    first = ask(admin, token)
    assert ask(admin, token, first.headers["ETag"]).status_code == 304
    add_test(admin, thresholds=LIMITS)
    assert ask(admin, token, first.headers["ETag"]).status_code == 200


def test_only_a_static_token_that_may_read_is_told(admin: Client) -> None:
    assert ask(admin, "sst_guess").status_code == 401
    assert ask(admin, reader(admin, "write")).status_code == 403
    assert admin.http.get("/expectations").status_code == 401


def test_the_ml_services_own_token_is_told(admin: Client, settings: ControlPlaneSettings, tmp_path: Path) -> None:
    bootstrap(settings)
    own = (tmp_path / "secrets" / "ml.token").read_text().strip()
    assert ask(admin, own).status_code == 200
