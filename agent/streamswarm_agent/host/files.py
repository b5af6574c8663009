"""The kernel's files, read so that what isn't there is None."""

import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from streamswarm_core.catalogue.model import Measurement
from streamswarm_core.point import FieldValue, Point

PROC: Final = Path("/proc")
SYS: Final = Path("/sys")


def read_text(path: Path) -> str | None:
    """A file's text without surrounding blanks; None if it isn't there, may not be read, or the device is asleep."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return None


def read_lines(path: Path) -> list[str]:
    """A file's lines; none if it can't be read."""
    return (read_text(path) or "").splitlines()


def read_int(path: Path) -> int | None:
    """The number that a file holds; None if it can't be read or holds none."""
    return as_int(read_text(path))


def list_folder(path: Path, pattern: str = "*") -> list[Path]:
    """What a folder holds, in order; nothing if it can't be read."""
    try:
        return sorted(path.glob(pattern))
    except OSError:
        return []


def as_int(text: str | None) -> int | None:
    """The whole number that a text is.

    >>> as_int("42"), as_int("4.2"), as_int("max"), as_int(None)
    (42, None, None, None)
    """
    try:
        return int(text) if text is not None else None
    except ValueError:
        return None


def as_float(text: str | None) -> float | None:
    """The number that a text is; None for what is none, or is not finite.

    >>> as_float("-56."), as_float("?"), as_float("NAN")
    (-56.0, None, None)
    """
    try:
        number = float(text) if text is not None else math.nan
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def scaled(value: float | None, factor: float) -> float | None:
    """In base units; None stays None."""
    return None if value is None else value * factor


def printable(text: str) -> str:
    r"""A name that some program chose, fit for a terminal.

    >>> printable("a\x1bb")
    'a?b'
    """
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def points_of(
    measurement: Measurement, tags: Mapping[str, str], fields: Mapping[str, FieldValue | None]
) -> Iterator[Point]:
    """One point, or none when every field is absent."""
    if any(value is not None for value in fields.values()):
        yield measurement.point(tags, time_ns=None, **fields)
