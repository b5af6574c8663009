import asyncio
import difflib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from pydantic_core import ErrorDetails
from rich.box import SIMPLE
from rich.console import Console
from rich.markup import escape
from rich.measure import Measurement
from rich.table import Table

from streamswarm_cli.services import AGENT
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.clock import from_ns
from streamswarm_core.errors import ConfigError
from streamswarm_core.point import Point
from streamswarm_core.printable import printable
from streamswarm_core.probespecs import SPECS
from streamswarm_core.wording import format_value

_WIDEST_ROW: Final = 1_000
_LONG_ROW: Final = 200
"""Columns from which on rows can't be followed by eye."""


def _complete(incomplete: str) -> list[str]:
    return [name for name in SPECS if name.startswith(incomplete)]


def probe(
    name: Annotated[str, typer.Argument(metavar="PROBE", help=f"One of {', '.join(SPECS)}.", autocompletion=_complete)],
    target: Annotated[str, typer.Argument(help="Host, address, host:port or URL; `--options` shows which.")] = "",
    option: Annotated[
        list[str] | None, typer.Option("--option", "-o", metavar="KEY=VALUE", help="One of the probe's options.")
    ] = None,
    *,
    as_json: Annotated[bool, typer.Option("--json", help="Print the points as JSON, one a line.")] = False,
    options: Annotated[bool, typer.Option("--options", help="List the probe's options and stop.")] = False,
) -> None:
    """Run one probe once and print what it measured.

    Exit code 0 if the target is up, 1 if it is down, 2 if the command can't be carried out.
    """
    if name not in SPECS:
        raise ConfigError(f"no probe {name!r}; one of {', '.join(SPECS)}")
    if options:
        Console(soft_wrap=True).print(_options_table(name))
        return
    spec = SPECS[name]
    if spec.has_target and not target:
        raise ConfigError(f"{name} needs a target, such as {spec.example_target}")
    if target and not spec.has_target:
        raise ConfigError(f"{name} takes no target: it measures this host")
    points = asyncio.run(AGENT.module("oneoff").run_once(name, target, _parse_options(name, option or [])))
    if as_json:
        for point in points:
            typer.echo(json.dumps(_as_record(point)))
    else:
        by_measurement: dict[str, list[Point]] = {}
        for point in points:
            by_measurement.setdefault(point.measurement, []).append(point)
        for alike in by_measurement.values():
            _print_points(alike)
    raise typer.Exit(0 if all(point.fields.get("up", 1) for point in points) else 1)


def _parse_options(name: str, pairs: list[str]) -> Mapping[str, Any]:
    """Check `key=value` pairs against the probe's options.

    A value is JSON where it reads as such, else text. Where an option takes text, what reads as a number is text too,
    and where it takes a list, a single value is a list of one.
    """
    written = dict(_parse_pair(name, pair) for pair in pairs)
    params = {key: _read_value(text) for key, text in written.items()}
    while True:
        try:
            SPECS[name].params.model_validate(params)
        except ValidationError as error:
            problem = error.errors(include_input=False)[0]
        else:
            return params
        key = str(problem["loc"][0]) if problem["loc"] else ""
        otherwise = _read_otherwise(problem["type"], params[key], written[key]) if key in written else None
        if otherwise is None:
            raise ConfigError(f"{_explain(name, problem)}; see: streamswarm probe {name} --options")
        params[key] = otherwise


def _parse_pair(name: str, pair: str) -> tuple[str, str]:
    key, equals, text = pair.partition("=")
    if not equals or not key:
        raise ConfigError(f"--option {pair}: takes KEY=VALUE; see: streamswarm probe {name} --options")
    return key, text


