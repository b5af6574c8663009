"""Bulk reading of line protocol: whole columns at a time, for bodies in which every line is plain.

Plain means: no escape, no quote, no comment; numbers and integers only; all lines of a measurement have the same fields
in the same order. That is what agents, Telegraf and benchmarks send most. Anything else is left to the reader of single
lines, which also says what is wrong. What is read here is what that reader would read (held by a test).
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final

from streamswarm_collector.batch import Block
from streamswarm_collector.store.schema import FieldType
from streamswarm_core.lineprotocol import INT64_MAX, INT64_MIN, MAX_TIME_NS, MIN_TIME_NS, SURELY_SHORT

_FLOAT_CHARACTERS: Final = b"0123456789.-eE,"
_INTEGER_CHARACTERS: Final = b"0123456789-,"
_NOT_PLAIN: Final = ('"', "\\", "#", "\r", "\t", "\0")
ESCAPED_BYTE: Final = re.compile("[\udc80-\udcff]")

CutLine = tuple[str, str, str]
"""Series key, fields, time (empty if the line has none), as text."""


def cut_lines(body: str) -> list[CutLine] | None:
    """Cut a body at its spaces; None if it isn't plain."""
    if any(mark in body for mark in _NOT_PLAIN) or not is_utf8(body):
        return None
    cut: list[CutLine] = []
    for line in body.split("\n"):
        if len(line) > SURELY_SHORT:
            return None
        parts = line.split(" ")
        if len(parts) == 3:
            cut.append((parts[0], parts[1], parts[2]))
        elif len(parts) == 2:
            cut.append((parts[0], parts[1], ""))
        elif line:
            return None
    return cut


def is_utf8(text: str) -> bool:
    """Whether no byte of the text was decoded with `surrogateescape`."""
    return text.isascii() or not ESCAPED_BYTE.search(text)


def read_block(measurement: str, lines: Sequence[CutLine], factor: int, received_ns: int) -> Block | None:
    """Read the lines of one measurement; None if they have to be read one by one.

    Args:
        measurement: its name.
        lines: with canonical series keys.
        factor: nanoseconds in a unit of the lines' times.
        received_ns: the time of lines without one.
    """
    times = _read_times([time for _, _, time in lines], factor, received_ns)
    rows = [fields.split(",") for _, fields, _ in lines]
    width = len(rows[0])
    if times is None or any(len(row) != width for row in rows):
        return None
    columns: dict[str, list[float] | list[int]] = {}
    for cells in zip(*rows, strict=True):
        name, equals, _ = cells[0].partition("=")
        values = _read_column(cells, name + equals)
        if not name or not equals or name == "time" or name in columns or values is None:
            return None
        columns[name] = values
    return Block(measurement, [key for key, _, _ in lines], times, columns)


def block_types(block: Block) -> Mapping[str, FieldType]:
    """The types of a block's fields."""
    return {
        name: FieldType.INTEGER if isinstance(values[0], int) else FieldType.FLOAT
        for name, values in block.columns.items()
    }


def _read_times(texts: Sequence[str], factor: int, received_ns: int) -> list[int] | None:
    if not all(texts):
        return None if any(texts) else [received_ns] * len(texts)
    if ",".join(texts).encode().translate(None, _INTEGER_CHARACTERS):
        return None
    try:
        times = [int(text) * factor for text in texts]
    except ValueError:
        return None
    return times if min(times) >= MIN_TIME_NS and max(times) <= MAX_TIME_NS else None


def _read_column(cells: Sequence[str], prefix: str) -> list[float] | list[int] | None:
    if not all(cell.startswith(prefix) for cell in cells):
        return None
    start = len(prefix)
    try:
        if cells[0].endswith("i"):
            if not all(cell.endswith("i") for cell in cells):
                return None
            return _read_integers([cell[start:-1] for cell in cells])
        return _read_floats([cell[start:] for cell in cells])
    except ValueError:
        return None


def _read_integers(texts: Sequence[str]) -> list[int] | None:
    if ",".join(texts).encode().translate(None, _INTEGER_CHARACTERS):
        return None
    integers = list(map(int, texts))
    return integers if min(integers) >= INT64_MIN and max(integers) <= INT64_MAX else None


def _read_floats(texts: Sequence[str]) -> list[float] | None:
    if ",".join(texts).encode().translate(None, _FLOAT_CHARACTERS):
        return None
    floats = list(map(float, texts))
    return floats if all(map(math.isfinite, floats)) else None
