"""The results API in front of every kind of store: the same questions, the same answers, worked out from the points.

Only InfluxQL stores keep text, so errors are compared there.
"""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.bootstrap import bootstrap
from streamswarm_controlplane.results.export import extract as extracting
from streamswarm_controlplane.results.times import rfc3339
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.errors import Unavailable
from streamswarm_core.point import Point
from streamswarm_core.reader import Reader, Select, Series
from tests.integration import stores
from tests.support import serve_app
from tests.unit.controlplane.conftest import PASSWORD, Client

MS = 1_000_000
SECOND = NANOSECONDS
MINUTE = 60 * SECOND
BASE = 1_750_000_020 * SECOND
"""A whole minute."""
STOP = BASE + 20 * MINUTE
RUNS = 120
STORES = [
    pytest.param("embedded"),
    pytest.param("influxdb", marks=pytest.mark.needs("influxd", "influxdb")),
    pytest.param("victoriametrics", marks=pytest.mark.needs("victoria-metrics", "victoria-metrics")),
]
pytestmark = pytest.mark.xdist_group("stores")


def make_points() -> list[Point]:
    """Two agents with a run every 10 s, at the same moments; minutes 5 and 6 are empty; some runs fail."""
    points = []
    for run in range(RUNS):
        at = BASE + run * 10 * SECOND
        if 30 <= run < 42:
            continue
        for number, (agent, site) in enumerate([("berlin-1", "berlin"), ("paris-1", "paris")]):
            tags = {"agent": agent, "site": site, "test": "ping", "target": "192.0.2.1", "family": "ipv4"}
            failed = run % 20 == 19 and agent == "paris-1"
            fields: dict[str, Any] = {
                "up": 0,
                "error": "timeout",
                "error_detail": "=no reply",
                "loss": 1.0,
                "duration": 4.0,
            }
            if not failed:
                fields = {"up": 1, "loss": 0.0, "rtt_mean": 0.010 + run / 1000 + number, "duration": 0.6, "sent": 4}
            points.append(ICMP.point(tags, time_ns=at, seq=run + 1, **fields))
        other = {"agent": "berlin-1", "site": "berlin", "test": "other", "target": "192.0.2.1", "family": "ipv4"}
        points.append(ICMP.point(other, time_ns=at, up=1, rtt_mean=77.0))
    return points


POINTS = make_points()
OURS = [point for point in POINTS if point.tags["test"] == "ping"]


@dataclass
class Asked:
    """The API over one store."""

    kind: str
    client: Client
    test_id: str

    def get(self, path: str, **query: Any) -> httpx.Response:
        asked = query if path == "/latest" else {"start": rfc3339(BASE), "stop": rfc3339(STOP), **query}
        return self.client.http.get(f"/tests/{self.test_id}/results{path}", params=asked)

    @property
    def keeps_text(self) -> bool:
        return self.kind != "victoriametrics"


