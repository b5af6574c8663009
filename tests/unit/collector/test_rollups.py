"""Roll-ups never change an answer: every query is asked with and without them."""

from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, event, given, settings
from hypothesis import strategies as st

from streamswarm_collector.batch import Row
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.rolling import Roller
from streamswarm_collector.store.rollups import HOUR, MINUTE
from streamswarm_core.lineprotocol import MIN_TIME_NS
from tests.unit.collector.rollup_stores import START, asked, at, every_ten_seconds, opened

# Multiples of a quarter: their sums are exact, so answers can be compared exactly.
values = st.dictionaries(st.sampled_from("xyn"), st.integers(-400, 400), min_size=1).flatmap(
    lambda drawn: st.sampled_from(
        [
            {name: one * 2**40 if name == "n" else one / 4 for name, one in drawn.items()},
            {"s": "up", "x": sum(drawn.values()) / 4},
        ]
    )
)
seconds = st.one_of(st.integers(0, 6 * 3600), st.integers(0, 180).map(lambda minute: minute * 60))
points = st.lists(
    st.tuples(st.sampled_from(["m,host=a", "m,host=b", "m,site=z"]), seconds, values), min_size=1, max_size=40
)
operations = st.one_of(
    st.tuples(st.just("write"), points),
    st.tuples(st.just("write"), points),
    st.tuples(st.just("refresh"), seconds),
    st.tuples(st.just("refresh"), st.just(7 * 3600)),
    st.tuples(st.just("delete"), st.tuples(st.sampled_from([[1], [2], [1, 2, 3]]), seconds, seconds)),
    st.tuples(st.just("open again"), st.none()),
)


@st.composite
def queries(draw: st.DrawFn) -> str:
    calls = st.one_of(
        st.builds("{}({})".format, st.sampled_from(["count", "sum", "mean", "min", "max", "spread"]), numeric),
        st.builds("{}({})".format, st.sampled_from(["count", "sum", "mean", "min", "max", "spread"]), numeric),
        st.sampled_from(["count(s)", "sum(n) / count(n)", "difference(max(x))", "max(*)"]),
        st.sampled_from(["median(x)", "sum(n::float)", "count(s)", "mean(*)"]),
    )
    columns = ", ".join(draw(st.lists(calls, min_size=1, max_size=3)))
    terms = []
    first, last = sorted([draw(seconds), draw(seconds)])
    lower = draw(st.booleans())
    if lower:
        terms.append(f"time {draw(st.sampled_from(['>=', '>']))} {START + first}s")
    if draw(st.integers(0, 2)):
        terms.append(f"time {draw(st.sampled_from(['<', '<=']))} {START + last}s")
    terms += draw(st.sampled_from([[], [], ["host = 'a'"], ["host =~ /a|b/"], ["site = ''"], []]))
    terms += ["x > 0"] if draw(st.integers(0, 9)) == 0 else []
    by = draw(st.sampled_from([[], ["host"], ["*"]]))
    zone = ""
    if draw(st.integers(0, 3)):
        window = draw(st.sampled_from(["1m", "5m", "7m", "90s", "1h", "2h", "1h,30m", "1h,-10s", "1d"]))
        by = [f"time({window})", *by]
        # Without a bound there are windows from the first point to now.
        fill = "none" if len(terms) < 2 or not lower else draw(st.sampled_from(["none", "null", "0", "previous"]))
        zone = draw(st.sampled_from(["", "", " tz('Europe/Berlin')", " tz('Asia/Kolkata')"])) if lower else ""
        zone = f" fill({fill}){draw(st.sampled_from(['', ' ORDER BY time DESC', ' LIMIT 3']))}{zone}"
    where = f" WHERE {' AND '.join(terms)}" if terms else ""
    return f"SELECT {columns} FROM m{where}" + (f" GROUP BY {', '.join(by)}" if by else "") + zone


