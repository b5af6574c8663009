"""Roll-ups are made while points come, after crashes, by the collector itself, and of days that went to files."""

import random
import subprocess
import sys
import threading
from pathlib import Path

from streamswarm_collector.batch import Row
from streamswarm_collector.metrics import CollectorMetrics
from streamswarm_collector.pipeline import Pipeline
from streamswarm_collector.settings import CollectorSettings
from streamswarm_collector.store.jobs import set_retention, store_jobs
from streamswarm_collector.store.maintenance import Maintenance
from tests.unit.collector.rollup_stores import START, asked, at, every_ten_seconds, opened


def test_rows_taken_while_a_refresh_is_under_way_are_not_lost_from_it(tmp_path: Path) -> None:
    with opened(tmp_path / "s.duckdb") as store:
        store.add(1, "d", every_ten_seconds(1))
        finished = threading.Event()

        def refresh() -> None:
            while not finished.is_set():
                store.refresh_rollups(at(20_000))

        threads = [threading.Thread(target=refresh) for _ in range(2)]
        for thread in threads:
            thread.start()
        source = random.Random(1)
        try:
            for lsn in range(2, 200):
                first = source.randrange(20_000)
                rows = [
                    Row("m,host=" + "abc"[lsn % 3], at(first + step), {"x": 1.0, f"f{lsn // 50}": 2})
                    for step in range(20)
                ]
                store.add(lsn, "d", rows)
                if lsn % 20 == 0:
                    store.delete("d", "m", [1], at(first), at(first + 1000))
        finally:
            finished.set()
            for thread in threads:
                thread.join()
        for last in range(2):
            for window in ("1m", "1h"):
                within = f"time >= {START}s AND time < {START + 20_001}s"
                _, said = asked(store, f"SELECT count(x), sum(f1) FROM m WHERE {within} GROUP BY time({window}), host")
            if not last:
                store.refresh_rollups(at(20_000))
        assert "roll-ups" in said


CHILD = """
import random, sys, threading
from pathlib import Path
from streamswarm_collector.batch import Row
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.jobs import set_retention, store_jobs
from streamswarm_collector.store.maintenance import Maintenance

start, source = int(sys.argv[2]), random.Random(int(sys.argv[3]))
store = EmbeddedStore(Path(sys.argv[1]), flush_seconds=0.01, recent_bytes=0, rollup_rows=1)

def refresh():
    while True:
        store.refresh_rollups((start + 30_000) * 10**9)
        print("refreshed", flush=True)

threading.Thread(target=refresh, daemon=True).start()
lsn = store.stored_lsn
while True:
    lsn += 1
    first, name = source.randrange(36_000), source.choice("abc")
    fields = {"x": 1.0, f"f{source.randrange(6)}": 3}
    store.add(lsn, "d", [Row(f"m,host={name}", (start + first + step) * 10**9, fields) for step in range(30)])
    if lsn % 7 == 0:
        store.delete("d", "m", [1], (start + first) * 10**9, (start + first + 900) * 10**9)
    store.flush()
"""


def test_kill_nine_during_refreshes_leaves_no_wrong_roll_up(tmp_path: Path) -> None:
    path, used = tmp_path / "s.duckdb", 0
    for turn in range(20):
        if used and turn >= 4:  # whether anything rolled up is of use in that moment is chance
            break
        with subprocess.Popen(
            [sys.executable, "-c", CHILD, str(path), str(START), str(turn)], stdout=subprocess.PIPE, text=True
        ) as child:
            assert child.stdout is not None
            for _ in range(1 + 2 * (turn % 4)):
                assert child.stdout.readline() == "refreshed\n"
            child.kill()
        with opened(path) as store:
            for window in ("1m", "1h"):
                within = f"time >= {START}s AND time < {START + 36_000}s"
                used += bool(asked(store, f"SELECT count(x), sum(f1) FROM m WHERE {within} GROUP BY time({window})")[1])
                asked(store, f"SELECT count(x), max(f2), sum(x) FROM m WHERE {within} GROUP BY time({window}), host")
            store.refresh_rollups(at(36_000))
            asked(store, "SELECT count(x), sum(f3) FROM m GROUP BY host")
    assert used


def test_a_collector_rolls_up_by_itself_what_is_older_than_the_lag(tmp_path: Path) -> None:
    settings = CollectorSettings(data=tmp_path, rollup_lag_seconds=3600, cold_days=0)
    pipeline = Pipeline(settings, CollectorMetrics(), lambda: at(5 * 3600))
    assert pipeline.store is not None
    assert pipeline.maintenance is not None
    pipeline.store.add(1, "d", every_ten_seconds(6))
    pipeline.maintenance.run_once()
    # 21:30 and five hours, an hour ago, is in the window that begins at 01:00.
    assert pipeline.store.database("d").measurements["m"].rollups.reached() == at(3.5 * 3600)
    pipeline.close()


def test_windows_are_right_after_their_days_went_to_files_and_after_rows_expired(tmp_path: Path) -> None:
    days, kept = 5, 3
    with opened(tmp_path / "s.duckdb") as store:
        store.create_database("d")
        set_retention(store, "d", kept)
        jobs = store_jobs(store, CollectorSettings(data=tmp_path, cold_days=1))
        maintenance = Maintenance(jobs, interval_seconds=600, clock=lambda: at(days * 86_400))
        store.add(1, "d", every_ten_seconds(24 * days))
        maintenance.run_once()
        with store.cursor() as cursor:
            assert store.cold.files(cursor)
        # A late point in a day that is a file by now: its window is made again, from table and file.
        store.add(2, "d", [Row("m,host=a", at(3.25 * 86_400) + 1, {"x": 1e6})])
        for _ in range(2):
            maintenance.run_once()
            series, said = asked(
                store,
                f"SELECT count(x), sum(x), max(x) FROM m WHERE time < {START + days * 86_400}s "
                "GROUP BY time(1h) fill(none)",
            )
            assert "roll-ups" in said
            assert 1e6 in [row[3] for row in series[0]["values"]]
        assert series[0]["values"][0][0] >= START + (days - kept - 1) * 86_400
