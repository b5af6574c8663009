"""Queries through a collector without a store of its own: InfluxDB's answers, unchanged, within bounds."""

import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from influxdb import InfluxDBClient

from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings, InfluxSinkSettings
from streamswarm_core.tokens import Scope
from tests.integration.guarding import ADMIN, bearer, guarded
from tests.integration.stores import run_victoriametrics
from tests.support import RunningInfluxDB, find_free_port, serve_app

pytestmark = [pytest.mark.needs("influxd", "influxdb"), pytest.mark.xdist_group("influxdb")]
READER = bearer("reader", Scope.READ)


@pytest.fixture(scope="module")
def database(influxdb: RunningInfluxDB) -> str:
    name = f"d{uuid.uuid4().hex[:8]}"
    influxdb.create_database(name)
    influxdb.write(
        name, "".join(f'm,h={"ab"[number % 2]} v={number},s="drop {number}" {number}\n' for number in range(5000))
    )
    return name


def before(influxdb: RunningInfluxDB, **changes: Any) -> dict[str, Any]:
    sink = InfluxSinkSettings.model_validate({"name": "influx", "url": influxdb.url, "api": "v1"})
    return {"embedded": False, "sinks": (sink,), **changes}


@pytest.fixture
def url(tmp_path: Path, influxdb: RunningInfluxDB) -> Iterator[str]:
    with serve_app(create_app(guarded(tmp_path, **before(influxdb)))) as served:
        yield served


PARAMETERS: list[dict[str, str]] = [
    {"q": "SELECT mean(v) FROM m GROUP BY h", "epoch": "ns"},
    {"q": "SELECT v FROM m LIMIT 3; SELECT nothing FROM m; SHOW TAG KEYS", "epoch": "ms"},
    {"q": "SELECT v FROM m", "chunked": "true", "chunk_size": "100"},
    {"q": "SELECT v, s FROM m WHERE h = $host LIMIT 5", "params": '{"host": "b"}', "pretty": "true"},
    {"q": "SELECT v FROM autogen.m WHERE s = 'drop 7'"},
    {"q": "SELECT v FROM m WHERE"},
    {"q": "SELECT holt_winters(mean(v), 1, 1) FROM m WHERE time < 10000 GROUP BY time(1000n)", "epoch": "ns"},
    {"q": "SELECT v FROM m", "db": "nowhere"},
    {"q": "SELECT v FROM m LIMIT 1", "rp": "nowhere"},
]


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize("parameters", PARAMETERS, ids=lambda one: one["q"])
def test_the_answer_is_influxdbs_to_the_byte(
    url: str, influxdb: RunningInfluxDB, database: str, method: str, parameters: dict[str, str]
) -> None:
    fields = {"db": database, **parameters}
    place: dict[str, Any] = {"params": fields} if method == "GET" else {"data": fields}
    ours = httpx.request(method, f"{url}/query", headers=READER, **place)
    theirs = httpx.request(method, f"{influxdb.url}/query", **place)
    assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
    assert ours.headers["Content-Type"] == theirs.headers["Content-Type"]
    assert ours.headers["X-Influxdb-Version"] == theirs.headers["X-Influxdb-Version"]


def test_a_large_answer_is_passed_on_in_pieces_and_packed_if_asked(
    url: str, influxdb: RunningInfluxDB, database: str
) -> None:
    parameters = {"db": database, "q": "SELECT * FROM m", "chunked": "true", "chunk_size": "500"}
    with httpx.stream("GET", f"{url}/query", params=parameters, headers=READER) as answer:
        assert answer.headers["Transfer-Encoding"] == "chunked"
        assert answer.headers["Content-Encoding"] == "gzip"
        answer.read()
    assert answer.content == httpx.get(f"{influxdb.url}/query", params=parameters).content


def test_an_answer_beyond_the_limit_is_broken_off(tmp_path: Path, influxdb: RunningInfluxDB, database: str) -> None:
    settings = guarded(tmp_path, **before(influxdb, query_bytes=50_000))
    parameters = {"db": database, "q": "SELECT v FROM m"}
    headers = READER | {"Accept-Encoding": "identity"}
    with serve_app(create_app(settings)) as url:
        with pytest.raises(httpx.RemoteProtocolError, match="incomplete"):
            httpx.get(f"{url}/query", params=parameters, headers=headers)
        short = httpx.get(f"{url}/query", params=parameters | {"q": "SELECT v FROM m LIMIT 5"}, headers=headers)
        assert short.status_code == 200


