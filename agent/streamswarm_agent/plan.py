"""What the schedule runs, and why a start came to nothing."""

from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes.direct import DirectRun
from streamswarm_core.assignment import Assignment
from streamswarm_core.probespecs.demand import Lane, RunCost
from streamswarm_core.schedule import ALWAYS, Schedule, demand


class Skip(StrEnum):
    """Why a start came to nothing."""

    OVERRUN = "overrun"
    CONCURRENCY = "concurrency"
    BUDGET = "budget"
    OVER_BUDGET = "over_budget"
    EXCLUSIVE = "exclusive"
    LINK_BUSY = "link_busy"
    LATE = "late"
    UNKNOWN_PROBE = "unknown_probe"
    MISSED = "missed"


WAITS: Final = {
    Skip.CONCURRENCY: "too many runs of its kind are under way",
    Skip.BUDGET: "the agent's budget of packets or bits was used up",
    Skip.EXCLUSIVE: "a bandwidth test had the link to itself",
    Skip.LINK_BUSY: "the link was too busy for a bandwidth test",
}
"""Why a start that waits has not been made yet, for a person."""


def store_nothing(_outcome: object) -> None:
    """For plans whose runs are tasks."""


@dataclass(frozen=True, slots=True)
class Plan:
    """An assignment made ready to run, once for all its runs.

    Attributes:
        assignment: what it was made of.
        run: measures once and stores the points.
        fail: stores that a run came to nothing: the fault, the detail for a person, when it began (nanoseconds).
        lane: with which other runs it shares a limit.
        cost: of one run.
        has_target: whether it measures something over the network, so that a bandwidth test would spoil it.
        lasts: seconds that a run takes by its options' account, apart from a moment.
        impossible: why it can't run at all; empty if it can.
        direct: measures without a task, in place of `run`; None if the probe can't.
        store: stores what such a run reports.
        schedule: when it is going.
    """

    assignment: Assignment
    run: Callable[[], Coroutine[Any, Any, None]]
    fail: Callable[[Fault, str, int], None]
    lane: Lane = Lane.SOCKET
    cost: RunCost = field(default_factory=RunCost)
    has_target: bool = True
    lasts: float = 0.0
    impossible: str = ""
    direct: DirectRun | None = None
    store: Callable[[Any], None] = store_nothing
    schedule: Schedule = ALWAYS

    @property
    def demand(self) -> RunCost:
        """What it asks of the link per second while it is going."""
        return demand(self.schedule, self.assignment.interval, self.cost)


@dataclass(slots=True, eq=False)
class Skipped:
    """The starts of one assignment that came to nothing for one reason, since it is known.

    Attributes:
        assignment: whose.
        reason: why.
        starts: how many.
        detail: the same for a person to read.
    """

    assignment: Assignment
    reason: Skip
    starts: int = 0
    detail: str = ""


@dataclass(slots=True)
class ScheduleCounts:
    """What the scheduler did since it started.

    Attributes:
        runs: runs that have ended, in whatever way.
        overruns: starts that found the run before still going.
        skipped: starts that came to nothing for any reason, overruns included.
        deferred: runs that started later than due because of budget, lane or a bandwidth test.
        lag: longest time from due to started, seconds, since it was read last.
    """

    runs: int = 0
    overruns: int = 0
    skipped: int = 0
    deferred: int = 0
    lag: float = 0.0
