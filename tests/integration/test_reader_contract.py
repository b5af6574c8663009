"""One scenario in every store a service may read from; the same questions, the same answers.

What the stores' models allow: times are whole milliseconds, values are compared to 1e-12 of themselves (VictoriaMetrics
keeps that many digits, and a mean is a sum over a count, added up in any order), and only InfluxQL stores keep text.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from streamswarm_core.catalogue.network import DNS, ICMP
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.point import Point
from streamswarm_core.reader import (
    SCRAPED,
    Aggregate,
    Condition,
    Fill,
    InfluxQLReader,
    PromQLReader,
    Reader,
    Select,
)
from streamswarm_core.reader.frames import latest, rows, window_means
from streamswarm_core.reader.select import Function
from tests.integration import stores
from tests.support import find_free_port

MS = 1_000_000
MINUTE = 60 * NANOSECONDS
BASE = 1_750_000_020 * NANOSECONDS
"""A whole minute, so windows of a minute begin here."""

AWKWARD = 'C:\\temp\\"quoted" \'x\' ünï→{a="b", c=d}|.*'
V6 = {"agent": "a1", "site": "north", "test": "t1", "target": "2001:db8::1", "family": "ipv6"}
ODD = {"agent": "a2", "test": "t2", "target": AWKWARD}
TWIN = {"agent": "a1", "site": "north", "test": "t1", "target": "192.0.2.7", "family": "ipv4"}
STOP = BASE + 10 * MINUTE

STORES = [
    pytest.param("embedded"),
    pytest.param("influxdb", marks=pytest.mark.needs("influxd", "influxdb")),
    pytest.param("victoriametrics", marks=pytest.mark.needs("victoria-metrics", "victoria-metrics")),
    pytest.param("prometheus", marks=pytest.mark.needs("prometheus", "prometheus")),
]
pytestmark = pytest.mark.xdist_group("stores")


def scenario() -> list[Point]:
    """Points in order of time: on the edges of windows, with gaps, with and without tags and fields."""
    points = []
    for step in range(60):
        at = BASE + step * 10 * NANOSECONDS
        if not 18 <= step < 36:  # minutes 3, 4 and 5 are empty
            points.append(ICMP.point(V6, time_ns=at, rtt_mean=0.010 + step / 7000, loss=step % 3 / 3, up=1))
        if step % 6 == 5:  # the last millisecond of each minute
            points.append(ICMP.point(V6, time_ns=at + 9_999 * MS, rtt_mean=0.5, up=1))
        if step % 4 == 1:  # one point in some minutes, two in others; never a round-trip time
            points.append(ICMP.point(ODD, time_ns=at + 1 * MS, loss=1.0, up=0, error="timeout"))
        if step % 6 == 0:
            points.append(ICMP.point(TWIN, time_ns=at + 500 * MS, rtt_mean=0.1 * step, loss=0.0, up=1))
    points.append(DNS.point({"agent": "a1", "test": "t3", "target": "example.com"}, time_ns=BASE, lookup=0.02, up=1))
    return points


POINTS = scenario()


@pytest.fixture(scope="module", params=STORES)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def reader(kind: str, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[Reader]:
    if kind == "influxdb":
        with stores.influxdb(request.getfixturevalue("influxdb"), POINTS) as opened:
            yield opened
    else:
        with getattr(stores, kind)(tmp_path_factory.mktemp(kind) / "store", POINTS) as opened:
            yield opened


def chosen(measurement: str, start: int, stop: int, where: dict[str, str]) -> Iterator[Point]:
    for point in POINTS:
        assert point.time_ns is not None
        inside = point.measurement == measurement and start <= point.time_ns < stop
        if inside and all(point.tags.get(key, "") == value for key, value in where.items()):
            yield point


def expected(
    fields: Sequence[str],
    tags: Sequence[str],
    *,
    start: int = BASE,
    stop: int = STOP,
    every: int | None = MINUTE,
    measurement: str = "icmp",
    **where: str,
) -> pd.DataFrame:
    """The frame, worked out from the scenario alone; without `every` the points themselves."""
    values: dict[tuple[tuple[str, ...], int], dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for point in chosen(measurement, start, stop, where):
        time = point.time_ns or 0
        key = tuple(point.tags.get(tag, "") for tag in tags), time - time % every if every else time
        for field in fields:
            if field in point.fields:
                values[key][field].append(float(point.fields[field]))
    made = pd.DataFrame(
        [
            [pd.Timestamp(time, unit="ns", tz="UTC"), *key]
            + [sum(found[field]) / len(found[field]) if field in found else float("nan") for field in fields]
            for (key, time), found in sorted(values.items())
        ],
        columns=["time", *tags, *fields],
    )
    return made.astype({"time": "datetime64[ns, UTC]", **dict.fromkeys(tags, str), **dict.fromkeys(fields, float)})


def means(reader: Reader, fields: Sequence[str], tags: Sequence[str] = ("*",), **changes: Any) -> pd.DataFrame:
    arguments = {"start_ns": BASE, "stop_ns": STOP, "every_ns": MINUTE, **changes}
    return window_means(reader, "icmp", fields, tags=tags, **arguments)


def same(one: pd.DataFrame, other: pd.DataFrame) -> None:
    assert_frame_equal(one, other, rtol=1e-12, atol=0)


ALL_TAGS = ("agent", "family", "site", "target", "test")


def test_window_means_of_every_series_are_those_of_the_points(reader: Reader) -> None:
    frame = means(reader, ["rtt_mean", "loss"])
    same(frame, expected(["rtt_mean", "loss"], ALL_TAGS))
    # The scenario has what it is there for: missing tags, a gap, a field without values.
    assert set(frame["target"]) == {V6["target"], AWKWARD, TWIN["target"]}
    assert set(frame.loc[frame["agent"] == "a2", "site"]) == {""}
    assert frame.loc[frame["agent"] == "a2", "rtt_mean"].isna().all()
    assert len(frame[frame["target"] == V6["target"]]) == 10


def test_windows_without_points_have_no_row(reader: Reader) -> None:
    frame = means(reader, ["loss"], where=[Condition("target", V6["target"])])
    minutes = [(time.value - BASE) // MINUTE for time in frame["time"]]
    assert minutes == [0, 1, 2, 6, 7, 8, 9]


@pytest.mark.parametrize(
    ("start", "stop"),
    [
        (BASE + 15 * NANOSECONDS, BASE + 7 * MINUTE + 41 * NANOSECONDS),
        (BASE + 59_999 * MS, BASE + MINUTE),
        (BASE + 59_998 * MS, BASE + MINUTE + 1 * MS),
        (BASE + 10 * NANOSECONDS, BASE + 20 * NANOSECONDS),
        (BASE + MINUTE, BASE + 2 * MINUTE),
        (BASE - 1 * MS, BASE + 1 * MS),
    ],
)
def test_the_first_and_last_window_are_cut_where_the_range_is(reader: Reader, start: int, stop: int) -> None:
    fields, tags = ["rtt_mean", "loss"], ["agent", "target"]
    same(means(reader, fields, tags, start_ns=start, stop_ns=stop), expected(fields, tags, start=start, stop=stop))


@pytest.mark.parametrize("every", [7 * NANOSECONDS, 1500 * MS, 3600 * NANOSECONDS, 90 * NANOSECONDS])
def test_windows_of_any_length_begin_at_multiples_since_the_epoch(reader: Reader, every: int) -> None:
    same(means(reader, ["rtt_mean"], ["target"], every_ns=every), expected(["rtt_mean"], ["target"], every=every))


def test_a_mean_over_several_series_weighs_points_and_not_series(reader: Reader) -> None:
    same(means(reader, ["rtt_mean"], ["agent", "test"]), expected(["rtt_mean"], ["agent", "test"]))
    same(means(reader, ["loss"], []), expected(["loss"], []))


@pytest.mark.parametrize("target", [AWKWARD, V6["target"], "nobody", '"} or {__name__=~".+', "' OR 1=1 --"])
def test_a_tag_value_is_a_value_whatever_it_holds(reader: Reader, target: str) -> None:
    frame = means(reader, ["loss"], ["target"], where=[Condition("target", target)])
    same(frame, expected(["loss"], ["target"], target=target))


def test_series_without_a_tag_can_be_asked_for_and_left_out(reader: Reader) -> None:
    same(means(reader, ["loss"], ["agent"], where=[Condition("site", "")]), expected(["loss"], ["agent"], site=""))
    without = means(reader, ["loss"], ["agent"], where=[Condition("site", "", "!=")])
    same(without, expected(["loss"], ["agent"], site="north"))


@pytest.mark.parametrize("start", [BASE + 10 * NANOSECONDS, BASE + MINUTE])  # the latter a millisecond after a point
def test_raw_rows_are_those_from_start_to_before_stop(reader: Reader, start: int) -> None:
    stop = BASE + 6 * MINUTE
    frame = rows(reader, "icmp", ["rtt_mean", "loss", "up"], start_ns=start, stop_ns=stop)
    same(frame, expected(["rtt_mean", "loss", "up"], ALL_TAGS, start=start, stop=stop, every=None))
    assert frame["time"].min().value == start
    assert frame["time"].max().value == stop - 1 * MS


def test_the_latest_row_of_each_series_is_found_however_old_it_is(reader: Reader) -> None:
    fields, tags = ["rtt_mean", "loss"], ["agent", "target"]
    whole = expected(fields, tags, every=None)
    # V6 is fresh at the stop, within the gap it is old; what was before the range doesn't count.
    for start, stop in [(BASE, STOP), (BASE, BASE + 10 * MINUTE + MINUTE * 58), (BASE - MINUTE, BASE + 5 * MINUTE)]:
        inside = whole[whole["time"] < pd.Timestamp(stop, unit="ns", tz="UTC")]
        newest = inside.groupby(tags, sort=True).tail(1).sort_values(tags, ignore_index=True)
        same(latest(reader, "icmp", fields, start_ns=start, stop_ns=stop, tags=tags), newest)


def test_the_newest_rows_of_each_series_are_newest_first(reader: Reader) -> None:
    statement = Select(
        "icmp", ["loss"], start_ns=BASE, stop_ns=STOP + 40 * MINUTE, group_by=["target"], descending=True, limit=20
    )
    found = reader.select(statement)
    targets = expected(["loss"], ["target"], every=None).dropna()["target"]
    assert sorted(series.tags["target"] for series in found) == sorted(targets.unique())
    for series in found:
        whole = expected(["loss"], ["target"], every=None, target=series.tags["target"])
        newest = whole.dropna().iloc[::-1].head(20)
        assert series.columns == ("time", "loss")
        assert [row[0] for row in series.rows] == [time.value for time in newest["time"]]
        assert [row[1] for row in series.rows] == pytest.approx(list(newest["loss"]))


def test_series_are_listed_with_their_tags(reader: Reader) -> None:
    found = reader.series("icmp", start_ns=BASE, stop_ns=STOP)
    assert list(found) == sorted([V6, ODD, TWIN], key=lambda tags: sorted(tags.items()))
    where = [Condition("target", AWKWARD)]
    assert reader.series("icmp", start_ns=BASE, stop_ns=STOP, where=where) == [ODD]


def test_measurements_are_listed(reader: Reader) -> None:
    assert reader.measurements() == ["dns", "icmp"]


@pytest.mark.parametrize(
    ("measurement", "start"), [("icmp", BASE - 400 * 24 * 60 * MINUTE), ("http", BASE), ("unheard_of", BASE)]
)
def test_nothing_is_an_empty_frame_with_all_columns(reader: Reader, measurement: str, start: int) -> None:
    frame = window_means(
        reader, measurement, ["loss"], start_ns=start, stop_ns=start + 5 * MINUTE, every_ns=MINUTE, tags=["target"]
    )
    same(frame, expected(["loss"], ["target"], measurement="none"))
    assert rows(reader, measurement, ["loss"], start_ns=start, stop_ns=start + MINUTE).empty
    assert latest(reader, measurement, ["loss"], start_ns=start, stop_ns=start + 9 * MINUTE).empty
    assert reader.series(measurement, start_ns=start, stop_ns=start + MINUTE) == []


@pytest.mark.parametrize(("function", "work"), [("min", min), ("max", max), ("sum", sum), ("count", len)])
def test_other_aggregates_are_those_of_the_points(
    reader: Reader, function: Function, work: Callable[[list[float]], float]
) -> None:
    statement = Select(
        "icmp",
        [Aggregate(function, "rtt_mean", "x")],
        start_ns=BASE + 5 * NANOSECONDS,
        stop_ns=BASE + 3 * MINUTE + 5 * NANOSECONDS,
        every_ns=MINUTE,
        group_by=["agent"],
    )
    (series,) = reader.select(statement)
    windows: dict[int, list[float]] = defaultdict(list)
    for point in chosen("icmp", statement.start_ns or 0, statement.stop_ns or 0, {"agent": "a1"}):
        windows[(point.time_ns or 0) // MINUTE * MINUTE].append(float(point.fields["rtt_mean"]))
    assert (series.columns, series.tags) == (("time", "x"), {"agent": "a1"})
    assert [list(row) for row in series.rows] == [
        [time, pytest.approx(work(values))] for time, values in sorted(windows.items())
    ]


@pytest.mark.parametrize(("fill", "hole"), [(Fill.NULL, None), (Fill.ZERO, 0), (Fill.PREVIOUS, "previous")])
def test_empty_windows_are_filled_as_asked(reader: Reader, fill: Fill, hole: object) -> None:
    statement = Select(
        "icmp",
        [Aggregate("mean", "loss")],
        start_ns=BASE,
        stop_ns=STOP,
        where=[Condition("target", V6["target"])],
        every_ns=MINUTE,
        fill=fill,
        limit=8,
    )
    (series,) = reader.select(statement)
    assert [row[0] for row in series.rows] == [BASE + minute * MINUTE for minute in range(8)]
    values = series.column("loss")
    assert values[3:6] == [values[2] if hole == "previous" else hole] * 3
    assert values[6] == pytest.approx(1 / 3)


def test_one_value_of_the_whole_range_needs_no_window(reader: Reader) -> None:
    statement = Select("icmp", [Aggregate("mean", "loss")], start_ns=BASE, stop_ns=STOP, group_by=["agent"])
    times = [(series.tags["agent"], [row[0] for row in series.rows]) for series in reader.select(statement)]
    assert times == [("a1", [BASE]), ("a2", [BASE])]
    values = [series.column("loss") for series in reader.select(statement)]
    points = [list(chosen("icmp", BASE, STOP, {"agent": agent})) for agent in ("a1", "a2")]
    losses = [[float(point.fields["loss"]) for point in some if "loss" in point.fields] for some in points]
    assert values == [[pytest.approx(sum(some) / len(some))] for some in losses]


def test_text_is_read_where_the_store_keeps_it_and_none_elsewhere(reader: Reader, kind: str) -> None:
    where = [Condition("agent", "a2")]
    statement = Select("icmp", ["up", "error"], start_ns=BASE, stop_ns=STOP, where=where, descending=True, limit=1)
    (series,) = reader.select(statement)
    assert list(series.rows[0][1:]) == [0, "timeout" if kind in {"embedded", "influxdb"} else None]


@pytest.mark.parametrize(
    "statement",
    [
        Select("icmp", ["loss"], stop_ns=STOP),
        Select("icmp", [Aggregate("last", "loss")], start_ns=BASE, stop_ns=STOP),
        Select("icmp", [Aggregate("mean", "loss")], start_ns=BASE, stop_ns=STOP, every_ns=5 * MS + 1),
        Select("icmp", [Aggregate("mean", "loss")], start_ns=BASE, stop_ns=STOP, every_ns=MS),
        Select("icmp", [Aggregate("mean", "loss")], start_ns=BASE, stop_ns=STOP, group_by=["no-label"]),
        Select("icmp", ["loss"], start_ns=BASE, stop_ns=STOP, where=[Condition('a="b"}', "c")]),
    ],
)
@pytest.mark.parametrize("naming", [None, SCRAPED])
def test_what_promql_cannot_say_is_refused_before_it_is_asked(statement: Select, naming: Any) -> None:
    named = {"naming": naming} if naming else {}
    with (
        PromQLReader(f"http://127.0.0.1:{find_free_port()}", **named) as reader,
        pytest.raises(Refused, match="PromQL"),
    ):
        reader.select(statement)


@pytest.mark.parametrize(
    "make", [lambda url: InfluxQLReader(url, database="d"), PromQLReader], ids=["influxql", "promql"]
)
def test_a_store_that_is_down_is_unavailable_and_the_error_names_its_url(make: Any) -> None:
    url = f"http://127.0.0.1:{find_free_port()}"
    with make(url) as reader:
        for ask in (
            lambda: means(reader, ["loss"]),
            lambda: rows(reader, "icmp", ["loss"], start_ns=BASE, stop_ns=STOP),
            lambda: latest(reader, "icmp", ["loss"], start_ns=BASE, stop_ns=STOP),
            lambda: reader.series("icmp", start_ns=BASE, stop_ns=STOP),
            reader.measurements,
        ):
            with pytest.raises(Unavailable, match=url):
                ask()
