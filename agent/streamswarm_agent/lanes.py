"""What may be under way together: runs in each lane, what the budget allows, and a quiet link for who fills it."""

import asyncio
import contextlib
import logging
import math
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Final

from streamswarm_agent.budget import Budget
from streamswarm_agent.jobs import Job, LaneState
from streamswarm_agent.plan import Skip
from streamswarm_core.probespecs.demand import Lane

log = logging.getLogger(__name__)

_LONG_SECONDS: Final = 2.0
"""A run that lasts so long is waited for until its end, such as a call."""

_DRAIN_SECONDS: Final = 5.0
"""What should take a moment is waited for so long: some slow target isn't to keep the others from being measured."""

_BUSY_RETRY_SECONDS: Final = 5.0


class Lanes:
    """The lanes of one schedule.

    Args:
        limits: runs under way at the same time in a lane; a lane without one has no limit.
        budget: what the runs may put on the link.
        link_busy: says why the link is busy, or None if it isn't; asked before a run of the exclusive lane.
    """

    def __init__(
        self, limits: Mapping[Lane, int], budget: Budget, link_busy: Callable[[], Awaitable[str | None]]
    ) -> None:
        self._budget = budget
        self._link_busy = link_busy
        self._lanes = {lane: LaneState(limits.get(lane, 2**31)) for lane in Lane}
        self._exclusive = asyncio.Lock()
        self._held_back = math.inf
        self._with_target: set[Job] = set()
        self._left = asyncio.Event()

    def __getitem__(self, lane: Lane) -> LaneState:
        return self._lanes[lane]

    @property
    def waiting(self) -> int:
        """Jobs that are due and wait for budget, lane or a bandwidth test."""
        return sum(map(len, self._lanes.values()))

    def admit(self, job: Job) -> Skip | None:
        """Let a job start, which takes its cost from the budget; or say what keeps it from that now."""
        lane, plan = job.lane, job.plan
        if plan.lasts >= self._held_back and plan.has_target:
            return Skip.EXCLUSIVE
        if lane.running >= lane.limit:
            return Skip.CONCURRENCY
        if not self._budget.take(plan.cost):
            return Skip.BUDGET
        lane.running += 1
        if plan.has_target:
            self._with_target.add(job)
        return None

    def take_ready(self) -> Iterator[Job]:
        """Admit the waiting jobs that nothing keeps from starting any more; in each lane in turn."""
        for lane in self._lanes.values():
            while len(lane):
                job = lane.next
                job.waits_for = self.admit(job)
                if job.waits_for is not None:
                    break
                yield lane.take()

    def leave(self, job: Job) -> None:
        """The run of a job that was admitted has ended."""
        job.lane.running -= 1
        self._with_target.discard(job)
        self._left.set()

    @contextlib.asynccontextmanager
    async def quiet(self, job: Job) -> AsyncIterator[None]:
        """Wait for a quiet link, and keep away from it what has a target; one job at a time."""
        job.waits_for = Skip.EXCLUSIVE
        async with self._exclusive:
            job.waits_for = Skip.LINK_BUSY
            while (busy := await self._link_busy()) is not None:
                log.info("%s waits: %s", job.plan.assignment.test, busy)
                await asyncio.sleep(_BUSY_RETRY_SECONDS)
            job.waits_for = Skip.EXCLUSIVE
            try:
                # While a call goes on for a minute, short runs need not stand still.
                await self._drain(_LONG_SECONDS, wait=None)
                await self._drain(0.0, wait=_DRAIN_SECONDS)
                job.waits_for = None
                yield
            finally:
                self._held_back = math.inf

    async def _drain(self, lasting: float, *, wait: float | None) -> None:
        """Keep back the runs that have a target and last so long, and wait for those under way, at most `wait` seconds.

        Each has a time limit of its own.
        """
        self._held_back = lasting
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait):
                while any(job.plan.lasts >= lasting for job in self._with_target):
                    self._left.clear()
                    await self._left.wait()
