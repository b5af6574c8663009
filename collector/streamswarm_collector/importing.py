"""Reads files of points into a store: line protocol, or the CSV that export writes; packed with gzip or not.

A point that is there already is overwritten with itself, so an import that was interrupted is begun again.
"""

import csv
import gzip
import io
import json
import zlib
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final, TextIO

from streamswarm_collector.batch import RefusedLine
from streamswarm_collector.exporting import FIELD, TAG
from streamswarm_collector.fieldtypes import FieldTypes
from streamswarm_collector.ingest import Parser, canonical_series_key
from streamswarm_collector.pipeline import learn_types
from streamswarm_collector.store.embedded import EmbeddedStore
from streamswarm_core.errors import ConfigError, LineError
from streamswarm_core.lineprotocol import MIN_TIME_NS, escape_tag, format_field, split_lines
from streamswarm_core.point import FieldValue, Point

_PIECE: Final = 4_000_000
_BATCH_LINES: Final = 20_000
_MOST_NAMED: Final = 10
_GZIP: Final = b"\x1f\x8b"
Progress = Callable[[int], None]
"""Told how many bytes of the file, as it is on the disk, are read."""


@dataclass(slots=True)
class Imported:
    """What became of a file.

    Attributes:
        points: how many were stored.
        refused: how many lines were not.
        named: the first of them.
    """

    points: int = 0
    refused: int = 0
    named: list[RefusedLine] = field(default_factory=list)


class Importer:
    """Takes files into one bucket of a store.

    Args:
        store: that nobody else writes to.
        bucket: where the points go.
        precision: unit of the times in line protocol.
        now_ns: time of lines without one, and by which points have expired.
    """

    def __init__(self, store: EmbeddedStore, bucket: str, precision: str, now_ns: int) -> None:
        types = FieldTypes()
        learn_types(types, store)
        policy = store.retention(bucket)
        self._oldest_ns = now_ns - policy.duration if policy and policy.duration else MIN_TIME_NS
        self._store, self._bucket, self._precision, self._now_ns = store, bucket, precision, now_ns
        self._parser = Parser(types)

    def take(self, path: Path, progress: Progress) -> Imported:
        """Import one file.

        Raises:
            OSError: it can't be read.
            ConfigError: it is neither line protocol nor CSV as it is exported.
            Unavailable: the store can't be written.
        """
        imported = Imported()
        try:
            with path.open("rb") as raw, _unpacked(raw) as text:
                is_csv = text.read(len(_CSV_BEGIN)) == _CSV_BEGIN
                text.seek(0)
                for number, piece in _csv_pieces(text, path) if is_csv else _line_pieces(text):
                    self._store_piece(piece, "ns" if is_csv else self._precision, number, imported)
                    progress(raw.tell())
        except (EOFError, zlib.error) as error:
            raise ConfigError(f"{path}: {error}; {imported.points:,} points were stored") from None
        return imported

    def _store_piece(self, piece: str, precision: str, number: int, imported: Imported) -> None:
        batch = self._parser.parse(
            piece,
            database=self._bucket,
            precision=precision,
            received_ns=self._now_ns,
            stamp={},
            oldest_ns=self._oldest_ns,
        )
        self._store.take_in(self._bucket, batch.rows, batch.blocks)
        imported.points += len(batch.lines)
        imported.refused += len(batch.refused)
        for line in batch.refused[: _MOST_NAMED - len(imported.named)]:
            imported.named.append(RefusedLine(number + line.number - 1, line.reason, line.kind))


_CSV_BEGIN: Final = "measurement,time"


def _unpacked(raw: BinaryIO) -> TextIO:
    packed = raw.read(len(_GZIP)) == _GZIP
    raw.seek(0)
    plain = gzip.GzipFile(fileobj=raw) if packed else raw
    return io.TextIOWrapper(plain, encoding="utf-8", errors="surrogateescape", newline="")


def _line_pieces(text: TextIO) -> Iterator[tuple[int, str]]:
    """Pieces of whole lines, each with the number of its first line."""
    rest, number = "", 1
    while more := text.read(_PIECE):
        piece = rest + more
        # The last line may go on in what is not read yet, and may even be a string with line breaks.
        last = deque(split_lines(piece), maxlen=1)
        cut = piece.rindex(last[0][1]) if last else piece.rfind("\n") + 1
        if cut:
            yield number, piece[:cut]
        number += piece.count("\n", 0, cut)
        rest = piece[cut:]
    if rest:
        yield number, rest


def _csv_pieces(text: TextIO, path: Path) -> Iterator[tuple[int, str]]:
    """The same points as line protocol."""
    table = csv.reader(text)
    header = next(table)
    readers = [_cell_reader(name, path) for name in header[2:]]
    lines: list[str] = []
    first = 2
    for cells in table:
        if len(cells) != len(header):
            raise ConfigError(f"{path}: line {table.line_num}: {len(cells)} cells, {len(header)} in the header")
        try:
            lines.append(_line_of(cells, readers))
        except (ValueError, LineError) as error:
            raise ConfigError(f"{path}: line {table.line_num}: {error}") from None
        if len(lines) >= _BATCH_LINES:
            yield first, "\n".join(lines)
            lines, first = [], table.line_num + 1
    if lines:
        yield first, "\n".join(lines)


CellReader = tuple[str, str, Callable[[str], FieldValue]]
"""Tag or field, its key, and how its text is read."""


def _cell_reader(name: str, path: Path) -> CellReader:
    if name.startswith(TAG):
        return TAG, name.removeprefix(TAG), str
    kind, colon, key = name.removeprefix(FIELD).partition(":")
    if not name.startswith(FIELD) or not colon or kind not in _READERS:
        raise ConfigError(f"{path}: column {name!r}: tag:KEY, or field:TYPE:KEY with one of {', '.join(_READERS)}")
    return FIELD, key, _READERS[kind]


def _read_boolean(text: str) -> bool:
    if text not in {"true", "false"}:
        raise ValueError(f"{text!r} is neither true nor false")
    return text == "true"


def _read_string(text: str) -> str:
    return str(json.loads(text)) if text.startswith('"') else text


_READERS: Final[dict[str, Callable[[str], FieldValue]]] = {
    "float": float,
    "integer": int,
    "boolean": _read_boolean,
    "string": _read_string,
}


def _line_of(cells: list[str], readers: list[CellReader]) -> str:
    measurement, time, *rest = cells
    tags: dict[str, str] = {}
    fields = []
    for text, (role, key, read) in zip(rest, readers, strict=True):
        if text and role == TAG:
            tags[key] = text
        elif text:
            fields.append(f"{escape_tag(key)}={format_field(read(text))}")
    return f"{canonical_series_key(Point(measurement, tags))} {','.join(fields)} {int(time)}"
