"""Answers SHOW statements from the schema in memory."""

from collections.abc import Callable, Iterable, Sequence

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.conditions import matches_tags, split_time
from streamswarm_collector.influxql.source import ResultSeries, Row
from streamswarm_collector.ingest import canonical_series_key
from streamswarm_collector.store.schema import DatabaseSchema, MeasurementSchema
from streamswarm_core.point import Point


def show_databases(names: Iterable[str]) -> list[ResultSeries]:
    """SHOW DATABASES."""
    return [ResultSeries("databases", None, ["name"], [[name] for name in names])]


def show_retention_policies() -> list[ResultSeries]:
    """SHOW RETENTION POLICIES: one policy that keeps everything."""
    columns = ["name", "duration", "shardGroupDuration", "replicaN", "default"]
    return [ResultSeries("", None, columns, [["autogen", "0s", "168h0m0s", 1, True]])]


def show(statement: ast.Show, database: DatabaseSchema, now_ns: int) -> list[ResultSeries]:
    """SHOW MEASUREMENTS, TAG KEYS, TAG VALUES or FIELD KEYS.

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
    match statement.subject:
        case ast.Subject.MEASUREMENTS:
            rows = _limited(statement, [[measurement.name] for measurement, _ in chosen])
            return [ResultSeries("measurements", None, ["name"], rows)] if rows else []
        case ast.Subject.SERIES:
            keys = [
                canonical_series_key(Point(measurement.name, tags)) for measurement, series in chosen for tags in series
            ]
            rows = _limited(statement, [[key] for key in sorted(keys)])
            return [ResultSeries("", None, ["key"], rows)] if rows else []
        case ast.Subject.TAG_KEYS:
            return _per_measurement(statement, chosen, ["tagKey"], _tag_keys)
        case ast.Subject.TAG_VALUES:
            return _per_measurement(
                statement, chosen, ["key", "value"], lambda _, series: _tag_values(statement, series)
            )
        case _:
            return _per_measurement(statement, chosen, ["fieldKey", "fieldType"], _field_keys)


def _wanted(name: str, sources: Sequence[ast.Measurement]) -> bool:
    if not sources:
        return True
    return any(source.name == name if isinstance(source.name, str) else source.name.matches(name) for source in sources)


_Tags = Sequence[dict[str, str]]


def _matching(measurement: MeasurementSchema, condition: ast.Expression | None) -> _Tags:
    return [dict(tags) for tags in measurement.series.values() if condition is None or matches_tags(condition, tags)]


def _tag_keys(_measurement: MeasurementSchema, series: _Tags) -> list[Row]:
    return [[key] for key in sorted({key for tags in series for key in tags})]


def _tag_values(statement: ast.Show, series: _Tags) -> list[Row]:
    pairs = {(key, value) for tags in series for key, value in tags.items() if _key_wanted(statement, key)}
    return [[key, value] for key, value in sorted(pairs)]


def _key_wanted(statement: ast.Show, key: str) -> bool:
    named = any(key == wanted if isinstance(wanted, str) else wanted.matches(key) for wanted in statement.keys)
    return named != statement.keys_excluded


def _field_keys(measurement: MeasurementSchema, _series: _Tags) -> list[Row]:
    return [[name, measurement.fields[name].type.value] for name in sorted(measurement.fields)]


def _limited(statement: ast.Show, rows: list[Row]) -> list[Row]:
    rows = rows[statement.offset :]
    return rows[: statement.limit] if statement.limit else rows


def _per_measurement(
    statement: ast.Show,
    chosen: Sequence[tuple[MeasurementSchema, _Tags]],
    columns: list[str],
    list_rows: Callable[[MeasurementSchema, _Tags], list[Row]],
) -> list[ResultSeries]:
    answer = []
    for measurement, series in chosen:
        rows = _limited(statement, list_rows(measurement, series))
        if rows:
            answer.append(ResultSeries(measurement.name, None, columns, rows))
    return answer
