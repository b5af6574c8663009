"""Clients that know nothing of roll-ups read an answer that says it was made from them."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import pytest
from influxdb import DataFrameClient, InfluxDBClient

from streamswarm_collector.app import create_app
from streamswarm_collector.batch import Block
from streamswarm_collector.settings import CollectorSettings
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_core.reader import InfluxQLReader
from tests.compat.conftest import Server
from tests.support import serve_app

pytestmark = pytest.mark.xdist_group("compat")

START: Final = 1_700_006_400
HOURS: Final = 60
SAID: Final = {"level": "info", "text": "answered from 1h and 1m roll-ups, and raw rows where there are none"}
# Rows in memory are asked first, where they are all there; windows of a zone are not answered from memory.
STATEMENT: Final = (
    f"SELECT count(v), max(v) FROM m WHERE time >= {START + 10}s AND time < {START + HOURS * 3600}s "
    "GROUP BY time(1h) tz('UTC')"
)
COUNTS: Final = [3590] + [3600] * (HOURS - 1)


@pytest.fixture(scope="module")
def rolled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A collector whose store holds a point a second, rolled up."""
    settings = CollectorSettings(data=tmp_path_factory.mktemp("rolled"), auth=False)
    settings.folder.mkdir(parents=True)
    store = EmbeddedStore(settings.folder / "store.duckdb")
    times = [(START + second) * 10**9 for second in range(HOURS * 3600)]
    store.add(1, "d", [], [Block("m", ["m"] * len(times), times, {"v": [float(time % 7) for time in times]})])
    store.refresh_rollups(times[-1] + 10**9)
    store.close()
    with serve_app(create_app(settings)) as url:
        yield Server("collector", url, "ignored")


def test_the_answer_says_what_it_was_made_from_unless_raw_rows_are_asked_for(rolled: Server) -> None:
    (with_them,) = rolled.results("d", STATEMENT)
    (without,) = rolled.results("d", STATEMENT, rollups="false")
    assert with_them.pop("messages") == [SAID]
    assert with_them == without
    assert [row[1] for row in without["series"][0]["values"]] == COUNTS


def test_rollups_is_true_or_false(rolled: Server) -> None:
    refused = rolled.query("d", STATEMENT, rollups="maybe")
    assert (refused.status_code, refused.json()) == (400, {"error": "invalid rollups 'maybe'; true or false"})


def test_a_chunked_answer_says_it_once(rolled: Server) -> None:
    lines = rolled.query("d", STATEMENT, chunked="true", chunk_size="25").text.splitlines()
    assert [json.loads(line)["results"][0].get("messages") for line in lines] == [[SAID], None, None]


@pytest.mark.parametrize("chunks", [{}, {"chunked": True, "chunk_size": 25}], ids=["whole", "chunked"])
def test_the_1x_client_reads_the_rows(rolled: Server, chunks: dict[str, Any]) -> None:
    with InfluxDBClient(rolled.host, rolled.port, database="d") as client:
        found = client.query(STATEMENT, **chunks)
        results = found if chunks else [found]
        assert [row["count"] for one in results for row in one.get_points()] == COUNTS


@pytest.mark.filterwarnings("ignore::pandas.errors.Pandas4Warning")
def test_the_1x_client_makes_data_frames(rolled: Server) -> None:
    with DataFrameClient(rolled.host, rolled.port, database="d") as client:
        assert client.query(STATEMENT)["m"]["count"].tolist() == COUNTS


def test_our_reader_reads_the_rows(rolled: Server) -> None:
    with InfluxQLReader(rolled.url, database="d") as reader:
        (series,) = reader.execute(STATEMENT)
        assert [row[1] for row in series.rows] == COUNTS


@pytest.mark.needs("influx", "influxdb-client")
@pytest.mark.parametrize("form", ["json", "csv", "column"])
def test_the_influx_shell_shows_the_rows(rolled: Server, tmp_path: Path, form: str) -> None:
    connection = ["-host", rolled.host, "-port", str(rolled.port), "-database", "d", "-format", form]
    shown = subprocess.run(
        ["influx", *connection, "-execute", STATEMENT],
        capture_output=True,
        text=True,
        timeout=60,
        env={"HOME": str(tmp_path), "PATH": "/usr/bin:/bin"},
        check=False,
    )
    assert shown.returncode == 0, shown.stderr
    assert len(re.findall(r"\b3600\b", shown.stdout)) == HOURS - 1
    # InfluxDB's own shell prints messages, where the form has a place for them.
    assert (f"info: {SAID['text']}." in shown.stdout) == (form == "column")
