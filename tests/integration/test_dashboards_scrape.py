"""The PromQL dashboards on a real Prometheus that scrapes a real agent's exporter, as docs/dashboards.md says."""

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import yaml

from streamswarm_agent.exporter import create_exporter
from streamswarm_agent.probes import Engines
from streamswarm_agent.settings import AgentSettings
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.point import Point
from streamswarm_grafana.ask_store import Store
from streamswarm_grafana.boards import BOARDS
from streamswarm_grafana.expand import View
from streamswarm_grafana.generate import ROOT
from streamswarm_grafana.scenario import FAULT, FAULTY, MINUTES, points
from tests.integration.stores import run_prometheus
from tests.support import eventually, serve_app

pytestmark = [pytest.mark.xdist_group("dashboards"), pytest.mark.needs("prometheus", "prometheus")]

NEEDS_GROWTH: Final = "histogram_quantile"
"""Percentiles of what has not grown are no number: the exporter's points stand still here."""
SILENT: Final = "Silent agents"
"""The agent that is scraped isn't one."""


def newest_in_the_fault() -> list[Point]:
    """What the exporter of the agent with the fault would show near its end."""
    stop_ns = MINUTES * 60 * NANOSECONDS
    found = [point for point in points(stop_ns, FAULT[1]) if point.tags["agent"] == FAULTY]
    return [point for point in found if point.measurement != "anomaly"]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("scrape")
    shown = newest_in_the_fault()
    engines = Engines()
    with serve_app(create_exporter(AgentSettings(data=folder), lambda: shown, engines, dict)) as agent:
        job = yaml.safe_load((ROOT / "docs/dashboards.md").read_text().split("```yaml\n")[1].split("```")[0])
        (target,) = job["scrape_configs"][0]["static_configs"]
        target["targets"] = [agent.removeprefix("http://")]
        config = yaml.safe_dump({"global": {"scrape_interval": "1s"}, **job})
        with run_prometheus(folder / "prometheus", config) as url:
            asked = {"query": "count_over_time(streamswarm_icmp_up[1m])"}
            eventually(
                lambda: httpx.get(f"{url}/api/v1/query", params=asked).json()["data"]["result"],
                lambda result: bool(result) and float(result[0]["value"][1]) >= 3,
                30,
            )
            yield Store(url, "prometheus")
    engines.close()


def panels(key: str) -> Iterator[dict[str, Any]]:
    path: Path = ROOT / f"grafana/dashboards/promql/{key}.json"
    yield from (panel for panel in json.loads(path.read_text())["panels"] if panel["type"] != "row")


@pytest.mark.parametrize("key", [board.key for board in BOARDS if board.key != "ml"])
def test_every_panel_has_data_of_the_agent_that_is_scraped(store: Store, key: str) -> None:
    now_ms = int(time.time() * 1000)
    # A whole number of every panel's steps, so that the last one is now.
    view = View(now_ms - 7_200_000, now_ms)
    faults = []
    with httpx.Client(timeout=60) as client:
        for panel in panels(key):
            for target in panel["targets"]:
                if target["datasource"]["uid"] == "${stack}" or NEEDS_GROWTH in target["expr"]:
                    continue
                drawn = store.run(client, target, view, panel["interval"])
                if panel["title"] == SILENT:
                    assert drawn == []
                elif not any(one.has_data for one in drawn):
                    faults.append(f"{panel['title']}: query {target['refId']} has no data")
                # The labels are those that the scrape job gives.
                assert {one.labels.get("agent", "lon-1") for one in drawn} <= {"lon-1"}
    assert not faults, "\n".join(faults)