numeric = st.sampled_from(["x", "y", "n"])


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(operations, min_size=3, max_size=10), st.lists(queries(), min_size=4, max_size=8), st.sampled_from([1, 3])
)
def test_whatever_happens_to_rows_answers_are_those_from_the_rows(
    tmp_path_factory: pytest.TempPathFactory, done: list[tuple[str, Any]], statements: list[str], rollup_rows: int
) -> None:
    path = tmp_path_factory.mktemp("rollups") / "s.duckdb"
    store = EmbeddedStore(path, flush_seconds=0.01, recent_bytes=0, rollup_rows=rollup_rows)
    store.create_database("d")
    try:
        for lsn, (what, how) in enumerate(done, start=1):
            match what:
                case "write":
                    store.add(lsn, "d", [Row(series, at(second), fields) for series, second, fields in how])
                case "refresh":
                    store.refresh_rollups(at(how))
                case "delete":
                    sids, first, last = how
                    store.delete("d", "m", sids, at(min(first, last)), at(max(first, last)))
                case _:
                    store.close()
                    store = EmbeddedStore(path, flush_seconds=0.01, recent_bytes=0, rollup_rows=rollup_rows)
            store.flush()
            for statement in statements[lsn % 3 :: 3]:
                asked(store, statement)
        for _ in range(2):
            for statement in statements:
                _, said = asked(store, statement)
                event(said or "answered from rows")
            store.refresh_rollups(at(7 * 3600))
    finally:
        store.close()


def test_the_coarsest_step_is_taken_and_rows_for_the_ends(tmp_path: Path) -> None:
    with opened(tmp_path / "s.duckdb") as store:
        store.add(1, "d", every_ten_seconds(6))
        store.refresh_rollups(at(5.75 * 3600))
        store.refresh_rollups(at(5.75 * 3600))
        within = f"time >= {START + 100}s AND time < {START + 20_000}s"
        for window, said in {
            "1h": "answered from 1h and 1m roll-ups, and raw rows where there are none",
            "1h,30m": "answered from 1m roll-ups, and raw rows where there are none",
            "5m": "answered from 1m roll-ups, and raw rows where there are none",
            "90s": "",
        }.items():
            assert asked(store, f"SELECT mean(x), max(x) FROM m WHERE {within} GROUP BY time({window})")[1] == said
        whole = f"time >= {START + 1800}s AND time < {START + 9000}s"
        assert asked(store, f"SELECT sum(x) FROM m WHERE {whole}")[1] == "answered from 1h roll-ups"
        assert asked(store, "SELECT max(x) FROM m")[1] == ""  # a lone selector shows its point's time
        assert asked(store, "SELECT max(x) FROM m WHERE x > 7 GROUP BY host")[1] == ""
        assert asked(store, "SELECT sum(a) FROM (SELECT mean(x) AS a FROM m GROUP BY time(1h))")[1] != ""


def test_windows_of_a_zone_are_taken_from_a_step_that_they_begin_with(tmp_path: Path) -> None:
    with opened(tmp_path / "s.duckdb") as store:
        store.add(1, "d", every_ten_seconds(48))
        store.refresh_rollups(at(47 * 3600))
        store.refresh_rollups(at(47 * 3600))
        within = f"time >= {START}s AND time < {START + 45 * 3600}s"
        for zone, window, steps in [
            ("Europe/Berlin", "1d", "1h and 1m"),
            ("Europe/Berlin", "1h", "1h and 1m"),
            ("Asia/Kolkata", "1h", "1m"),
            ("Australia/Lord_Howe", "6h", "1h and 1m"),
        ]:
            found, said = asked(store, f"SELECT count(x) FROM m WHERE {within} GROUP BY time({window}) tz('{zone}')")
            assert said.startswith(f"answered from {steps} roll-ups"), (zone, window)
            if window == "1d":
                assert [row[1] for row in found[0]["values"]] == [360 * 1.5, 360 * 23, 360 * 20.5]


