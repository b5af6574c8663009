"""Runs without a task, for probes of which an agent has thousands: started by a call, ended by a call.

A task for each run, with its future, costs more than a ping. A probe that waits for an engine and for nothing else can
do without; what it measures and writes is the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from streamswarm_agent.probes.base import Context
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.series import Series


@dataclass(slots=True)
class Reading:
    """What a run came to, not yet made into points: a scrape needs points now and then, the collector needs lines.

    Attributes:
        series: of the run's point.
        fields: its fields.
        time_ns: its time.
        more: further points, with all their tags.
    """

    series: Series
    fields: dict[str, FieldValue | None]
    time_ns: int
    more: Sequence[Point] = field(default=())

    def line(self) -> str:
        """The run's point as line protocol."""
        return self.series.line(self.fields, self.time_ns)

    def point(self) -> Point:
        """The run's point."""
        return self.series.point(self.fields, self.time_ns)


class DirectRun(Protocol):
    """One assignment's runs, one at a time."""

    def start(self, report: Callable[[Any], None]) -> None:
        """Begin; `report` is called once with the outcome, at once or later, unless `stop` comes first."""

    def stop(self) -> None:
        """Give up the run that is under way; it isn't reported."""

    def read(self, outcome: Any) -> Reading:
        """Make a reading of what was reported."""


@runtime_checkable
class DirectProbe(Protocol):
    """A probe that can run without a task."""

    def direct(self, target: str, params: Any, context: Context, tags: Mapping[str, str]) -> DirectRun | None:
        """Make an assignment's runs ready; None if this target needs a task.

        Args:
            target: what to measure, as it was written.
            params: the probe's options model.
            context: as for `Probe.run`.
            tags: of the assignment, for all points.
        """
