"""What pydantic finds wrong with a request, in words for whoever sent it: what, where, and what would be accepted."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

from pydantic import TypeAdapter

from streamswarm_controlplane.fields import PATTERNS
from streamswarm_core.problem import InvalidField

Schema = Mapping[str, Any]
"""A JSON schema."""

_WORDS: Final[Mapping[str, Callable[[Mapping[str, Any]], str]]] = {
    **dict.fromkeys(("dict_type", "model_type", "model_attributes_type"), lambda _told: "takes an object: {…}"),
    "list_type": lambda _told: "takes a list: […]",
    "string_type": lambda _told: "takes a text",
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda _told: "takes true or false"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), lambda _told: "takes a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), lambda _told: "takes a number"),
    "value_error": lambda told: str(told["error"]),
    "timezone_aware": lambda _told: "has no time zone; write it with one, such as 2026-01-31T12:00:00Z",
    "union_tag_invalid": lambda told: f"no {_bare(told)} {told['tag']!r}; one of {told['expected_tags']}",
}
"""By the type of the error, of what pydantic tells about it; the others speak well enough for themselves."""


def explain(errors: Sequence[Mapping[str, Any]], wanted: Any, place: str = "") -> tuple[InvalidField, ...]:
    """The values that can't be used, each with its path in what was sent.

    Args:
        errors: what pydantic found.
        wanted: type of what was to be sent; None if it isn't known.
        place: where that is in the request, such as `body`.
    """
    schema: Schema = TypeAdapter(wanted).json_schema() if wanted is not None else {}
    return tuple(_explain(error, schema, place) for error in errors)


def _explain(error: Mapping[str, Any], schema: Schema, place: str) -> InvalidField:
    steps, holder = _follow(error["loc"], schema)
    kind, told = error["type"], error.get("ctx", {})
    message = str(error["msg"])
    if kind in _WORDS:
        message = _WORDS[kind](told)
    elif kind == "extra_forbidden":
        message = f"isn't known here{_accepted(holder)}"
    elif kind == "missing":
        message = f"is missing{_one_of(holder)}"
    elif kind == "union_tag_not_found":
        message = f"has no {_bare(told)}{_one_of(holder)}"
    elif kind == "string_pattern_mismatch":
        message = PATTERNS.get(told["pattern"], message)
    return InvalidField(field=".".join([*filter(None, [place]), *map(str, steps)]), message=message)


def _bare(told: Mapping[str, Any]) -> str:
    return str(told["discriminator"]).strip("'")


def _accepted(holder: Schema) -> str:
    names = ", ".join(holder.get("properties", {}))
    return f"; it takes {names}" if names else ""


def _one_of(holder: Schema) -> str:
    known = holder.get("enum", ()) or holder.get("discriminator", {}).get("mapping", {})
    names = ", ".join(repr(name) for name in known)
    return f"; one of {names}" if names else ""


def _follow(path: Sequence[str | int], schema: Schema) -> tuple[list[str | int], Schema]:
    """The steps that are in the request, and the schema that the last of them which it knows leads to.

    Pydantic's own path also names the kind that a value was taken for, and says `[key]` where a name is wrong.
    """
    steps: list[str | int] = []
    node, known = _resolved(schema, schema), True
    for step in path:
        mapping = node.get("discriminator", {}).get("mapping", {}) if known else {}
        if step in mapping:
            node = _resolved({"$ref": mapping[step]}, schema)
        elif step != "[key]":
            steps.append(step)
            inner = _inner(node, step) if known else None
            known = inner is not None
            node = node if inner is None else _resolved(inner, schema)
    return steps, node


def _inner(node: Schema, step: str | int) -> Schema | None:
    named = node.get("properties", {}).get(step, node.get("additionalProperties"))
    found = node.get("items") if isinstance(step, int) else named
    return found if isinstance(found, dict) else None


def _resolved(node: Schema, root: Schema) -> Schema:
    """A schema without references, and without the null that it may also be."""
    for one in _variants(node):
        if "$ref" in one:
            return _resolved(root["$defs"][str(one["$ref"]).rpartition("/")[2]], root)
        return one
    return node


def _variants(node: Schema) -> Iterator[Schema]:
    if "discriminator" not in node:
        yield from (one for one in node.get("anyOf", ()) if one.get("type") != "null")
    yield node