def test_late_points_and_deletion_are_seen_before_and_after_the_next_refresh(tmp_path: Path) -> None:
    count = f"SELECT count(x) FROM m WHERE time >= {START}s AND time < {START + 36_000}s"
    with opened(tmp_path / "s.duckdb") as store:
        store.add(1, "d", every_ten_seconds(10))
        store.refresh_rollups(at(36_000))
        assert asked(store, count)[0][0]["values"][0][1] == 3600
        store.add(2, "d", [Row("m,host=a", at(5001), {"x": 1.0}), Row("m,host=new", at(7001), {"x": 1.0})])
        assert asked(store, count)[0][0]["values"][0][1] == 3602
        assert store.database("d").measurements["m"].rollups.marks
        store.delete("d", "m", [1], at(0), at(1000))
        assert asked(store, count)[0][0]["values"][0][1] == 3502
    with opened(tmp_path / "s.duckdb") as store:
        assert asked(store, count)[0][0]["values"][0][1] == 3502
        store.refresh_rollups(at(36_000))
        assert not store.database("d").measurements["m"].rollups.marks
        found, said = asked(store, count)
        assert found[0]["values"][0][1] == 3502
        assert "roll-ups" in said


def test_a_field_that_comes_later_has_no_values_where_it_was_not(tmp_path: Path) -> None:
    both = f"SELECT count(x), count(late), sum(late) FROM m WHERE time >= {START}s AND time < {START + 36_000}s"
    with opened(tmp_path / "s.duckdb") as store:
        store.add(1, "d", every_ten_seconds(6))
        store.refresh_rollups(at(18_000))
        store.add(2, "d", [Row("m,host=a", at(6 * 3600 + 10 * step), {"late": step}) for step in range(1440)])
        for horizon in (18_000, 30_000, 36_000):
            found, said = asked(store, both)
            assert found[0]["values"][0][1:] == (2160, 1440, 1439 * 720)
            assert "roll-ups" in said
            store.refresh_rollups(at(horizon))
        store.add(3, "d", [Row("m,host=a", at(11), {"late": 5})])
        assert asked(store, both)[0][0]["values"][0][2] == 1441
        store.refresh_rollups(at(36_000))
        assert asked(store, both)[0][0]["values"][0][2] == 1441


def test_columns_of_fields_that_come_later_are_added_some_at_a_time_and_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = {f"late{number}": 1.0 for number in range(5)}
    counts = ", ".join(f"count({name})" for name in ["x", *late])
    asking = f"SELECT {counts} FROM m WHERE time >= {START}s AND time < {START + 30_000}s"
    monkeypatch.setattr("streamswarm_collector.store.rolling.MOST_VERSIONS", 1)
    with opened(tmp_path / "s.duckdb") as store:
        store.add(1, "d", every_ten_seconds(6))
        store.refresh_rollups(at(18_000))
        store.add(2, "d", [Row("m,host=a", at(6 * 3600 + 10 * step), late) for step in range(1440)])
        looks = iter([None, None, duckdb.IOException("no space left")])

        def refuse_the_third(*_: object) -> None:
            failure = next(looks, None)
            if failure:
                raise failure

        with monkeypatch.context() as patched:
            patched.setattr(Roller, "_refuse_if_gone", refuse_the_third)
            with pytest.raises(duckdb.IOException):
                store.refresh_rollups(at(36_000))
        assert asked(store, asking)[0][0]["values"][0][1:] == (2160, *[840] * 5)
    for _ in range(2):
        with opened(tmp_path / "s.duckdb") as store:
            store.refresh_rollups(at(36_000))
            found, said = asked(store, asking)
            assert found[0]["values"][0][1:] == (2160, *[840] * 5)
            assert "roll-ups" in said
            ((_, table),) = store.tables()
            assert [len(step.columns) for step in table.view.rollups.steps] == [6, 6]


def test_measurements_with_few_rows_are_not_rolled_up(tmp_path: Path) -> None:
    with opened(tmp_path / "s.duckdb", rollup_rows=12) as store:
        store.add(1, "d", every_ten_seconds(30, "m"))
        store.add(2, "d", [Row("rare", at(600 * step), {"x": 1.0}) for step in range(180)])
        store.add(3, "d", [Row("dense", at(step), {"x": 1.0}) for step in range(7200)])
        store.refresh_rollups(at(30 * 3600))
        kept = {
            name: [step.step for step in view.rollups.steps if step.kept]
            for name, view in store.database("d").measurements.items()
        }
        assert kept == {"m": [HOUR], "rare": [], "dense": [MINUTE, HOUR]}
        # It was one point in ten minutes and is one in a second from now on.
        store.add(4, "d", [Row("rare", at(30 * 3600 + 1800 + step), {"x": 1.0}) for step in range(7200)])
        store.refresh_rollups(at(40 * 3600))
        rollups = store.database("d").measurements["rare"].rollups
        assert [step.kept for step in rollups.steps] == [True, True]
        assert (
            "roll-ups"
            in asked(store, f"SELECT sum(x) FROM rare WHERE time >= {START}s AND time < {START + 200_000}s")[1]
        )


