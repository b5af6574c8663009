"""What is answered from recent rows is what the file would have answered."""

import random
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


CONDITIONS = [
    "",
    "time >= 10s",
    "time < 50s",
    "time > 20s AND time <= 40s",
    "time >= 300s",
    "host = 'b' AND time >= 5s",
]


@pytest.mark.parametrize("field", ["v", "n", "s", "rare"])
@pytest.mark.parametrize("function", ["first", "last"])
def test_the_edge_of_every_series_is_found_in_rows_of_several_chunks(tmp_path: Path, function: str, field: str) -> None:
    source = random.Random(f"{function} {field}")
    answers = []
    batches = [
        [
            Row(
                f"m,host={host},rack={'r1' if host in 'ab' else 'r2'}",
                second * 10**9,
                {
                    "v": source.random(),
                    "n": second,
                    "s": f"{host}{second}",
                    **({"rare": float(second)} if source.random() < 0.3 else {}),
                },
            )
            for host in source.sample("abcd", hosts)
            for second in sorted(source.sample(range(first, first + 36), count))
        ]
        # Each less than half of the one before, or they would be joined; late rows, too, and a series missing.
        for first, count, hosts in ((0, 32, 4), (15, 14, 3), (20, 6, 4), (24, 2, 4), (8, 1, 3))
    ]
    for recent_bytes in (10**9, 0):
        store = EmbeddedStore(tmp_path / f"{recent_bytes}.duckdb", flush_seconds=0.01, recent_bytes=recent_bytes)
        for number, rows in enumerate(batches, start=1):
            store.add(number, "d", rows)
            store.flush()
        chunks = store.database("d").measurements["m"].recent.chunks
        assert len(chunks) > 1 if recent_bytes else not chunks
        engine = Engine(store)
        answers.append(
            [
                orjson.dumps(engine.execute(statement, database="d", epoch="s", at_once=recent_bytes > 0).body)
                for where in CONDITIONS
                for grouping in ("", " GROUP BY host", " GROUP BY rack", " GROUP BY *")
                for statement in [
                    f"SELECT {function}({field}) FROM m{f' WHERE {where}' if where else ''}{grouping}",
                    f"SELECT {function}({field}) FROM m{f' WHERE {where}' if where else ''}{grouping} LIMIT 1",
                ]
            ]
        )
        store.close()
    assert answers[0] == answers[1]
    assert sum(b"series" in answer for answer in answers[0]) >= len(answers[0]) // 2


def test_a_remembered_statement_sees_series_and_fields_that_came_later(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "s.duckdb", flush_seconds=0.01)
    engine = Engine(store)
    seen = []
    for number, rows in enumerate(
        [
            [Row("m,host=a", 10**9, {"v": 1.0})],
            [Row("m,host=b", 10**9, {"v": 2.0})],
            [Row("m,host=a", 2 * 10**9, {"w": 3.0})],
        ],
        start=1,
    ):
        store.add(number, "d", rows)
        store.flush()
        body = engine.execute("SELECT last(*) FROM m GROUP BY host", database="d", epoch="s", at_once=True).body
        seen.append([(one["tags"]["host"], one["columns"][1:]) for one in body["results"][0]["series"]])
    store.close()
    both = ["last_v", "last_w"]
    assert seen == [[("a", ["last_v"])], [("a", ["last_v"]), ("b", ["last_v"])], [("a", both), ("b", both)]]
