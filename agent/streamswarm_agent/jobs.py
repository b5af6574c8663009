"""One assignment as the schedule keeps it: what of it is due, waits, or is under way."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_agent.plan import Plan, Skip, Skipped, store_nothing

_SLOW_ONES_TURN: Final = 4


@dataclass(slots=True)
class LaneState:
    """A lane: how many runs may be under way in it, how many are, and the jobs that wait, in their order.

    Those whose last run was slow wait apart: while quick ones wait too, one place of four is theirs. So targets that
    hang until their time is up don't keep the others from being measured.
    """

    limit: int
    running: int = 0
    _quick: deque["Job"] = field(default_factory=deque)
    _slow: deque["Job"] = field(default_factory=deque)
    _places: int = 0

    def __len__(self) -> int:
        return len(self._quick) + len(self._slow)

    def wait(self, job: "Job") -> None:
        """Let a job wait."""
        (self._slow if job.slow else self._quick).append(job)

    def drop(self, job: "Job") -> bool:
        """Let a job wait no more; whether it did."""
        for queue in (self._quick, self._slow):
            if job in queue:
                queue.remove(job)
                return True
        return False

    @property
    def next(self) -> "Job":
        """The job whose turn it is."""
        return self._turn[0]

    def take(self) -> "Job":
        """Give a place to the job whose turn it is."""
        job = self._turn.popleft()
        self._places += 1
        return job

    @property
    def _turn(self) -> deque["Job"]:
        turn_of_slow = not self._quick or self._places % _SLOW_ONES_TURN == _SLOW_ONES_TURN - 1
        return self._slow if self._slow and turn_of_slow else self._quick


@dataclass(slots=True, eq=False)
class Job:
    """One assignment.

    Attributes:
        plan: what it does.
        lane: the lane of its runs.
        due_at: when the run that waits or is under way should have started, monotonic seconds.
        task: of the run, if it has one.
        report: takes the outcome of a run without a task.
        running: a run is under way.
        waits_for: why a start that is due has not been made yet.
        refusal: why it can never run, and the same for a person.
        begun: the task has made its first step.
        begun_at: when the run began, monotonic seconds.
        expires_at: when the run's time is up, monotonic seconds.
        expired: the run was cancelled because its time was up.
        slow: the last run took long.
        gone: the assignment is no more.
        skipped: starts that came to nothing.
        occasion: who asked for the run that waits or is under way; empty if the interval did.
        wanted: further runs that were asked for.
    """

    plan: Plan
    lane: LaneState
    due_at: float = 0.0
    task: asyncio.Task[None] | None = None
    report: Callable[[Any], None] = store_nothing
    running: bool = False
    waits_for: Skip | None = None
    refusal: tuple[Skip, str] | None = None
    begun: bool = False
    begun_at: float = 0.0
    expires_at: float = 0.0
    expired: bool = False
    slow: bool = False
    gone: bool = False
    skipped: dict[Skip, Skipped] = field(default_factory=dict)
    occasion: str = ""
    wanted: deque[str] = field(default_factory=deque)
