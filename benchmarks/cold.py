"""Days in the store's table against the same days in Parquet files: size, freezing, queries.

    python -m benchmarks.cold [--days 3] [--agents 200] [--measurements 1]

A measurement has eight fields of three decimals, a point every 10 s. The same queries are asked of both in turn. Prints
Markdown.
"""

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_collector.store.freezing import DAY, freeze
from streamswarm_collector.store.schema import FieldType

FIELDS = 8
STEP = 10
START = 19_700 * DAY
ROUNDS = 15
QUERIES = {
    "one series, a day by 5 min": "SELECT mean(f1) FROM m1 WHERE agent = 'a7' AND {day} GROUP BY time(5m)",
    "one series, all days by 1 h": "SELECT mean(f1) FROM m1 WHERE agent = 'a7' AND {all} GROUP BY time(1h)",
    "one series, a day raw": "SELECT f1 FROM m1 WHERE agent = 'a7' AND {day}",
    "all series, a day by 1 h and agent": "SELECT mean(f1) FROM m1 WHERE {day} GROUP BY time(1h), agent",
}


def fill(store: EmbeddedStore, agents: int, measurements: int, days: int) -> None:
    """Points straight into the tables: what is measured here is not ingest."""
    source = np.random.default_rng(1)
    for number in range(1, measurements + 1):
        name = f"m{number}"
        with store.changing() as catalog:
            table = catalog.table("d", name)
            catalog.add_series(table, [f"{name},agent=a{agent}" for agent in range(agents)])
            catalog.add_fields(table, {f"f{field}": FieldType.FLOAT for field in range(FIELDS)})
            table.refresh(fields=True, series=True)
        for day in range(days):
            steps = DAY // 10**9 // STEP
            count = steps * agents
            rows = {
                "time": START + day * DAY + np.repeat(np.arange(steps, dtype=np.int64), agents) * STEP * 10**9,
                "sid": np.tile(np.arange(1, agents + 1, dtype=np.int32), steps),
                **{f"f{field + 1}": np.round(source.random(count) * 100, 3) for field in range(FIELDS)},
            }
            with store.rewriting() as connection:
                connection.register("made", rows)
                connection.execute(f"INSERT INTO {table.view.table} BY NAME FROM made")


def main() -> None:
    """Run the comparison."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--days", type=int, default=3)
    arguments.add_argument("--agents", type=int, default=200)
    arguments.add_argument("--measurements", type=int, default=1)
    options = arguments.parse_args()
    values = options.days * options.agents * options.measurements * FIELDS * 86_400 // STEP
    with tempfile.TemporaryDirectory() as name:
        stores = {}
        for tier in ("hot", "cold"):
            store = EmbeddedStore(Path(name) / f"{tier}.duckdb")
            fill(store, options.agents, options.measurements, options.days)
            store.close()
            stores[tier] = EmbeddedStore(Path(name) / f"{tier}.duckdb", recent_bytes=0)
        print(f"bytes/value hot: {stores['hot'].sizes()['hot'] / values:.2f}")
        started = time.perf_counter()
        files = freeze(stores["cold"], START + options.days * DAY, threading.Event())
        seconds = time.perf_counter() - started
        print(f"bytes/value cold: {stores['cold'].sizes()['cold'] / values:.2f}")
        print(f"frozen: {seconds:.2f} s, {seconds / len(files):.2f} s for each measurement and day\n")
        print("| query | hot, ms (p95) | cold, ms (p95) | cold / hot |\n| --- | --- | --- | --- |")
        for title, text in QUERIES.items():
            compare(stores, title, text, options.days)
        for store in stores.values():
            store.close()


def compare(stores: dict[str, EmbeddedStore], title: str, text: str, days: int) -> None:
    """One line of the table."""
    last = START + (days - 1) * DAY
    statement = text.format(
        day=f"time >= {last} AND time < {last + DAY}", all=f"time >= {START} AND time < {last + DAY}"
    )
    taken: dict[str, list[float]] = {tier: [] for tier in stores}
    answers = {tier: Engine(store).execute(statement, database="d").body for tier, store in stores.items()}
    # A sum in another order differs in its last digits.
    hot, cold = (
        [value for one in body["results"][0]["series"] for row in one["values"] for value in row[1:]]
        for body in answers.values()
    )
    if not np.allclose(hot, cold, rtol=1e-12, atol=0):
        raise SystemExit(f"{title}: the answers differ")
    for _ in range(ROUNDS):
        for tier, store in stores.items():
            started = time.perf_counter()
            Engine(store).execute(statement, database="d")
            taken[tier].append((time.perf_counter() - started) * 1000)
    medians = {tier: statistics.median(times) for tier, times in taken.items()}
    tails = {tier: sorted(times)[int(0.95 * len(times))] for tier, times in taken.items()}
    print(
        f"| {title} | {medians['hot']:.1f} ({tails['hot']:.1f}) | {medians['cold']:.1f} ({tails['cold']:.1f}) "
        f"| {medians['cold'] / medians['hot']:.2f} |"
    )


if __name__ == "__main__":
    main()
