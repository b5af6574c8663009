"""Distributions that real stores add up: whatever the range, the sketch is that of all measurements together."""

import math
import random
import subprocess
from collections.abc import Sequence
from pathlib import Path

import httpx
import pytest

from streamswarm_agent.latest import LatestPoints
from streamswarm_core.assignment import Assignment
from streamswarm_core.catalogue.distribution import ICMP_RTT
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.lineprotocol import encode_lines
from streamswarm_core.point import Point
from streamswarm_core.reader import Aggregate, InfluxQLReader, Reader, Select
from streamswarm_core.sketch import BUCKET_FIELDS, RELATIVE_ERROR, Sketch
from tests.integration import stores
from tests.support import RunningInfluxDB

pytestmark = pytest.mark.xdist_group("stores")
START = 1_700_000_000
STEP = 10
TARGETS = ("192.0.2.1", "192.0.2.2")
SOURCE = random.Random(4)
RTTS = {
    (target, number): [SOURCE.lognormvariate(-4, 0.7) for _ in range(4)] for target in TARGETS for number in range(90)
}
ALL = [rtt for rtts in RTTS.values() for rtt in rtts]


def tags(target: str) -> dict[str, str]:
    return {"agent": "a1", "site": "north", "test": target, "target": target, "family": "ipv4"}


POINTS = [
    ICMP_RTT.point(tags(target), time_ns=(START + number * STEP) * NANOSECONDS, **Sketch.of(rtts).to_fields())
    for (target, number), rtts in RTTS.items()
]


def summed(reader: Reader, names: Sequence[str], **where: int) -> Sketch:
    statement = Select(
        "icmp_rtt",
        [Aggregate("sum", name) for name in names],
        start_ns=where.get("start", START) * NANOSECONDS,
        stop_ns=where.get("stop", START + 90 * STEP) * NANOSECONDS,
    )
    (series,) = reader.select(statement)
    (row,) = series.rows
    values = dict(zip(series.columns, row, strict=True))
    return Sketch.from_fields({name: values.get(f"sum_{name}", values.get(name)) for name in names})


def check(reader: Reader) -> None:
    names = ["sum", "count", *(name for name in BUCKET_FIELDS if any(name in point.fields for point in POINTS))]
    found = summed(reader, names)
    assert found.buckets == Sketch.of(ALL).buckets
    assert found.total == pytest.approx(sum(ALL))
    half = summed(reader, names, start=START + 45 * STEP)
    assert half.buckets == Sketch.of(r for (_, number), rtts in RTTS.items() if number >= 45 for r in rtts).buckets
    for share in (0.5, 0.95, 0.99):
        exact = sorted(ALL)[math.ceil(share * len(ALL)) - 1]
        quantile = found.quantile(share)
        assert quantile is not None
        assert abs(quantile.value - exact) <= RELATIVE_ERROR * exact


def test_the_embedded_store_adds_them_up(tmp_path: Path) -> None:
    with stores.embedded(tmp_path, POINTS) as reader:
        check(reader)


@pytest.mark.needs("influxd", "influxdb")
def test_influxdb_adds_them_up(influxdb: RunningInfluxDB) -> None:
    influxdb.create_database("distributions")
    influxdb.write("distributions", encode_lines(POINTS).decode())
    with InfluxQLReader(influxdb.url, database="distributions") as reader:
        check(reader)
    # A dashboard needs to name no bucket.
    answer = influxdb.query("distributions", "SELECT sum(/^to_/) FROM icmp_rtt")
    (series,) = answer["results"][0]["series"]
    fields = {
        name.removeprefix("sum_"): value for name, value in zip(series["columns"], series["values"][0], strict=True)
    }
    assert Sketch.from_fields(fields).buckets == Sketch.of(ALL).buckets


@pytest.mark.needs("victoria-metrics", "victoria-metrics")
def test_victoriametrics_adds_them_up(tmp_path: Path) -> None:
    with stores.victoriametrics(tmp_path, POINTS) as reader:
        check(reader)


@pytest.mark.needs("prometheus", "prometheus")
@pytest.mark.needs("promtool", "prometheus")
def test_prometheus_finds_quantiles_over_all_targets_in_what_the_exporter_shows(tmp_path: Path) -> None:
    now = [0.0]
    latest, scraped = LatestPoints(lambda: now[0]), []
    for number in range(90):
        for target in TARGETS:
            at = (START + number * STEP) * NANOSECONDS
            point = Point("icmp_rtt", tags(target), Sketch.of(RTTS[target, number]).to_fields(), at)
            latest.put(Assignment(id=target, test=target, probe="icmp", interval=STEP, timeout=5), [point])
        now[0] += STEP
        scraped += list(latest)
    (tmp_path / "scraped.txt").write_bytes(stores._scraped(scraped))
    load = ["promtool", "tsdb", "create-blocks-from", "openmetrics", "scraped.txt", "data"]
    subprocess.run(load, check=True, capture_output=True, cwd=tmp_path)
    buckets = "sum by (le) (last_over_time(streamswarm_icmp_rtt_seconds_bucket[5m]))"
    with stores.run_prometheus(tmp_path) as url:
        for share in (0.5, 0.95):
            query = {"query": f"histogram_quantile({share}, {buckets})", "time": str(START + 89 * STEP)}
            (result,) = httpx.get(f"{url}/api/v1/query", params=query).json()["data"]["result"]
            exact = sorted(ALL)[math.ceil(share * len(ALL)) - 1]
            # Every second bound is exported, so the true value and the answer lie between the same two of those.
            bounds = [bound for bound, _ in Sketch().cumulative(step=2)]
            above = next(place for place, bound in enumerate(bounds) if bound >= exact)
            assert bounds[above - 1] <= float(result["value"][1]) <= bounds[above]
