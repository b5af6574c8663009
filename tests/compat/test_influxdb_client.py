"""The 2.x client from PyPI, `influxdb-client`, works unchanged: synchronous, asynchronous, batching, callbacks.

InfluxDB 1.6.7 has no `/api/v2/write`, so that the collector alone is asked; it is read back through `/query`.
"""

import gzip
import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pandas as pd
import pytest
from influxdb_client.client.influxdb_client import InfluxDBClient
from influxdb_client.client.influxdb_client_async import InfluxDBClientAsync
from influxdb_client.client.write.point import Point
from influxdb_client.client.write_api import ASYNCHRONOUS, SYNCHRONOUS, PointSettings, WriteOptions
from influxdb_client.domain.write_precision import WritePrecision
from influxdb_client.rest import ApiException

from tests.compat.conftest import Server

pytestmark = pytest.mark.xdist_group("compat")

START = datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC)
START_NS = 1_700_000_000_000_000_000


def values(server: Server, database: str, statement: str = "SELECT * FROM cpu") -> list[list[Any]]:
    (result,) = server.results(database, statement)
    return [row for series in result.get("series", []) for row in series["values"]]


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
def client(collector: Server, request: pytest.FixtureRequest) -> Iterator[InfluxDBClient]:
    with InfluxDBClient(collector.url, token=collector.token, org="ops", enable_gzip=request.param) as client:
        yield client


@dataclass(frozen=True)
class Load:
    host: str
    value: float
    time: int


@pytest.mark.parametrize(
    "record",
    [
        "cpu,host=a value=1.5 1700000000000000000",
        b"cpu,host=a value=1.5 1700000000000000000",
        ["cpu,host=a value=1.5 1700000000000000000"],
        Point("cpu").tag("host", "a").field("value", 1.5).time(START),
        [[Point("cpu").tag("host", "a").field("value", 1.5).time(START_NS)]],
        {"measurement": "cpu", "tags": {"host": "a"}, "fields": {"value": 1.5}, "time": START.isoformat()},
        pytest.param(("cpu,host=a value=1.5 1700000000000000000",), id="tuple"),
    ],
    ids=lambda record: type(record).__name__,
)
def test_every_form_of_a_point_is_written(
    client: InfluxDBClient, collector: Server, database: str, record: object
) -> None:
    client.write_api(write_options=SYNCHRONOUS).write(database, record=record)
    assert values(collector, database) == [[START_NS, "a", 1.5]]


def test_a_data_class_is_written(client: InfluxDBClient, collector: Server, database: str) -> None:
    client.write_api(write_options=SYNCHRONOUS).write(
        database,
        record=Load("a", 1.5, START_NS),
        record_measurement_name="cpu",
        record_tag_keys=["host"],
        record_field_keys=["value"],
        record_time_key="time",
    )
    assert values(collector, database) == [[START_NS, "a", 1.5]]


def test_a_data_frame_is_written(client: InfluxDBClient, collector: Server, database: str) -> None:
    index = pd.date_range(START, periods=3, freq="1s")
    frame = pd.DataFrame({"host": ["a", "b", "a b"], "value": [0.5, None, 2.5], "ok": [True, False, True]}, index=index)
    client.write_api(write_options=SYNCHRONOUS).write(
        database, record=frame, data_frame_measurement_name="cpu", data_frame_tag_columns=["host"]
    )
    assert values(collector, database) == [
        [START_NS, "a", True, 0.5],
        [START_NS + 10**9, "b", False, None],
        [START_NS + 2 * 10**9, "a b", True, 2.5],
    ]


