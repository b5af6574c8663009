"""The text formats of an export: comma-separated values, JSON lines, a JSON array."""

import csv
import io
import json
from collections.abc import Iterable, Iterator
from typing import Final

from streamswarm_controlplane.results.export.extract import Extract, Row
from streamswarm_controlplane.results.times import rfc3339
from streamswarm_core.reader.series import Value

_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet takes for the beginning of a formula (OWASP, CSV Injection)."""


def write_csv(extract: Extract, parts: Iterable[list[Row]], *, units: bool = False) -> Iterator[bytes]:
    """RFC 4180, UTF-8, with a header line; a missing value is an empty cell.

    Text that a spreadsheet would run as a formula gets an apostrophe in front: error texts and tags come from the
    network. Numbers are left alone.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    names = [
        f"{one.field.name} [{one.field.unit.name}]" if units and one.field.unit.suffix else one.field.name
        for one in extract.columns
    ]
    writer.writerow(["time", *extract.tags, *names])
    yield _drain(text)
    for part in parts:
        for time, tags, values in part:
            writer.writerow([rfc3339(time), *map(harmless, tags), *map(harmless, values)])
        yield _drain(text)


def harmless(value: Value) -> Value:
    """A cell that no spreadsheet runs.

    >>> harmless("=1+1"), harmless("ok"), harmless(-1.5), harmless(None)
    ("'=1+1", 'ok', -1.5, None)
    """
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def write_lines(extract: Extract, parts: Iterable[list[Row]]) -> Iterator[bytes]:
    """A JSON object a line; missing values are null."""
    for part in parts:
        yield "".join(f"{text}\n" for text in _objects(extract, part)).encode()


def write_array(extract: Extract, parts: Iterable[list[Row]]) -> Iterator[bytes]:
    """One JSON array of the same objects. It is whole only with its closing bracket."""
    before = "[\n"
    for part in parts:
        yield (before + ",\n".join(_objects(extract, part))).encode()
        before = ",\n"
    yield b"[]\n" if before == "[\n" else b"\n]\n"


def _objects(extract: Extract, part: Iterable[Row]) -> Iterator[str]:
    names = ["time", *extract.tags, *(one.field.name for one in extract.columns)]
    for time, tags, values in part:
        row = dict(zip(names, (rfc3339(time), *tags, *values), strict=True))
        yield json.dumps(row, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _drain(text: io.StringIO) -> bytes:
    written = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return written
