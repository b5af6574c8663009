"""New tables and columns are committed ahead of the rows; whatever comes between, every point is there once."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from streamswarm_collector.batch import Row
from streamswarm_collector.store.checking import check_store
from streamswarm_collector.store.embedded import EmbeddedStore
from tests.unit.collector.conftest import rows_of

# Stores one flush with many additions; before a commit of it, kills itself or lets the disk refuse for two attempts.
PROGRAM = """
import os, resource, signal, sys
from pathlib import Path
from streamswarm_collector.batch import Row
from streamswarm_collector.store import changes, writer
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.writing import take_rows

folder, scenario, moment, fault = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4]
changes.MOST_VERSIONS = 40
store = EmbeddedStore(folder / "s.duckdb", flush_seconds=0.01)
store.add(1, "d", [Row("m,h=a", 1, {"a": 1.0})])
store.flush()

commit, commits, refused = writer.StoreWriter._commit, 0, 0

def set_limit(limit):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))

def interrupted(self, changes):
    global commits, refused
    commits += 1
    if commits == moment and fault == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if commits == moment and fault == "refuse":
        set_limit(max(path.stat().st_size for path in folder.iterdir()))
    try:
        commit(self, changes)
    except Exception:
        refused += 1
        if refused == 2:
            set_limit(resource.RLIM_INFINITY)
        raise

writer.StoreWriter._commit = interrupted
wide = {f"f{number}": float(number) for number in range(30)}
if scenario == "add":
    store.add(2, "d", [Row("n,h=a", 2, wide), Row("m,h=a", 2, wide), Row("m,h=b", 2, {"a": 2.0})])
    store.flush()
else:
    with store.changing() as catalog:
        take_rows(catalog, catalog.table("d", "other"), [Row("other,h=a", 2, wide)])
        catalog.drop_measurement("d", "m")
        take_rows(catalog, catalog.table("d", "m"), [Row("m,h=z", 2, wide)])
store.close()
print(commits, refused, flush=True)
"""
WIDE = {f"f{number}": float(number) for number in range(30)}


def interrupt(folder: Path, scenario: str, moment: int, fault: str) -> list[int]:
    """Run the program; returns commits and refusals, nothing if it was killed."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), scenario, str(moment), fault],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == (-signal.SIGKILL if fault == "kill" else 0), done.stderr
    return [int(word) for word in done.stdout.split()]


def findings(folder: Path) -> list[str]:
    parts = check_store(folder / "s.duckdb", folder / "wal", "1GB", lambda _what: None)
    return [finding for part in parts if part.part != "log" for finding in part.findings]


@pytest.fixture
def commits(tmp_path: Path) -> int:
    """How many commits the program makes undisturbed."""
    folder = tmp_path / "undisturbed"
    folder.mkdir()
    count, refused = interrupt(folder, "add", 0, "nothing")
    assert refused == 0
    assert count > 5
    return count


def test_a_crash_between_additions_and_rows_leaves_what_the_replay_fills(tmp_path: Path, commits: int) -> None:
    for moment in (1, 2, commits // 2, commits - 1, commits):
        folder = tmp_path / str(moment)
        folder.mkdir()
        interrupt(folder, "add", moment, "kill")
        assert findings(folder) == []
        store = EmbeddedStore(folder / "s.duckdb")
        assert store.stored_lsn == 1
        assert rows_of(store, "m") == [Row("m,h=a", 1, {"a": 1.0})]
        assert ("n" in store.database("d").measurements) is (moment > 1)
        store.add(2, "d", [Row("n,h=a", 2, WIDE), Row("m,h=a", 2, WIDE), Row("m,h=b", 2, {"a": 2.0})])
        assert rows_of(store, "n") == [Row("n,h=a", 2, WIDE)]
        assert rows_of(store, "m") == [
            Row("m,h=a", 1, {"a": 1.0}),
            Row("m,h=a", 2, WIDE),
            Row("m,h=b", 2, {"a": 2.0}),
        ]
        store.close()
        assert findings(folder) == []


def test_what_is_committed_is_not_run_again_when_the_disk_refuses_the_rest(tmp_path: Path, commits: int) -> None:
    for moment in (1, commits // 2, commits):
        folder = tmp_path / str(moment)
        folder.mkdir()
        assert interrupt(folder, "add", moment, "refuse") == [commits + 2, 2]
        assert findings(folder) == []
        store = EmbeddedStore(folder / "s.duckdb")
        assert store.stored_lsn == 2
        assert rows_of(store, "n") == [Row("n,h=a", 2, WIDE)]
        assert rows_of(store, "m")[1] == Row("m,h=a", 2, WIDE)
        store.close()


def test_a_measurement_dropped_and_made_again_in_one_flush_is_never_there_twice(tmp_path: Path) -> None:
    old, new = [Row("m,h=a", 1, {"a": 1.0})], [Row("m,h=z", 2, WIDE)]
    for moment, expected in ((1, old), (2, old), (0, new)):
        folder = tmp_path / str(moment)
        folder.mkdir()
        said = interrupt(folder, "again", moment, "kill" if moment else "nothing")
        assert said == ([] if moment else [2, 0])
        assert findings(folder) == []
        store = EmbeddedStore(folder / "s.duckdb")
        assert rows_of(store, "m") == expected
        with store.cursor() as cursor:
            names = cursor.execute("SELECT name FROM measurements ORDER BY name").fetchall()
        assert names == [("m",), ("other",)][: 1 if moment == 1 else 2]
        store.close()
