"""Answers SHOW statements from the schema in memory."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Final

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.conditions import find_series, split_time
from streamswarm_collector.influxql.errors import ExecutionError
from streamswarm_collector.influxql.source import ResultSeries, Row
from streamswarm_collector.ingest import canonical_series_key
from streamswarm_collector.store.schema import DatabaseSchema, MeasurementSchema, PolicySchema
from streamswarm_core import __version__
from streamswarm_core.point import Point

_Tags = Sequence[Mapping[str, str]]


def show_server(subject: ast.Subject, databases: Iterable[str]) -> list[ResultSeries]:
    """What is asked of the whole server; what the collector has no notion of is an empty list, as clients expect.

    Raises:
        ExecutionError: grants are asked for, and there are no users.
    """
    match subject:
        case ast.Subject.DATABASES:
            return [ResultSeries.of_rows("databases", ["name"], [[name] for name in databases])]
        case ast.Subject.USERS:
            return [ResultSeries.of_rows("", ["user", "admin"], [])]
        case ast.Subject.CONTINUOUS_QUERIES:
            return [ResultSeries.of_rows(name, ["name", "query"], []) for name in databases]
        case ast.Subject.QUERIES:
            return [ResultSeries.of_rows("", ["qid", "query", "database", "duration", "status"], [])]
        case ast.Subject.DIAGNOSTICS:
            return [ResultSeries.of_rows("build", ["Version"], [[f"streamswarm {__version__}"]])]
        case ast.Subject.GRANTS:
            raise ExecutionError("user not found")
    return []


def show_policies(policies: Iterable[PolicySchema]) -> list[ResultSeries]:
    """SHOW RETENTION POLICIES."""
    names = ["name", "duration", "shardGroupDuration", "replicaN", "default"]
    rows = [
        [one.name, _go_duration(one.duration), _go_duration(one.shard_duration), one.replication, one.default]
        for one in policies
    ]
    return [ResultSeries.of_rows("", names, rows)]


def _go_duration(nanoseconds: int) -> str:
    """A duration as Go writes it.

    >>> _go_duration(0), _go_duration(90 * 60 * 10**9)
    ('0s', '1h30m0s')
    """
    if nanoseconds == 0:
        return "0s"
    minutes, seconds = divmod(nanoseconds // 1_000_000_000, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes}m{seconds}s"


def show(statement: ast.Show, database: DatabaseSchema, now_ns: int) -> list[ResultSeries]:
    """SHOW MEASUREMENTS, TAG KEYS, TAG VALUES, FIELD KEYS or SERIES, or how many there are.

    Raises:
        ParseError: WHERE is not understood.
    """
    # A condition on time is accepted and not applied, as InfluxDB with its default index does.
    _, condition = split_time(statement.where, now_ns)
    chosen = [
        (measurement, matching)
        for name, measurement in sorted(database.measurements.items())
        if _wanted(name, statement.sources) and (matching := _matching(measurement, condition))
    ]
    if statement.cardinality:
        return _cardinality(statement, chosen)
    match statement.subject:
        case ast.Subject.MEASUREMENTS:
            rows = _limited(statement, [[measurement.name] for measurement, _ in chosen])
            return [ResultSeries.of_rows("measurements", ["name"], rows)] if rows else []
        case ast.Subject.SERIES:
            keys = [
                canonical_series_key(Point(measurement.name, tags)) for measurement, series in chosen for tags in series
            ]
            rows = _limited(statement, [[key] for key in sorted(keys)])
            return [ResultSeries.of_rows("", ["key"], rows)] if rows else []
    names, list_rows = _LISTS[statement.subject]
    answer = []
    for measurement, series in chosen:
        rows = _limited(statement, list_rows(statement, measurement, series))
        if rows:
            answer.append(ResultSeries.of_rows(measurement.name, names, rows))
    return answer


def _cardinality(statement: ast.Show, chosen: Sequence[tuple[MeasurementSchema, _Tags]]) -> list[ResultSeries]:
    """Ours are exact where InfluxDB estimates; the columns are named as there."""
    estimated = statement.cardinality == "ESTIMATED" and not statement.sources and statement.where is None
    total = "cardinality estimation" if estimated else "count"
    match statement.subject:
        case ast.Subject.MEASUREMENTS:
            return [ResultSeries.of_rows("", [total], [[len(chosen)]])]
        case ast.Subject.SERIES if estimated:
            return [ResultSeries.of_rows("", [total], [[sum(len(series) for _, series in chosen)]])]
        case ast.Subject.SERIES:
            return [ResultSeries.of_rows(one.name, ["count"], [[len(series)]]) for one, series in chosen]
    _, list_rows = _LISTS[statement.subject]
    counts = [(one.name, len(list_rows(statement, one, series))) for one, series in chosen]
    return [ResultSeries.of_rows(name, ["count"], [[count]]) for name, count in counts if count]


def _wanted(name: str, sources: Sequence[ast.Measurement]) -> bool:
    if not sources:
        return True
    return any(source.name == name if isinstance(source.name, str) else source.name.matches(name) for source in sources)


def _matching(measurement: MeasurementSchema, condition: ast.Expression | None) -> _Tags:
    if condition is None:
        return list(measurement.series.values())
    return [measurement.series[sid] for sid in sorted(find_series(condition, measurement.tags))]


def _tag_keys(_statement: ast.Show, _measurement: MeasurementSchema, series: _Tags) -> list[Row]:
    return [[key] for key in sorted({key for tags in series for key in tags})]


def _tag_values(statement: ast.Show, measurement: MeasurementSchema, series: _Tags) -> list[Row]:
    keys = [key for key in sorted(measurement.tag_keys) if _key_wanted(statement, key)]
    return [[key, value] for key in keys for value in sorted({tags[key] for tags in series if key in tags})]


def _key_wanted(statement: ast.Show, key: str) -> bool:
    named = any(key == wanted if isinstance(wanted, str) else wanted.matches(key) for wanted in statement.keys)
    return named != statement.keys_excluded


def _field_keys(_statement: ast.Show, measurement: MeasurementSchema, _series: _Tags) -> list[Row]:
    return [[name, measurement.fields[name].type.value] for name in sorted(measurement.fields)]


_LISTS: Final[Mapping[ast.Subject, tuple[list[str], Callable[[ast.Show, MeasurementSchema, _Tags], list[Row]]]]] = {
    ast.Subject.TAG_KEYS: (["tagKey"], _tag_keys),
    ast.Subject.TAG_VALUES: (["key", "value"], _tag_values),
    ast.Subject.FIELD_KEYS: (["fieldKey", "fieldType"], _field_keys),
}


def _limited(statement: ast.Show, rows: list[Row]) -> list[Row]:
    rows = rows[statement.offset :]
    return rows[: statement.limit] if statement.limit else rows
