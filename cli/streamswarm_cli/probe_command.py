import asyncio
import json
from collections.abc import Mapping
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError
from rich.box import SIMPLE
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table

from streamswarm_cli.services import AGENT
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.clock import from_ns
from streamswarm_core.errors import ConfigError
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SPECS
from streamswarm_core.wording import format_value

_WIDEST_ROW: Final = 1_000
_LONG_ROW: Final = 200
"""Columns from which on rows can't be followed by eye."""


def probe(
    name: Annotated[str, typer.Argument(metavar="PROBE", help=f"One of {', '.join(SPECS)}.")],
    target: Annotated[str, typer.Argument(help="Host, address, host:port or URL; see `--options`.")] = "",
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
    """Check `key=value` pairs against the probe's options; a value is JSON where it reads as such, else text."""
    params = dict(_parse_pair(name, pair) for pair in pairs)
    try:
        SPECS[name].params.model_validate(params)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(str(part) for part in problem["loc"])
        raise ConfigError(f"--option {key}: {problem['msg']}; see: streamswarm probe {name} --options") from None
    return params


def _parse_pair(name: str, pair: str) -> tuple[str, Any]:
    key, equals, text = pair.partition("=")
    if not equals:
        raise ConfigError(f"--option {pair}: takes KEY=VALUE; see: streamswarm probe {name} --options")
    try:
        return key, json.loads(text)
    except ValueError:
        return key, text


def _options_table(name: str) -> Table:
    table = Table("option", "default", "meaning", title=f"options of {name}", title_justify="left")
    for key, field in SPECS[name].params.model_fields.items():
        default = json.dumps(field.get_default(call_default_factory=True), default=str)
        table.add_row(key, default, field.description or "")
    return table


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
    table = Table(*tags, *(field.name for field in fields), title=titled, title_justify="left", box=SIMPLE)
    for point in points:
        values = (point.fields.get(field.name) for field in fields)
        cells = (
            "" if value is None else format_value(value, field.unit)
            for value, field in zip(values, fields, strict=True)
        )
        table.add_row(*(point.tags.get(tag, "") for tag in tags), *cells)
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
    table = Table("field", "value", "meaning", title=f"{point.measurement}  {tags}", title_justify="left")
    measurement = CATALOGUE[point.measurement]
    for field in measurement.fields:
        if field.name in point.fields:
            table.add_row(field.name, format_value(point.fields[field.name], field.unit), field.help)
    return table
