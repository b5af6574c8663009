"""The columns of a SELECT, with wildcards replaced by what a measurement has."""

from collections.abc import Sequence
from dataclasses import dataclass

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.conditions import field_of
from streamswarm_collector.influxql.errors import ParseError
from streamswarm_collector.influxql.functions import Function, resolve
from streamswarm_collector.store.schema import FieldColumn, MeasurementSchema


@dataclass(frozen=True, slots=True)
class RawColumn:
    """A field or tag as it was written; an unknown name has neither and is always null."""

    name: str
    field: FieldColumn | None
    tag: str = ""
    aliased: bool = False


@dataclass(frozen=True, slots=True)
class AggregateColumn:
    """A function of a field; without a field it is always empty."""

    name: str
    function: Function
    arguments: tuple[float, ...]
    field: FieldColumn | None


def is_aggregate(statement: ast.Select) -> bool:
    """Whether the columns are functions; all or none of them must be.

    Raises:
        ParseError: they are mixed, or an expression is not understood.
    """
    expressions = [column.expression for column in statement.columns]
    if any(isinstance(expression, ast.Binary) for expression in expressions):
        raise ParseError("arithmetic between columns is not supported by the embedded store")
    if not all(
        isinstance(expression, ast.Call | ast.Reference | ast.Wildcard | ast.Regex) for expression in expressions
    ):
        raise ParseError("a column is a field, a tag, * or a function of a field")
    calls = [isinstance(expression, ast.Call) for expression in expressions]
    if any(calls) and not all(calls):
        raise ParseError("mixing aggregate and non-aggregate queries is not supported")
    return any(calls)


def raw_columns(
    statement: ast.Select,
    measurement: MeasurementSchema,
    all_measurements: Sequence[MeasurementSchema],
    grouped: Sequence[str],
) -> list[RawColumn]:
    """The columns of a SELECT without functions, for one of the measurements that it reads.

    Wildcards stand for the fields and tags of all of them, without the tags that it groups by.
    """
    columns: list[RawColumn] = []
    for column in statement.columns:
        match column.expression:
            case ast.Reference(name, cast) if cast not in {"", "tag", "field"}:
                raise ParseError(f"the cast {name}::{cast} is not supported by the embedded store")
            case ast.Reference(name) if name.lower() == "time":
                continue
            case ast.Reference(name) as reference:
                stored = field_of(reference, measurement)
                tag = name if stored is None and name in measurement.tag_keys else ""
                columns.append(RawColumn(column.alias or name, stored, tag, aliased=bool(column.alias)))
            case wildcard:
                fields = {name for one in all_measurements for name in one.fields}
                tags = {key for one in all_measurements for key in one.tag_keys} - set(grouped)
                for name in sorted(fields | tags):
                    if isinstance(wildcard, ast.Regex) and not wildcard.matches(name):
                        continue
                    if name in fields:
                        columns.append(RawColumn(name, measurement.fields.get(name)))
                    if name in tags:
                        columns.append(RawColumn(name, None, name))
    return _distinct_names(columns)


def _distinct_names(columns: list[RawColumn]) -> list[RawColumn]:
    """Number columns of the same name as InfluxDB does: `a`, `a_1`, `a_2`."""
    seen: dict[str, int] = {}
    result = []
    for column in columns:
        count = 0 if column.aliased else seen.get(column.name, 0)
        seen[column.name] = seen.get(column.name, 0) + 1
        result.append(RawColumn(f"{column.name}_{count}", column.field, column.tag) if count else column)
    return result


def aggregate_columns(statement: ast.Select, measurement: MeasurementSchema) -> list[AggregateColumn]:
    """The columns of a SELECT of functions.

    Raises:
        ParseError: a function isn't known or can't be applied.
    """
    columns: list[AggregateColumn] = []
    for column in statement.columns:
        if not isinstance(column.expression, ast.Call):
            raise ParseError("mixing aggregate and non-aggregate queries is not supported")
        function, arguments = resolve(column.expression)
        subject = column.expression.arguments[0]
        name = column.alias or column.expression.function
        match subject:
            case ast.Reference() as reference:
                stored = field_of(reference, measurement)
                if stored is not None and stored.type not in function.types:
                    raise ParseError(
                        f"{column.expression.function}() can't be applied to the {stored.type} field {stored.name!r}"
                    )
                columns.append(AggregateColumn(name, function, arguments, stored))
            case ast.Wildcard() | ast.Regex():
                for field_name in sorted(measurement.fields):
                    stored = measurement.fields[field_name]
                    wanted = isinstance(subject, ast.Wildcard) or subject.matches(field_name)
                    if wanted and stored.type in function.types:
                        columns.append(AggregateColumn(f"{name}_{field_name}", function, arguments, stored))
            case _:
                raise ParseError(
                    f"{column.expression.function}() takes a field; nested functions and expressions are not supported"
                )
    return columns
