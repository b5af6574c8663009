from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from streamswarm_collector.batch import Row
from streamswarm_collector.fieldtypes import FieldTypes
from streamswarm_collector.ingest import Parser
from streamswarm_collector.store.embedded import EmbeddedStore

Write = Callable[..., None]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[EmbeddedStore]:
    opened = EmbeddedStore(tmp_path / "store.duckdb")
    yield opened
    opened.close()


@pytest.fixture
def write(store: EmbeddedStore) -> Write:
    """Writes line protocol straight into the store; refuses what the collector would refuse."""
    parser = Parser(FieldTypes())
    lsn = iter(range(1, 1_000_000))

    def write_lines(lines: str, database: str = "d", precision: str = "ns") -> None:
        batch = parser.parse(lines, database=database, precision=precision, received_ns=1, stamp={})
        assert not batch.refused
        store.add(next(lsn), database, batch.rows, batch.blocks)

    return write_lines


def rows_of(store: EmbeddedStore, measurement: str, database: str = "d") -> list[Row]:
    """Everything a measurement holds, ordered by series and time."""
    store.flush()
    schema = store.database(database)
    found = schema.measurements[measurement]
    columns = ", ".join(["sid", "time", *(field.column for field in found.fields.values())])
    with store.cursor() as cursor:
        fetched = cursor.execute(f"SELECT {columns} FROM {found.table} ORDER BY sid, time").fetchall()
    return [
        Row(
            ",".join([measurement, *(f"{key}={value}" for key, value in sorted(found.series[sid].items()))]),
            time_ns,
            {name: value for name, value in zip(found.fields, values, strict=True) if value is not None},
        )
        for sid, time_ns, *values in fetched
    ]
