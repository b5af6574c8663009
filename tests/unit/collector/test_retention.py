"""What a retention policy keeps no longer is gone from everywhere, and is not taken any more."""

import threading
from pathlib import Path

import pytest

from streamswarm_collector.batch import Row
from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.settings import CollectorSettings
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.freezing import DAY, freeze
from streamswarm_collector.store.jobs import cold_before, set_retention, store_jobs
from streamswarm_collector.store.maintenance import Maintenance
from streamswarm_collector.store.policies import HOUR
from streamswarm_collector.store.retention import enforce_retention
from streamswarm_core.errors import ConfigError
from tests.support import eventually

NOBODY = threading.Event()


def values(store: EmbeddedStore, where: str = "") -> list[tuple[int, float]]:
    body = Engine(store).execute(f"SELECT x FROM m {where}", database="d", epoch="ns").body
    return [(row[0], row[1]) for one in body["results"][0].get("series", []) for row in one["values"]]


def series(store: EmbeddedStore) -> list[str]:
    body = Engine(store).execute("SHOW SERIES", database="d").body
    return [row[0] for one in body["results"][0].get("series", []) for row in one["values"]]


@pytest.fixture
def loaded(tmp_path: Path) -> EmbeddedStore:
    """Series `old` ends in day 1, `new` goes on to day 9."""
    store = EmbeddedStore(tmp_path / "s.duckdb")
    store.create_database("d")
    rows = [Row("m,h=new", day * DAY + hour * HOUR, {"x": float(day)}) for day in range(1, 10) for hour in (1, 23)]
    store.add(1, "d", [Row("m,h=old", DAY + 2 * HOUR, {"x": -1.0}), *rows])
    store.flush()
    return store


@pytest.mark.parametrize("cold", [False, True])
@pytest.mark.parametrize("reopened", [False, True])
def test_expired_rows_leave_table_files_and_memory(loaded: EmbeddedStore, cold: bool, reopened: bool) -> None:
    store = loaded
    if cold:
        freeze(store, 6 * DAY, NOBODY)
    if reopened:
        store.close()
        store = EmbeddedStore(store.path)
    set_retention(store, "d", 5)
    enforce_retention(store, 9 * DAY, NOBODY)
    kept = [day for day in range(4, 10) for _ in range(2)]
    assert values(store) == [(day * DAY + hour * HOUR, day) for day in range(4, 10) for hour in (1, 23)]
    assert [value for _, value in values(store, "WHERE x > 0")] == kept  # a condition on a field asks the file
    assert series(store) == ["m,h=new"]
    store.close()
    store = EmbeddedStore(store.path)
    assert [value for _, value in values(store)] == kept
    store.close()


def test_a_series_and_its_rows_stay_as_long_as_a_cold_file_that_holds_them(loaded: EmbeddedStore) -> None:
    freeze(loaded, 6 * DAY, NOBODY)
    set_retention(loaded, "d", 1)
    enforce_retention(loaded, DAY + 12 * HOUR + DAY, NOBODY)  # its only row has expired, the file's last has not
    assert series(loaded) == ["m,h=new", "m,h=old"]
    assert (DAY + 2 * HOUR, -1) in values(loaded)
    enforce_retention(loaded, 3 * DAY, NOBODY)
    assert series(loaded) == ["m,h=new"]
    assert (DAY + 2 * HOUR, -1) not in values(loaded)
    loaded.close()


def test_for_ever_is_for_ever(loaded: EmbeddedStore) -> None:
    enforce_retention(loaded, 2**62, NOBODY)
    assert len(values(loaded)) == 19
    loaded.close()


def test_the_setting_changes_the_default_policy_and_is_left_alone_when_it_is_not_set(loaded: EmbeddedStore) -> None:
    set_retention(loaded, "d", 30)
    set_retention(loaded, "d", None)
    (policy,) = loaded.policies("d")
    assert (policy.duration, policy.shard_duration) == (30 * DAY, DAY)
    set_retention(loaded, "d", 0)
    assert loaded.policies("d")[0].duration == 0
    with pytest.raises(ConfigError, match="at least an hour"):
        set_retention(loaded, "d", 0.01)
    loaded.close()


def test_the_jobs_of_a_collector_expire_freeze_join_and_sweep(loaded: EmbeddedStore, tmp_path: Path) -> None:
    set_retention(loaded, "d", 365)
    settings = CollectorSettings(data=tmp_path, auth=False, cold_days=2)
    now = 9 * DAY + HOUR
    runs: list[tuple[str, str | None]] = []
    maintenance = Maintenance(
        store_jobs(loaded, settings),
        interval_seconds=60,
        clock=lambda: now,
        on_run=lambda job, _seconds, failure: runs.append((job, failure)),
    )
    maintenance.run_once()
    assert [job for job, _ in runs] == ["retention", "rollups", "freezing", "joining", "sweeping"]
    assert not [failure for _, failure in runs if failure]
    with loaded.cursor() as cursor:
        assert max(file.last for file in loaded.cold.files(cursor)) < cold_before(now, 2) == 7 * DAY
        assert cursor.execute("SELECT min(time) FROM m1").fetchall() == [(7 * DAY + HOUR,)]
    loaded.close()


def test_a_job_that_fails_is_named_and_the_others_go_on(caplog: pytest.LogCaptureFixture) -> None:
    rounds = iter([True, False, False, False])
    done: list[str] = []

    def fails(_now_ns: int, _stopping: threading.Event) -> str:
        if next(rounds, False):
            raise OSError("no space left on device")
        return ""

    def works(_now_ns: int, _stopping: threading.Event) -> str:
        done.append("works")
        return "something"

    maintenance = Maintenance({"fails": fails, "works": works}, interval_seconds=0.02, clock=lambda: 1)
    maintenance.run_once()
    assert maintenance.failures == {"fails": "no space left on device"}
    assert "fails failed" in caplog.text
    maintenance.start()
    eventually(lambda: len(done), lambda count: count >= 3)
    maintenance.close()
    assert not maintenance.failures
    assert not maintenance._thread.is_alive()


def test_closing_asks_the_running_job_to_stop() -> None:
    running = threading.Event()

    def waits(_now_ns: int, stopping: threading.Event) -> str:
        running.set()
        return "stopped" if stopping.wait(20) else "not asked"

    maintenance = Maintenance({"waits": waits}, interval_seconds=0.01, clock=lambda: 1)
    maintenance.start()
    assert running.wait(20)
    maintenance.close()
    assert not maintenance._thread.is_alive()
