"""kill -9 while days become cold, come back and are joined: every acknowledged point is there once."""

import random
import subprocess
import sys
from pathlib import Path

import pytest

from streamswarm_collector.store.checking import check_store
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.freezing import DAY

# Writes day after day, writes old points again, freezes and joins without a pause; says what it has flushed.
PROGRAM = """
import sys, threading
from pathlib import Path
from streamswarm_collector.batch import Row
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.freezing import DAY, freeze, join_small

store = EmbeddedStore(Path(sys.argv[1]), flush_seconds=0.01)
never = threading.Event()

def keep_freezing():
    while True:
        freeze(store, 2**62, never)
        join_small(store, never)
        store.cold.sweep(store.rewriting)

threading.Thread(target=keep_freezing, daemon=True).start()
number = int(sys.argv[2])
while True:
    number += 1
    rows = [Row(f"m,h={series}", number * DAY // 40, {"n": number}) for series in range(50)]
    again = number // 2
    rows += [Row(f"m,h={series}", again * DAY // 40, {"n": again, "again": number}) for series in range(0, 50, 7)]
    store.add(number, "d", rows)
    store.flush()
    print(number, flush=True)
"""


@pytest.mark.parametrize("seed", range(3))
def test_points_survive_kill_nine_at_any_moment_of_freezing(tmp_path: Path, seed: int) -> None:
    path, moments = tmp_path / "s.duckdb", random.Random(seed)
    flushed = 0
    for _ in range(3):
        enough = flushed + moments.randint(5, 60)
        command = [sys.executable, "-c", PROGRAM, str(path), str(flushed)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            for line in process.stdout:
                flushed = int(line)
                if flushed >= enough:
                    break
            process.kill()
            flushed = max([flushed, *map(int, process.stdout.read().split())])
    store = EmbeddedStore(path)
    assert store.stored_lsn >= flushed
    view = store.database("d").measurements["m"]
    column = view.fields["n"].column
    with store.cursor() as cursor:
        rows = cursor.execute(
            f"SELECT time, sid, {column} FROM {view.relation(cursor, None, None)} WHERE time <= {flushed * DAY // 40}"
        ).fetchall()
        cold = store.cold.files(cursor)
    store.close()
    expected = {(number * DAY // 40, sid): number for number in range(1, flushed + 1) for sid in view.series}
    assert cold
    # Number 1 is written again as number 0, too, which has a time of its own.
    stored = {(time, sid): number for time, sid, number in rows if number}
    assert stored == expected
    assert len(rows) == len({(time, sid) for time, sid, _ in rows})
    parts = check_store(path, tmp_path / "wal", "1GB", lambda _what: None)
    assert [part.findings for part in parts if part.part != "log"] == [[], [], []]