@pytest.mark.parametrize(
    ("precision", "factor"),
    [(WritePrecision.NS, 1), (WritePrecision.US, 10**3), (WritePrecision.MS, 10**6), (WritePrecision.S, 10**9)],
)
def test_points_are_written_in_every_precision(
    client: InfluxDBClient, collector: Server, database: str, precision: Any, factor: int
) -> None:
    writer = client.write_api(write_options=SYNCHRONOUS)
    writer.write(database, record=f"cpu value=1.5 {START_NS // factor}", write_precision=precision)
    writer.write(database, record=Point("load").field("value", 2.5).time(START, precision), write_precision=precision)
    assert values(collector, database, "SELECT value FROM cpu, load") == [[START_NS, 1.5], [START_NS, 2.5]]


def test_awkward_names_and_values_come_back_as_they_were(
    client: InfluxDBClient, collector: Server, database: str
) -> None:
    text = 'say "hi"\\\nnext line, a=b é 日本'
    point = Point("a b,c").tag("t=1, x", "v=1, é").tag("path", "C:\\x\\y").field('f=1, "q"', text).field("n", 2**63 - 1)
    client.write_api(write_options=SYNCHRONOUS).write(database, record=point.time(START))
    (result,) = collector.results(database, 'SELECT * FROM "a b,c"')
    (series,) = result["series"]
    assert dict(zip(series["columns"], series["values"][0], strict=True)) == {
        "time": START_NS,
        "t=1, x": "v=1, é",
        "path": "C:\\x\\y",
        'f=1, "q"': text,
        "n": 2**63 - 1,
    }


def test_default_tags_are_added(client: InfluxDBClient, collector: Server, database: str) -> None:
    settings = PointSettings(site="north east")
    client.write_api(write_options=SYNCHRONOUS, point_settings=settings).write(
        database, record=Point("cpu").field("value", 1.5).time(START)
    )
    assert values(collector, database) == [[START_NS, "north east", 1.5]]


@pytest.mark.filterwarnings("ignore:The 'WriteType.asynchronous' is deprecated:DeprecationWarning")
def test_an_asynchronous_request_hands_back_its_result(
    client: InfluxDBClient, collector: Server, database: str
) -> None:
    results = [
        client.write_api(write_options=ASYNCHRONOUS).write(database, record=f"cpu value={number} {number}")
        for number in range(5)
    ]
    assert [result.get(30) for result in results] == [None] * 5
    assert len(values(collector, database)) == 5


def test_a_refusal_carries_code_and_message(client: InfluxDBClient, database: str) -> None:
    with pytest.raises(ApiException) as caught:
        client.write_api(write_options=SYNCHRONOUS).write(database, record="cpu value=oops")
    assert caught.value.status == 400
    assert json.loads(str(caught.value.body))["code"] == "invalid"
    assert "unable to parse 'cpu value=oops'" in str(caught.value.message)


def test_a_wrong_token_is_a_401(collector: Server, database: str) -> None:
    with InfluxDBClient(collector.url, token="un.kno.wn", org="ops") as client, pytest.raises(ApiException) as caught:
        client.write_api(write_options=SYNCHRONOUS).write(database, record="cpu value=1")
    assert caught.value.status == 401


@dataclass
class Heard:
    """What the batching writer called back."""

    succeeded: list[str] = field(default_factory=list)
    failed: list[tuple[str, Exception]] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)

    def success(self, _configuration: Any, body: Any) -> None:
        self.succeeded += unpacked(body).splitlines()

    def error(self, _configuration: Any, body: Any, exception: Exception) -> None:
        self.failed.append((unpacked(body), exception))

    def retry(self, _configuration: Any, body: Any, _exception: Exception) -> None:
        self.retried.append(unpacked(body))


def unpacked(body: bytes | str) -> str:
    if isinstance(body, str):
        return body
    return (gzip.decompress(body) if body.startswith(b"\x1f\x8b") else body).decode()


