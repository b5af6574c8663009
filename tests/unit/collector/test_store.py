from contextlib import closing
from pathlib import Path

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamswarm_collector.batch import Block, Row
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.schema import RefusedError
from streamswarm_core.errors import ConfigError, Unavailable
from streamswarm_core.lineprotocol import MAX_TIME_NS
from tests.unit.collector.conftest import Write, rows_of


def test_a_read_sees_every_point_added_before_it(store: EmbeddedStore, write: Write) -> None:
    write("m,h=a v=1 1")
    assert rows_of(store, "m") == [Row("m,h=a", 1, {"v": 1.0})]
    write("m,h=a v=2 2")
    assert [row.time_ns for row in rows_of(store, "m")] == [1, 2]


def test_the_same_point_again_overwrites_field_by_field(store: EmbeddedStore, write: Write) -> None:
    write("m a=1,b=1 5\nm a=2 5")
    write("m c=9i 5")
    assert rows_of(store, "m") == [Row("m", 5, {"a": 2.0, "b": 1.0, "c": 9})]


def test_late_points_find_their_place(store: EmbeddedStore, write: Write) -> None:
    write("m v=9 9\nm v=3 3\nm v=3.5 3")
    write("m v=1 1\nm v=9.5 9")
    assert [(row.time_ns, row.fields["v"]) for row in rows_of(store, "m")] == [(1, 1.0), (3, 3.5), (9, 9.5)]


def test_fields_and_series_are_added_as_they_come(store: EmbeddedStore, write: Write) -> None:
    write('m,h=a v=1 1\nm,h=b s="x",ok=t,n=2i 1')
    assert rows_of(store, "m") == [
        Row("m,h=a", 1, {"v": 1.0}),
        Row("m,h=b", 1, {"s": "x", "ok": True, "n": 2}),
    ]


def test_everything_is_there_after_closing_and_opening(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    store = EmbeddedStore(path)
    store.add(4, "d", [Row("m,h=a", 1, {"v": 1.0})])
    store.close()
    store = EmbeddedStore(path)
    assert store.stored_lsn == 4
    store.add(5, "d", [Row("m,h=a", 1, {"v": 2.0}), Row("m,h=b", 1, {"v": 3.0})])
    assert rows_of(store, "m") == [Row("m,h=a", 1, {"v": 2.0}), Row("m,h=b", 1, {"v": 3.0})]
    store.close()


@pytest.mark.parametrize("wrong", [0, MAX_TIME_NS])
def test_a_point_of_a_wrong_clock_changes_little_of_what_is_kept_in_memory(tmp_path: Path, wrong: int) -> None:
    day = 1_704_067_200 * 10**9
    rows = [Row("m,h=a", day + number, {"v": 1.0}) for number in range(1000)]
    with closing(EmbeddedStore(tmp_path / "s.duckdb")) as store:
        store.add(1, "d", [*rows, Row("m,h=b", wrong, {"v": 2.0})])
    with closing(EmbeddedStore(tmp_path / "s.duckdb", recent_bytes=2200)) as store:
        recent = store.database("d").measurements["m"].recent
        assert recent.nbytes <= 2200
        assert recent.covers(day + 901)
        assert not recent.covers(day + 899)


def test_a_second_process_or_store_on_the_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "no.duckdb").write_text("this is no database at all, whatever its name says" * 100)
    with pytest.raises(ConfigError, match=r"no\.duckdb: can't be opened as a store") as refusal:
        EmbeddedStore(tmp_path / "no.duckdb")
    assert "\n" not in str(refusal.value)


def test_a_store_of_a_newer_version_is_refused_in_one_line_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "s.duckdb"
    EmbeddedStore(path).close()
    with closing(duckdb.connect(str(path))) as connection:
        connection.execute("UPDATE format SET version = 99; ALTER TABLE measurements ADD COLUMN more INTEGER")
    for _ in range(2):
        with pytest.raises(ConfigError, match=r"a newer version of StreamSwarm has written it \(format 99, .*\Z"):
            EmbeddedStore(path)


def test_dropping_a_database_forgets_its_data_and_its_types(store: EmbeddedStore, write: Write) -> None:
    write("m v=1 1", database="gone")
    store.flush()
    store.drop_database("gone")
    with pytest.raises(RefusedError, match="database not found: gone"):
        store.database("gone")
    store.create_database("gone")
    assert not store.database("gone").measurements


POINTS = st.lists(
    st.tuples(
        st.sampled_from(["m,h=a", "m,h=b"]),
        st.integers(0, 8),
        st.dictionaries(st.sampled_from(["x", "y"]), st.integers(-5, 5).map(float), min_size=1),
    ),
    max_size=30,
)


def as_blocks(points: list[tuple[str, int, dict[str, float]]]) -> list[Block]:
    """One block for each run of points with the same fields."""
    blocks: list[Block] = []
    for key, time_ns, fields in points:
        if not blocks or list(blocks[-1].columns) != sorted(fields):
            blocks.append(Block("m", [], [], {name: [] for name in sorted(fields)}))
        blocks[-1].series_keys.append(key)
        blocks[-1].times.append(time_ns)
        for name, value in fields.items():
            blocks[-1].columns[name].append(value)  # type: ignore[arg-type] # all columns are of floats here
    return blocks


@settings(max_examples=60, deadline=None)
@given(st.lists(POINTS, min_size=1, max_size=4), st.booleans())
def test_any_order_of_points_ends_as_a_map_from_series_and_time_to_fields(
    tmp_path_factory: pytest.TempPathFactory,
    batches: list[list[tuple[str, int, dict[str, float]]]],
    bulk: bool,
) -> None:
    store = EmbeddedStore(tmp_path_factory.mktemp("store") / "s.duckdb", flush_seconds=0.01)
    expected: dict[tuple[str, int], dict[str, float]] = {}
    for lsn, points in enumerate(batches, start=1):
        store.add(lsn, "d", [] if bulk else [Row(*point) for point in points], as_blocks(points) if bulk else [])
        if lsn % 2:
            store.flush()
        for key, time_ns, fields in points:
            expected.setdefault((key, time_ns), {}).update(fields)
    stored = rows_of(store, "m") if expected else []
    store.close()
    assert {(row.series_key, row.time_ns): dict(row.fields) for row in stored} == expected
    assert len(stored) == len(expected)


def test_points_that_cannot_be_taken_are_not_passed_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store = EmbeddedStore(tmp_path / "s.duckdb")
    store.add(1, "d", [Row("m", 1, {"v": 1.0})])
    store.flush()
    with monkeypatch.context() as patched:
        patched.setattr("streamswarm_collector.store.writer.take_rows", lambda *_: 1 / 0)
        store.add(2, "d", [Row("m", 2, {"v": 2.0})])
        with pytest.raises((Unavailable, ZeroDivisionError)):
            store.flush()
    store.add(3, "d", [Row("m", 3, {"v": 3.0})])
    with pytest.raises(Unavailable, match="restart the collector"):
        store.flush()
    assert store.failure is not None
    assert "takes no more points" in caplog.text
    store.close()
    store = EmbeddedStore(tmp_path / "s.duckdb")
    assert store.stored_lsn == 1
    store.close()
