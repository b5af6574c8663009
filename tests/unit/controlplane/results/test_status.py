"""The newest values of all tests, from a real store."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamswarm_collector.app import create_app as create_collector
from streamswarm_collector.settings import CollectorSettings
from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.clock import now, to_ns
from streamswarm_core.lineprotocol import encode_lines
from streamswarm_core.reader import InfluxQLReader
from tests.support import serve_app
from tests.unit.controlplane.conftest import PASSWORD, Client, enrol_agent

# What is asked of the store knows nothing of the database.
pytestmark = pytest.mark.parametrize("templates", ["sqlite"], indirect=True, scope="session")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[str]:
    settings = CollectorSettings(data=tmp_path / "store", auth=False, bucket="status", flush_seconds=0.01)
    with serve_app(create_collector(settings)) as url:
        yield url


@pytest.fixture
def client(settings: ControlPlaneSettings, first_password: str, store: str) -> Iterator[Client]:
    app = create_app(settings)
    app.state.reader = InfluxQLReader(store, database="status")
    with serve_app(app) as url:
        client = Client(url)
        client.log_in("admin", first_password)
        client.change_password(first_password, PASSWORD)
        yield client
        app.state.reader.close()


def measure(store: str, key: str, at: datetime, rtt: float) -> None:
    tags = {"agent": "berlin-1", "site": "berlin", "test": key, "target": "192.0.2.1", "family": "ipv4"}
    lines = encode_lines([ICMP.point(tags, time_ns=to_ns(at), up=1, rtt_mean=rtt)])
    httpx.post(f"{store}/api/v2/write?bucket=status", content=lines).raise_for_status()


def test_a_nightly_test_shows_last_nights_value_until_the_next_one_is_due(client: Client, store: str) -> None:
    agent, _ = enrol_agent(client)
    last = now() - timedelta(hours=20)
    nightly = {"kind": "cron", "cron": f"{last.minute} {last.hour} * * *"}
    for name, schedule in (("nightly", nightly), ("always", {"kind": "interval"}), ("other", {"kind": "interval"})):
        body: dict[str, Any] = {"name": name, "probe": "icmp", "target": "192.0.2.1", "schedule": schedule}
        client.http.post("/tests", json={**body, "agent_ids": [agent]}).raise_for_status()
        measure(store, name, last + timedelta(seconds=20), 0.25)
    measure(store, "other", now() - timedelta(seconds=5), 0.5)
    items = client.http.get("/status").json()["items"]
    assert {(item["test"]["key"], item["state"], item["value"]) for item in items} == {
        ("nightly", "up", 0.25),
        ("always", "pending", None),
        ("other", "up", 0.5),
    }


def test_a_point_from_the_future_hides_nothing_that_came_since(client: Client, store: str) -> None:
    agent, _ = enrol_agent(client)
    body = {"name": "ping", "probe": "icmp", "target": "192.0.2.1", "agent_ids": [agent]}
    test = client.http.post("/tests", json=body).raise_for_status().json()
    measure(store, "ping", now() + timedelta(hours=1), 0.9)
    measure(store, "ping", now() - timedelta(seconds=5), 0.5)
    (item,) = client.http.get("/status").json()["items"]
    (latest,) = client.http.get(f"/tests/{test['id']}/results/latest").json()["agents"]
    (progress,) = client.http.get(f"/tests/{test['id']}/progress").json()["agents"]
    shown = [item["value"], latest["series"][0]["values"]["rtt_mean"], progress["last"]["value"]]
    assert shown == [0.5, 0.5, 0.5]
