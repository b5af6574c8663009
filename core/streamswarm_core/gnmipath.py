r"""Paths of gNMI as people write them (openconfig/reference, rpc/gnmi/gnmi-path-strings.md).

`/interfaces/interface[name=Ethernet1/2]/state`: elements with a slash before each, and the keys of a list's entry in
brackets. A backslash takes the meaning from a `/`, `[`, `]`, `=` or backslash after it. An origin stands before the
first slash, with a colon: `openconfig:/interfaces`. `*` is any name or any value of a key.
"""

import re
from dataclasses import dataclass
from typing import Final, Self

ANY: Final = "*"
_ORIGIN: Final = re.compile(r"([A-Za-z0-9._-]+):(?=/)")
_LONGEST: Final = 10_000


@dataclass(frozen=True, slots=True)
class Element:
    """One step of a path.

    Attributes:
        name: of the node, without a module's prefix or with it, as given.
        keys: names and values, by name, of an entry of a list.
    """

    name: str
    keys: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        keys = "".join(f"[{_escape(name, '[]=')}={_escape(value, ']')}]" for name, value in self.keys)
        return f"{_escape(self.name, '/[]=')}{keys}"

    def covers(self, other: "Element") -> bool:
        """Whether the other is this one, or one of those that this one stands for."""
        if self.name not in {ANY, other.name}:
            return False
        theirs = dict(other.keys)
        return all(value == ANY or theirs.get(name) in {value, ANY} for name, value in self.keys)


@dataclass(frozen=True, slots=True)
class GnmiPath:
    """A path, or the pattern of many.

    >>> str(parse_path("/interfaces/interface[name=eth0]/state"))
    '/interfaces/interface[name=eth0]/state'
    """

    elements: tuple[Element, ...]
    origin: str = ""

    def __str__(self) -> str:
        origin = f"{self.origin}:" if self.origin else ""
        return origin + ("".join(f"/{element}" for element in self.elements) or "/")

    def covers(self, other: Self) -> bool:
        """Whether the other is at or below this one; origins don't count, since many devices leave them out.

        >>> parse_path("/a/b[k=*]").covers(parse_path("/a/b[k=1]/c")), parse_path("/a/b[k=2]").covers(parse_path("/a"))
        (True, False)
        """
        if len(self.elements) > len(other.elements):
            return False
        return all(mine.covers(theirs) for mine, theirs in zip(self.elements, other.elements, strict=False))


def parse_path(text: str) -> GnmiPath:
    r"""Read a path; the first slash may be left out where there is no origin.

    Raises:
        ValueError: it is none; the message says where it ceases to be.

    >>> parse_path(r"oc:/a[k=x\]y/z]/b")
    GnmiPath(elements=(Element(name='a', keys=(('k', 'x]y/z'),)), Element(name='b', keys=())), origin='oc')
    """
    if len(text) > _LONGEST:
        raise ValueError(f"has {len(text)} characters; a path has {_LONGEST} at most")
    origin = _ORIGIN.match(text)
    return _Reader(text, origin.end() if origin else 0).path(origin[1] if origin else "")


class _Reader:
    def __init__(self, text: str, at: int) -> None:
        self._text, self._at = text, at

    def path(self, origin: str) -> GnmiPath:
        elements = []
        self._skip("/")
        while self._at < len(self._text):
            elements.append(self._element())
            if self._at < len(self._text) and not self._skip("/"):
                raise self._wrong("takes a / or [ after ]")
        return GnmiPath(tuple(elements), origin)

    def _element(self) -> Element:
        name = self._until("/[", forbidden="]=")
        if not name:
            raise self._wrong("takes a name")
        keys: dict[str, str] = {}
        while self._skip("["):
            key = self._until("=", forbidden="[]")
            if not key or not self._skip("="):
                raise self._wrong("takes [key=value]")
            if key in keys:
                raise self._wrong(f"has the key {key} twice")
            keys[key] = self._until("]")
            if not self._skip("]"):
                raise self._wrong("takes a ] that ends the key")
        return Element(name, tuple(sorted(keys.items())))

    def _until(self, ends: str, forbidden: str = "") -> str:
        taken = []
        while self._at < len(self._text) and self._text[self._at] not in ends:
            if self._text[self._at] in forbidden:
                raise self._wrong(f"takes no {self._text[self._at]} here, unless there is a backslash before it")
            if self._text[self._at] == "\\":
                self._at += 1
                if self._at == len(self._text):
                    raise self._wrong("ends with a backslash, which takes a character after it")
            taken.append(self._text[self._at])
            self._at += 1
        return "".join(taken)

    def _skip(self, character: str) -> bool:
        there = self._text.startswith(character, self._at)
        self._at += there
        return there

    def _wrong(self, what: str) -> ValueError:
        return ValueError(f"is no gNMI path: {what}, at character {self._at + 1} of {self._text!r}")


def _escape(text: str, special: str) -> str:
    return "".join(f"\\{character}" if character in special or character == "\\" else character for character in text)
