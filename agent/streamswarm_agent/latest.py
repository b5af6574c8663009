"""The newest points of each assignment, for the exporter."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from streamswarm_core.assignment import Assignment
from streamswarm_core.point import Point

_STALE_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class _Newest:
    points: Sequence[Point]
    expires: float


class LatestPoints:
    """What each assignment measured last; forgotten when it is older than three intervals.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._newest: dict[str, _Newest] = {}

    def put(self, assignment: Assignment, points: Sequence[Point]) -> None:
        """Take a run's points."""
        expires = self._clock() + _STALE_INTERVALS * assignment.interval + assignment.timeout
        self._newest[assignment.id] = _Newest(points, expires)

    def __iter__(self) -> Iterator[Point]:
        now = self._clock()
        for assignment_id, newest in list(self._newest.items()):
            if newest.expires < now:
                del self._newest[assignment_id]
            else:
                yield from newest.points
