"""The columns of a SELECT: wildcards replaced by what a measurement has, and the atoms that the store is asked for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Final, Generic, TypeVar

from streamswarm_collector.influxql import ast
from streamswarm_collector.influxql.conditions import field_of
from streamswarm_collector.influxql.errors import ExecutionError, ParseError
from streamswarm_collector.influxql.expressions import Atom, Constant, Node, compile_expression, expression_name
from streamswarm_collector.influxql.functions import FUNCTIONS, Function, resolve
from streamswarm_collector.store.schema import FieldColumn, FieldType, MeasurementSchema

A = TypeVar("A")
_NUMERIC: Final = frozenset({FieldType.FLOAT, FieldType.INTEGER})


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


@dataclass(slots=True)
class Columns(Generic[A]):
    """What a SELECT shows.

    Attributes:
        names: of the columns, without `time`.
        nodes: what they are computed from, over the atoms.
        atoms: what the store is asked for.
        beside: fields and tags of the point that the one selector selects, by their place among the columns.
    """

    names: list[str] = field(default_factory=list)
    nodes: list[Node] = field(default_factory=list)
    atoms: list[A] = field(default_factory=list)
    beside: dict[int, RawAtom] = field(default_factory=dict)
    _places: dict[A, int] = field(default_factory=dict)

    def atom(self, atom: A) -> int:
        """The index of an atom, added if it is new."""
        place = self._places.setdefault(atom, len(self.atoms))
        if place == len(self.atoms):
            self.atoms.append(atom)
        return place


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
    seen: dict[str, int] = {}
    # As in InfluxDB, a dimension that is itself a wildcard or regular expression keeps all tags out of the columns.
    by_name = all(isinstance(dimension.key, str) for dimension in statement.dimensions)
    tag_keys = {key for one in all_measurements for key in one.tag_keys} - set(grouped)
    shown_tags = tag_keys if by_name else set()

    def atom(expression: ast.Expression) -> int | None:
        if not isinstance(expression, ast.Reference):
            return None
        return columns.atom(_raw_atom(expression, measurement))

    def numeric_atom(expression: ast.Expression) -> int | None:
        index = atom(expression)
        if index is not None:
            _refuse_text(columns.atoms[index], expression)
        return index

    def add(name: str, node: Node) -> None:
        count = seen.get(name, 0)
        seen[name] = count + 1
        columns.names.append(f"{name}_{count}" if count else name)
        columns.nodes.append(node)

    for column in statement.columns:
        match column.expression:
            case ast.Reference(name) if name.lower() == "time":
                continue
            case ast.Reference(name) as reference if column.alias:
                columns.names.append(column.alias)
                columns.nodes.append(compile_expression(reference, atom, every=None))
            case ast.Reference(name) as reference:
                add(name, compile_expression(reference, atom, every=None))
            case ast.Wildcard() | ast.Regex() as wildcard:
                for name, raw in _wildcard(wildcard, measurement, all_measurements, shown_tags):
                    add(name, Atom(columns.atom(raw)))
            case expression:
                node = compile_expression(expression, numeric_atom, every=None)
                if column.alias:
                    columns.names.append(column.alias)
                    columns.nodes.append(node)
                else:
                    add(expression_name(expression), node)
    return columns


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


def aggregate_columns(statement: ast.Select, measurement: MeasurementSchema) -> Columns[AggregateAtom]:
    """The columns of a SELECT of aggregates.

    Raises:
        ParseError: a function isn't known or can't be applied, or a field stands beside anything but one selector.
    """
    columns: Columns[AggregateAtom] = Columns()
    every = statement.window.every if statement.window else None
    seen: dict[str, int] = {}

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

    def add(name: str, node: Node, *, aliased: bool = False) -> None:
        count = 0 if aliased else seen.get(name, 0)
        seen[name] = seen.get(name, 0) + 1
        columns.names.append(f"{name}_{count}" if count else name)
        columns.nodes.append(node)

    for column in statement.columns:
        match column.expression:
            case ast.Reference(name) as reference:
                columns.beside[len(columns.names)] = _raw_atom(reference, measurement)
                add(column.alias or name, Constant(0), aliased=bool(column.alias))
            case ast.Call(function, (ast.Wildcard() | ast.Regex() as wildcard, *rest)) if function in FUNCTIONS:
                for field_name, stored in sorted(measurement.fields.items()):
                    wanted = isinstance(wildcard, ast.Wildcard) or wildcard.matches(field_name)
                    if wanted and stored.type in FUNCTIONS[function].types:
                        call = ast.Call(function, (ast.Reference(field_name, "field"), *rest))
                        add(f"{column.alias or function}_{field_name}", compile_expression(call, atom, every=every))
            case expression:
                alone = isinstance(expression, ast.Call) and expression.function in FUNCTIONS
                node = compile_expression(expression, atom if alone else numeric_atom, every=every)
                add(column.alias or expression_name(expression), node, aliased=bool(column.alias))
    if columns.beside:
        _check_beside(statement, columns)
    return columns


def _refuse_text_of(atom: AggregateAtom) -> None:
    counts = atom.function.empty is not None
    if atom.field and atom.field.type not in _NUMERIC and not counts:
        raise ExecutionError(f"the {atom.field.type} of {atom.name}({atom.field.name}) can't be calculated with")


def _check_beside(statement: ast.Select, columns: Columns[AggregateAtom]) -> None:
    selectors = [column for column in statement.columns if isinstance(column.expression, ast.Call)]
    lone = len(selectors) == 1 and len(selectors) + len(columns.beside) == len(columns.names)
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
