"""Days in Parquet files answer like days in the table, whatever is written, deleted, joined or interrupted."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from streamswarm_collector.batch import Row
from streamswarm_collector.influxql.admin import Administrator
from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.store import compacting, freezing
from streamswarm_collector.store.compacting import compact_store
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.freezing import DAY, freeze, join_small
from tests.unit.collector.conftest import Write

NOW = 30 * DAY
NOBODY = threading.Event()
QUESTIONS = [
    "SELECT * FROM m",
    "SELECT x FROM m WHERE h = 'a' ORDER BY time DESC LIMIT 4",
    "SELECT count(x), sum(y), max(x), last(y) FROM m GROUP BY h",
    f"SELECT mean(x) FROM m WHERE time >= {DAY} AND time < {4 * DAY} GROUP BY time(1d), h fill(none)",
    "SELECT x FROM m WHERE y > 0",
    # By series: which of several points of one time comes first is left open.
    f"SELECT first(x) FROM m WHERE time >= {2 * DAY} GROUP BY h",
    "SHOW SERIES",
    "SHOW FIELD KEYS",
]


def ask(store: EmbeddedStore, text: str) -> Any:
    administrator = Administrator(store, lambda *_: None)
    engine = Engine(store, now_ns=lambda: NOW, administrator=administrator)
    return engine.execute(text, database="d", epoch="ns", may_change=True).body


def in_order(body: Any) -> Any:
    for result in body["results"]:
        for series in result.get("series", []):
            series["values"] = sorted(map(list, series["values"]), key=json.dumps)
    return body


def freeze_all(store: EmbeddedStore, before: int = NOW) -> None:
    store.flush()
    freeze(store, before, NOBODY)


def hot_and_cold(store: EmbeddedStore) -> tuple[int, int]:
    """Rows in tables, and in files."""
    with store.cursor() as cursor:
        hot = sum(
            cursor.execute(f"SELECT count(*) FROM {table.view.table}").fetchall()[0][0] for _, table in store.tables()
        )
        return hot, sum(file.rows for file in store.cold.files(cursor))


def files_in(store: EmbeddedStore) -> set[str]:
    return {path.name for path in store.cold.folder.iterdir()} if store.cold.folder.exists() else set()


def test_each_day_becomes_a_file_and_its_rows_leave_the_table(store: EmbeddedStore, write: Write) -> None:
    write(f"m,h=a x=1 5\nm,h=b x=2 {DAY - 1}\nm,h=a x=3 {DAY}\nm,h=a x=4 {3 * DAY}")
    freeze_all(store, before=2 * DAY)
    assert hot_and_cold(store) == (1, 3)
    assert len(files_in(store)) == 2
    (series,) = ask(store, "SELECT x FROM m")["results"][0]["series"]
    assert [row[1] for row in series["values"]] == [1, 2, 3, 4]


def test_a_query_of_the_last_day_opens_no_cold_file(store: EmbeddedStore, write: Write) -> None:
    write(f"m,h=a x=1 5\nm,h=a x=2 {5 * DAY}")
    freeze_all(store, before=2 * DAY)
    for path in store.cold.folder.iterdir():
        path.write_text("no Parquet any more")
    view = store.database("d").measurements["m"]
    with store.cursor() as cursor:
        assert view.relation(cursor, 2 * DAY, None) == view.table
        assert view.relation(cursor, None, 5) == view.table
        assert "read_parquet" in view.relation(cursor, None, 6)


def test_late_points_of_a_cold_day_leave_it_cold_unless_they_come_again(store: EmbeddedStore, write: Write) -> None:
    write(f"m,h=a x=1 5\nm,h=a x=2 7\nm,h=a x=3 {5 * DAY}")
    freeze_all(store, before=2 * DAY)
    write("m,h=a x=9 6")
    assert hot_and_cold(store) == (2, 2)
    write("m,h=a y=8 7")
    assert hot_and_cold(store) == (4, 0)
    (series,) = ask(store, f"SELECT x, y FROM m WHERE time < {DAY}")["results"][0]["series"]
    assert list(map(list, series["values"])) == [[5, 1, None], [6, 9, None], [7, 2, 8]]


def test_a_field_that_is_newer_than_a_file_is_null_there(store: EmbeddedStore, write: Write) -> None:
    write("m,h=a x=1 5")
    freeze_all(store)
    write(f'm,h=a note="new" {5 * DAY}')
    (series,) = ask(store, "SELECT note, x FROM m")["results"][0]["series"]
    assert list(map(list, series["values"])) == [[5, None, 1], [5 * DAY, "new", None]]


def test_the_newest_time_of_a_series_includes_cold_days_after_any_kind_of_end(tmp_path: Path) -> None:
    for clean in (True, False):
        path = tmp_path / f"{clean}.duckdb"
        store = EmbeddedStore(path)
        store.add(1, "d", [Row("m,h=a", 5, {"x": 1.0}), Row("m,h=b", DAY * 2, {"x": 2.0})])
        freeze_all(store, before=DAY)
        store.close()
        if not clean:
            with duckdb.connect(str(path)) as connection:
                connection.execute("DELETE FROM closed; DELETE FROM newest WHERE time = ?", [DAY * 2])
        store = EmbeddedStore(path)
        ((_, table),) = store.tables()
        assert table.newest == {1: 5, 2: DAY * 2}
        store.add(2, "d", [Row("m,h=a", 5, {"x": 7.0})])
        (series,) = ask(store, "SELECT x FROM m WHERE h = 'a'")["results"][0]["series"]
        assert list(map(list, series["values"])) == [[5, 7]]
        store.close()


def test_small_files_of_a_week_become_one(store: EmbeddedStore, write: Write) -> None:
    write("\n".join(f"m,h=a x={day} {day * DAY}" for day in range(1, 10)))
    freeze_all(store)
    before = ask(store, "SELECT x FROM m")
    assert join_small(store, NOBODY) == 7  # days 1 to 6, and 7 to 9
    store.cold.sweep(store.rewriting)
    assert len(files_in(store)) == 2
    assert ask(store, "SELECT x FROM m") == before


def test_a_file_stays_while_a_reader_may_have_seen_it(store: EmbeddedStore, write: Write) -> None:
    write("m,h=a x=1 5")
    freeze_all(store)
    view = store.database("d").measurements["m"]
    with store.cursor() as reader:
        seen = view.relation(reader, None, None)
        write("m,h=a x=2 5")
        store.flush()
        assert store.cold.sweep(store.rewriting) == 0
        assert reader.execute(f"SELECT time, sid, f1 FROM {seen}").fetchall() == [(5, 1, 1.0)]
    assert store.cold.sweep(store.rewriting) == 1
    assert not files_in(store)


def test_a_day_that_is_written_to_meanwhile_is_frozen_in_the_next_attempt(
    store: EmbeddedStore, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(f"m,h=a x=1 5\nm,h=a x=2 {DAY}")
    store.flush()
    really = freezing._write
    late: Iterator[str] = iter(["m,h=a x=9 5"])

    def slowly(*arguments: Any) -> Any:
        written = really(*arguments)
        for line in late:
            write(line)
            store.flush()
        return written

    monkeypatch.setattr(freezing, "_write", slowly)
    freeze_all(store)
    assert hot_and_cold(store) == (0, 2)
    (series,) = ask(store, "SELECT x FROM m")["results"][0]["series"]
    assert list(map(list, series["values"])) == [[5, 9], [DAY, 2]]
    store.cold.sweep(store.rewriting)
    assert len(files_in(store)) == 2


def test_what_is_dropped_leaves_no_file(store: EmbeddedStore, write: Write) -> None:
    write("m,h=a x=1 5\nk x=1 5")
    freeze_all(store)
    ask(store, "DROP MEASUREMENT m")
    store.cold.sweep(store.rewriting)
    assert len(files_in(store)) == 1
    ask(store, "DROP DATABASE d")
    store.cold.sweep(store.rewriting)
    assert not files_in(store)


def test_a_file_that_is_not_known_is_left_alone(tmp_path: Path) -> None:
    unknown = tmp_path / "s.cold" / "m1-20240101-somebody-elses.parquet"
    unknown.parent.mkdir()
    unknown.write_text("")
    store = EmbeddedStore(tmp_path / "s.duckdb")
    store.cold.sweep(store.rewriting)
    store.close()
    assert unknown.exists()


def stop_here(*_: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("step", ["sync", "register", "keep_newest"])
def test_freezing_that_is_cut_off_loses_nothing_and_doubles_nothing(
    store: EmbeddedStore, write: Write, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    write("m,h=a x=1 5\nm,h=b x=2 6")
    store.flush()
    before = in_order(ask(store, "SELECT * FROM m"))
    with monkeypatch.context() as patched:
        patched.setattr(freezing, step, stop_here)
        with pytest.raises(KeyboardInterrupt):
            freeze(store, NOW, NOBODY)
    assert hot_and_cold(store) == (2, 0)
    assert in_order(ask(store, "SELECT * FROM m")) == before
    store.cold.sweep(store.rewriting)
    assert not files_in(store)


def test_compacting_that_is_cut_off_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "s.duckdb"
    store = EmbeddedStore(path)
    store.add(1, "d", [Row("m,h=a", 5, {"x": 1.0}), Row("m,h=a", DAY, {"x": 2.0})])
    freeze_all(store, before=DAY)
    store.close()
    with monkeypatch.context() as patched:
        patched.setattr(compacting, "_copy_table", stop_here)
        with pytest.raises(KeyboardInterrupt):
            compact_store(path, "1GB", lambda *_: None)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["s.cold", "s.duckdb"]
    store = EmbeddedStore(path)
    assert hot_and_cold(store) == (1, 1)
    store.close()


# Any history

SERIES = st.sampled_from(["m,h=a", "m,h=b", "m"])
TIMES = st.integers(0, 5).flatmap(lambda day: st.integers(0, 3).map(lambda step: day * DAY + step * (DAY // 4)))
FIELDS = st.dictionaries(st.sampled_from(["x", "y"]), st.integers(-5, 5).map(float), min_size=1)
STEPS = st.one_of(
    st.tuples(st.just("write"), st.lists(st.builds(Row, SERIES, TIMES, FIELDS), min_size=1, max_size=12)),
    st.tuples(st.just("delete"), st.tuples(st.sampled_from(["", "a", "b"]), TIMES, TIMES)),
    st.tuples(st.sampled_from(["freeze", "freeze", "join", "sweep", "reopen", "compact"]), st.integers(0, 6)),
)


@contextmanager
def two_stores(folder: Path) -> Iterator[list[EmbeddedStore]]:
    stores = [EmbeddedStore(folder / f"{name}.duckdb", flush_seconds=0.01) for name in ("hot", "tiered")]
    for store in stores:
        store.create_database("d")
    yield stores
    for store in stores:
        store.close()


def apply(stores: list[EmbeddedStore], number: int, kind: str, what: Any) -> None:
    tiered = stores[1]
    match kind:
        case "write":
            for store in stores:
                store.add(number, "d", what)
        case "delete":
            host, first, last = what
            for store in stores:
                ask(store, f"DELETE FROM m WHERE h = '{host}' AND time >= {first} AND time <= {last}")
        case "freeze":
            freeze_all(tiered, before=what * DAY)
        case "join":
            join_small(tiered, NOBODY)
        case "sweep":
            tiered.cold.sweep(tiered.rewriting)
        case "reopen":
            # From now on whatever was frozen is read from its files, not from memory.
            tiered.flush()
            tiered.close()
            stores[1] = EmbeddedStore(tiered.path, flush_seconds=0.01)
        case "compact":
            tiered.flush()
            tiered.close()
            compact_store(tiered.path, "1GB", lambda *_: None)
            stores[1] = EmbeddedStore(tiered.path, flush_seconds=0.01)


@settings(max_examples=40, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate])
@given(st.lists(STEPS, min_size=2, max_size=10))
def test_any_history_ends_with_the_answers_of_a_store_that_never_froze_a_day(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, Any]]
) -> None:
    with two_stores(tmp_path_factory.mktemp("tiers")) as stores:
        for number, (kind, what) in enumerate([*steps, ("reopen", 0)], start=1):
            apply(stores, number, kind, what)
        for question in QUESTIONS:
            hot, tiered = (in_order(ask(store, question)) for store in stores)
            assert tiered == hot, question
        assert sum(hot_and_cold(stores[1])) == sum(hot_and_cold(stores[0]))
