"""Real stores with the dashboards' scenario in them: written as line protocol, and as if scraped from agents."""

import subprocess
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import httpx
from prometheus_client import CollectorRegistry
from prometheus_client.metrics_core import Metric
from prometheus_client.openmetrics.exposition import generate_latest
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector

from streamswarm_agent.exporter import PointCollector
from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings
from streamswarm_controlplane.app import create_app as create_control_plane
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.lineprotocol import encode_lines
from streamswarm_core.point import Point
from streamswarm_core.sketch import Sketch
from streamswarm_grafana.ask_store import Store
from streamswarm_grafana.scenario import MINUTES, points
from streamswarm_ml.metrics import MlMetrics
from tests.integration.stores import run_prometheus, run_victoriametrics
from tests.support import run_influxdb, serve_app

DATABASE: Final = "streamswarm"
_PATIENT: Final = 60.0
"""Seconds: filling five stores at once is work for a small machine."""

_NOT_EXPORTED: Final = {"anomaly"}
"""The ML service writes it; no exporter shows it."""


@dataclass(frozen=True)
class Stores:
    """All of them, by name, and when the scenario ends."""

    stop_ms: int
    by_name: dict[str, Store]

    @property
    def start_ms(self) -> int:
        """When the scenario begins."""
        return self.stop_ms - MINUTES * 60_000


@contextmanager
def filled_stores(folder: Path, stop_ns: int) -> Iterator[Stores]:
    """Start five stores and fill them."""
    told = sorted(points(stop_ns), key=lambda point: point.time_ns or 0)
    lines = encode_lines(told)
    by_name: dict[str, Store] = {}
    with ExitStack() as running:
        collector = running.enter_context(collector_with(folder / "embedded", lines))
        by_name["embedded"] = Store(collector, "influxdb", DATABASE)
        influxdb = running.enter_context(run_influxdb(folder / "influxdb"))
        influxdb.create_database(DATABASE)
        write_all(influxdb.url, lines)
        by_name["influxdb"] = Store(influxdb.url, "influxdb", DATABASE)

        families = _scraped(told, collector, folder, stop_ns)
        prometheus = running.enter_context(_backfilled_prometheus(folder / "prometheus", families))
        by_name["prometheus"] = Store(prometheus, "prometheus")
        scraping = running.enter_context(run_victoriametrics(folder / "vm-scraped"))
        _import(scraping, families)
        by_name["victoriametrics scraping"] = Store(scraping, "prometheus")
        written = running.enter_context(run_victoriametrics(folder / "vm-written"))
        write_all(written, lines)
        by_name["victoriametrics written"] = Store(written, "prometheus")
        for url in (scraping, written):
            # Written points are found a moment later.
            httpx.get(f"{url}/internal/force_flush", timeout=_PATIENT).raise_for_status()
        yield Stores(stop_ns // 1_000_000, by_name)


def write_all(url: str, lines: bytes) -> None:
    """Line protocol to what speaks InfluxDB's version 1."""
    httpx.post(f"{url}/write", params={"db": DATABASE}, content=lines, timeout=_PATIENT).raise_for_status()


@contextmanager
def collector_with(folder: Path, lines: bytes) -> Iterator[str]:
    """Our collector with its embedded store; yields its URL."""
    settings = CollectorSettings(data=folder, auth=False, bucket=DATABASE, flush_seconds=0.01)
    with serve_app(create_app(settings)) as url:
        address = f"{url}/api/v2/write?bucket={DATABASE}"
        httpx.post(address, content=lines, timeout=_PATIENT).raise_for_status()
        # A refused line, so that the counters of refusals have a label.
        httpx.post(address, content=b"icmp loss=\n", timeout=_PATIENT)
        asked = {"db": DATABASE, "q": "SHOW MEASUREMENTS"}
        httpx.get(f"{url}/query", params=asked, timeout=_PATIENT).raise_for_status()
        yield url


@contextmanager
def _backfilled_prometheus(folder: Path, families: dict[str, Metric]) -> Iterator[str]:
    folder.mkdir(parents=True)
    registry = CollectorRegistry()
    registry.register(_Families(families.values()))
    (folder / "scraped.txt").write_bytes(generate_latest(registry))
    load = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(folder / "scraped.txt"), str(folder / "data")]
    subprocess.run(load, check=True, capture_output=True)
    with run_prometheus(folder) as url:
        yield url


