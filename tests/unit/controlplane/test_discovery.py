from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from streamswarm_agent.exporter import create_exporter
from streamswarm_agent.probes import Engines
from streamswarm_agent.settings import AgentSettings
from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.db import Database
from streamswarm_controlplane.settings import ControlPlaneSettings
from tests.integration.stores import run_prometheus
from tests.support import eventually, serve_app
from tests.unit.controlplane.conftest import Client, enrol_agent


def report(admin: Client, headers: dict[str, str], exporter_url: str) -> None:
    at = datetime.now(UTC).isoformat()
    beat = {"version": "1.2", "started_at": at, "sent_at": at, "assignments_version": 1, "exporter_url": exporter_url}
    httpx.post(f"{admin.url}/api/v1/agent/heartbeat", json=beat, headers=headers, timeout=30).raise_for_status()


def static_token(admin: Client, scope: str) -> str:
    token: str = admin.http.post("/tokens", json={"name": "prometheus", "scopes": [scope]}).json()["token"]
    return token


def discover(admin: Client, **parameters: str) -> list[dict[str, object]]:
    headers = {"Authorization": f"Bearer {static_token(admin, 'read')}"}
    answer = httpx.get(f"{admin.url}/api/v1/prometheus/sd", headers=headers, params=parameters, timeout=30)
    assert answer.headers["content-type"] == "application/json"
    found: list[dict[str, object]] = answer.raise_for_status().json()
    return found


def test_an_exporter_is_told_with_the_agents_name_site_and_labels(
    admin: Client, settings: ControlPlaneSettings
) -> None:
    agent_id, headers = enrol_agent(admin)
    enrol_agent(admin, "never-seen")
    report(admin, headers, "http://192.0.2.5:8803/metrics")
    database = Database(settings.database)
    with database.session() as db:
        db.execute(update(Agent).where(Agent.id == agent_id).values(labels={"rack-no": "7"}))
    database.close()
    (group,) = discover(admin)
    assert group == {
        "targets": ["192.0.2.5:8803"],
        "labels": {
            "__scheme__": "http",
            "__metrics_path__": "/metrics",
            "agent": "berlin-1",
            "site": "berlin",
            "__meta_streamswarm_agent": "berlin-1",
            "__meta_streamswarm_agent_id": agent_id,
            "__meta_streamswarm_site": "berlin",
            "__meta_streamswarm_version": "1.2",
            "__meta_streamswarm_exporter_url": "http://192.0.2.5:8803/metrics",
            "__meta_streamswarm_label_rack_no": "7",
        },
    }
    assert discover(admin, site="berlin") == [group]
    assert discover(admin, site="paris") == []


@pytest.mark.parametrize(
    ("exporter", "target"),
    [
        ("http://[2001:db8::5]:8803/metrics", "[2001:db8::5]:8803"),
        ("http://2001:db8::5:8803/metrics", "[2001:db8::5]:8803"),
        ("https://probe.example:443/metrics", "probe.example:443"),
    ],
)
def test_addresses_of_version_6_have_brackets(admin: Client, exporter: str, target: str) -> None:
    _, headers = enrol_agent(admin)
    report(admin, headers, exporter)
    assert discover(admin)[0]["targets"] == [target]


@pytest.mark.parametrize(
    "told",
    [
        "javascript:alert(1)",
        "http://192.0.2.5:8803/admin/delete?all=1",
        "http://192.0.2.5:8803/",
        "http://169.254.169.254:80/metrics",
        "http://[::ffff:169.254.169.254]:80/metrics",
        "http://[fe80::1]:8803/metrics",
    ],
)
def test_what_is_no_exporters_address_is_left_out(admin: Client, told: str) -> None:
    _, headers = enrol_agent(admin)
    report(admin, headers, told)
    assert discover(admin) == []


def test_a_revoked_agent_is_not_scraped_any_more(admin: Client) -> None:
    agent_id, headers = enrol_agent(admin)
    report(admin, headers, "http://192.0.2.5:8803/metrics")
    assert len(discover(admin)) == 1
    admin.http.post(f"/agents/{agent_id}/revoke").raise_for_status()
    assert discover(admin) == []


def test_only_a_token_that_may_read_finds_agents(admin: Client) -> None:
    url = f"{admin.url}/api/v1/prometheus/sd"
    writer = {"Authorization": f"Bearer {static_token(admin, 'write')}"}
    assert [httpx.get(url).status_code, httpx.get(url, headers=writer).status_code] == [401, 403]
    # A browser's session is nothing that Prometheus has.
    assert admin.http.get("/prometheus/sd").status_code == 401


@pytest.mark.needs("prometheus", "prometheus")
def test_prometheus_scrapes_an_agent_that_it_finds_here(admin: Client, tmp_path: Path) -> None:
    _, headers = enrol_agent(admin)
    token = tmp_path / "token"
    token.write_text(static_token(admin, "read"))
    config = f"""\
scrape_configs:
  - job_name: streamswarm
    scrape_interval: 1s
    http_sd_configs:
      - url: {admin.url}/api/v1/prometheus/sd
        refresh_interval: 1s
        authorization: {{ type: Bearer, credentials_file: {token} }}
    relabel_configs:
      - {{ source_labels: [__meta_streamswarm_version], target_label: version }}
"""
    agent = AgentSettings(data=tmp_path / "agent")
    with (
        serve_app(create_exporter(agent, list, Engines(), dict)) as exporter,
        run_prometheus(tmp_path / "prometheus", config) as prometheus,
    ):
        report(admin, headers, f"{exporter}/metrics")

        def up() -> list[dict[str, object]]:
            answer = httpx.get(f"{prometheus}/api/v1/query", params={"query": "up == 1"})
            found: list[dict[str, object]] = answer.json()["data"]["result"]
            return found

        (scraped,) = eventually(up, lambda found: len(found) == 1, 60)
    labels = scraped["metric"]
    assert isinstance(labels, dict)
    assert (labels["agent"], labels["site"], labels["version"]) == ("berlin-1", "berlin", "1.2")
