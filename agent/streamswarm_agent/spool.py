"""Points on their way to the collector, on disk first, so that nothing measured is lost while it can't be reached.

The spool is a folder of segments: files of line protocol, oldest first, which are sent as they are. A line `#run ID N`
before the points of a run carries its assignment and number; line protocol takes it for a comment. Run numbers are
given here, when a run's points are written: a number that is given is in the spool, so numbers have no gaps, and a
missing one in the store means that a run was really lost. `runs.json` has the newest number of each assignment; newer
ones are found in the segments. To write it costs as much as to send a segment, so segments that are done with are kept
for a while, under another name, and deleted together once it is written.

`flush` hands points to the operating system, which keeps them if the agent is killed; a power cut can lose the last
seconds. A run that was not handed over takes its number with it, so the next one gets the same.

What the disk doesn't take, because it is full or has failed, waits in memory, as far as there is room: an agent on a
sick host that can reach its collector isn't to fall silent.
"""

import asyncio
import contextlib
import errno
import itertools
import json
import logging
import os
import re
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import BinaryIO, Final

from pydantic import TypeAdapter, ValidationError

from streamswarm_agent.grid import next_line
from streamswarm_agent.probes.direct import Outcome
from streamswarm_agent.statefile import write_state
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.common import SEQ
from streamswarm_core.lineprotocol import encode
from streamswarm_core.point import Point

log = logging.getLogger(__name__)

_SUFFIX: Final = ".lines"
_DONE_SUFFIX: Final = ".done"
_DONE_SECONDS: Final = 10.0
_SEGMENT_BYTES: Final = 1_000_000
_HELD_BYTES: Final = 16_000_000
_FLUSH_SECONDS: Final = 0.5
_NO_ROOM: Final = {errno.ENOSPC, errno.EDQUOT}
_RUNS: Final = TypeAdapter(dict[str, int])
_RUN_LINE: Final = re.compile(rb"^#run (\S+) (\d+)$", re.MULTILINE)
_WITH_NUMBERS: Final = frozenset(name for name, measurement in CATALOGUE.items() if SEQ.name in measurement)


class Spool:
    """The spool of one agent.

    Args:
        folder: created if missing.
        max_bytes: when more waits, the oldest segments are dropped and counted.

    Raises:
        OSError: the folder can't be used; a full disk is no reason.
    """

    def __init__(self, folder: Path, *, max_bytes: int) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder = folder
        self._max_bytes = max_bytes
        self._runs_file = folder / "runs.json"
        self._runs = self._recover()
        self._done = list(folder.glob(f"*{_DONE_SUFFIX}"))
        self._delete_done(starting=True)
        self._sealed: dict[Path, tuple[int, int]] = {path: _measure(path) for path in self._segments()}
        self._numbers = itertools.count(max((int(path.stem) for path in self._sealed), default=0) + 1)
        self._held: dict[Path, bytes] = {}
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
        """Bytes waiting."""
        return sum(size for _, size in self._sealed.values()) + (self._open.tell() if self._open else 0)

    @property
    def oldest_age(self) -> float:
        """Seconds since the oldest waiting segment was last written; 0 if nothing waits."""
        for path in self._sealed:
            with contextlib.suppress(OSError):
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
        """Hand everything taken to the operating system."""
        if not self._lines:
            return
        content = "\n".join([*self._lines, ""]).encode()
        points = self._lines_points
        self._lines.clear()
        self._lines_points = 0
        try:
            self._write(content)
        except OSError as error:
            self._hold(content, points, error)
        else:
            self._open_points += points
        if self._open is not None and self._open.tell() >= _SEGMENT_BYTES:
            self.seal()

    def seal(self) -> None:
        """End the open segment, so that it can be sent."""
        self.flush()
        self._end_open()

    def oldest(self) -> tuple[Path, bytes] | None:
        """The oldest sealed segment and its lines, or None. One that can't be read any more is lost, and counted."""
        for path in list(self._sealed):
            try:
                return path, self._held[path] if path in self._held else path.read_bytes()
            except OSError as error:
                log.error("%s: %s; its points are lost", path, error.strerror)  # noqa: TRY400
                points, _ = self._sealed.pop(path)
                self.dropped_points += points
        return None

    def delete(self, path: Path) -> None:
        """Forget a segment: it has been delivered, or given up."""
        self._sealed.pop(path, None)
        if self._held.pop(path, None) is not None:
            return
        done = path.with_suffix(_DONE_SUFFIX)
        try:
            path.replace(done)
        except FileNotFoundError:
            pass
        except OSError as error:
            # The next start sends it again, which changes nothing.
            log.error("%s: %s; it can't be deleted", path, error.strerror)  # noqa: TRY400
        else:
            self._done.append(done)
        if time.monotonic() >= self._keep_until:
            self._delete_done()

    def close(self) -> None:
        """End the open segment and write the run numbers."""
        self.seal()
        self._delete_done()
        for path, content in self._held.items():
            with contextlib.suppress(OSError):
                path.write_bytes(content)

    def _next_path(self) -> Path:
        return self._folder / f"{next(self._numbers):016d}{_SUFFIX}"

    def _end_open(self) -> None:
        if self._open is not None:
            self._sealed[self._open_path] = (self._open_points, self._open.tell())
            self._open.close()
            self._open = None
            self._open_points = 0
            self._enforce_limit()

    def _hold(self, content: bytes, points: int, error: OSError) -> None:
        """Let points that the disk doesn't take wait in memory, behind those that it has taken."""
        if sum(map(len, self._held.values())) + len(content) > _HELD_BYTES:
            self.dropped_points += points
            log.error("%s: %s, and memory is full: points are lost", self._folder, error.strerror)
            return
        log.error("%s: %s; points wait in memory", self._folder, error.strerror)
        self._end_open()
        path = self._next_path()
        self._held[path] = content
        self._sealed[path] = (points, len(content))

    def _write(self, content: bytes) -> None:
        if self._open is None:
            self._open_path = self._next_path()
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)  # somebody may have deleted it
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
        return sorted(path for path in self._folder.glob(f"*{_SUFFIX}") if path.stem.isdecimal())

    def _recover(self) -> dict[str, int]:
        """The newest run numbers; cuts off a line that was being written when the agent was killed."""
        runs = self._read_runs()
        for path in (*self._segments(), *self._folder.glob(f"*{_DONE_SUFFIX}")):
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                path.write_bytes(whole)
            for name, number in _RUN_LINE.findall(whole):
                assignment_id = name.decode()
                runs[assignment_id] = max(runs.get(assignment_id, 0), int(number))
        return runs

    def _read_runs(self) -> dict[str, int]:
        """Those of `runs.json`; none if a power cut or somebody has spoilt it."""
        try:
            return _RUNS.validate_json(self._runs_file.read_bytes())
        except FileNotFoundError:
            return {}
        except ValidationError:
            log.warning("%s can't be read and is not used: run numbers may begin again", self._runs_file)
            return {}

    def _delete_done(self, *, starting: bool = False) -> None:
        """Write the run numbers, and delete what is done with and has no newer ones now."""
        self._keep_until = time.monotonic() + _DONE_SECONDS
        try:
            write_state(self._runs_file, json.dumps(self._runs))
        except OSError as error:
            log.error("%s: %s; run numbers are not kept", self._runs_file, error.strerror)  # noqa: TRY400
            if error.errno not in _NO_ROOM:
                if starting:
                    raise
                return
            # What was delivered must not keep the disk full: a number that is given twice harms less than a gap in
            # what was measured, and comes only if the agent is killed before there is room.
        for path in self._done:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        self._done.clear()


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
