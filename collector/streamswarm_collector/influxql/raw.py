"""SELECT of fields and tags, and of what is calculated from them row by row."""

from duckdb import DuckDBPyConnection

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.columns import Columns, RawAtom
from streamswarm_collector.influxql.conditions import RowFilter, TimeRange
from streamswarm_collector.influxql.errors import ExecutionError, ParseError
from streamswarm_collector.influxql.expressions import Atom, evaluate, is_transformed, shown
from streamswarm_collector.influxql.source import Groups, Limits, ResultSeries, Row, limited, source_sql, tags_of
from streamswarm_collector.store.schema import MeasurementSchema


def select_raw(
    statement: ast.Select,
    measurement: MeasurementSchema,
    columns: Columns[RawAtom],
    groups: Groups,
    rows: RowFilter,
    time_range: TimeRange,
    limits: Limits,
    connection: DuckDBPyConnection,
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
    if transformed and statement.descending:
        raise ParseError("a transformation with ORDER BY time DESC is not supported by the embedded store")
    source, parameters = source_sql(measurement, groups, rows, time_range, connection)
    present = " OR ".join(f"{field} IS NOT NULL" for field in fields)
    source += f"{' AND' if ' WHERE ' in source else ' WHERE'} ({present})"
    order = "DESC" if statement.descending else "ASC"
    single = len(groups.tags) == 1
    most = limits.rows + 1
    if statement.limit and not calculated:
        wanted = statement.limit + statement.offset
        if single:
            most = min(most, wanted)
        else:
            source += f" QUALIFY row_number() OVER (PARTITION BY gid ORDER BY time {order}, sid) <= {wanted}"
    fetched = connection.execute(
        f"SELECT {0 if single else 'gid'} AS gid, time, sid, {', '.join(fields)} {source} "
        f"ORDER BY {'' if single else 'gid, '}time {order}, sid LIMIT {most}",
        parameters,
    ).fetchall()
    if len(fetched) > limits.rows:
        raise ExecutionError(f"more than {limits.rows} rows; narrow the time range, or use LIMIT or GROUP BY time()")
    index = {field: position for position, field in enumerate(fields, start=3)}
    by_group: dict[int, list[Row]] = {}
    for record in fetched:
        tags = measurement.series[record[2]]
        values = [
            record[index[atom.field.column]] if atom.field else tags.get(atom.tag) if atom.tag else None
            for atom in columns.atoms
        ]
        by_group.setdefault(record[0], []).append([record[1], values])
    names = ["time", *columns.names]
    return [
        ResultSeries(measurement.name, tags_of(groups, group), names, limited_rows)
        for group, found in by_group.items()
        if (limited_rows := limited(statement, _evaluated(columns, found, drop_empty=transformed)))
    ]


def _evaluated(columns: Columns[RawAtom], found: list[Row], *, drop_empty: bool) -> list[Row]:
    times = [row[0] for row in found]
    rows = [row[1] for row in found]
    values = zip(*(evaluate(node, times, rows) for node in columns.nodes), strict=True)
    result = [[time, *map(shown, row)] for time, row in zip(times, values, strict=True)]
    return [row for row in result if any(value is not None for value in row[1:])] if drop_empty else result
