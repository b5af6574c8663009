"""Values with their paths and times, as a device's notifications hold them, whatever the encoding."""

import base64
import binascii
import json
import math
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_core.gnmipath import Element, GnmiPath

Scalar = str | int | float | bool | bytes

_KEY_NAMES: Final = ("name", "index", "id", "interface-id", "identifier", "key")
"""Leaves that are the key of a list's entry in OpenConfig, for JSON, which doesn't say which leaf is."""
_FLOAT_BYTES: Final = 4
_BEYOND: Final = 1 << 64
_FLOAT_IN_BASE64: Final = 8


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value.

    Attributes:
        path: where it is, from the root, without origin and modules' prefixes.
        value: as decoded.
        time_ns: when the device says that it was so, nanoseconds since the epoch.
    """

    path: GnmiPath
    value: Scalar
    time_ns: int


@dataclass(slots=True)
class Answer:
    """What came back to one request, or to several together.

    Attributes:
        leaves: the values.
        notifications: messages that they came in.
        received: bytes of these.
    """

    leaves: list[Leaf] = field(default_factory=list)
    notifications: int = 0
    received: int = 0

    def add(self, other: "Answer") -> None:
        """Take another answer in."""
        self.leaves += other.leaves
        self.notifications += other.notifications
        self.received += other.received


def decode(typed: Any) -> Any:
    """What a gnmi.TypedValue holds: a scalar, or what JSON makes of objects and lists.

    Raises:
        ValueError: its JSON can't be read, or it holds nothing that this version of gNMI knows.
    """
    kind = typed.WhichOneof("value")
    match kind:
        case None:
            raise ValueError("a value of no kind")
        case "json_val" | "json_ietf_val":
            return json.loads(getattr(typed, kind))
        case "decimal_val":
            return typed.decimal_val.digits / 10**typed.decimal_val.precision
        case "leaflist_val":
            return [decode(element) for element in typed.leaflist_val.element]
        case "any_val":
            return f"({len(typed.any_val.value)} bytes of {typed.any_val.type_url})"
        case "proto_bytes":
            return f"({len(typed.proto_bytes)} bytes of protobuf)"
        case _:
            return getattr(typed, kind)


def flatten(elements: tuple[Element, ...], tree: Any) -> Iterator[tuple[tuple[Element, ...], Scalar]]:
    """The scalars of a decoded value, each with its path; a list of scalars is one text.

    >>> [(str(GnmiPath(path)), value) for path, value in flatten((), {"oc:cpu": [{"index": 0, "busy": 7}]})]
    [('/cpu[index=0]/index', 0), ('/cpu[index=0]/busy', 7)]
    """
    match tree:
        case dict():
            for name, below in tree.items():
                yield from _member(elements, bare(name), below)
        case list():
            yield elements, ", ".join(str(element) for element in tree)
        case None:
            return
        case _:
            yield elements, tree


def _member(elements: tuple[Element, ...], name: str, below: Any) -> Iterator[tuple[tuple[Element, ...], Scalar]]:
    if isinstance(below, list) and any(isinstance(entry, dict) for entry in below):
        for place, entry in enumerate(below):
            yield from flatten((*elements, Element(name, _keys_of(entry, place))), entry)
    else:
        yield from flatten((*elements, Element(name)), below)


def _keys_of(entry: Any, place: int) -> tuple[tuple[str, str], ...]:
    if isinstance(entry, dict):
        plain = {bare(name): value for name, value in entry.items() if isinstance(value, str | int)}
        for name in _KEY_NAMES:
            if name in plain:
                return ((name, str(plain[name])),)
    return (("position", str(place)),)


def bare(name: str) -> str:
    """A node's name without its module: `openconfig-interfaces:state` is `state` (RFC 7951, section 4)."""
    return name.rpartition(":")[2]


def bare_path(path: GnmiPath) -> GnmiPath:
    """A path without origin and modules, for comparing: devices answer with and without them."""
    return GnmiPath(tuple(Element(bare(one.name), tuple((bare(k), v) for k, v in one.keys)) for one in path.elements))


def elements_of(path: Any) -> tuple[Element, ...]:
    """The elements of a gnmi.Path; those of the old form, `element`, have no keys."""
    if path.elem:
        return tuple(
            Element(bare(one.name), tuple(sorted((bare(name), value) for name, value in one.key.items())))
            for one in path.elem
        )
    return tuple(Element(bare(name)) for name in path.element)


def leaves_of(notification: Any, arrived_ns: int) -> Iterator[Leaf]:
    """The values of a gnmi.Notification; without a time stamp of the device's they have that of their arrival.

    Raises:
        ValueError: a value can't be read; the message says at which path.
    """
    prefix = elements_of(notification.prefix)
    time_ns = notification.timestamp if notification.timestamp > 0 else arrived_ns
    for update in notification.update:
        path = (*prefix, *elements_of(update.path))
        try:
            tree = decode(update.val)
        except ValueError as error:
            raise ValueError(f"{GnmiPath(path)}: {error}") from None
        for where, value in flatten(path, tree):
            yield Leaf(GnmiPath(where), value, time_ns)


def number(value: Scalar) -> float | int | None:
    """A value as a number; None if it is none.

    JSON writes 64-bit integers and decimals as text (RFC 7951), and OpenConfig's ieeefloat32 is four bytes, in JSON
    in base64.

    >>> number("18446744073709551615"), number("45.5"), number(True), number("UP"), number("QjYAAA==")
    (18446744073709551615, 45.5, 1, None, 45.5)
    """
    match value:
        case bool() | int() | float():
            return _bounded(value)
        case bytes():
            return _float(value)
        case str():
            return _number_in(value)


def _number_in(text: str) -> float | int | None:
    for kind in (int, float):
        try:
            found = kind(text)
        except ValueError:
            continue
        return _bounded(found)
    if len(text) == _FLOAT_IN_BASE64:
        try:
            return _float(base64.b64decode(text, validate=True))
        except (binascii.Error, ValueError):
            return None
    return None


def _float(four: bytes) -> float | int | None:
    return _bounded(struct.unpack(">f", four)[0]) if len(four) == _FLOAT_BYTES else None


def _bounded(found: float) -> float | int | None:
    """A number as it is, but true as 1; None for what no device means: infinite, or no number, or beyond 64 bits."""
    if isinstance(found, int):
        return int(found) if abs(found) < _BEYOND else None
    return found if math.isfinite(found) and abs(found) < _BEYOND else None


def unanswered(paths: Iterable[GnmiPath], leaves: Iterable[Leaf]) -> list[GnmiPath]:
    """The paths with no value at or below them."""
    left = {path: bare_path(path) for path in paths}
    for leaf in leaves:
        if not left:
            break
        for path in [path for path, pattern in left.items() if pattern.covers(leaf.path)]:
            del left[path]
    return list(left)
