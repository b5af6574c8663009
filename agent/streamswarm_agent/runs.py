"""Runs under way, as tasks or without: each ends by itself, at its time limit, or because it is cut off."""

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any, Final, Protocol

from streamswarm_agent.faults import EXHAUSTED, Fault, from_os_error
from streamswarm_agent.jobs import Job
from streamswarm_agent.plan import ScheduleCounts
from streamswarm_core.clock import NANOSECONDS, now_ns

log = logging.getLogger(__name__)

_STOOD_STILL_SECONDS: Final = 1.0
"""A look that is so late means that the process or its host stood still. Replies may have come meanwhile."""
_GRACE_SECONDS: Final = 0.5
_SLOW_SECONDS: Final = 1.0
"""A test whose run took longer lets others go first where places are few."""
"""To read them."""


class Watcher(Protocol):
    """Hears of runs that were asked for by `Scheduler.run_once`."""

    def begun(self, assignment_id: str, occasion: str) -> None:
        """The run is under way."""

    def ended(self, assignment_id: str, occasion: str, problem: str) -> None:
        """The run has ended, or never begins because of this problem."""


class Runs:
    """The runs of one schedule.

    Args:
        clock: monotonic seconds.
        counts: those of the schedule.
        ended: is called with the job of each run that has ended.
        sooner: is called when a time limit was set that comes before `look_at`.
        watcher: hears of the runs that somebody asked for.
    """

    def __init__(
        self,
        clock: Callable[[], float],
        counts: ScheduleCounts,
        *,
        ended: Callable[[Job], None],
        sooner: Callable[[], None],
        watcher: Watcher | None,
    ) -> None:
        self._clock = clock
        self._counts = counts
        self._ended = ended
        self._sooner = sooner
        self._watcher = watcher
        self._under_way: set[Job] = set()
        self._ending: set[asyncio.Task[None]] = set()
        self._look_at = math.inf

    @property
    def look_at(self) -> float:
        """When a run's time may be up, monotonic seconds; infinite if nothing is under way."""
        return self._look_at if self._under_way else math.inf

    def start(self, job: Job) -> None:
        """Run a job that its lane has admitted."""
        if job.plan.direct is None:
            job.task = asyncio.get_running_loop().create_task(self.run(job))
            return
        self._begin(job)
        try:
            job.plan.direct.start(job.report)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged
            self._fail(job, *_mistake(job, error))
            self.end(job)

    async def run(self, job: Job) -> None:
        """One run within its time limit."""
        job.begun = True
        self._begin(job)
        try:
            await job.plan.run()
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if not job.expired or job.gone or (task is not None and task.uncancel()):
                raise
            self._fail(job, *_expiry(job))
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged
            self._fail(job, *_mistake(job, error))
        finally:
            self.end(job)

    def take_report(self, job: Job, outcome: Any) -> None:
        """The end of a run without a task."""
        try:
            job.plan.store(outcome)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is logged
            self._fail(job, *_mistake(job, error))
        self.end(job)

    def cut(self, job: Job) -> None:
        """End the run that is under way, if one is."""
        if job.task is not None:
            job.task.cancel()
            self._ending.add(job.task)
            job.task.add_done_callback(self._ending.discard)
            if not job.begun:
                self.end(job)  # a task that is cancelled before its first step never comes to its own end
        elif job.running:
            self._stop_direct(job)

    def expire(self, now: float) -> None:
        """End the runs whose time is up, and look again when the next one's may be.

        A timer for each (asyncio.timeout) costs as much as a start.
        """
        for job in [job for job in self._under_way if now >= job.expires_at]:
            if now - job.expires_at > _STOOD_STILL_SECONDS:
                job.expires_at = now + _GRACE_SECONDS
            elif job.task is not None:
                job.expired = True
                job.expires_at = math.inf
                job.task.cancel()
            else:
                self._stop_direct(job)
                self._fail(job, *_expiry(job))
        self._look_at = min((job.expires_at for job in self._under_way), default=math.inf)

    def end(self, job: Job) -> None:
        """Whatever the run came to, it is over."""
        if job.running:
            job.running = job.expired = False
            job.slow = self._clock() - job.begun_at > _SLOW_SECONDS
            self._under_way.discard(job)
            self._counts.runs += 1
        job.task, job.begun = None, False
        self._ended(job)

    async def close(self) -> None:
        """Wait for those that were cut off."""
        await asyncio.gather(*self._ending, return_exceptions=True)

    def _begin(self, job: Job) -> None:
        now = self._clock()
        self._counts.lag = max(self._counts.lag, now - job.due_at)
        job.running, job.begun_at = True, now
        job.expires_at = now + job.plan.assignment.timeout
        if job.occasion and self._watcher is not None:
            self._watcher.begun(job.plan.assignment.id, job.occasion)
        self._under_way.add(job)
        if job.expires_at < self._look_at:
            self._look_at = job.expires_at
            self._sooner()

    def _fail(self, job: Job, fault: Fault, detail: str) -> None:
        began_ns = now_ns() - round((self._clock() - job.begun_at) * NANOSECONDS)
        job.plan.fail(fault, detail, began_ns)

    def _stop_direct(self, job: Job) -> None:
        assert job.plan.direct is not None  # noqa: S101 - for the type checker: only these run without a task
        job.plan.direct.stop()
        self.end(job)


def _mistake(job: Job, error: Exception) -> tuple[Fault, str]:
    """A probe returns its faults; what it raises is a mistake in it, which must not end the agent.

    Or its host has run out of something, which can happen to any line of it.
    """
    if isinstance(error, OSError) and error.errno in EXHAUSTED:
        fault = from_os_error(error)
        log.warning("%s: %s", job.plan.assignment.test, fault.detail)
        return fault.fault, fault.detail
    log.error("%s", job.plan.assignment.test, exc_info=error)
    return Fault.INTERNAL, f"{type(error).__name__}: {error}"


def _expiry(job: Job) -> tuple[Fault, str]:
    return Fault.TIMEOUT, f"given up after {job.plan.assignment.timeout} s"
