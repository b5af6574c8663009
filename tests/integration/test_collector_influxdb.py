"""The collector before a real InfluxDB 1.6.7: points arrive in order, queries are handed on, outages are bridged."""

import uuid
from pathlib import Path
from typing import Any

import httpx
import pytest

from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings, InfluxSinkSettings
from streamswarm_core.reader import Aggregate, Condition, InfluxQLReader, Select
from tests.support import RunningInfluxDB, eventually, find_free_port, serve_app

pytestmark = [pytest.mark.needs("influxd", "influxdb"), pytest.mark.xdist_group("influxdb")]


@pytest.fixture
def database(influxdb: RunningInfluxDB) -> str:
    name = f"d{uuid.uuid4().hex[:8]}"
    influxdb.create_database(name)
    return name


def settings(folder: Path, influxdb_url: str, database: str, **changes: Any) -> CollectorSettings:
    sink = InfluxSinkSettings.model_validate({"name": "influx", "url": influxdb_url, "api": "v1"})
    return CollectorSettings(data=folder, auth=False, bucket=database, sinks=(sink,), **changes)


def count(influxdb: RunningInfluxDB, database: str) -> Any:
    answer: Any = influxdb.query(database, "SELECT count(v) FROM m")
    series = answer["results"][0].get("series")
    return series[0]["values"][0][1] if series else 0


def test_points_are_forwarded_and_read_back_through_the_collector(
    tmp_path: Path, influxdb: RunningInfluxDB, database: str
) -> None:
    with serve_app(create_app(settings(tmp_path, influxdb.url, database, embedded=False))) as url:
        lines = "".join(f"m,h=a v={number} {number + 1}\n" for number in range(100))
        httpx.post(f"{url}/api/v2/write?bucket={database}", content=lines).raise_for_status()
        eventually(lambda: count(influxdb, database), lambda found: found == 100)
        with InfluxQLReader(url, database=database) as reader:
            statement = Select("m", [Aggregate("max", "v")], where=[Condition("h", "a")], group_by=("h",))
            (series,) = reader.select(statement)
            assert (series.tags, series.rows[0][1]) == ({"h": "a"}, 99)


def test_points_written_while_influxdb_is_away_arrive_when_it_is_back(
    tmp_path: Path, influxdb: RunningInfluxDB, database: str
) -> None:
    away = settings(tmp_path, f"http://127.0.0.1:{find_free_port()}", database)
    with serve_app(create_app(away)) as url:
        httpx.post(f"{url}/write?db={database}", content=b"m v=1 1\nm v=2 2").raise_for_status()
        eventually(lambda: httpx.get(f"{url}/health").status_code, lambda status: status == 503)
    with serve_app(create_app(settings(tmp_path, influxdb.url, database))) as url:
        eventually(lambda: count(influxdb, database), lambda found: found == 2)
        eventually(lambda: httpx.get(f"{url}/health").status_code, lambda status: status == 200)


def test_a_batch_that_influxdb_refuses_is_set_aside_and_the_next_goes_through(
    tmp_path: Path, influxdb: RunningInfluxDB, database: str
) -> None:
    influxdb.write(database, "m v=1 1")
    with serve_app(create_app(settings(tmp_path, influxdb.url, database, embedded=False))) as url:
        httpx.post(f"{url}/write?db={database}", content=b'm v="text" 2').raise_for_status()
        letters = tmp_path / "collector" / "sinks" / "influx" / "dead-letter.jsonl"
        eventually(lambda: letters.exists() and "field type conflict" in letters.read_text(), bool)
        httpx.post(f"{url}/write?db={database}", content=b"n v=1 1").raise_for_status()
        eventually(lambda: str(influxdb.query(database, "SELECT v FROM n")), lambda answer: "series" in answer)


def test_our_reader_reads_a_real_influxdb_as_it_reads_the_embedded_store(
    tmp_path: Path, influxdb: RunningInfluxDB, database: str
) -> None:
    lines = "".join(
        f"m,h={'ab'[number % 2]} v={number / 3},n={number}i {number * 1_000_000_000}\n" for number in range(1, 60)
    )
    influxdb.write(database, lines)
    statements = [
        Select("m", ["v", "n"], group_by=("*",)),
        Select("m", ["v"], where=[Condition("h", "a")], descending=True, limit=3),
        Select(
            "m",
            [Aggregate("mean", "v"), Aggregate("last", "n")],
            every_ns=10**10,
            group_by=("h",),
            start_ns=0,
            stop_ns=10**11,
        ),
        Select("m", [Aggregate("count", "v")], start_ns=5 * 10**9, stop_ns=20 * 10**9),
    ]
    with serve_app(create_app(CollectorSettings(data=tmp_path, auth=False, bucket=database))) as url:
        httpx.post(f"{url}/write?db={database}", content=lines).raise_for_status()
        with InfluxQLReader(url, database=database) as ours, InfluxQLReader(influxdb.url, database=database) as theirs:
            for statement in statements:
                mine, real = ours.select(statement), theirs.select(statement)
                assert [(one.tags, one.columns) for one in mine] == [(one.tags, one.columns) for one in real]
                for one, other in zip(mine, real, strict=True):
                    for row, expected in zip(one.rows, other.rows, strict=True):
                        assert row == pytest.approx(expected)
            assert ours.measurements() == theirs.measurements()
            assert ours.field_kinds("m") == theirs.field_kinds("m")
