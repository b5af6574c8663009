"""When each assignment starts: one heap on the monotonic clock, without tasks and without waiting.

An assignment starts at its phase, a hash of its id, in each of its intervals, counted from the monotonic clock's zero.
So assignments with the same interval don't start at the same moment, a restart doesn't move them, nothing drifts, and
steps of the wall clock don't matter.
"""

import hashlib
import heapq
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, Generic, NamedTuple, TypeVar

_PHASE_RESOLUTION: Final = 2**32
_ROUNDING: Final = 1e-6

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
class _Row(Generic[Item]):
    """One assignment in the heap.

    Attributes:
        item: what starts.
        interval: seconds.
        offset: its phase, seconds.
        following: number of the interval after the start that is in the heap.
        dropped: removed, and passed over when it comes up.
    """

    item: Item
    interval: float
    offset: float
    following: int
    dropped: bool = False


class Due(NamedTuple, Generic[Item]):
    """A start that has come.

    Attributes:
        item: what starts.
        at: when it should have started.
        missed: how many further starts have passed since then.
    """

    item: Item
    at: float
    missed: int


class Timetable(Generic[Item]):
    """The starts to come."""

    def __init__(self) -> None:
        self._heap: list[tuple[float, int, _Row[Item]]] = []
        self._rows: dict[str, _Row[Item]] = {}
        self._serial = itertools.count()

    def __len__(self) -> int:
        return len(self._rows)

    def __contains__(self, assignment_id: object) -> bool:
        return assignment_id in self._rows

    def add(self, assignment_id: str, item: Item, interval: float, now: float, *, within: float) -> None:
        """Enter an assignment; its first start comes after `now`, within so many seconds, then at its phase."""
        first = next_start(assignment_id, min(interval, within), now)
        offset = phase(assignment_id, interval)
        # The first start may be at the phase itself; rounding must not make it come twice.
        row = _Row(item, interval, offset, int((first - offset) / interval + _ROUNDING) + 1)
        self._rows[assignment_id] = row
        heapq.heappush(self._heap, (first, next(self._serial), row))

    def remove(self, assignment_id: str) -> None:
        """Take an assignment out, if it is in."""
        row = self._rows.pop(assignment_id, None)
        if row is not None:
            row.dropped = True

    @property
    def next_at(self) -> float | None:
        """When something has to be looked at next."""
        return self._heap[0][0] if self._heap else None

    def take_due(self, now: float) -> Iterator[Due[Item]]:
        """Yield what starts now or should have before, and enter each one's next start."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, _, row = heap[0]
            if row.dropped:
                heapq.heappop(heap)
                continue
            following = max(row.following, int((now - row.offset) // row.interval) + 1)
            missed = following - row.following
            row.following = following + 1
            heapq.heapreplace(heap, (following * row.interval + row.offset, next(self._serial), row))
            yield Due(row.item, at, missed)
