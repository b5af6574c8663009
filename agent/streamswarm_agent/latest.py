"""The newest points of each assignment, for the exporter."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from streamswarm_core.assignment import Assignment
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.point import Point

_STALE_INTERVALS = 3


@dataclass(frozen=True, slots=True)
class _Newest:
    points: Sequence[Point]
    totals: dict[tuple[str, ...], Point]
    expires: float


class LatestPoints:
    """What each assignment measured last; forgotten when it is older than three intervals.

    Distributions are added up from run to run, as Prometheus expects of a histogram.

    Args:
        clock: monotonic seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._newest: dict[str, _Newest] = {}

    def put(self, assignment: Assignment, points: Sequence[Point]) -> None:
        """Take a run's points."""
        expires = self._clock() + _STALE_INTERVALS * assignment.interval + assignment.timeout
        before = self._newest.get(assignment.id)
        totals = before.totals if before else {}
        self._newest[assignment.id] = _Newest([point for point in points if not _added(point, totals)], totals, expires)

    def __iter__(self) -> Iterator[Point]:
        now = self._clock()
        for assignment_id, newest in list(self._newest.items()):
            if newest.expires < now:
                del self._newest[assignment_id]
            else:
                yield from newest.points
                yield from newest.totals.values()


def _added(point: Point, totals: dict[tuple[str, ...], Point]) -> bool:
    """Add a distribution to its total; returns False for another point."""
    measurement = CATALOGUE.get(point.measurement)
    if measurement is None or not measurement.distribution:
        return False
    key = (point.measurement, *point.tags.values())
    before = totals[key].fields if key in totals else {}
    sums = {name: float(before.get(name, 0)) + float(value) for name, value in point.fields.items()}
    totals[key] = replace(point, fields={**before, **sums})
    return True
