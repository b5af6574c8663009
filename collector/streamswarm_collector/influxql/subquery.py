"""The answer to an inner SELECT as a measurement that the outer one can read: columns are fields, groups are series."""

import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from duckdb import DuckDBPyConnection

from streamswarm_collector.influxql.source import ResultSeries
from streamswarm_collector.store.schema import FieldColumn, FieldType, MeasurementSchema

_NUMPY_TYPES: Final[Mapping[FieldType, Any]] = {
    FieldType.FLOAT: np.float64,
    FieldType.INTEGER: np.int64,
    FieldType.BOOLEAN: np.bool_,
    FieldType.STRING: np.object_,
}
_numbers: Final[Iterator[int]] = itertools.count()


@dataclass(frozen=True, slots=True)
class DerivedMeasurement:
    """A MeasurementSchema over a relation that lives as long as its connection."""

    name: str
    table: str
    fields: Mapping[str, FieldColumn]
    tag_keys: frozenset[str]
    series: Mapping[int, Mapping[str, str]] = field(default_factory=dict)


def materialise(answer: Sequence[ResultSeries], connection: DuckDBPyConnection) -> list[MeasurementSchema]:
    """One measurement for each name in the answer."""
    by_name: dict[str, list[ResultSeries]] = {}
    for series in answer:
        by_name.setdefault(series.name, []).append(series)
    return [_materialise(name, found, connection) for name, found in by_name.items()]


def _materialise(name: str, found: Sequence[ResultSeries], connection: DuckDBPyConnection) -> MeasurementSchema:
    names = found[0].columns[1:]
    rows = [(sid, row) for sid, series in enumerate(found, start=1) for row in series.rows]
    relation: dict[str, Any] = {
        "time": np.array([row[0] for _, row in rows], np.int64),
        "sid": np.array([sid for sid, _ in rows], np.int32),
    }
    fields: dict[str, FieldColumn] = {}
    for place, column_name in enumerate(names, start=1):
        values = [row[place] for _, row in rows]
        kind = _type_of(values)
        column = f"f{place}"
        empty: Any = "" if kind is FieldType.STRING else 0
        filled = np.array([empty if value is None else value for value in values], dtype=_NUMPY_TYPES[kind])
        relation[column] = np.ma.masked_array(filled, mask=[value is None for value in values])
        fields[column_name] = FieldColumn(column_name, kind, column)
    table = f"derived_{next(_numbers)}"
    connection.register(table, relation)
    tags = {sid: dict(series.tags or {}) for sid, series in enumerate(found, start=1)}
    return DerivedMeasurement(name, table, fields, frozenset(key for one in tags.values() for key in one), tags)


def _type_of(values: Sequence[Any]) -> FieldType:
    kinds = {type(value) for value in values if value is not None}
    if kinds <= {bool} and kinds:
        return FieldType.BOOLEAN
    if kinds <= {int}:
        return FieldType.INTEGER
    return FieldType.FLOAT if kinds <= {int, float} else FieldType.STRING
