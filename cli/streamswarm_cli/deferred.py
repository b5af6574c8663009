"""Groups of commands whose modules are imported when they are used: all of them together take longer than most runs."""

import importlib
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import typer
from typer.core import TyperGroup


def deferred(places: Mapping[str, str]) -> type[TyperGroup]:
    """The class of a group.

    Args:
        places: by a command's name, `module:attribute`; a function is a command, a Typer a group of such.
    """

    class Group(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            self.commands = _Commands(places, self.commands)

    return Group


class _Commands(MutableMapping[str, Any]):
    """Commands by name; one is made at the first look at it."""

    def __init__(self, places: Mapping[str, str], made: Mapping[str, Any]) -> None:
        self._places = places
        self._made = dict(made)

    def __getitem__(self, name: str) -> Any:
        if name not in self._made:
            self._made[name] = _make(name, self._places[name])
        return self._made[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._made[name] = command

    def __delitem__(self, name: str) -> None:
        del self._made[name]

    def __iter__(self) -> Iterator[str]:
        yield from dict.fromkeys([*self._places, *self._made])

    def __len__(self) -> int:
        return len(self._places.keys() | self._made.keys())


def _make(name: str, place: str) -> Any:
    module, _, attribute = place.partition(":")
    found = getattr(importlib.import_module(module), attribute)
    around = typer.Typer(rich_markup_mode=None)
    around.callback()(lambda: None)
    if isinstance(found, typer.Typer):
        around.add_typer(found, name=name)
    else:
        around.command(name)(found)
    return typer.main.get_group(around).commands[name]
