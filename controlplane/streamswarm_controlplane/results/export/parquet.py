"""Apache Parquet: typed columns, row groups, units in the metadata."""

import io
from collections.abc import Iterable, Iterator
from typing import Any, Final

import pyarrow as pa
from pyarrow import parquet as pq

from streamswarm_controlplane.results.export.extract import Extract, Row
from streamswarm_core.catalogue.model import Kind

ROW_GROUP: Final = 50_000
_TYPES: Final = {Kind.FLOAT: pa.float64(), Kind.INTEGER: pa.int64(), Kind.STRING: pa.string()}


class _Sink(io.RawIOBase):
    """Takes what the writer writes, until it is drained."""

    def __init__(self) -> None:
        self._written: list[bytes] = []
        self._position = 0

    def writable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def write(self, content: Any) -> int:
        piece = bytes(content)
        self._written.append(piece)
        self._position += len(piece)
        return len(piece)

    def drain(self) -> bytes:
        """What has been written since the last time."""
        written, self._written = b"".join(self._written), []
        return written


def schema(extract: Extract) -> pa.Schema:
    """Time as UTC nanoseconds, tags as text, fields by their type, with `unit`, `help` and `aggregate` as metadata."""
    fields = [pa.field("time", pa.timestamp("ns", tz="UTC"), nullable=False)]
    fields += [pa.field(tag, pa.string(), nullable=False) for tag in extract.tags]
    for column in extract.columns:
        metadata = {"unit": column.field.unit.name, "help": column.field.help}
        if column.aggregate is not None:
            metadata["aggregate"] = str(column.aggregate)
        fields.append(pa.field(column.field.name, _TYPES[column.kind], metadata=metadata))
    return pa.schema(fields, metadata={"measurement": extract.selection.measurement.name})


def write_parquet(extract: Extract, parts: Iterable[list[Row]]) -> Iterator[bytes]:
    """A whole file, row group by row group."""
    sink = _Sink()
    shape = schema(extract)
    writer = pq.ParquetWriter(sink, shape, compression="zstd")
    waiting: list[Row] = []
    yield sink.drain()
    for part in parts:
        waiting += part
        while len(waiting) >= ROW_GROUP:
            writer.write_table(_table(shape, waiting[:ROW_GROUP]), row_group_size=ROW_GROUP)
            waiting = waiting[ROW_GROUP:]
            yield sink.drain()
    if waiting:
        writer.write_table(_table(shape, waiting), row_group_size=ROW_GROUP)
    writer.close()
    yield sink.drain()


def _table(shape: pa.Schema, rows: Iterable[Row]) -> pa.Table:
    columns = zip(*((time, *tags, *values) for time, tags, values in rows), strict=True)
    arrays = [pa.array(column, type=field.type) for column, field in zip(columns, shape, strict=True)]
    return pa.Table.from_arrays(arrays, schema=shape)
