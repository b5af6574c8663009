"""Files that say what an installation is to be: which things of which kinds, and in which line each is."""

from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any

from streamswarm_cli.admin import bodies
from streamswarm_core.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Declared:
    """A thing as a file wants it.

    Attributes:
        kind: of what kind, such as `tests`.
        body: its fields.
        file: where it is written.
        path: where in the file, such as `tests[3]`.
        lines: of its fields, by their path in the body; "" is the thing itself. Empty where nobody knows.
    """

    kind: str
    body: dict[str, Any]
    file: str
    path: str
    lines: Mapping[str, int] = field(default_factory=dict)

    def place(self, within: str = "") -> str:
        """Where it, or a field of it, is written.

        >>> Declared("tests", {}, "noc.yaml", "tests[3]", {"": 7, "params": 9}).place("params.count")
        'noc.yaml, line 9, tests[3].params.count'
        """
        known = within
        while known and known not in self.lines:
            known = known.rpartition(".")[0]
        line = f", line {self.lines[known]}" if known in self.lines else ""
        return f"{self.file}{line}, {self.path}" + (f".{within}" if within else "")


def read(file: str, kinds: Collection[str]) -> Iterator[Declared]:
    """What a YAML or JSON file declares: an object with a list for each kind.

    Raises:
        ConfigError: it can't be read, or holds something else.
    """
    name, text = bodies.read(file)
    whole, lines = _parsed(name, text)
    if not isinstance(whole, dict):
        raise ConfigError(f"{name}: expected an object with lists, such as `tests:`, not {whole!r}")
    for kind, things in whole.items():
        if kind not in kinds:
            raise ConfigError(f"{name}{_line(lines, str(kind))}: {kind}: isn't known here; it takes {', '.join(kinds)}")
        if not isinstance(things, list):
            raise ConfigError(f"{name}{_line(lines, str(kind))}: {kind}: expected a list, not {things!r}")
        for number, body in enumerate(things):
            inside = f"{kind}.{number}"
            if not isinstance(body, dict):
                raise ConfigError(f"{name}{_line(lines, inside)}, {kind}[{number}]: expected an object, not {body!r}")
            own = {path.removeprefix(inside).lstrip("."): at for path, at in lines.items() if _is_in(path, inside)}
            yield Declared(kind, body, name, f"{kind}[{number}]", own)


def _is_in(path: str, whole: str) -> bool:
    return path == whole or path.startswith(f"{whole}.")


def _line(lines: Mapping[str, int], path: str) -> str:
    return f", line {lines[path]}" if path in lines else ""


def _parsed(name: str, text: str) -> tuple[Any, dict[str, int]]:
    """What a file holds, and the line of each value by its path."""
    yaml = bodies.yaml_module()
    try:
        whole = bodies.from_json(text)
    except ValueError as error:
        if yaml is None:
            raise ConfigError(f"{name}: not JSON: {error}; for YAML: pip install pyyaml") from None
    else:
        with suppress(ConfigError):
            return whole, {} if yaml is None or "\t" in text else _read_yaml(yaml, name, text)[1]
        return whole, {}  # some JSON is no YAML
    return _read_yaml(yaml, name, text)


def _read_yaml(yaml: ModuleType, name: str, text: str) -> tuple[Any, dict[str, int]]:
    with bodies.told(yaml, name):
        loader = bodies.loader_of(yaml)(text)
        node = loader.get_single_node()
        if node is None:
            raise ConfigError(f"{name}: it is empty")
        return loader.construct_document(node), dict(_lines(node, ""))


def _lines(node: Any, path: str) -> Iterator[tuple[str, int]]:
    yield path, node.start_mark.line + 1
    if node.id == "mapping":
        for key, value in node.value:
            yield from _lines(value, f"{path}.{key.value}".lstrip("."))
            yield f"{path}.{key.value}".lstrip("."), key.start_mark.line + 1
    elif node.id == "sequence":
        for number, value in enumerate(node.value):
            yield from _lines(value, f"{path}.{number}".lstrip("."))