@pytest.mark.parametrize(
    "statement",
    [
        "DROP MEASUREMENT m",
        "drop series from m",
        "SELECT v INTO copy FROM m",
        "SHOW DATABASES; DELETE FROM m",
        "CREATE DATABASE x",
        "SELECT v FROM m WHERE s =~ /'/; DROP MEASUREMENT m; SELECT v FROM m WHERE s = ''",
        'SELECT "v" FROM m /* \' */ ; DROP MEASUREMENT m',
        "GRANT ALL TO me",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
def test_who_may_read_can_not_change_the_store_with_the_collectors_rights(
    url: str, influxdb: RunningInfluxDB, database: str, statement: str, method: str
) -> None:
    fields = {"db": database, "q": statement}
    place: dict[str, Any] = {"params": fields} if method == "GET" else {"data": fields}
    answer = httpx.request(method, f"{url}/query", headers=READER, **place)
    assert answer.status_code == 403
    assert "scope admin" in answer.json()["error"]
    assert "m" in str(influxdb.query(database, "SHOW MEASUREMENTS"))


def test_an_admin_may_change_the_store(url: str, influxdb: RunningInfluxDB) -> None:
    name = f"d{uuid.uuid4().hex[:8]}"
    httpx.post(f"{url}/query", data={"q": f"CREATE DATABASE {name}"}, headers=ADMIN).raise_for_status()
    assert name in str(influxdb.query("", "SHOW DATABASES"))


def test_the_1x_client_reads_through_the_collector(url: str, database: str) -> None:
    token = READER["Authorization"].removeprefix("Bearer ")
    where = httpx.URL(url)
    client = InfluxDBClient(where.host, where.port, "anybody", token, database)
    try:
        (series,) = client.query("SELECT max(v) FROM m WHERE h = $host", bind_params={"host": "a"}).raw["series"]
        assert series["values"][0][1] == 4998
        assert len(list(client.query("SELECT v FROM m").get_points())) == 5000
    finally:
        client.close()


@pytest.mark.needs("influx", "influxdb-client")
def test_the_influx_shell_reads_through_the_collector(url: str, database: str) -> None:
    where = httpx.URL(url)
    token = READER["Authorization"].removeprefix("Bearer ")
    command = ["influx", "-host", where.host, "-port", str(where.port), "-username", "anybody", "-password", token]
    asked = [*command, "-database", database, "-execute", "SELECT count(v) FROM m", "-format", "csv"]
    shell = subprocess.run(asked, capture_output=True, text=True, check=True, timeout=30)
    assert shell.stdout.splitlines()[-1].endswith(",5000")


def test_a_form_that_is_too_large_is_refused(url: str) -> None:
    answer = httpx.post(f"{url}/query", data={"q": "x" * 2_000_000}, headers=READER)
    assert (answer.status_code, "larger than" in answer.json()["error"]) == (413, True)


def test_a_store_that_is_away_is_a_clear_answer(tmp_path: Path) -> None:
    sink = InfluxSinkSettings.model_validate({"name": "influx", "url": f"http://127.0.0.1:{find_free_port()}"})
    settings = CollectorSettings(data=tmp_path, auth=False, embedded=False, sinks=(sink,))
    with serve_app(create_app(settings)) as url:
        answer = httpx.get(f"{url}/query", params={"q": "SHOW DATABASES"})
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "store behind the collector can't be reached" in answer.json()["error"]


@pytest.mark.needs("victoria-metrics", "victoria-metrics")
def test_a_store_that_takes_promql_alone_is_told_from_one_that_has_no_data(tmp_path: Path) -> None:
    with run_victoriametrics(tmp_path / "vm") as store:
        sink = InfluxSinkSettings.model_validate({"name": "vm", "url": store, "api": "v1"})
        settings = guarded(tmp_path / "collector", embedded=False, sinks=(sink,))
        with serve_app(create_app(settings)) as url:
            asked = httpx.get(f"{url}/query", params={"q": "SELECT v FROM m"}, headers=READER)
            # What clients ask first of all, to see whether somebody is there.
            databases = httpx.get(f"{url}/query", params={"q": "show databases"}, headers=READER)
    assert (asked.status_code, databases.status_code) == (400, 200)
    assert "VictoriaMetrics, which takes PromQL" in asked.json()["error"]
