"""Where the rows of a SELECT come from: measurements, the series that match, and the groups they fall into."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.conditions import RowFilter, TimeRange
from streamswarm_collector.store.schema import DatabaseSchema, MeasurementSchema

Row = list[Any]


@dataclass(frozen=True, slots=True)
class Limits:
    """What one statement may cost.

    Attributes:
        buckets: windows of all series together.
        rows: rows of all series together.
    """

    buckets: int = 500_000
    rows: int = 1_000_000


@dataclass(slots=True)
class ResultSeries:
    """One series of an answer; the first value of each row is its time in nanoseconds."""

    name: str
    tags: Mapping[str, str] | None
    columns: list[str]
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class Groups:
    """How the series of one measurement fall into the series of the answer.

    Attributes:
        keys: tag keys grouped by, sorted.
        tags: tag values of each group, in the order of the answer.
        sids: series numbers.
        group_of: group of each series, in the order of `sids`.
    """

    keys: tuple[str, ...]
    tags: list[tuple[str, ...]]
    sids: list[int]
    group_of: list[int]


def find_measurements(
    sources: Sequence[ast.Measurement], database: DatabaseSchema, *, descending: bool
) -> list[MeasurementSchema]:
    """The measurements that FROM names, by name, or the other way round."""
    found: dict[str, MeasurementSchema] = {}
    for source in sources:
        if isinstance(source.name, str):
            names = [source.name] if source.name in database.measurements else []
        else:
            names = [name for name in database.measurements if source.name.matches(name)]
        found |= {name: database.measurements[name] for name in names}
    return [found[name] for name in sorted(found, reverse=descending)]


def group_series(statement: ast.Select, measurement: MeasurementSchema, rows: RowFilter) -> Groups:
    """GROUP BY tags: which series of the measurement go into which series of the answer."""
    keys: set[str] = set()
    for dimension in statement.dimensions:
        if isinstance(dimension.key, str):
            keys.add(dimension.key)
        elif isinstance(dimension.key, ast.Regex):
            keys |= {key for key in measurement.tag_keys if dimension.key.matches(key)}
        else:
            keys |= measurement.tag_keys
    ordered = tuple(sorted(keys))
    of_series = {sid: tuple(measurement.series[sid].get(key, "") for key in ordered) for sid in rows.sids}
    chosen = _chosen_groups(statement, ordered, set(of_series.values()))
    tags = sorted(chosen, reverse=statement.descending)
    number = {group: index for index, group in enumerate(tags)}
    sids = [sid for sid, group in of_series.items() if group in chosen]
    return Groups(ordered, tags, sids, [number[of_series[sid]] for sid in sids])


def _chosen_groups(statement: ast.Select, keys: Sequence[str], groups: set[tuple[str, ...]]) -> set[tuple[str, ...]]:
    """SLIMIT and SOFFSET. InfluxDB counts before it looks for points, in the order of its own key for a tag set.

    That key is the names of the tags that are there, then their values.
    """
    if not statement.series_limit and not statement.series_offset:
        return groups

    def tag_set_key(group: tuple[str, ...]) -> str:
        there = [(key, value) for key, value in zip(keys, group, strict=True) if value]
        return "|".join([key for key, _ in there] + [value for _, value in there])

    ordered = sorted(groups, key=tag_set_key)[statement.series_offset :]
    return set(ordered[: statement.series_limit] if statement.series_limit else ordered)


def source_sql(
    measurement: MeasurementSchema,
    groups: Groups,
    rows: RowFilter,
    time_range: TimeRange,
    connection: DuckDBPyConnection,
) -> tuple[str, list[object]]:
    """`FROM … WHERE …` that yields the matching rows, and its bound values; with several groups a row has its `gid`."""
    parameters: list[object] = []
    conditions = []
    if len(groups.tags) == 1:
        source = measurement.table
        if len(groups.sids) < len(measurement.series):
            conditions.append("sid IN (SELECT unnest(?))" if len(groups.sids) > 1 else "sid = ?")
            parameters.append(groups.sids if len(groups.sids) > 1 else groups.sids[0])
    else:
        mapping = {"gsid": np.array(groups.sids, np.int32), "gid": np.array(groups.group_of, np.int32)}
        connection.register("series_groups", mapping)
        source = f"{measurement.table} JOIN series_groups ON sid = gsid"
    if time_range.start is not None:
        conditions.append("time >= ?")
        parameters.append(time_range.start)
    if time_range.stop is not None:
        conditions.append("time < ?")
        parameters.append(time_range.stop)
    if rows.sql:
        conditions.append(rows.sql)
        parameters += rows.parameters
    return f"FROM {source}" + (f" WHERE {' AND '.join(conditions)}" if conditions else ""), parameters


def tags_of(groups: Groups, group: int) -> Mapping[str, str] | None:
    """The tags of a series of the answer; None where nothing is grouped by."""
    return dict(zip(groups.keys, groups.tags[group], strict=True)) if groups.keys else None


def limited(statement: ast.Select, rows: list[Row]) -> list[Row]:
    """OFFSET and LIMIT."""
    rows = rows[statement.offset :]
    return rows[: statement.limit] if statement.limit else rows