def _import(url: str, families: dict[str, Metric]) -> None:
    made = []
    for family in families.values():
        for sample in family.samples:
            labels = ",".join(f'{key}="{value}"' for key, value in sample.labels.items())
            made.append(f"{sample.name}{{{labels}}} {sample.value!r} {int(float(sample.timestamp or 0) * 1000)}")
    httpx.post(f"{url}/api/v1/import/prometheus", content="\n".join(made).encode(), timeout=_PATIENT).raise_for_status()


def _scraped(told: Iterable[Point], collector: str, folder: Path, stop_ns: int) -> dict[str, Metric]:
    """What a Prometheus has that scraped the agents when they had new points, and the services every minute."""
    families: dict[str, Metric] = {}
    sums: dict[frozenset[tuple[str, str]], Sketch] = {}
    for point in told:
        if point.measurement in _NOT_EXPORTED:
            continue
        shown = _grown(point, sums) if CATALOGUE[point.measurement].distribution else point
        # The scrape job gives the labels agent and site.
        stamped = {"agent": point.tags["agent"], "site": point.tags["site"], "job": "streamswarm-agents"}
        for family in PointCollector(partial(list, [shown])).collect():
            whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
            for sample in family.samples:
                at = (point.time_ns or 0) / NANOSECONDS
                whole.add_sample(sample.name, {**sample.labels, **stamped}, sample.value, at)
    text = httpx.get(f"{collector}/metrics", timeout=_PATIENT).text
    services = [("collector", family) for family in text_string_to_metric_families(text)]
    control_plane = ControlPlaneSettings(data=folder / "controlplane", store_url=collector)
    bootstrap(control_plane)
    with serve_app(create_control_plane(control_plane)) as url:
        services += [
            ("controlplane", one)
            for one in text_string_to_metric_families(httpx.get(f"{url}/metrics", timeout=_PATIENT).text)
        ]
    scoring = MlMetrics()
    for gauge, value in ((scoring._series, 24), (scoring._open, 6), (scoring._lag, 12), (scoring._cycle, 0.4)):
        gauge.set(value)
    scoring._points.inc(3600)
    scoring._state.set(48_000)
    services += [("ml", family) for family in scoring.registry.collect()]
    for job, family in services:
        if not family.name.startswith("streamswarm_"):
            continue
        whole = families.setdefault(family.name, Metric(family.name, family.documentation, family.type))
        for sample in family.samples:
            if sample.name.endswith("_created"):
                continue
            labels = {**sample.labels, "job": f"streamswarm-{job}", "instance": f"{job}:1"}
            for minute in range(MINUTES):
                at = stop_ns / NANOSECONDS - (MINUTES - minute) * 60
                # Counters, as if they had grown to what they are from minute to minute.
                share = 1.0 if family.type == "gauge" else (minute + 1) / MINUTES
                whole.add_sample(sample.name, labels, sample.value * share, at)
    return families


def _grown(point: Point, sums: dict[frozenset[tuple[str, str]], Sketch]) -> Point:
    """A distribution as the exporter shows it: the sum of all since the agent started."""
    key = frozenset(point.tags.items())
    sums[key] = sums.get(key, Sketch()).merge(Sketch.from_fields(point.fields))
    return Point(point.measurement, point.tags, dict(sums[key].to_fields()), point.time_ns)


class _Families(Collector):
    def __init__(self, families: Iterable[Metric]) -> None:
        self._families = list(families)

    def collect(self) -> Iterable[Metric]:
        return self._families
