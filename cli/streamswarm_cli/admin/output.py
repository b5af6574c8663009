"""What the API answers, as a table for people or as JSON for programs."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from streamswarm_cli.terminal import to_json
from streamswarm_core.printable import printable

_PIPE_WIDTH: Final = 100_000
"""Columns, where no screen says how many there are: nothing is cut off."""
_LOCAL_TIME: Final = "%Y-%m-%d %H:%M:%S %Z"

Columns = Mapping[str, str]
"""Header and field; a dot leads into an object."""


def show_list(items: Iterable[Mapping[str, Any]], columns: Columns, *, as_json: bool, nothing: str = "none") -> None:
    """Print a list."""
    found = list(items)
    if as_json:
        show_json(found)
        return
    if not found:
        sys.stderr.write(f"{nothing}\n")
        return
    table = Table(*columns, box=SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for item in found:
        table.add_row(*(printable(text_of(_field(item, path))) for path in columns.values()))
    _console().print(table)


def show_one(item: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one thing, a field a line."""
    if as_json:
        show_json(item)
        return
    table = Table.grid(padding=(0, 2))
    for name, value in item.items():
        table.add_row(printable(name), printable(text_of(value)))
    _console().print(table)


def show_json(value: Any) -> None:
    """Print JSON."""
    sys.stdout.write(to_json(value, indent=2) + "\n")


def text_of(value: Any) -> str:
    """A value as a person reads it: times in the local zone, lists with commas.

    >>> text_of(None), text_of(True), text_of(["a", "b"]), text_of({"a": 1})
    ('–', 'yes', 'a, b', 'a=1')
    """
    if value is None or value == "":
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={text_of(one)}" for key, one in value.items()) or "–"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return ", ".join(text_of(one) for one in value) or "–"
    return _time(value) if isinstance(value, str) else str(value)


def _time(value: str) -> str:
    if len(value) < 20 or value[10] != "T":
        return value
    try:
        return datetime.fromisoformat(value).astimezone().strftime(_LOCAL_TIME)
    except ValueError:
        return value


def _field(item: Mapping[str, Any], path: str) -> Any:
    value: Any = item
    for part in path.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def _console() -> Console:
    width = None if sys.stdout.isatty() else _PIPE_WIDTH
    return Console(width=width, markup=False, highlight=False, emoji=False)
