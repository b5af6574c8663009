"""The files of the write-ahead log: how records stand in them, how they are read, and what a start makes of a crash.

Segment files hold records `length, crc32, lsn` (little endian, 4 + 4 + 8 bytes) and the payload; the log sequence
number grows by one a record and names the segment that starts with it.
"""

import logging
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

log = logging.getLogger(__name__)

_HEADER: Final = struct.Struct("<IIQ")
_SUFFIX: Final = ".wal"
_DAMAGED_SUFFIX: Final = ".damaged"
_MOST_RECORD_BYTES: Final = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Record:
    """One acknowledged batch.

    Attributes:
        lsn: its log sequence number, from 1.
        payload: the bytes that were appended.
    """

    lsn: int
    payload: bytes


@dataclass(frozen=True, slots=True)
class Segment:
    """What one file of the log holds.

    Attributes:
        path: the file.
        records: whole records.
        first: number of the first record, or of the one that would be.
        last: number of the last record; one less than `first` if there is none.
        rest: bytes behind the last whole record.
    """

    path: Path
    records: int
    first: int
    last: int
    rest: int


class WalReader:
    """Reads records in order and remembers its place. For one thread.

    Args:
        folder: of the log.
        last_lsn: gives the number of the newest durable record.
        after: the number behind which to begin.
    """

    def __init__(self, folder: Path, last_lsn: Callable[[], int], after: int) -> None:
        self._folder = folder
        self._last_lsn = last_lsn
        self._last = after
        self._segment: BinaryIO | None = None
        self._path: Path | None = None

    def next(self) -> Record | None:
        """The next durable record, or None if there is none yet."""
        while self._last < self._last_lsn():
            path = _segment_with(self._folder, self._last + 1)
            if path is None:
                return None
            if path != self._path:
                self.close()
                self._path, self._segment = path, path.open("rb")
            record = _read_record(self._segment) if self._segment else None
            if record is None:
                # The rest of a damaged segment: go on with the first record that is there.
                following = [first for first in map(first_lsn, segments(self._folder)) if first > self._last + 1]
                if not following:
                    return None
                self._last = following[0] - 1
            elif record.lsn > self._last:
                self._last = record.lsn
                return record
        return None

    def close(self) -> None:
        """Let go of the open segment."""
        if self._segment is not None:
            self._segment.close()
            self._segment = None
            self._path = None


def segments(folder: Path) -> list[Path]:
    """The segment files, oldest first."""
    return sorted(folder.glob(f"*{_SUFFIX}"))


def segment_path(folder: Path, first: int) -> Path:
    """Where the segment is that begins with a record."""
    return folder / f"{first:020d}{_SUFFIX}"


def first_lsn(path: Path) -> int:
    """The number of the record that a segment begins with."""
    return int(path.stem)


def frame(lsn: int, payload: bytes) -> bytes:
    """A record as it stands in a segment."""
    return _HEADER.pack(len(payload), _checksum(lsn, payload), lsn) + payload


def recover(folder: Path) -> int:
    """Cut off a torn tail and set damaged segments aside; returns the number of the newest whole record, 0 for none."""
    last = 0
    found = segments(folder)
    for index, path in enumerate(found):
        last = max(last, first_lsn(path) - 1)
        good_bytes = 0
        for record in _read_segment(path):
            last = record.lsn
            good_bytes += _HEADER.size + len(record.payload)
        rest = path.stat().st_size - good_bytes
        if rest and index == len(found) - 1:
            # Bytes of a batch that was never acknowledged: the crash came before its fsync.
            log.warning("%s: %d bytes of an unfinished batch cut off", path.name, rest)
            os.truncate(path, good_bytes)
        elif rest:
            copy = path.with_suffix(_DAMAGED_SUFFIX)
            copy.write_bytes(path.read_bytes()[good_bytes:])
            log.error("%s: damaged after byte %d; the rest was set aside in %s", path.name, good_bytes, copy.name)
            os.truncate(path, good_bytes)
    return last


def inspect(folder: Path) -> Iterator[Segment]:
    """Read a log that nobody writes, and change nothing."""
    for path in segments(folder):
        first = first_lsn(path)
        records, last, size = 0, first - 1, 0
        for record in _read_segment(path):
            records, last, size = records + 1, record.lsn, size + _HEADER.size + len(record.payload)
        yield Segment(path, records, first, last, path.stat().st_size - size)


def _segment_with(folder: Path, lsn: int) -> Path | None:
    """The segment that holds a record, or would; None if there is none so late."""
    found = segments(folder)
    candidates = [path for path in found if first_lsn(path) <= lsn]
    return candidates[-1] if candidates else next(iter(found), None)


def _checksum(lsn: int, payload: bytes) -> int:
    return zlib.crc32(payload, zlib.crc32(lsn.to_bytes(8, "little")))


def _read_segment(path: Path) -> Iterator[Record]:
    """Yield whole records; stops at the first that is cut short or damaged."""
    with path.open("rb") as segment:
        while (record := _read_record(segment)) is not None:
            yield record


def _read_record(segment: BinaryIO) -> Record | None:
    header = segment.read(_HEADER.size)
    if len(header) != _HEADER.size:
        return None
    length, checksum, lsn = _HEADER.unpack(header)
    if length > _MOST_RECORD_BYTES:
        return None
    payload = segment.read(length)
    if len(payload) != length or _checksum(lsn, payload) != checksum:
        return None
    return Record(lsn, payload)
