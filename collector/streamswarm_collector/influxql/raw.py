"""SELECT of fields and tags, and of what is calculated from them row by row."""

import itertools
from typing import Any

import numpy as np
from duckdb import DuckDBPyConnection

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.columns import Columns, RawAtom
from streamswarm_collector.influxql.conditions import RowFilter, TimeRange
from streamswarm_collector.influxql.errors import ExecutionError
from streamswarm_collector.influxql.expressions import Atom, Node, evaluate, is_transformed, outline
from streamswarm_collector.influxql.memory import RecentSource
from streamswarm_collector.influxql.source import Column, Connect, Groups, Limits, ResultSeries, limited, source_sql
from streamswarm_collector.store.schema import MeasurementSchema


def select_raw(
    statement: ast.Select,
    measurement: MeasurementSchema,
    columns: Columns[RawAtom],
    groups: Groups,
    rows: RowFilter,
    time_range: TimeRange,
    limits: Limits,
    connect: Connect,
) -> list[ResultSeries]:
    """Answer a SELECT without aggregates on one measurement.

    Raises:
        ParseError: a part is not understood.
        ExecutionError: the answer would have more rows than the limits allow.
    """
    fields = list(dict.fromkeys(atom.field.column for atom in columns.atoms if atom.field))
    if not fields:
        return []
    calculated = any(not isinstance(node, Atom) for node in columns.nodes)
    transformed = any(map(is_transformed, columns.nodes))
    leaves: list[Node] = []
    nodes = [outline(node, leaves) for node in columns.nodes]
    wanted = None if calculated or not statement.limit else statement.limit + statement.offset
    recent = RecentSource.of(measurement, groups, rows, time_range, fields, limits)
    if recent is not None:
        fetched = recent.raw_rows(fields, descending=statement.descending, limit=wanted, most=limits.rows + 1)
    else:
        fetched = _from_file(statement, measurement, fields, groups, rows, time_range, wanted, limits, connect())
    gids, times, sids, *values = fetched
    if len(times) > limits.rows:
        raise ExecutionError(f"more than {limits.rows} rows; narrow the time range, or use LIMIT or GROUP BY time()")
    of_field = dict(zip(fields, values, strict=True))
    atoms = [_atom_values(atom, measurement, sids, of_field) for atom in columns.atoms]
    names = ["time", *columns.names]
    answer = []
    bounds = _group_bounds(gids, len(times))
    for first, last in bounds:
        own = [column[first:last] for column in atoms] if len(bounds) > 1 else atoms
        own_times = times[first:last] if len(bounds) > 1 else times
        parts: list[Column] = [own_times, *(evaluate(leaf, own_times, own) for leaf in leaves)]
        if transformed:
            parts = _without_empty(parts)
        result = [parts[0], *(evaluate(node, parts[0], parts[1:]) for node in nodes)]
        result = limited(statement, result)
        if result[0]:
            answer.append(ResultSeries(measurement.name, groups.shown[gids[first] if gids else 0], names, result))
    return answer


def _from_file(
    statement: ast.Select,
    measurement: MeasurementSchema,
    fields: list[str],
    groups: Groups,
    rows: RowFilter,
    time_range: TimeRange,
    wanted: int | None,
    limits: Limits,
    connection: DuckDBPyConnection,
) -> list[Column]:
    source, parameters = source_sql(measurement, groups, rows, time_range, connection, shows_series=True)
    present = " OR ".join(f"{field} IS NOT NULL" for field in fields)
    source += f"{' AND' if ' WHERE ' in source else ' WHERE'} ({present})"
    order = "DESC" if statement.descending else "ASC"
    single = len(groups.tags) == 1
    most = limits.rows + 1
    if wanted is not None and single:
        most = min(most, wanted)
    elif wanted is not None:
        source += f" QUALIFY row_number() OVER (PARTITION BY gid ORDER BY time {order}, sid) <= {wanted}"
    found = connection.execute(
        f"SELECT time, sid, {'' if single else 'gid, '}{', '.join(f'{one} AS c{n}' for n, one in enumerate(fields))} "
        f"{source} ORDER BY {'' if single else 'gid, '}time {order}, sid LIMIT {most}",
        parameters,
    ).fetchnumpy()
    gids = [] if single else found["gid"].tolist()
    return [gids, found["time"].tolist(), found["sid"].tolist(), *(as_list(found[f"c{n}"]) for n in range(len(fields)))]


def as_list(array: Any) -> Column:
    """An array that DuckDB gave, as Python values; what is missing is None."""
    values: Column = array.tolist()
    if array.dtype.kind == "O" and isinstance(array, np.ma.MaskedArray):
        values = [
            None if masked else value for value, masked in zip(array.data, np.ma.getmaskarray(array), strict=True)
        ]
    return values


def _atom_values(atom: RawAtom, measurement: MeasurementSchema, sids: Column, of_field: dict[str, Column]) -> Column:
    if atom.field:
        return of_field[atom.field.column]
    if not atom.tag:
        return [None] * len(sids)
    values = {sid: measurement.series[sid].get(atom.tag) for sid in set(sids)}
    return [values[sid] for sid in sids]


def _group_bounds(gids: Column, count: int) -> list[tuple[int, int]]:
    """Where the rows of each group begin and end; without group numbers there is one group."""
    if not gids:
        return [(0, count)] if count else []
    changes = [0, *(np.flatnonzero(np.diff(np.array(gids))) + 1).tolist(), count]
    return list(itertools.pairwise(changes))


def _without_empty(columns: list[Column]) -> list[Column]:
    """Only the rows in which something has a value."""
    kept = [row for row in zip(*columns, strict=True) if any(value is not None for value in row[1:])]
    return [list(column) for column in zip(*kept, strict=True)] or [[] for _ in columns]
