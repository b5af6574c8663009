"""Runs assignments on a monotonic schedule.

Each assignment has its own task and its own phase, a hash of its id, so that many assignments with the same interval
don't start at the same moment, and a restart doesn't move them. A run that is still going when the next is due makes
that one an overrun, which is counted; the schedule itself never drifts, and steps of the wall clock don't touch it.
"""

import asyncio
import hashlib
import logging
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from typing import Final

from streamswarm_core.assignment import Assignment

log = logging.getLogger(__name__)

_PHASE_RESOLUTION: Final = 2**32


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


@dataclass(slots=True)
class ScheduleCounts:
    """What the scheduler did since it started."""

    runs: int = 0
    overruns: int = 0


@dataclass(slots=True)
class _Entry:
    assignment: Assignment
    task: asyncio.Task[None]


Run = Callable[[Assignment], Awaitable[None]]


class Scheduler:
    """Keeps the tasks of the assignments.

    Args:
        run: carries one run out and stores what it measured; it must not raise for what a network can do.
        concurrency: runs under way at the same time.
        clock: monotonic seconds.
    """

    def __init__(self, run: Run, *, concurrency: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._run = run
        self._slots = asyncio.Semaphore(concurrency)
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self.counts = ScheduleCounts()

    def __len__(self) -> int:
        return len(self._entries)

    def update(self, assignments: Iterable[Assignment]) -> None:
        """Start what is new, stop what is gone, restart what has changed; leave the rest alone."""
        wanted = {assignment.id: assignment for assignment in assignments}
        for assignment_id, entry in list(self._entries.items()):
            if wanted.get(assignment_id) != entry.assignment:
                entry.task.cancel()
                del self._entries[assignment_id]
        for assignment_id, assignment in wanted.items():
            if assignment_id not in self._entries:
                task = asyncio.create_task(self._keep_running(assignment), name=f"assignment {assignment.test}")
                self._entries[assignment_id] = _Entry(assignment, task)

    async def close(self) -> None:
        """Stop everything and wait until it has stopped."""
        tasks = [entry.task for entry in self._entries.values()]
        self._entries.clear()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _keep_running(self, assignment: Assignment) -> None:
        interval = assignment.interval
        # The first run starts soon after the assignment is known, spread over a short interval.
        start = next_start(assignment.id, min(interval, 2.0), self._clock())
        current: asyncio.Task[None] | None = None
        try:
            while True:
                await asyncio.sleep(max(0.0, start - self._clock()))
                if current is not None and not current.done():
                    self.counts.overruns += 1
                    log.warning("%s: the run before is still going; this one is not started", assignment.test)
                else:
                    current = asyncio.create_task(self._bounded_run(assignment))
                start = next_start(assignment.id, interval, self._clock())
        finally:
            if current is not None:
                current.cancel()
                await asyncio.wait([current])

    async def _bounded_run(self, assignment: Assignment) -> None:
        async with self._slots:
            await self._run(assignment)
            self.counts.runs += 1