class Counting:
    """A reader that remembers the largest answer that its store gave, and can lose its store."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.largest = 0
        self.answers = 0
        self.lost_after: int | None = None

    def select(self, statement: Select) -> list[Series]:
        if self.lost_after is not None and self.answers >= self.lost_after:
            raise Unavailable("http://store.test: gone")
        found = self._reader.select(statement)
        self.answers += 1
        self.largest = max(self.largest, sum(len(series.rows) for series in found))
        return found

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reader, name)


@pytest.fixture(scope="module", params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def reader(kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Counting]:
    if kind == "influxdb":
        with stores.influxdb(request.getfixturevalue("influxdb"), POINTS) as opened:
            yield Counting(opened)
    else:
        with getattr(stores, kind)(tmp_path_factory.mktemp(kind) / "store", POINTS) as opened:
            yield Counting(opened)


@pytest.fixture(scope="module")
def api(kind: str, reader: Counting, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Asked]:
    settings = ControlPlaneSettings(data=tmp_path_factory.mktemp(f"controlplane-{kind}"))
    password = bootstrap(settings).admin_password or ""
    app = create_app(settings)
    app.state.reader = reader
    with serve_app(app) as url:
        client = Client(url)
        Client.opened.remove(client.http)  # it lives as long as the module
        client.log_in("admin", password)
        client.change_password(password, PASSWORD)
        test = {"key": "ping", "name": "Ping", "probe": "icmp", "target": "192.0.2.1", "interval": 10}
        yield Asked(kind, client, client.http.post("/tests", json=test).json()["id"])
        client.http.close()


@pytest.fixture(autouse=True)
def _store_is_there(reader: Counting) -> None:
    reader.largest, reader.answers, reader.lost_after = 0, 0, None


def rows_of(history: dict[str, Any], agent: str) -> list[list[Any]]:
    found: list[list[Any]] = next(one["rows"] for one in history["series"] if one["tags"]["agent"] == agent)
    return found


def test_windows_are_means_of_the_points_and_empty_ones_are_null(api: Asked) -> None:
    answer = api.get("", every="1m", field="rtt_mean").json()
    assert (answer["every"], answer["start"]) == (60, "2025-06-15T15:07:00Z")
    assert answer["fields"][0]["unit"] == "seconds"
    assert len(answer["series"]) == 2
    rows = rows_of(answer, "berlin-1")
    assert [row[0] for row in rows] == [rfc3339(BASE + minute * MINUTE) for minute in range(20)]
    for minute, (_, value) in enumerate(rows):
        found = [
            float(point.fields["rtt_mean"])
            for point in OURS
            if point.tags["agent"] == "berlin-1" and ((point.time_ns or 0) - BASE) // MINUTE == minute
        ]
        assert value == (pytest.approx(sum(found) / len(found), rel=1e-12) if found else None), minute
    assert [minute for minute, row in enumerate(rows) if row[1] is None] == [5, 6]


def test_the_window_is_chosen_so_that_there_are_no_more_points_than_asked_for(api: Asked) -> None:
    for points, every in ((300, 20), (20, 60), (10, 120), (1, 1800)):
        answer = api.get("", points=points, field="loss", stop=rfc3339(STOP - MINUTE)).json()
        assert answer["every"] == every
        assert 0 < len(rows_of(answer, "paris-1")) <= points


def test_up_is_averaged_to_the_share_of_good_runs_and_can_be_counted(api: Asked) -> None:
    share = api.get("", every="1h", field="up", agent="paris-1", start=rfc3339(BASE - MINUTE)).json()
    ups = [float(point.fields["up"]) for point in OURS if point.tags["agent"] == "paris-1"]
    whole = [row[1] for row in rows_of(share, "paris-1") if row[1] is not None]
    assert whole == [pytest.approx(sum(ups) / len(ups))]
    assert [one["tags"]["agent"] for one in share["series"]] == ["paris-1"]
    counted = api.get("", every="1h", field="up", agent="paris-1", aggregate="count").json()
    assert sum(row[1] or 0 for row in rows_of(counted, "paris-1")) == len(ups)
    assert counted["fields"][0]["aggregate"] == "count"


def test_single_points_are_those_that_were_written(api: Asked) -> None:
    rows = rows_of(api.get("", every="raw", field="rtt_mean", agent="berlin-1").json(), "berlin-1")
    assert rows == [
        [rfc3339(point.time_ns or 0), pytest.approx(point.fields["rtt_mean"], rel=1e-12)]
        for point in OURS
        if point.tags["agent"] == "berlin-1"
    ]


def test_a_time_of_another_zone_and_a_relative_one_are_answered_in_utc(api: Asked) -> None:
    there = api.get("", every="1m", field="loss", start="2025-06-15T17:07:00+02:00", stop="2025-06-15T20:57:00+05:30")
    assert there.json()["series"] == api.get("", every="1m", field="loss").json()["series"]
    recent = api.get("", every="1m", start="-5m", stop="now").json()
    assert recent["stop"].endswith("Z")
    assert recent["series"] == []


@pytest.mark.parametrize(
    ("query", "field", "accepted"),
    [
        ({"field": "rtt"}, "query.field", "rtt_mean"),
        ({"every": "1s", "start": "-30d", "stop": "now"}, "query.every", "take 600s or longer"),
        ({"every": "often"}, "query.every", "such as 30s"),
        ({"start": "2025-06-15T15:07:00"}, "query.start", "RFC 3339 with a time zone"),
        ({"start": "now"}, "query.start", "is not before the stop"),
        ({"every": "1m", "field": "error"}, "query.field", "every=raw"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_what_can(
    api: Asked, query: dict[str, str], field: str, accepted: str
) -> None:
    answer = api.get("", **query)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["field"] == field
    assert accepted in answer.json()["detail"]


def test_the_latest_values_are_there_for_each_agent_with_their_age(api: Asked) -> None:
    answer = api.get("/latest", since=rfc3339(BASE)).json()
    found = {one["agent"]: one for one in answer["agents"]}
    assert set(found) == {"berlin-1", "paris-1"}
    paris = found["paris-1"]
    assert (paris["site"], paris["state"], paris["assigned"], paris["agent_state"]) == ("paris", "stale", False, None)
    newest = paris["series"][0]
    assert newest["time"] == rfc3339(BASE + 119 * 10 * SECOND)
    assert newest["age"] > 3600
    assert (newest["values"]["up"], newest["values"]["loss"], newest["values"]["seq"]) == (0, 1.0, RUNS)
    assert (newest["values"].get("error") == "timeout") == api.keeps_text
    units = {one["field"]: one["unit"] for one in answer["fields"]}
    assert (units["rtt_mean"], units["loss"]) == ("seconds", "ratio 0..1")


def test_runs_are_paged_without_missing_or_repeating_one(api: Asked) -> None:
    seen: list[tuple[str, str]] = []
    stop, pages = rfc3339(STOP), 0
    while stop:
        page = api.get("/runs", stop=stop, limit=25).json()
        seen += [(one["time"], one["agent"]) for one in page["items"]]
        stop, pages = page["next"], pages + 1
    expected = [(rfc3339(point.time_ns or 0), point.tags["agent"]) for point in OURS]
    assert sorted(seen) == sorted(expected)
    assert [time for time, _ in seen] == sorted((time for time, _ in expected), reverse=True)
    assert pages > 5


def test_a_run_says_how_it_went(api: Asked) -> None:
    items = api.get("/runs", agent="paris-1", limit=1).json()["items"]
    assert [(one["run"], one["up"], one["duration"]) for one in items] == [(RUNS, False, 4.0)]
    assert items[0]["tags"] == {"target": "192.0.2.1", "family": "ipv4"}
    assert items[0]["values"]["loss"] == 1.0
    assert (items[0]["error"], items[0]["error_detail"]) == (("timeout", "=no reply") if api.keeps_text else ("", ""))


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(extracting, "ROWS_A_SERIES", 20)
    monkeypatch.setattr(extracting, "_FEW_ROWS", 5)


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("form", ["csv", "ndjson", "json", "parquet"])
def test_an_export_has_every_point_once_and_in_order(api: Asked, reader: Counting, form: str) -> None:
    answer = api.get("/export", format=form, start="2025-06-01T00:00:00Z", stop="2025-07-01T00:00:00Z")
    assert answer.status_code == 200
    assert answer.headers["content-disposition"] == (
        f'attachment; filename="ping_icmp_20250601T000000Z_20250701T000000Z.{form}"'
    )
    assert read(form, answer.content) == [
        (point.time_ns, point.tags["agent"], point.fields.get("rtt_mean"), point.fields["seq"]) for point in OURS
    ]
    # Two series of at most 20 rows at a time, although the range has 216.
    assert reader.largest <= 40
    assert reader.answers > 5


def read(form: str, content: bytes) -> list[tuple[int, str, Any, int]]:
    if form == "parquet":
        table = pq.read_table(io.BytesIO(content))
        records = table.set_column(0, "time", table["time"].cast(pa.int64())).to_pylist()
        return [(one["time"], one["agent"], approximate(one["rtt_mean"]), one["seq"]) for one in records]
    if form == "csv":
        rows: list[dict[str, Any]] = list(csv.DictReader(io.StringIO(content.decode(), newline="")))
        rows = [row | {"rtt_mean": float(row["rtt_mean"]) if row["rtt_mean"] else None} for row in rows]
    else:
        rows = json.loads(content) if form == "json" else [json.loads(line) for line in content.splitlines()]
    times = {rfc3339(point.time_ns or 0): point.time_ns or 0 for point in OURS}
    return [(times[row["time"]], row["agent"], approximate(row["rtt_mean"]), int(row["seq"])) for row in rows]


def approximate(value: float | None) -> Any:
    return None if value is None else pytest.approx(value, rel=1e-12)


def test_an_export_of_windows_cuts_none_in_two(api: Asked, small_parts: None) -> None:
    assert small_parts is None
    answer = api.get("/export", format="ndjson", every="1m", field="rtt_mean", agent="berlin-1")
    rows = [json.loads(line) for line in answer.text.splitlines()]
    history = rows_of(api.get("", every="1m", field="rtt_mean", agent="berlin-1").json(), "berlin-1")
    assert [[row["time"], row["rtt_mean"]] for row in rows] == [row for row in history if row[1] is not None]


def test_csv_is_compressed_for_who_takes_that_and_safe_for_spreadsheets(api: Asked) -> None:
    with api.client.http.stream(
        "GET",
        f"/tests/{api.test_id}/results/export",
        params={"start": rfc3339(BASE), "stop": rfc3339(STOP)},
        headers={"Accept-Encoding": "gzip"},
    ) as answer:
        assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "Accept-Encoding")
        packed = b"".join(answer.iter_raw())
    plain = api.client.http.get(
        f"/tests/{api.test_id}/results/export",
        params={"start": rfc3339(BASE), "stop": rfc3339(STOP)},
        headers={"Accept-Encoding": "identity"},
    )
    assert "content-encoding" not in plain.headers
    assert gzip.decompress(packed) == plain.content
    assert ("'=no reply" in plain.text) == api.keeps_text


def test_a_store_that_is_lost_before_the_first_byte_is_a_problem_document(api: Asked, reader: Counting) -> None:
    reader.lost_after = 0
    answer = api.get("/export")
    assert (answer.status_code, answer.headers["content-type"]) == (503, "application/problem+json")
    assert "store.test: gone" in answer.json()["detail"]


@pytest.mark.usefixtures("small_parts")
@pytest.mark.parametrize("form", ["csv", "json", "parquet"])
def test_a_store_that_is_lost_on_the_way_breaks_the_connection_off(api: Asked, reader: Counting, form: str) -> None:
    reader.lost_after = 4
    with pytest.raises(httpx.RemoteProtocolError):
        api.get("/export", format=form)
