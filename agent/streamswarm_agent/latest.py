"""The newest points of each assignment, for the exporter."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from streamswarm_agent.probes.direct import Outcome
from streamswarm_core.assignment import Assignment
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.point import Point

_STALE_INTERVALS = 3


_Totals = dict[tuple[str, ...], Point]


@dataclass(slots=True)
class _Newest:
    """Of one assignment: what its last run came to, its distributions so far, and when that was, monotonic seconds."""

    assignment: Assignment
    points: Sequence[Point] = ()
    outcome: Outcome | None = None
    totals: _Totals = field(default_factory=dict)
    put_at: float = 0.0

    @property
    def expires_at(self) -> float:
        """From when on it says nothing any more."""
        return self.put_at + _STALE_INTERVALS * self.assignment.interval + self.assignment.timeout


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
        newest = self._renewed(assignment)
        newest.points = [point for point in points if not _added(point, newest.totals)]
        newest.outcome = None

    def put_outcome(self, assignment: Assignment, outcome: Outcome) -> None:
        """Take a run that hasn't been made into points; it is when they are asked for."""
        newest = self._newest.get(assignment.id) or self._renewed(assignment)
        newest.assignment, newest.put_at, newest.outcome = assignment, self._clock(), outcome
        more = outcome.more
        newest.points = [point for point in more if not _added(point, newest.totals)] if more else ()

    def _renewed(self, assignment: Assignment) -> _Newest:
        newest = self._newest.get(assignment.id)
        if newest is None:
            newest = self._newest[assignment.id] = _Newest(assignment)
        newest.assignment, newest.put_at = assignment, self._clock()
        return newest

    def __iter__(self) -> Iterator[Point]:
        now = self._clock()
        for assignment_id, newest in list(self._newest.items()):
            if newest.expires_at < now:
                del self._newest[assignment_id]
                continue
            if newest.outcome is not None:
                yield newest.outcome.point()
            yield from newest.points
            yield from newest.totals.values()


def _added(point: Point, totals: _Totals) -> bool:
    """Add a distribution to its total; returns False for another point."""
    measurement = CATALOGUE.get(point.measurement)
    if measurement is None or not measurement.distribution:
        return False
    key = (point.measurement, *point.tags.values())
    before = totals[key].fields if key in totals else {}
    sums = {name: float(before.get(name, 0)) + float(value) for name, value in point.fields.items()}
    totals[key] = Point(point.measurement, point.tags, {**before, **sums}, point.time_ns)
    return True