def test_a_refresh_without_news_does_nothing(tmp_path: Path) -> None:
    with opened(tmp_path / "s.duckdb") as store:
        for number in range(5):
            store.add(number + 1, "d", every_ten_seconds(2, f"m{number}"))
        store.refresh_rollups(at(90_000))
        store.refresh_rollups(at(90_000))
        assert store.refresh_rollups(at(90_000)) == 0
        store.add(9, "d", [Row("m3", at(9000), {"x": 1.0})])
        assert store.refresh_rollups(at(90_000)) == 1


def test_dropping_a_measurement_drops_its_roll_ups(tmp_path: Path) -> None:
    with opened(tmp_path / "s.duckdb") as store:
        store.add(1, "d", every_ten_seconds(3))
        store.refresh_rollups(at(9000))
        with store.changing() as catalog:
            catalog.drop_measurement("d", "m")
        store.add(2, "d", every_ten_seconds(1))
        assert asked(store, "SELECT count(x) FROM m")[0][0]["values"][0][1] == 360
        assert tables(store) == {"m2"}


def test_a_store_without_roll_ups_removes_those_of_the_file(tmp_path: Path) -> None:
    with opened(tmp_path / "s.duckdb") as store:
        store.add(1, "d", every_ten_seconds(3))
        store.refresh_rollups(at(9000))
        assert tables(store) == {"m1", "m1_1m", "m1_1h"}
    with opened(tmp_path / "s.duckdb", rollups=False) as store:
        store.add(2, "d", [Row("m,host=a", at(11), {"x": 1.0})])
        store.refresh_rollups(at(9000))
        assert tables(store) == {"m1"}
        assert asked(store, "SELECT count(x) FROM m")[1] == ""
    with opened(tmp_path / "s.duckdb") as store:
        store.refresh_rollups(at(9000))
        found, said = asked(store, "SELECT count(x) FROM m")
        assert found[0]["values"][0][1] == 1081
        assert "roll-ups" in said


def test_a_point_at_the_first_of_all_times_keeps_no_measurement_from_being_rolled_up(tmp_path: Path) -> None:
    with opened(tmp_path / "s.duckdb") as store:
        store.add(1, "d", [Row("early,host=a", MIN_TIME_NS + more, {"x": 1.0}) for more in range(0, 2 * HOUR, MINUTE)])
        store.add(2, "d", every_ten_seconds(3, "early,host=a"))
        store.add(3, "d", every_ten_seconds(3))
        store.refresh_rollups(at(9000))
        for name, count in (("early", 1080 + 120), ("m", 1080)):
            found, said = asked(store, f"SELECT count(x) FROM {name} WHERE time < {START + 9000 + 1800}s")
            assert (found[0]["values"][0][1], "roll-ups" in said) == (count, True)


def test_a_measurement_that_can_not_be_rolled_up_keeps_no_other_waiting(tmp_path: Path) -> None:
    with opened(tmp_path / "s.duckdb") as store:
        for lsn, name in enumerate(("a", "b", "c"), start=1):
            store.add(lsn, "d", every_ten_seconds(3, f"{name},host=a"))
        store.flush()
        with store.rewriting() as connection:
            connection.execute("CREATE TABLE m2_1m (nothing INTEGER)")
        with pytest.raises(duckdb.Error):
            store.refresh_rollups(at(9000))
        for name, rolled in (("a", True), ("b", False), ("c", True)):
            found, said = asked(store, f"SELECT count(x) FROM {name}")
            assert (found[0]["values"][0][1], "roll-ups" in said) == (1080, rolled)


def tables(store: EmbeddedStore) -> set[str]:
    with store.cursor() as cursor:
        found = cursor.execute(
            "SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'm_' OR table_name LIKE 'm__1_'"
        )
        return {name for (name,) in found.fetchall()}
