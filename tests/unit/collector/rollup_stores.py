"""Stores with roll-ups, asked with and without them."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from streamswarm_collector.batch import Row
from streamswarm_collector.influxql.engine import Engine
from streamswarm_collector.influxql.source import Limits
from streamswarm_collector.store.embedded import EmbeddedStore

START = 1_711_834_200
"""2024-03-30 21:30 UTC; clocks change in Berlin at 01:00 UTC, and a day of its windows has 23 hours."""
SECOND = 1_000_000_000


@contextmanager
def opened(path: Path, *, rollup_rows: float = 1, rollups: bool = True) -> Iterator[EmbeddedStore]:
    store = EmbeddedStore(path, flush_seconds=0.01, recent_bytes=0, rollup_rows=rollup_rows, rollups=rollups)
    try:
        yield store
    finally:
        store.close()


def asked(store: EmbeddedStore, statement: str) -> tuple[Any, str]:
    """The answer, which must be the one from raw rows, and how it was found."""
    engine = Engine(store, now_ns=lambda: at(8 * 3600), limits=Limits(rollups_from=1))
    answer = engine.execute(statement, database="d", epoch="s").body
    said = " ".join(one["text"] for result in answer["results"] for one in result.pop("messages", []))
    assert answer == engine.execute(statement, database="d", epoch="s", rollups=False).body, statement
    return answer["results"][0].get("series", answer["results"][0].get("error")), said


def at(seconds: float) -> int:
    return round((START + seconds) * SECOND)


def every_ten_seconds(hours: float, series: str = "m,host=a", **fields: float) -> list[Row]:
    return [Row(series, at(10 * step), fields or {"x": step / 4}) for step in range(int(hours * 360))]
