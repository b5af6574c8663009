"""Points on their way to the collector, on disk first, so that nothing measured is lost while it can't be reached.

The spool is a folder of segments: files of line protocol, oldest first, which are sent as they are. A line `#run ID N`
before the points of a run carries its assignment and number; line protocol takes it for a comment. Run numbers are
given here, when a run's points are written: a number that is given is in the spool, so numbers have no gaps, and a
missing one in the store means that a run was really lost. `runs.json` has the newest number of each assignment; it is
written before a segment is deleted, and newer numbers are found in the segments that are left.

Points are handed to the operating system at once, so a killed agent loses none; a power cut can lose the last seconds.
"""

import itertools
import json
import logging
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, TextIO

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.common import SEQ
from streamswarm_core.lineprotocol import encode
from streamswarm_core.point import Point

log = logging.getLogger(__name__)

_SUFFIX: Final = ".lines"
_SEGMENT_BYTES: Final = 1_000_000


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
        self._sealed: dict[Path, tuple[int, int]] = {path: _measure(path) for path in self._segments()}
        self._numbers = itertools.count(max((int(path.stem) for path in self._sealed), default=0) + 1)
        self._open: TextIO | None = None
        self._open_path = folder
        self._open_points = 0
        self.dropped_points = 0

    @property
    def points(self) -> int:
        """Points waiting."""
        return sum(points for points, _ in self._sealed.values()) + self._open_points

    @property
    def size(self) -> int:
        """Bytes waiting."""
        return sum(size for _, size in self._sealed.values()) + (self._open.tell() if self._open else 0)

    @property
    def oldest_age(self) -> float:
        """Seconds since the oldest waiting segment was last written; 0 if nothing waits."""
        for path in self._sealed:
            return max(0.0, time.time() - path.stat().st_mtime)
        return 0.0

    def add_run(self, assignment_id: str, points: Sequence[Point], tags: Mapping[str, str]) -> list[Point]:
        """Write a run's points with its number and these tags; returns them as written."""
        number = self._runs.get(assignment_id, 0) + 1
        numbered = [_numbered(point.with_tags(**tags), number) for point in points]
        self._append([f"#run {assignment_id} {number}", *map(encode, numbered)], len(numbered))
        self._runs[assignment_id] = number
        return numbered

    def add(self, points: Iterable[Point]) -> None:
        """Write points that belong to no assignment."""
        lines = [encode(point) for point in points]
        self._append(lines, len(lines))

    def seal(self) -> None:
        """End the open segment, so that it can be sent."""
        if self._open is not None:
            self._open.close()
            self._sealed[self._open_path] = _measure(self._open_path)
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
        self._save_runs()
        self._sealed.pop(path, None)
        path.unlink(missing_ok=True)

    def close(self) -> None:
        """End the open segment and write the run numbers."""
        self.seal()
        self._save_runs()

    def _append(self, lines: Sequence[str], points: int) -> None:
        if self._open is None:
            self._open_path = self._folder / f"{next(self._numbers):016d}{_SUFFIX}"
            self._open = self._open_path.open("a", encoding="utf-8")
        self._open.write("".join(line + "\n" for line in lines))
        self._open.flush()
        self._open_points += points
        if self._open.tell() >= _SEGMENT_BYTES:
            self.seal()

    def _enforce_limit(self) -> None:
        while self.size > self._max_bytes and len(self._sealed) > 1:
            path = next(iter(self._sealed))
            points, size = self._sealed[path]
            self.dropped_points += points
            log.error("spool over %d bytes: dropped the oldest %d points (%d bytes)", self._max_bytes, points, size)
            self.delete(path)

    def _segments(self) -> list[Path]:
        return sorted(self._folder.glob(f"*{_SUFFIX}"))

    def _recover(self) -> dict[str, int]:
        """The newest run numbers; cuts off a line that was being written when the agent was killed."""
        runs: dict[str, int] = {}
        if self._runs_file.exists():
            runs = json.loads(self._runs_file.read_text(encoding="utf-8"))
        for path in self._segments():
            content = path.read_bytes()
            whole = content[: content.rfind(b"\n") + 1]
            if whole != content:
                path.write_bytes(whole)
            for line in whole.decode().splitlines():
                if line.startswith("#run "):
                    _, assignment_id, number = line.split(" ")
                    runs[assignment_id] = max(runs.get(assignment_id, 0), int(number))
        return runs

    def _save_runs(self) -> None:
        temporary = self._runs_file.with_suffix(".new")
        temporary.write_text(json.dumps(self._runs), encoding="utf-8")
        temporary.replace(self._runs_file)


def _numbered(point: Point, number: int) -> Point:
    measurement: Any = CATALOGUE.get(point.measurement, {})
    return point.with_fields(**{SEQ.name: number}) if SEQ.name in measurement else point


def _measure(path: Path) -> tuple[int, int]:
    """Points and bytes of a segment."""
    content = path.read_bytes()
    comments = content.count(b"\n#") + content.startswith(b"#")
    return content.count(b"\n") - comments, len(content)
