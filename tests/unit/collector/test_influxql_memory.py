"""What is answered from recent rows is what the file would have answered."""

from pathlib import Path

import orjson
import pytest

from streamswarm_collector.batch import Row
from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.store.embedded import EmbeddedStore

STATEMENTS = [
    "SELECT spread(v), percentile(v, 0) FROM m WHERE time >= 0 AND time < 60s GROUP BY time(10s)",
    "SELECT spread(n), median(n), percentile(n, 50) FROM m WHERE time >= 0 AND time < 60s GROUP BY time(10s)",
    "SELECT median(v), percentile(v, 95), count(v) FROM m WHERE time >= 0 AND time < 60s GROUP BY host",
    "SELECT percentile(v, 75) FROM m WHERE time >= 0 AND time < 60s",
    "SELECT percentile(n, 50) FROM m WHERE time >= 0 AND time < 60s GROUP BY time(20s), host fill(none)",
]


@pytest.mark.parametrize("statement", STATEMENTS)
def test_memory_and_file_give_the_same_answer_also_for_windows_without_points(tmp_path: Path, statement: str) -> None:
    rows = [
        Row(f"m,host={host}", second * 10**9, {"v": value / 4, "n": value})
        for host in "ab"
        for second, value in ((1, 5), (2, -3), (3, 5), (4, 12), (41, 7), (42, 7), (59, 100))
    ]
    answers = []
    for recent_bytes in (10**9, 0):
        store = EmbeddedStore(tmp_path / f"{recent_bytes}.duckdb", flush_seconds=0.01, recent_bytes=recent_bytes)
        store.add(1, "d", rows)
        store.flush()
        reply = Engine(store).execute(statement, database="d", epoch="s", at_once=recent_bytes > 0)
        answers.append(orjson.dumps(reply.body))  # NaN, which is no number of its own, becomes null
        store.close()
    assert answers[0] == answers[1]
    assert b"series" in answers[0]
