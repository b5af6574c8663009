"""The services on stores that speak PromQL, and what only shows with points of this very moment."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamswarm_agent.exporter import PointCollector
from streamswarm_controlplane.app import create_app as create_controlplane
from streamswarm_controlplane.results import service
from streamswarm_controlplane.results.history import history
from streamswarm_controlplane.results.times import TimeRange, rfc3339
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.testplans.models import TestPlan as Plan
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.clock import NANOSECONDS, now_ns
from streamswarm_core.lineprotocol import encode_lines
from streamswarm_core.point import Point
from streamswarm_core.reader import SCRAPED, Aggregate, PromQLReader, Select
from streamswarm_core.writer import LineWriter
from streamswarm_ml.app import create_app as create_ml
from streamswarm_ml.pipeline import Pipeline
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import StateFile
from tests.integration.stores import run_prometheus, run_victoriametrics
from tests.support import eventually, serve_app

TAGS = {"agent": "a1", "site": "north", "test": "t1", "target": "2001:db8::1", "family": "ipv6"}
pytestmark = pytest.mark.xdist_group("stores")
needs_victoriametrics = pytest.mark.needs("victoria-metrics", "victoria-metrics")


@pytest.fixture
def victoriametrics(tmp_path: Path) -> Iterator[str]:
    with run_victoriametrics(tmp_path / "vm") as url:
        yield url


def write(url: str, points: list[Point]) -> None:
    httpx.post(f"{url}/write?db=streamswarm", content=encode_lines(points)).raise_for_status()
    httpx.get(f"{url}/internal/force_flush").raise_for_status()


def read_values(reader: PromQLReader, statement: Select) -> list[list[Any]]:
    return [list(row) for series in reader.select(statement) for row in series.rows]


@needs_victoriametrics
def test_victoriametrics_gives_the_true_windows_of_the_last_seconds(victoriametrics: str) -> None:
    # Left alone it repeats older windows, or none, for half a minute (-search.latencyOffset).
    newest = now_ns() // NANOSECONDS * NANOSECONDS
    times = [newest - age * NANOSECONDS for age in range(60, -1, -1)]
    write(victoriametrics, [ICMP.point(TAGS, time_ns=at, rtt_mean=float(at // NANOSECONDS % 1000)) for at in times])
    with PromQLReader(victoriametrics) as reader:
        for every in (NANOSECONDS, 10 * NANOSECONDS):
            statement = Select(
                "icmp", [Aggregate("max", "rtt_mean")], start_ns=times[0], stop_ns=newest + 1, every_ns=every
            )
            wanted: dict[int, float] = {}
            for at in times:
                window = at // every * every
                wanted[window] = max(wanted.get(window, 0.0), float(at // NANOSECONDS % 1000))
            assert read_values(reader, statement) == [[window, value] for window, value in sorted(wanted.items())]
        latest = Select("icmp", ["rtt_mean"], start_ns=times[0], descending=True, limit=1)
        eventually(lambda: read_values(reader, latest)[0][0], lambda time: time == newest)


@needs_victoriametrics
def test_the_ml_service_scores_what_is_in_victoriametrics(victoriametrics: str, tmp_path: Path) -> None:
    start = 1_700_000_000
    points = [
        ICMP.point(TAGS, time_ns=(start + second) * NANOSECONDS, up=1, loss=0.0, rtt_mean=second * 17 % 23 / 1000)
        for second in range(40)
    ]
    write(victoriametrics, points)
    settings = MlSettings(data=tmp_path, store_url=victoriametrics, store_kind="promql")
    with PromQLReader(victoriametrics) as reader, LineWriter(settings.scores_url, str, bucket="streamswarm") as writer:
        pipeline = Pipeline(settings, reader, writer, StateFile(settings.folder), lambda: (start + 41) * NANOSECONDS)
        assert pipeline.cycle() == 3 * len(points)
        assert pipeline.cycle() == 0
        httpx.get(f"{victoriametrics}/internal/force_flush").raise_for_status()
        statement = Select(
            "anomaly",
            ["value", "score", "flag"],
            start_ns=start * NANOSECONDS,
            stop_ns=(start + 60) * NANOSECONDS,
            group_by=["field", "target"],
        )
        found = {series.tags["field"]: series for series in reader.select(statement)}
    assert set(found) == {"rtt_mean", "loss", "up"}
    assert found["rtt_mean"].column("value") == pytest.approx([point.fields["rtt_mean"] for point in points], rel=1e-12)
    assert found["rtt_mean"].column("time") == [point.time_ns for point in points]


@needs_victoriametrics
def test_the_control_plane_shows_what_is_in_victoriametrics(victoriametrics: str) -> None:
    newest = now_ns() // NANOSECONDS * NANOSECONDS
    old = {**TAGS, "agent": "a2"}
    points = [ICMP.point(TAGS, time_ns=newest - age * NANOSECONDS, up=1, rtt_mean=0.02, loss=0.0) for age in (20, 0)]
    points.append(ICMP.point(old, time_ns=newest - 1500 * NANOSECONDS, up=0, loss=1.0, error="timeout"))
    write(victoriametrics, points)
    with PromQLReader(victoriametrics) as reader:
        measured = service._measure(reader, ["icmp"], newest + NANOSECONDS)
        plan = Plan(key="t1", probe="icmp")
        span = TimeRange(newest - 60 * NANOSECONDS, newest + NANOSECONDS)
        found = history(reader, plan, span, every_ns=None, aggregate=None, names=["rtt_mean"], agents=["a1"])
    assert (measured.latest["a1", "t1"]["time"], measured.latest["a1", "t1"]["up"]) == (newest, 1)
    # Text isn't kept there; the state is.
    assert (measured.latest["a2", "t1"]["up"], measured.latest["a2", "t1"]["error"]) == (0, None)
    assert [value for _, value in measured.sparklines["a1", "t1"]][-1] == pytest.approx(0.02)
    (shown,) = found.series
    assert shown.tags == TAGS
    assert shown.rows == [[rfc3339(newest - age * NANOSECONDS), 0.02] for age in (20, 0)]


@pytest.mark.needs("prometheus", "prometheus")
def test_what_prometheus_scrapes_from_an_agents_exporter_is_read_by_its_catalogue_names(tmp_path: Path) -> None:
    from prometheus_client import CollectorRegistry, make_asgi_app  # noqa: PLC0415

    point = ICMP.point({**TAGS, "target": 'C:\\ "x" ünï'}, up=1, loss=0.25, sent=4, error="")
    registry = CollectorRegistry()
    registry.register(PointCollector(lambda: [point]))
    with serve_app(make_asgi_app(registry)) as exporter:
        config = (
            "scrape_configs: [{job_name: agents, scrape_interval: 1s, scrape_timeout: 1s, static_configs: "
            f"[{{targets: ['{exporter.removeprefix('http://')}'], labels: {{agent: a1, site: north}}}}]}}]"
        )
        with run_prometheus(tmp_path / "prometheus", config) as url, PromQLReader(url, naming=SCRAPED) as reader:
            statement = Select(
                "icmp",
                ["up", "loss", "sent", "rtt_mean"],
                start_ns=now_ns() - 60 * NANOSECONDS,
                group_by=("*",),
                descending=True,
                limit=1,
            )
            (series,) = eventually(lambda: reader.select(statement), bool)
            assert series.tags == point.tags
            assert list(series.rows[0][1:]) == [1.0, 0.25, 4.0, None]
            assert reader.measurements() == ["icmp"]


def test_the_services_read_as_their_settings_say(tmp_path: Path) -> None:
    plane = create_controlplane(ControlPlaneSettings(data=tmp_path, store_kind="promql", store_names="scraped"))
    assert isinstance(plane.state.reader, PromQLReader)
    plane.state.reader.close()
    plane.state.database.close()
    down = "http://127.0.0.1:9"
    settings = MlSettings(data=tmp_path, store_kind="promql", store_url=down, interval=0.2)
    with serve_app(create_ml(settings)) as url:
        said = eventually(lambda: httpx.get(f"{url}/health").json()["store"], lambda store: store != "ok")
    assert said.startswith(f"{down}/api/v1/label/__name__/values: ")
