"""Points on their way to the collector, on disk first, so that nothing measured is lost while it can't be reached.

The spool is a folder of segments: files of line protocol, oldest first, which are sent as they are. A line `#run ID N`
before the points of a run carries its assignment and number; line protocol takes it for a comment. Run numbers are
given here, when a run's points are written: a number that is given is in the spool, so numbers have no gaps, and a
missing one in the store means that a run was really lost. `runs.json` has the newest number of each assignment; newer
ones are found in the segments. To write it costs as much as to send a segment, so segments that are done with are kept
for a while, under another name, and deleted together once it is written.

`flush` hands points to the operating system, which keeps them if the agent is killed; a power cut can lose the last
seconds. A run that was not handed over takes its number with it, so the next one gets the same.
"""

import asyncio
import contextlib
import itertools
import json
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from streamswarm_agent.grid import next_line
from streamswarm_agent.probes.direct import Outcome
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.common import SEQ
from streamswarm_core.lineprotocol import encode
from streamswarm_core.point import Point

log = logging.getLogger(__name__)

_SUFFIX: Final = ".lines"
_DONE_SUFFIX: Final = ".done"
_DONE_SECONDS: Final = 10.0
_SEGMENT_BYTES: Final = 1_000_000
_FLUSH_SECONDS: Final = 0.5
_RUN_LINE: Final = re.compile(rb"^#run (\S+) (\d+)$", re.MULTILINE)
_WITH_NUMBERS: Final = frozenset(name for name, measurement in CATALOGUE.items() if SEQ.name in measurement)


