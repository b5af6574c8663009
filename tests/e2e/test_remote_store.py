"""The whole system on a collector that keeps nothing itself: everybody else knows only the collector's address."""

import json
from pathlib import Path

import pytest

from tests.e2e.stack import SERVICES, Administrator, start_stack
from tests.support import eventually, find_free_port, run_influxdb

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.needs("influxd", "influxdb")]


def test_points_are_forwarded_scored_and_shown_without_an_embedded_store(tmp_path: Path) -> None:
    with run_influxdb(tmp_path / "influx") as influxdb:
        influxdb.create_database("streamswarm")
        sinks = [{"name": "influx", "url": influxdb.url, "api": "v1"}]
        more = {"STREAMSWARM_COLLECTOR_EMBEDDED": "false", "STREAMSWARM_COLLECTOR_SINKS": json.dumps(sinks)}
        stack = start_stack(tmp_path, {name: find_free_port() for name in SERVICES}, **more)
        try:
            administrator = Administrator(stack, stack.first_password())
            item = eventually(lambda: administrator.status("loopback-ping"), lambda found: found["state"] == "up", 60)
            assert item["value"] is not None
            administrator.http.close()
            statement = "SELECT score FROM anomaly WHERE \"measurement\" = 'icmp' LIMIT 1"
            eventually(lambda: str(influxdb.query("streamswarm", statement)), lambda answer: "series" in answer, 60)
            assert not (tmp_path / "data" / "collector" / "store.duckdb").exists()
        finally:
            stack.stop()
