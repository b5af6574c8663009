"""What is sent: options, `--set` and files put together."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType
from typing import Any

from streamswarm_core.errors import ConfigError


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
        return json.loads(text)
    except ValueError:
        pass
    if text[:1] not in {"[", "{"}:
        return {"true": True, "false": False, "null": None}.get(text, text)
    yaml = yaml_module()
    if yaml is None:
        return text
    try:
        return yaml.load(text, loader_of(yaml))
    except yaml.YAMLError:
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
        return [json.loads(text)]
    except ValueError as error:
        yaml = yaml_module()
        if yaml is None:
            raise ConfigError(f"{name}: not JSON: {error}; for YAML: pip install pyyaml") from None
    try:
        return [document for document in yaml.load_all(text, loader_of(yaml)) if document is not None]
    except yaml.YAMLError as error:
        raise ConfigError(f"{name}: {' '.join(str(error).split())}") from None


def loader_of(yaml: ModuleType) -> Any:
    """A safe loader that leaves times as they are written: JSON has none, and the API reads them."""
    resolvers = yaml.SafeLoader.yaml_implicit_resolvers.items()
    others = {first: [one for one in found if not one[0].endswith(":timestamp")] for first, found in resolvers}
    return type("Loader", (yaml.SafeLoader,), {"yaml_implicit_resolvers": others})


def yaml_module() -> ModuleType | None:
    """PyYAML, where it is installed."""
    try:
        import yaml  # noqa: PLC0415 - not everybody's
    except ModuleNotFoundError:
        return None
    return yaml