def test_a_batching_writer_sends_everything_when_it_is_closed(
    client: InfluxDBClient, collector: Server, database: str
) -> None:
    heard = Heard()
    with client.write_api(
        WriteOptions(batch_size=40, flush_interval=5_000),
        success_callback=heard.success,
        error_callback=heard.error,
        retry_callback=heard.retry,
    ) as writer:
        for number in range(100):
            writer.write(database, record=f"cpu value={number} {number}")
    assert len(values(collector, database)) == len(heard.succeeded) == 100
    assert (heard.failed, heard.retried) == ([], [])


def test_a_batching_writer_hears_what_was_refused_and_does_not_send_it_again(
    client: InfluxDBClient, collector: Server, database: str
) -> None:
    heard = Heard()
    with client.write_api(
        WriteOptions(batch_size=2, flush_interval=5_000),
        success_callback=heard.success,
        error_callback=heard.error,
        retry_callback=heard.retry,
    ) as writer:
        writer.write(database, record=["cpu value=1 1", "cpu value=2 2"])
        writer.write(database, record=["cpu value=3 3", 'cpu value="text" 4'])
        writer.write(database, record=["cpu value=5 5", "cpu value=6 6"])
    ((body, exception),) = heard.failed
    assert body == 'cpu value=3 3\ncpu value="text" 4'
    assert isinstance(exception, ApiException)
    assert "field type conflict" in str(exception)
    assert heard.retried == []
    assert [row[0] for row in values(collector, database)] == [1, 2, 3, 5, 6]


def test_a_batching_writer_sends_again_what_the_collector_had_no_room_for(
    collector: Server, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard = Heard()

    def make_room(configuration: Any, body: Any, exception: Exception) -> None:
        heard.retry(configuration, body, exception)
        monkeypatch.undo()

    monkeypatch.setattr("streamswarm_collector.wal.Wal.size", 10**12)
    with (
        InfluxDBClient(collector.url, token=collector.token, org="ops") as client,
        client.write_api(
            WriteOptions(batch_size=2, flush_interval=5_000, retry_interval=10, max_retry_delay=100),
            success_callback=heard.success,
            error_callback=heard.error,
            retry_callback=make_room,
        ) as writer,
    ):
        writer.write(database, record=["cpu value=1 1", "cpu value=2 2"])
    assert heard.retried == ["cpu value=1 1\ncpu value=2 2"]
    assert heard.failed == []
    assert len(values(collector, database)) == 2


@pytest.fixture(params=[False, True], ids=["plain", "gzip"])
async def client_async(collector: Server, request: pytest.FixtureRequest) -> AsyncIterator[InfluxDBClientAsync]:
    async with InfluxDBClientAsync(
        collector.url, token=collector.token, org="ops", enable_gzip=request.param
    ) as client:
        yield client


async def test_the_asynchronous_client_writes(
    client_async: InfluxDBClientAsync, collector: Server, database: str
) -> None:
    points = [Point("cpu").tag("host", "a").field("value", number / 2).time(number + 1) for number in range(3)]
    assert await client_async.write_api().write(database, record=points)
    assert values(collector, database) == [[1, "a", 0], [2, "a", 0.5], [3, "a", 1]]


async def test_the_asynchronous_client_raises_a_refusal(client_async: InfluxDBClientAsync, database: str) -> None:
    with pytest.raises(ApiException) as caught:
        await client_async.write_api().write(database, record="cpu value=oops")
    assert caught.value.status == 400
    assert "unable to parse 'cpu value=oops'" in str(caught.value)


async def test_the_asynchronous_client_pings(client_async: InfluxDBClientAsync) -> None:
    assert await client_async.ping()
    assert (await client_async.version()).startswith("1.")
    assert await client_async.build() == "OSS"


def test_a_ping_gives_version_and_build(client: InfluxDBClient) -> None:
    assert client.ping()
    assert client.version().startswith("1.")
    assert client.build() == "OSS"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_health_passes(client: InfluxDBClient) -> None:
    assert client.health().status == "pass"


def test_the_collector_is_ready(client: InfluxDBClient) -> None:
    assert client.ready().status == "ready"