def _read_value(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return text


def _read_otherwise(problem: str, value: Any, text: str) -> Any:
    """What else a value may mean; None if nothing else."""
    if problem == "tuple_type" and not isinstance(value, list | dict):
        return [value]
    if problem == "string_type" and isinstance(value, int | float):
        return text
    if problem == "string_type" and isinstance(value, list) and value == [_read_value(text)]:
        return [text]
    return None


def _explain(name: str, problem: ErrorDetails) -> str:
    message = problem["msg"].removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    key = str(problem["loc"][0])
    fields = SPECS[name].params.model_fields
    match problem["type"]:
        case "extra_forbidden" if len(problem["loc"]) == 1:
            close = difflib.get_close_matches(key, fields, n=1)
            message = f"{name} has no such option" + (f"; did you mean {close[0]}?" if close else "")
        case "string_pattern_mismatch":
            message = f"doesn't fit; takes: {fields[key].description}"
        case "tuple_type":
            message = 'takes one value, or a JSON list such as \'["a", "b"]\''
        case "dict_type":
            message = 'takes a JSON object such as \'{"KEY": "VALUE"}\''
    return f"--option {'.'.join(map(str, problem['loc']))}: {message}"


def _options_table(name: str) -> Table:
    spec = SPECS[name]
    target = f"target: such as {spec.example_target}" if spec.has_target else "takes no target"
    table = Table("option", "default", "meaning", title=f"options of {name}; {target}", title_justify="left")
    schema = spec.params.model_json_schema()
    for key, field in spec.params.model_fields.items():
        default = json.dumps(field.get_default(call_default_factory=True), default=str)
        limits = _limits(schema["properties"][key], schema.get("$defs", {}))
        table.add_row(key, default, escape(f"{field.description or ''} {f'({limits})' if limits else ''}".rstrip()))
    return table


def _limits(schema: Mapping[str, Any], named: Mapping[str, Any]) -> str:
    """What an option's JSON Schema lets it be; empty where that is anything.

    >>> _limits({"anyOf": [{"type": "integer", "minimum": 1, "maximum": 9}, {"type": "null"}]}, {})
    '1 to 9'
    >>> _limits({"type": "number", "exclusiveMinimum": 0, "maximum": 60}, {}), _limits({"enum": ["udp", "tcp"]}, {})
    ('above 0, to 60', 'udp, tcp')
    """
    first = next((one for one in schema.get("anyOf", ()) if one.get("type") != "null"), schema)
    if "$ref" in first:
        first = named[first["$ref"].rpartition("/")[2]]
    if "enum" in first:
        return ", ".join(map(str, first["enum"]))
    least = f"above {first['exclusiveMinimum']}," if "exclusiveMinimum" in first else first.get("minimum")
    most = first.get("maximum")
    if least is None or most is None:
        return f"from {least}" if least is not None else ""
    return f"{least} to {most}"


def _as_record(point: Point) -> dict[str, Any]:
    time = from_ns(point.time_ns).isoformat() if point.time_ns is not None else None
    return {"measurement": point.measurement, "time": time, "tags": dict(point.tags), "fields": dict(point.fields)}


def _print_points(points: list[Point]) -> None:
    """A single point with what its fields mean; several as rows of one table, or as columns where rows get long."""
    console = Console(soft_wrap=True)
    if len(points) == 1:
        console.print(_point_table(points[0]))
        return
    table = _rows_table(points)
    # Rows are for comparing: a line that is wider than the terminal reads better than cells that are cut off.
    widest = Measurement.get(console, console.options.update(max_width=_WIDEST_ROW), table).maximum
    if widest > max(console.width, _LONG_ROW) and len(points) < len(table.columns):
        table = _columns_table(table)
        widest = Measurement.get(console, console.options.update(max_width=_WIDEST_ROW), table).maximum
    Console(soft_wrap=True, width=max(console.width, widest)).print(table)


def _rows_table(points: list[Point]) -> Table:
    common = dict(set.intersection(*(set(point.tags.items()) for point in points)))
    titled = "  ".join([points[0].measurement, *(f"{key}={common[key]}" for key in points[0].tags if key in common)])
    tags = list(dict.fromkeys(key for point in points for key in point.tags if key not in common))
    measurement = CATALOGUE[points[0].measurement]
    fields = [field for field in measurement.fields if any(field.name in point.fields for point in points)]
    table = Table(*tags, *(field.name for field in fields), title=_shown(titled), title_justify="left", box=SIMPLE)
    for point in points:
        values = (point.fields.get(field.name) for field in fields)
        cells = (
            "" if value is None else format_value(value, field.unit)
            for value, field in zip(values, fields, strict=True)
        )
        table.add_row(*(_shown(point.tags.get(tag, "")) for tag in tags), *map(_shown, cells))
    return table


def _columns_table(rows: Table) -> Table:
    """The same table with a line for each of its columns."""
    first, *others = rows.columns
    table = Table(str(first.header), *map(str, first.cells), title=rows.title, title_justify="left", box=SIMPLE)
    for column in others:
        table.add_row(str(column.header), *map(str, column.cells))
    return table


def _point_table(point: Point) -> Table:
    tags = "  ".join(f"{key}={value}" for key, value in point.tags.items())
    table = Table("field", "value", "meaning", title=_shown(f"{point.measurement}  {tags}"), title_justify="left")
    measurement = CATALOGUE[point.measurement]
    for field in measurement.fields:
        if field.name in point.fields:
            table.add_row(field.name, _shown(format_value(point.fields[field.name], field.unit)), field.help)
    return table


def _shown(text: str) -> str:
    """Text that may come from the network, without markup and escape sequences."""
    return escape(printable(text))
