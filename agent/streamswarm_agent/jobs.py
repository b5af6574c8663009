"""One assignment as the schedule keeps it: what of it is due, waits, or is under way."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from streamswarm_agent.plan import Plan, Skip, Skipped, store_nothing


@dataclass(slots=True)
class LaneState:
    """A lane: how many runs may be under way in it, how many are, and the jobs that wait, in their order."""

    limit: int
    running: int = 0
    queue: deque["Job"] = field(default_factory=deque)


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
        expires_at: when the run's time is up, monotonic seconds.
        expired: the run was cancelled because its time was up.
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
    expires_at: float = 0.0
    expired: bool = False
    gone: bool = False
    skipped: dict[Skip, Skipped] = field(default_factory=dict)
    occasion: str = ""
    wanted: deque[str] = field(default_factory=deque)
