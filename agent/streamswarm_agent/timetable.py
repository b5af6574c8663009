"""When each assignment starts: lists by moment on the monotonic clock, without tasks and without waiting.

An assignment starts at its phase, a hash of its id, in each of its intervals, counted from the monotonic clock's zero.
So assignments with the same interval don't start at the same moment, a restart doesn't move them, nothing drifts, and
steps of the wall clock don't matter.
"""

import hashlib
import heapq
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from streamswarm_agent.grid import FINEST_STEP

_PHASE_RESOLUTION: Final = 2**32
_ROUNDING: Final = 1e-6
_LINE_SECONDS: Final = FINEST_STEP

Item = TypeVar("Item")


def phase(assignment_id: str, interval: float) -> float:
    """Seconds into its interval at which an assignment starts; the same on every host and after every restart.

    >>> phase("a", 10) == phase("a", 10) and 0 <= phase("a", 10) < 10
    True
    """
    digest = hashlib.blake2b(assignment_id.encode(), digest_size=4).digest()
    return int.from_bytes(digest, "big") / _PHASE_RESOLUTION * interval


def next_start(assignment_id: str, interval: float, now: float) -> float:
    """The first start after `now`, on the monotonic clock.

    >>> next_start("a", 10, 100.0) - 100.0 <= 10
    True
    """
    offset = phase(assignment_id, interval)
    return ((now - offset) // interval + 1) * interval + offset


@dataclass(slots=True, eq=False)
class Row(Generic[Item]):
    """One assignment in the timetable.

    Attributes:
        item: what starts.
        interval: seconds.
        offset: its phase, seconds.
        upcoming: the start it is entered for.
        following: number of the interval after that.
        at: the start that has come; good, as `missed` is, until the next one.
        missed: how many further starts have passed since then.
        dropped: removed, and passed over when it comes up.
    """

    item: Item
    interval: float
    offset: float
    upcoming: float
    following: int
    at: float = 0.0
    missed: int = 0
    dropped: bool = False


class Timetable(Generic[Item]):
    """The starts to come, by the line of the time grid behind each: what starts together is taken together."""

    def __init__(self) -> None:
        self._lines: list[int] = []
        self._on_line: dict[int, list[Row[Item]]] = {}
        self._rows: dict[str, Row[Item]] = {}

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, assignment_id: object) -> bool:
        return assignment_id in self._rows

    def add(self, assignment_id: str, item: Item, interval: float, now: float, *, within: float) -> None:
        """Enter an assignment; its first start comes after `now`, within so many seconds, then at its phase."""
        first = next_start(assignment_id, min(interval, within), now)
        offset = phase(assignment_id, interval)
        # The first start may be at the phase itself; rounding must not make it come twice.
        row = Row(item, interval, offset, first, int((first - offset) / interval + _ROUNDING) + 1)
        self._rows[assignment_id] = row
        self._enter(row)

    def remove(self, assignment_id: str) -> None:
        """Take an assignment out, if it is in."""
        row = self._rows.pop(assignment_id, None)
        if row is not None:
            row.dropped = True

    @property
    def next_at(self) -> float | None:
        """When something has to be looked at next."""
        return self._lines[0] * _LINE_SECONDS if self._lines else None

    def take_due(self, now: float) -> Iterator[Row[Item]]:
        """Yield what starts now or should have before, and enter each one's next start."""
        lines = self._lines
        while lines and lines[0] * _LINE_SECONDS <= now + _ROUNDING:
            for row in self._on_line.pop(heapq.heappop(lines)):
                if row.dropped:
                    continue
                row.at = row.upcoming
                row.missed = 0
                row.upcoming = row.following * row.interval + row.offset
                if row.upcoming <= now:
                    following = int((now - row.offset) // row.interval) + 1
                    row.missed = following - row.following
                    row.following = following
                    row.upcoming = following * row.interval + row.offset
                row.following += 1
                self._enter(row)
                yield row

    def _enter(self, row: Row[Item]) -> None:
        line = int(row.upcoming / _LINE_SECONDS) + 1
        together = self._on_line.get(line)
        if together is None:
            self._on_line[line] = [row]
            heapq.heappush(self._lines, line)
        else:
            together.append(row)