class Spool:
    """The spool of one agent.

    Args:
        folder: created if missing.
        max_bytes: when more waits, the oldest segments are dropped and counted.

    Raises:
        OSError: the folder can't be used.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._max_bytes = max_bytes
        self._runs_file = folder / "runs.json"
        self._runs = self._recover()
        self._done = list(folder.glob(f"*{_DONE_SUFFIX}"))
        self._delete_done()
        self._sealed: dict[Path, tuple[int, int]] = {path: _measure(path) for path in self._segments()}
        self._numbers = itertools.count(max((int(path.stem) for path in self._sealed), default=0) + 1)
        self._open: BinaryIO | None = None
        self._open_path = folder
        self._open_points = 0
        self._lines: list[str] = []
        self._lines_points = 0
        self.dropped_points = 0

    @property
    def points(self) -> int:
        """Points waiting."""
        return sum(points for points, _ in self._sealed.values()) + self._open_points + self._lines_points

    @property
    def size(self) -> int:
        """Bytes waiting on disk."""
        return sum(size for _, size in self._sealed.values()) + (self._open.tell() if self._open else 0)

    @property
    def oldest_age(self) -> float:
        """Seconds since the oldest waiting segment was last written; 0 if nothing waits."""
        for path in self._sealed:
            return max(0.0, time.time() - path.stat().st_mtime)
        return 0.0

    def add_run(self, assignment_id: str, points: Sequence[Point], tags: Mapping[str, str]) -> list[Point]:
        """Take a run's points with its number and these tags, for the next flush; returns them as written."""
        number = self._runs.get(assignment_id, 0) + 1
        numbered = [_numbered(point, tags, number) for point in points]
        self._lines += [f"#run {assignment_id} {number}", *map(encode, numbered)]
        self._lines_points += len(numbered)
        self._runs[assignment_id] = number
        return numbered

    def add_outcome(self, assignment_id: str, outcome: Outcome) -> None:
        """As `add_run`, for a run that hasn't been made into points; it gets its number."""
        number = outcome.number = self._runs.get(assignment_id, 0) + 1
        self._lines.append(f"#run {assignment_id} {number}\n{outcome.line()}")
        self._lines_points += 1
        if outcome.more:
            self._lines += map(encode, outcome.more)
            self._lines_points += len(outcome.more)
        self._runs[assignment_id] = number

    def add(self, points: Iterable[Point]) -> None:
        """Take points that belong to no assignment, for the next flush."""
        lines = [encode(point) for point in points]
        self._lines += lines
        self._lines_points += len(lines)

    def flush(self) -> None:
        """Hand everything taken to the operating system.

        What a full disk doesn't take is lost and counted; in memory it would only be lost later, with the agent.
        """
        if not self._lines:
            return
        content = "\n".join([*self._lines, ""]).encode()
        self._lines.clear()
        try:
            self._write(content)
        except OSError as error:
            self.dropped_points += self._lines_points
            log.error("%s: %s; %d points are lost", self._folder, error.strerror, self._lines_points)  # noqa: TRY400
        else:
            self._open_points += self._lines_points
        self._lines_points = 0
        if self._open is not None and self._open.tell() >= _SEGMENT_BYTES:
            self.seal()

    def seal(self) -> None:
        """End the open segment, so that it can be sent."""
        self.flush()
        if self._open is not None:
            self._sealed[self._open_path] = (self._open_points, self._open.tell())
            self._open.close()
            self._open = None
            self._open_points = 0
            self._enforce_limit()

    def oldest(self) -> tuple[Path, bytes] | None:
        """The oldest sealed segment and its lines, or None."""
        for path in self._sealed:
            return path, path.read_bytes()
        return None

    def delete(self, path: Path) -> None:
        """Forget a segment: it has been delivered, or given up."""
        self._sealed.pop(path, None)
        done = path.with_suffix(_DONE_SUFFIX)
        with contextlib.suppress(FileNotFoundError):
            path.replace(done)
            self._done.append(done)
        if time.monotonic() >= self._keep_until:
            self._delete_done()

    def close(self) -> None:
        """End the open segment and write the run numbers."""
        self.seal()
        self._delete_done()

    def _write(self, content: bytes) -> None:
        if self._open is None:
            self._open_path = self._folder / f"{next(self._numbers):016d}{_SUFFIX}"
            self._open = self._open_path.open("ab", buffering=0)
        begin = self._open.seek(0, os.SEEK_END)
        try:
            written = 0
            while written < len(content):
                written += self._open.write(content[written:])
        except OSError:
            # Half a line would be refused by the collector, and its points with it.
            self._open.truncate(begin)
            raise

    def _enforce_limit(self) -> None:
        while self.size > self._max_bytes and len(self._sealed) > 1:
            path = next(iter(self._sealed))
            points, size = self._sealed[path]
            self.dropped_points += points
            log.error("spool over %d bytes: dropped the oldest %d points (%d bytes)", self._max_bytes, points, size)
            self.delete(path)
            self._delete_done()

    def _segments(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}"))

    def _recover(self) -> dict[str, int]:
        """The newest run numbers; cuts off a line that was being written when the agent was killed."""
        runs: dict[str, int] = {}
        if self._runs_file.exists():
            runs = json.loads(self._runs_file.read_text(encoding="utf-8"))
        for path in (*self._segments(), *self._folder.glob(f"*{_DONE_SUFFIX}")):
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                path.write_bytes(whole)
            for name, number in _RUN_LINE.findall(whole):
                assignment_id = name.decode()
                runs[assignment_id] = max(runs.get(assignment_id, 0), int(number))
        return runs

    def _delete_done(self) -> None:
        """Write the run numbers, and delete what is done with and has no newer ones now."""
        temporary = self._runs_file.with_suffix(".new")
        temporary.write_text(json.dumps(self._runs), encoding="utf-8")
        temporary.replace(self._runs_file)
        for path in self._done:
            path.unlink(missing_ok=True)
        self._done.clear()
        self._keep_until = time.monotonic() + _DONE_SECONDS


def _numbered(point: Point, tags: Mapping[str, str], number: int) -> Point:
    fields = {**point.fields, SEQ.name: number} if point.measurement in _WITH_NUMBERS else point.fields
    return Point(point.measurement, {**point.tags, **tags}, fields, point.time_ns)


def _measure(path: Path) -> tuple[int, int]:
    """Points and bytes of a segment."""
    content = path.read_bytes()
    comments = content.count(b"\n#") + content.startswith(b"#")
    return content.count(b"\n") - comments, len(content)


class Flush:
    """Hands over what a spool has taken of many runs at once: a write costs more than a run.

    It does so on lines of the time grid, on which the agent wakes up for starts in any case.
    """

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._timer: asyncio.TimerHandle | None = None

    def soon(self) -> None:
        """On the next of these lines."""
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(next_line(loop.time(), _FLUSH_SECONDS), self._now)

    def cancel(self) -> None:
        """Not any more."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _now(self) -> None:
        self._timer = None
        self._spool.flush()
