"""Runs without a task, for probes of which an agent has thousands: started by a call, ended by a call.

A task for each run, with its future, costs more than a ping. A probe that waits for an engine and for nothing else can
do without; what it measures and writes is the same.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.common import ERROR, ERROR_DETAIL, SEQ, UP
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.serieslines import SeriesLines


class Outcome(Protocol):
    """What a run came to, not yet made into points: a scrape needs points now and then, the collector needs lines.

    Attributes:
        number: of the run; the spool gives it.
        more: further points, with all their tags.
    """

    number: int
    more: Sequence[Point]

    @property
    def problem(self) -> str:
        """Why the run counts as a failure; empty if its target is up."""

    def line(self) -> str:
        """The run's point as line protocol."""

    def point(self) -> Point:
        """The run's point."""


@dataclass(slots=True)
class Reading:
    """An outcome as fields.

    Attributes:
        series: of the run's point.
        fields: its fields, without the run's number.
        time_ns: its time.
        more: further points, with all their tags.
        number: of the run; 0 as long as it has none.
    """

    series: SeriesLines
    fields: dict[str, FieldValue | None]
    time_ns: int
    more: Sequence[Point] = field(default=())
    number: int = 0

    @property
    def problem(self) -> str:
        """Empty if the target is up."""
        return problem_of(self.fields)

    def line(self) -> str:
        """The run's point as line protocol."""
        return self.series.line(self._numbered, self.time_ns)

    def point(self) -> Point:
        """The run's point."""
        return self.series.point(self._numbered, self.time_ns)

    @property
    def _numbered(self) -> dict[str, FieldValue | None]:
        return {**self.fields, SEQ.name: self.number} if self.number else self.fields


def problem_of(fields: Mapping[str, FieldValue | None]) -> str:
    """Why a run counts as a failure; empty if its target is up, or if it measures the agent's own host."""
    if fields.get(UP.name, 1) == 1:
        return ""
    return f"{fields.get(ERROR.name, 'down')}: {fields.get(ERROR_DETAIL.name, '')}".rstrip(": ")


class DirectRun(Protocol):
    """One assignment's runs, one at a time."""

    def start(self, report: Callable[[Any], None]) -> None:
        """Begin; `report` is called once with the outcome, at once or later, unless `stop` comes first."""

    def stop(self) -> None:
        """Give up the run that is under way; it isn't reported."""

    def read(self, reported: Any) -> Outcome:
        """Say what came of the run that was reported so."""


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
