"""CSV answers, side by side with a real InfluxDB's."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from streamswarm_collector.app import create_app
from streamswarm_collector.settings import CollectorSettings
from tests.support import RunningInfluxDB, serve_app

LINES = (
    'm,host=a,site=x\\ 1 v=1.5,n=3i,ok=t,note="say ""hi"", you" 1700000000000000000\n'
    "m,host=b v=1e-9,n=-4i 1700000001000000000\nm,host=b v=123456789012345680000 1700000002000000000\no z=1 5"
)


@pytest.fixture
def url(tmp_path: Path) -> Iterator[str]:
    with serve_app(create_app(CollectorSettings(data=tmp_path, auth=False))) as url:
        httpx.post(f"{url}/write?db=csv", content=LINES).raise_for_status()
        yield url


def ask(url: str, statement: str, accept: str = "application/csv", **parameters: str) -> httpx.Response:
    return httpx.get(f"{url}/query", params={"db": "csv", "q": statement, **parameters}, headers={"Accept": accept})


@pytest.mark.needs("influxd", "influxdb")
@pytest.mark.parametrize(
    "statement",
    [
        "SELECT v, n, ok, note FROM m",
        "SELECT v FROM m GROUP BY *",
        "SELECT count(v), mean(v) FROM m GROUP BY host; SHOW TAG KEYS; SELECT v FROM nowhere; SHOW MEASUREMENTS",
        "SHOW SERIES",
        "SELEC",
    ],
)
def test_a_table_is_influxdbs_to_the_byte(url: str, influxdb: RunningInfluxDB, statement: str) -> None:
    influxdb.create_database("csv")
    influxdb.write("csv", LINES)
    ours, theirs = ask(url, statement), ask(influxdb.url, statement)
    assert ours.headers["Content-Type"] == theirs.headers["Content-Type"] == "text/csv"
    assert ours.status_code == theirs.status_code
    assert ours.text.partition(", expected")[0] == theirs.text.partition(", expected")[0]


def test_times_are_in_the_epoch_that_is_asked_for(url: str) -> None:
    answer = ask(url, "SELECT v FROM m LIMIT 1", "text/csv", epoch="s", chunked="true")
    assert answer.text == "name,tags,time,v\nm,,1700000000,1.5\n"


def test_the_error_of_a_statement_is_told(url: str) -> None:
    assert ask(url, "SELECT n FROM m LIMIT 1; SELECT nix(v) FROM m").text == (
        "name,tags,time,n\nm,,1700000000000000000,3\n\nerror\nundefined function nix()\n"
    )


def test_whoever_takes_anything_gets_json(url: str) -> None:
    assert ask(url, "SHOW DATABASES", "application/json, text/csv").headers["Content-Type"] == "application/json"
    assert ask(url, "SHOW DATABASES", "*/*").headers["Content-Type"] == "application/json"
