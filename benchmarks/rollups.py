"""Panels over a month, answered with and without roll-ups, by the embedded store itself (no HTTP).

    python -m benchmarks.rollups [--days 30] [--agents 50] [--step 10]

Fills a store in a temporary folder with one measurement of 8 fields, with a refresh of the roll-ups for every six
hours of data; then asks each panel with and without them in turn. Prints Markdown for docs/rollups.md.
"""

import argparse
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from streamswarm_collector.batch import Block
from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.store.embedded import EmbeddedStore

START = 1_700_006_400
FIELDS = 8
AT_ONCE = 6 * 3600
PANELS = {
    "mean by 1 h and agent": "SELECT mean(f1) FROM m WHERE {range} GROUP BY time(1h), agent",
    "mean by 1 h, all agents": "SELECT mean(f1) FROM m WHERE {range} GROUP BY time(1h)",
    "spread and mean by 6 h and agent": "SELECT spread(f1), mean(f2) FROM m WHERE {range} GROUP BY time(6h), agent",
    "mean by 1 d in a time zone": "SELECT mean(f1) FROM m WHERE {range} GROUP BY time(1d), agent tz('Europe/Berlin')",
    "one agent by 1 h": "SELECT mean(f1) FROM m WHERE {range} AND agent = 'a7' GROUP BY time(1h)",
    "count of each agent": "SELECT count(f1) FROM m WHERE {range} GROUP BY agent",
    "mean by 10 min, one agent": "SELECT mean(f1) FROM m WHERE {range} AND agent = 'a7' GROUP BY time(10m)",
}


def main() -> None:
    """Run it."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--days", type=int, default=30)
    arguments.add_argument("--agents", type=int, default=50)
    arguments.add_argument("--step", type=int, default=10, help="seconds between two points of an agent")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as name:
        store = EmbeddedStore(Path(name) / "store.duckdb", recent_bytes=0)
        fill(store, options.days, options.agents, options.step)
        compare(store, options.days)
        sizes(store)
        store.close()


def fill(store: EmbeddedStore, days: int, agents: int, step: int) -> None:
    """Write and roll up, six hours in turn; prints what each costs for a row."""
    source = np.random.default_rng(1)
    keys = [f"m,agent=a{agent}" for agent in range(agents)]
    per_block = AT_ONCE // step
    seconds = {"store": 0.0, "roll up": 0.0}
    for number in range(days * 86_400 // AT_ONCE):
        first = START + number * AT_ONCE
        times = np.repeat((first + np.arange(per_block) * step) * 10**9, agents).tolist()
        columns = {f"f{field}": np.round(source.random(len(times)) * 100, 3).tolist() for field in range(FIELDS)}
        started = time.process_time()
        store.add(number + 1, "d", [], [Block("m", keys * per_block, times, columns)])
        store.flush()
        stored = time.process_time()
        store.refresh_rollups((first + AT_ONCE) * 10**9)
        seconds["store"] += stored - started
        seconds["roll up"] += time.process_time() - stored
    rows = days * 86_400 // step * agents
    print(f"{agents} agents, {days} days, a point every {step} s: {rows:,} rows of {FIELDS} fields\n")
    print(", ".join(f"{what}: {spent / rows * 1e6:.2f} CPU µs/row" for what, spent in seconds.items()) + "\n")


def compare(store: EmbeddedStore, days: int) -> None:
    """Ask in turn, seven times; ragged ends, as dashboards have them."""
    engine = Engine(store, seconds=600)
    text = f"time >= {START + 137}s AND time < {START + days * 86_400 - 211}s"
    print("| panel | with, ms | without, ms | ratio | answered from |\n| --- | --- | --- | --- | --- |")
    for panel, statement in PANELS.items():
        seconds: dict[bool, list[float]] = {True: [], False: []}
        said = ""
        for _ in range(7):
            for rollups, found in seconds.items():
                started = time.perf_counter()
                reply = engine.execute(statement.format(range=text), database="d", epoch="s", rollups=rollups)
                found.append(time.perf_counter() - started)
                (result,) = reply.body["results"]
                if "series" not in result:
                    raise SystemExit(f"{panel}: {result}")
                said = said or " ".join(one["text"] for one in result.get("messages", []))
        ours, raw = (statistics.median(seconds[rollups]) * 1000 for rollups in (True, False))
        print(
            f"| {panel} | {ours:.1f} | {raw:.1f} | {ours / raw:.3f} | {said.removeprefix('answered from ') or 'rows'} |"
        )


def sizes(store: EmbeddedStore) -> None:
    """Blocks of the file that rows and roll-ups take."""
    with store.cursor() as cursor:
        cursor.execute("CHECKPOINT")
        tables = [name for (name,) in cursor.execute("SELECT table_name FROM duckdb_tables()").fetchall()]
        blocks = {
            table: len(
                cursor.execute(
                    "SELECT DISTINCT block_id FROM pragma_storage_info(?) WHERE persistent AND block_id >= 0", [table]
                ).fetchall()
            )
            for table in tables
            if table.startswith("m1")
        }
    print(
        "\n" + ", ".join(f"{table}: {count / blocks['m1']:.3f} of the rows' blocks" for table, count in blocks.items())
    )


if __name__ == "__main__":
    main()
