"""The answer to an inner SELECT as a measurement that the outer one can read: columns are fields, groups are series."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

import numpy as np
from duckdb import DuckDBPyConnection

from streamswarm_collector.influxql.source import Column, Connect, ResultSeries
from streamswarm_collector.store.recent import ALL_TIME, Chunk, ColumnValues, RecentRows
from streamswarm_collector.store.rollups import NO_ROLLUPS, Rollups
from streamswarm_collector.store.schema import FieldColumn, FieldType, MeasurementSchema
from streamswarm_collector.store.tagindex import TagIndex

_NUMPY_TYPES: Final[Mapping[FieldType, Any]] = {
    FieldType.FLOAT: np.float64,
    FieldType.INTEGER: np.int64,
    FieldType.BOOLEAN: np.bool_,
    FieldType.STRING: np.object_,
}
_numbers: Final[Iterator[int]] = itertools.count()


@dataclass(frozen=True)
class DerivedMeasurement:
    """A MeasurementSchema whose rows are all in memory; DuckDB gets to see them when it is asked."""

    name: str
    fields: Mapping[str, FieldColumn]
    tags: TagIndex
    recent: RecentRows
    connect: Connect
    rollups: Rollups = NO_ROLLUPS

    @property
    def series(self) -> Mapping[int, Mapping[str, str]]:
        """Tags by sid."""
        return self.tags.series

    @property
    def tag_keys(self) -> frozenset[str]:
        """All tag keys that any series has."""
        return self.tags.keys

    @property
    def first_time(self) -> int:
        """Time of the first row."""
        (chunk,) = self.recent.chunks
        return chunk.first

    @cached_property
    def table(self) -> str:
        """The rows as a relation that lives as long as the statement's connection."""
        name = f"derived_{next(_numbers)}"
        (chunk,) = self.recent.chunks
        columns = {
            column: one.values if one.valid is None else np.ma.masked_array(one.values, mask=~one.valid)
            for column, one in chunk.columns.items()
        }
        self.connect().register(name, {"time": chunk.time, "sid": chunk.sid, **columns})
        return name

    def relation(self, _connection: DuckDBPyConnection, _start: int | None, _stop: int | None) -> str:
        """All rows."""
        return self.table


def materialise(answer: Sequence[ResultSeries], connect: Connect) -> list[MeasurementSchema]:
    """One measurement for each name in the answer."""
    by_name: dict[str, list[ResultSeries]] = {}
    for series in answer:
        by_name.setdefault(series.name, []).append(series)
    return [_materialise(name, found, connect) for name, found in by_name.items()]


def _materialise(name: str, found: Sequence[ResultSeries], connect: Connect) -> MeasurementSchema:
    tags: dict[tuple[tuple[str, str], ...], int] = {}
    sids: Column = []
    times: Column = []
    for series in found:
        sid = tags.setdefault(tuple(sorted((series.tags or {}).items())), len(tags) + 1)
        sids += [sid] * len(series.columns[0])
        times += series.columns[0]
    fields: dict[str, FieldColumn] = {}
    columns: dict[str, ColumnValues] = {}
    for column_name in dict.fromkeys(one for series in found for one in series.names[1:]):
        values: Column = []
        for series in found:
            own = dict(zip(series.names, series.columns, strict=True)).get(column_name)
            values += own if own is not None else [None] * len(series.columns[0])
        kind, column = _type_of(values), f"f{len(fields) + 1}"
        fields[column_name] = FieldColumn(column_name, kind, column)
        columns[column] = _column_values(values, kind)
    chunk = Chunk.of(np.array(times, np.int64), np.array(sids, np.int32), columns)
    index = TagIndex({sid: dict(pairs) for pairs, sid in tags.items()})
    return DerivedMeasurement(name, fields, index, RecentRows(ALL_TIME, (chunk,)), connect)


def _column_values(values: Column, kind: FieldType) -> ColumnValues:
    missing = [value is None for value in values]
    if not any(missing):
        return ColumnValues(np.array(values, dtype=_NUMPY_TYPES[kind]))
    empty: Any = "" if kind is FieldType.STRING else 0
    filled = [empty if value is None else value for value in values]
    return ColumnValues(np.array(filled, dtype=_NUMPY_TYPES[kind]), ~np.array(missing))


def _type_of(values: Column) -> FieldType:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} and kinds:
        return FieldType.BOOLEAN
    if kinds <= {int}:
        return FieldType.INTEGER
    return FieldType.FLOAT if kinds <= {int, float} else FieldType.STRING
