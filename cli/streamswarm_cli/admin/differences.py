from collections.abc import Collection, Iterator, Mapping
from typing import Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any], own: Collection[str]) -> Iterator[str]:
    """What differs between two states of a thing, a line for each field.

    Args:
        before: as it is; empty if it isn't there.
        after: as it would be.
        own: fields that are nobody's business.

    >>> list(differences({"interval": 30, "params": {"count": 5}}, {"interval": 60, "params": {}}, ()))
    ['interval: 30 → 60', 'params.count: 5 → –']
    """
    left, right = dict(_leaves(before, own)), dict(_leaves(after, own))
    for path in dict.fromkeys([*left, *right]):
        one, other = left.get(path), right.get(path)
        if one != other:
            yield f"{path}: {_text(one)} → {_text(other)}" if before else f"{path}: {_text(other)}"


def _leaves(thing: Mapping[str, Any], own: Collection[str], path: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in thing.items():
        if isinstance(value, Mapping) and value:
            yield from _leaves(value, (), f"{path}{name}.")
        elif (path or name not in own) and value not in (None, "", [], {}):
            yield f"{path}{name}", value


def _text(value: Any) -> str:
    match value:
        case None:
            return "–"
        case bool():
            return "yes" if value else "no"
        case [*items]:
            return "[" + ", ".join(_text(item) for item in items) + "]"
        case {**fields}:
            return "{" + ", ".join(f"{name}={_text(one)}" for name, one in fields.items() if one is not None) + "}"
    return str(value)
