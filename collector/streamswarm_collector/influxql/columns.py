"""The columns of a SELECT: wildcards replaced by what a measurement has, and the atoms that the store is asked for."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final, Generic, TypeVar

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.conditions import field_of
from streamswarm_collector.influxql.errors import ExecutionError, ParseError
from streamswarm_collector.influxql.expressions import Atom, Constant, Node, compile_expression, expression_name
from streamswarm_collector.influxql.functions import FUNCTIONS, Function, resolve
from streamswarm_collector.store.schema import FieldColumn, FieldType, MeasurementSchema

A = TypeVar("A")
_NUMERIC: Final = frozenset({FieldType.FLOAT, FieldType.INTEGER})
_PREFERRED: Final = (FieldType.FLOAT, FieldType.INTEGER, FieldType.STRING, FieldType.BOOLEAN)


@dataclass(frozen=True, slots=True)
class RawAtom:
    """A field or tag; an unknown name is neither, and always null."""

    field: FieldColumn | None = None
    tag: str = ""


@dataclass(frozen=True, slots=True)
class AggregateAtom:
    """A function of a field; without a field it is always empty."""

    name: str
    function: Function
    arguments: tuple[float, ...]
    field: FieldColumn | None


@dataclass
class Columns(Generic[A]):
    """What a SELECT shows.

    Attributes:
        nodes: what they are computed from, over the atoms.
        atoms: what the store is asked for.
        beside: fields and tags of the point that the one selector selects, by their place among the columns.
    """

    nodes: list[Node] = field(default_factory=list)
    atoms: list[A] = field(default_factory=list)
    beside: dict[int, RawAtom] = field(default_factory=dict)
    _labels: list[tuple[str, str]] = field(default_factory=list)
    _places: dict[A, int] = field(default_factory=dict)

    @cached_property
    def names(self) -> list[str]:
        """Of the columns, without `time`; to be asked for when all are there."""
        return column_names(self._labels)

    def add(self, name: str, node: Node, alias: str = "") -> None:
        """One more column."""
        self._labels.append((name, alias))
        self.nodes.append(node)

    def atom(self, atom: A) -> int:
        """The index of an atom, added if it is new."""
        place = self._places.setdefault(atom, len(self.atoms))
        if place == len(self.atoms):
            self.atoms.append(atom)
        return place


def column_names(labels: Iterable[tuple[str, str]]) -> list[str]:
    """The names of columns, of which those that are taken get a number, as in InfluxDB.

    Args:
        labels: of each column what it would be called, and its alias, which is never changed.

    >>> column_names([("v", ""), ("v", ""), ("n", "v")])
    ['v_1', 'v_2', 'v']
    """
    labels = list(labels)
    taken = dict.fromkeys((alias for _, alias in labels if alias), 1)
    names = []
    for name, alias in labels:
        free = alias or name
        if not alias and name in taken:
            number = taken[name]
            while (free := f"{name}_{number}") in taken:
                number += 1
            taken[name] = number + 1
        if not alias:
            taken[free] = taken.get(free, 0) + 1
        names.append(free)
    return names


def is_aggregate(statement: ast.Select) -> bool:
    """Whether the columns are made of aggregates; then fields may only stand beside a single selector."""
    return any(_has_aggregate(column.expression) for column in statement.columns)


def _has_aggregate(expression: ast.Expression) -> bool:
    match expression:
        case ast.Call(function) if function in FUNCTIONS:
            return True
        case ast.Call(_, arguments):
            return any(map(_has_aggregate, arguments))
        case ast.Binary(_, left, right):
            return _has_aggregate(left) or _has_aggregate(right)
    return False


def raw_columns(
    statement: ast.Select,
    measurement: MeasurementSchema,
    all_measurements: Sequence[MeasurementSchema],
    grouped: Sequence[str],
) -> Columns[RawAtom]:
    """The columns of a SELECT without aggregates, for one of the measurements that it reads.

    Wildcards stand for the fields and tags of all of them, without the tags that it groups by.

    Raises:
        ParseError: a part is not understood.
    """
    columns: Columns[RawAtom] = Columns()
    shown_tags = _shown_tags(statement, all_measurements, grouped)

    def atom(expression: ast.Expression) -> int | None:
        if not isinstance(expression, ast.Reference):
            return None
        return columns.atom(_raw_atom(expression, measurement))

    def numeric_atom(expression: ast.Expression) -> int | None:
        index = atom(expression)
        if index is not None:
            _refuse_text(columns.atoms[index], expression)
        return index

    for column in statement.columns:
        match column.expression:
            case ast.Reference(name) if name.lower() == "time":
                continue
            case ast.Reference(name) as reference:
                columns.add(name, compile_expression(reference, atom, every=None), column.alias)
            case ast.Wildcard() | ast.Regex() as wildcard:
                for name, raw in _wildcard(wildcard, measurement, all_measurements, shown_tags):
                    columns.add(name, Atom(columns.atom(raw)))
            case ast.Call() as call if (spread := _spread(call, measurement, all_measurements)) is not None:
                for name, one in spread:
                    label = f"{column.alias or call.function}_{name}"
                    columns.add(label, compile_expression(one, numeric_atom, every=None), label)
            case expression:
                node = compile_expression(expression, numeric_atom, every=None)
                columns.add(expression_name(expression), node, column.alias)
    return columns


def _shown_tags(
    statement: ast.Select, measurements: Sequence[MeasurementSchema], grouped: Sequence[str]
) -> Collection[str]:
    # As in InfluxDB, a dimension that is itself a wildcard or regular expression keeps all tags out of the columns.
    by_name = all(isinstance(dimension.key, str) for dimension in statement.dimensions)
    return {key for one in measurements for key in one.tag_keys}.difference(grouped) if by_name else ()


def _raw_atom(reference: ast.Reference, measurement: MeasurementSchema) -> RawAtom:
    stored = field_of(reference, measurement)
    is_tag = stored is None and reference.cast in {"", "tag"} and reference.name in measurement.tag_keys
    return RawAtom(stored, reference.name if is_tag else "")


def _refuse_text(atom: RawAtom, expression: ast.Expression) -> None:
    if atom.tag or (atom.field and atom.field.type not in _NUMERIC):
        kind = "tag" if atom.tag else f"{atom.field.type} field" if atom.field else "name"
        raise ExecutionError(f"the {kind} {expression_name(expression)!r} can't be calculated with")


def _wildcard(
    wildcard: ast.Wildcard | ast.Regex,
    measurement: MeasurementSchema,
    all_measurements: Sequence[MeasurementSchema],
    tags: Collection[str],
) -> list[tuple[str, RawAtom]]:
    fields = {name for one in all_measurements for name in one.fields}
    if isinstance(wildcard, ast.Wildcard) and wildcard.cast:
        fields, tags = (set(), tags) if wildcard.cast == "tag" else (fields, ())
    found: list[tuple[str, RawAtom]] = []
    for name in sorted(fields.union(tags)):
        if isinstance(wildcard, ast.Regex) and not wildcard.matches(name):
            continue
        if name in fields:
            found.append((name, RawAtom(measurement.fields.get(name))))
        if name in tags:
            found.append((name, RawAtom(tag=name)))
    return found


def _spread(
    call: ast.Call, measurement: MeasurementSchema, all_measurements: Sequence[MeasurementSchema]
) -> list[tuple[str, ast.Call]] | None:
    """A function of `*` or a regular expression as one of each field that it takes; None if it is none of these."""
    match call.arguments:
        case (ast.Wildcard() | ast.Regex() as wildcard, *rest):
            types = FUNCTIONS[call.function].types if call.function in FUNCTIONS else _NUMERIC
            fields = merged_fields(all_measurements)
            found = sorted(fields if isinstance(wildcard, ast.Wildcard) else wildcard.among(fields))
            own = measurement.fields
            return [
                (name, replace(call, arguments=(ast.Reference(name, _cast(own.get(name), fields[name])), *rest)))
                for name in found
                if fields[name] in types
            ]
        case (ast.Call() as inner, *rest):
            spread = _spread(inner, measurement, all_measurements)
            return spread and [(name, replace(call, arguments=(one, *rest))) for name, one in spread]
    return None


def _cast(own: FieldColumn | None, merged: FieldType) -> str:
    return "field" if own is None or own.type is merged else merged.value


def merged_fields(measurements: Iterable[MeasurementSchema]) -> dict[str, FieldType]:
    """The fields of several measurements; of one with several types the one that InfluxDB prefers counts."""
    merged: dict[str, FieldType] = {}
    for one in measurements:
        for name, stored in one.fields.items():
            merged[name] = min(merged.get(name, stored.type), stored.type, key=_PREFERRED.index)
    return merged


def aggregate_columns(
    statement: ast.Select,
    measurement: MeasurementSchema,
    all_measurements: Sequence[MeasurementSchema],
    grouped: Sequence[str],
) -> Columns[AggregateAtom]:
    """The columns of a SELECT of aggregates, for one of the measurements that it reads; see raw_columns.

    Raises:
        ParseError: a function isn't known or can't be applied, or a field stands beside anything but one selector.
    """
    columns: Columns[AggregateAtom] = Columns()
    every = statement.window.every if statement.window else None
    shown_tags = _shown_tags(statement, all_measurements, grouped)

    def atom(expression: ast.Expression) -> int | None:
        match expression:
            case ast.Call("count", (ast.Call("distinct", (subject,)),)):
                return columns.atom(_aggregate_atom(ast.Call("count distinct", (subject,)), measurement))
            case ast.Call(name) if name in FUNCTIONS:
                return columns.atom(_aggregate_atom(expression, measurement))
            case ast.Reference(name):
                raise ExecutionError(f"mixing aggregate and non-aggregate queries is not supported: {name}")
        return None

    def numeric_atom(expression: ast.Expression) -> int | None:
        index = atom(expression)
        if index is not None:
            _refuse_text_of(columns.atoms[index])
        return index

    for column in statement.columns:
        match column.expression:
            case ast.Reference(name) as reference:
                columns.beside[len(columns.nodes)] = _raw_atom(reference, measurement)
                columns.add(name, Constant(0), column.alias)
            case ast.Wildcard() | ast.Regex() as wildcard:
                for name, raw in _wildcard(wildcard, measurement, all_measurements, shown_tags):
                    columns.beside[len(columns.nodes)] = raw
                    columns.add(name, Constant(0))
            case ast.Call() as call if (spread := _spread(call, measurement, all_measurements)) is not None:
                for name, one in spread:
                    label = f"{column.alias or call.function}_{name}"
                    columns.add(label, compile_expression(one, atom, every=every), label)
            case expression:
                alone = isinstance(expression, ast.Call) and expression.function in FUNCTIONS
                node = compile_expression(expression, atom if alone else numeric_atom, every=every)
                columns.add(expression_name(expression), node, column.alias)
    if columns.beside:
        _check_beside(statement, columns)
    return columns


def _refuse_text_of(atom: AggregateAtom) -> None:
    counts = atom.function.empty is not None
    if atom.field and atom.field.type not in _NUMERIC and not counts:
        raise ExecutionError(f"the {atom.field.type} of {atom.name}({atom.field.name}) can't be calculated with")


def _check_beside(statement: ast.Select, columns: Columns[AggregateAtom]) -> None:
    selectors = [column for column in statement.columns if isinstance(column.expression, ast.Call)]
    lone = len(selectors) == 1 and len(selectors) + len(columns.beside) == len(columns.nodes)
    if not lone or len(columns.atoms) != 1 or columns.atoms[0].function.order_sql is None:
        raise ExecutionError("mixing aggregate and non-aggregate queries is not supported")


def _aggregate_atom(call: ast.Call, measurement: MeasurementSchema) -> AggregateAtom:
    function, arguments = resolve(call)
    match call.arguments[0]:
        case ast.Reference() as reference:
            stored = field_of(reference, measurement)
        case _:
            raise ParseError(f"{call.function}() takes a field; an expression within it is not supported")
    if stored is not None and stored.type not in function.types:
        raise ExecutionError(f"unsupported {call.function} iterator type: {stored.name} is a {stored.type} field")
    return AggregateAtom(call.function, function, arguments, stored)
