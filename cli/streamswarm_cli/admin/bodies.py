"""What is sent: options, `--set` and files put together."""

import json
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from streamswarm_core.errors import ConfigError

_TAKEN: Final = frozenset({"map", "seq", "str", "int", "float", "bool", "null"})
_DEEPEST: Final = 50
_MOST_VALUES: Final = 1_000_000


def assignments(pairs: Iterable[str], option: str = "--set") -> dict[str, Any]:
    """KEY=VALUE pairs, the values as YAML where that is installed, else as JSON or text; dots lead into objects.

    >>> assignments(["interval=5", "params.count=3", "name=Head office"])
    {'interval': 5, 'params': {'count': 3}, 'name': 'Head office'}

    Raises:
        ConfigError: there is no `=`.
    """
    body: dict[str, Any] = {}
    for pair in pairs:
        key, separator, text = pair.partition("=")
        if not separator or not key:
            raise ConfigError(f"{option} {pair}: takes KEY=VALUE")
        *path, last = key.split(".")
        inner = body
        for part in path:
            inner = inner.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(f"{option} {pair}: {part} has a value already")
        inner[last] = value_of(text)
    return body


def value_of(text: str) -> Any:
    """A value as it was meant: `5` a number, `true` a truth, `[a, b]` a list, anything else text."""
    try:
        return from_json(text)
    except ValueError:
        pass
    if text[:1] not in {"[", "{"}:
        return {"true": True, "false": False, "null": None}.get(text, text)
    yaml = yaml_module()
    if yaml is None:
        return text
    try:
        return yaml.load(text, loader_of(yaml))
    except (yaml.YAMLError, ValueError, RecursionError):
        return text


def documents(file: str) -> list[dict[str, Any]]:
    """What a YAML or JSON file holds: one object, a list of them, or several YAML documents; `-` is standard input.

    Raises:
        ConfigError: it can't be read, or holds something else.
    """
    name, text = read(file)
    found: list[Any] = []
    for document in _parse(name, text):
        found.extend(document if isinstance(document, list) else [document])
    for one in found:
        if not isinstance(one, dict):
            raise ConfigError(f"{name}: expected an object or a list of objects, not {one!r}")
    if not found:
        raise ConfigError(f"{name}: it is empty")
    return found


def read(file: str) -> tuple[str, str]:
    """What to call a file, and its text; `-` is standard input.

    Raises:
        ConfigError: it can't be read.
    """
    name = "standard input" if file == "-" else file
    try:
        return name, sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: {getattr(error, 'strerror', None) or error}") from None


def _parse(name: str, text: str) -> list[Any]:
    try:
        return [from_json(text)]
    except ValueError as error:
        yaml = yaml_module()
        if yaml is None:
            raise ConfigError(f"{name}: not JSON: {error}; for YAML: pip install pyyaml") from None
    with told(yaml, name):
        return [document for document in yaml.load_all(text, loader_of(yaml)) if document is not None]


def from_json(text: str) -> Any:
    """What a JSON text says.

    Raises:
        ValueError: it is none, holds NaN, Infinity or a name twice, or is nested too deeply.
    """
    try:
        return json.loads(text, parse_constant=_no_number, object_pairs_hook=_unique)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None


def _no_number(constant: str) -> Any:
    raise ValueError(f"{constant} is no number")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a name is written twice")
    return found


@contextmanager
def told(yaml: ModuleType, name: str) -> Iterator[None]:
    """Say what is wrong with a YAML file in one line.

    Raises:
        ConfigError: something is.
    """
    try:
        yield
    except RecursionError:
        raise ConfigError(f"{name}: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError) as error:
        raise ConfigError(f"{name}: {' '.join(str(error).split())}") from None


def loader_of(yaml: ModuleType) -> Any:
    """A safe loader that leaves times as they are written: JSON has none, and the API reads them.

    It takes nothing else that JSON hasn't, and of aliases no more than a file could have written out.
    """
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.items()
    others = {first: [one for one in found if not one[0].endswith(":timestamp")] for first, found in resolvers}

    def construct_document(self: Any, node: Any) -> Any:
        fault = _fault(node)
        if fault is not None:
            raise yaml.constructor.ConstructorError(None, None, fault[0], fault[1].start_mark)
        return yaml.SafeLoader.construct_document(self, node)

    return type(
        "Loader",
        (yaml.SafeLoader,),
        {"yaml_implicit_resolvers": others, "construct_document": construct_document},
    )


def _fault(root: Any) -> tuple[str, Any] | None:
    """What is wrong with a YAML document as it is written, and where."""
    seen, waiting = 0, [(root, 0)]
    while waiting:
        node, depth = waiting.pop()
        seen += 1
        kind = str(node.tag).removeprefix("tag:yaml.org,2002:")
        if kind not in _TAKEN or (kind == "float" and node.value.strip("+-").lower() in {".inf", ".nan"}):
            return f"{node.tag if kind not in _TAKEN else node.value} is nothing that JSON has", node
        if depth > _DEEPEST:
            return f"it is nested more than {_DEEPEST} deep, or holds itself", node
        if seen > _MOST_VALUES:
            return f"it holds more than {_MOST_VALUES} values, with what aliases stand for", node
        if kind == "map":
            names: set[str] = set()
            for key, value in node.value:
                if not str(key.tag).endswith((":str", ":merge")):
                    return "names have to be text; put it in quotes", key
                if key.value in names:
                    return f"{key.value} is written twice", key
                names.add(key.value)
                waiting.append((value, depth + 1))
        elif kind == "seq":
            waiting += [(value, depth + 1) for value in node.value]
    return None


def yaml_module() -> ModuleType | None:
    """PyYAML, where it is installed."""
    try:
        import yaml  # noqa: PLC0415 - not everybody's
    except ModuleNotFoundError:
        return None
    return yaml
