"""When assignments run: one dispatcher for all.

What keeps a run from starting delays no other: a run that is still going when its next start comes, a lane without a
free place, a used-up budget, a bandwidth test. A start that comes to nothing is counted with its reason, for each
assignment; none is passed over silently.
"""

import asyncio
import contextlib
import logging
import math
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from functools import partial
from typing import Final

from streamswarm_agent.budget import Budget
from streamswarm_agent.grid import FINEST_STEP, GRID_SECONDS, choose_step, next_line
from streamswarm_agent.jobs import Job
from streamswarm_agent.lanes import Lanes
from streamswarm_agent.plan import WAITS, Plan, ScheduleCounts, Skip, Skipped
from streamswarm_agent.runs import Runs, Watcher
from streamswarm_agent.timetable import Timetable
from streamswarm_core.assignment import Assignment
from streamswarm_core.probespecs.demand import Lane
from streamswarm_core.schedule import is_always

log = logging.getLogger(__name__)

_RETRY_SECONDS: Final = 0.025
_FIRST_WITHIN_SECONDS: Final = 2.0
_FIRST_RUNS_PER_SECOND: Final = 100


class Scheduler:
    """Keeps the assignments running.

    An assignment whose schedule is `always` starts in each interval. Of another somebody else says when: `open` and
    `shut` make it start in each interval for a while, `run_once` makes it start once, whether it is open or not.

    Args:
        plan: makes an assignment ready; called once for each that is new or has changed.
        budget: what the runs may put on the link.
        limits: runs under way at the same time in a lane; a lane without one has no limit.
        link_busy: says why the link is busy, or None if it isn't; asked before a run of the exclusive lane.
        watcher: hears of the runs that `run_once` asked for.
    """

    def __init__(
        self,
        plan: Callable[[Assignment], Plan],
        *,
        budget: Budget,
        limits: Mapping[Lane, int],
        link_busy: Callable[[], Awaitable[str | None]],
        watcher: Watcher | None = None,
    ) -> None:
        self._plan = plan
        self._watcher = watcher
        self._budget = budget
        self._timetable: Timetable[Job] = Timetable()
        self._jobs: dict[str, Job] = {}
        self._lanes = Lanes(limits, budget, link_busy)
        self._finishing: set[Job] = set()
        self._step = choose_step(())
        self._timer: asyncio.TimerHandle | None = None
        self.counts = ScheduleCounts()
        self._runs = Runs(time.monotonic, self.counts, ended=self._take_end, sooner=self._look_sooner, watcher=watcher)

    def __len__(self) -> int:
        return len(self._jobs)

    @property
    def waiting(self) -> int:
        """Runs that are due and wait for budget, lane or a bandwidth test."""
        return self._lanes.waiting

    @property
    def refused(self) -> Mapping[str, str]:
        """The assignments that never run, by test, and why."""
        return {job.plan.assignment.test: job.refusal[1] for job in self._jobs.values() if job.refusal}

    @property
    def skipped(self) -> Iterable[Skipped]:
        """The starts that came to nothing, by assignment and reason."""
        return (skipped for job in self._jobs.values() for skipped in job.skipped.values())

    def update(self, assignments: Iterable[Assignment], *, finish: bool = False) -> None:
        """Start what is new, stop what is gone, restart what has changed; leave the rest alone.

        Args:
            assignments: all that are to run.
            finish: let runs of what is gone come to their end.
        """
        wanted = {assignment.id: assignment for assignment in assignments}
        for assignment_id, job in list(self._jobs.items()):
            if wanted.get(assignment_id) == job.plan.assignment:
                continue
            if finish and job.running:
                self._refuse_wanted(job)
                self._finishing.add(job)
                self._timetable.remove(assignment_id)
                del self._jobs[assignment_id]
            else:
                self._drop(assignment_id, job)
        fresh = [assignment for key, assignment in wanted.items() if key not in self._jobs]
        # Spread over more than a moment if they are many.
        within = max(_FIRST_WITHIN_SECONDS, len(fresh) / _FIRST_RUNS_PER_SECOND)
        now = time.monotonic()
        for assignment in fresh:
            job = self._jobs[assignment.id] = self._make(assignment)
            if is_always(job.plan.schedule):
                self._timetable.add(assignment.id, job, assignment.interval, now, within=within)
        self._jobs = {key: self._jobs[key] for key in wanted}
        self._refuse()
        self._step = choose_step([job.plan.assignment.interval for job in self._jobs.values()])
        self._arm(afresh=True)

    def _make(self, assignment: Assignment) -> Job:
        plan = self._plan(assignment)
        job = Job(plan, self._lanes[plan.lane])
        job.report = partial(self._runs.take_report, job)
        return job

    def open(self, assignment_id: str) -> None:
        """Start an assignment in each interval from now on."""
        job = self._jobs.get(assignment_id)
        if job is not None and assignment_id not in self._timetable:
            interval = job.plan.assignment.interval
            self._timetable.add(assignment_id, job, interval, time.monotonic(), within=_FIRST_WITHIN_SECONDS)
            self._arm(afresh=True)

    def shut(self, assignment_id: str) -> None:
        """Start an assignment no more; a run that is under way goes on."""
        self._timetable.remove(assignment_id)

    def run_once(self, assignment_id: str, occasion: str) -> None:
        """Start an assignment as soon as nothing keeps it from that, after what of it is under way or waits.

        What may run is decided as for any other start: lane, budget, a quiet link.
        """
        job = self._jobs.get(assignment_id)
        if job is None:
            self._tell_end(assignment_id, occasion, "the agent doesn't have this test")
        elif job.refusal is not None:
            self._tell_end(assignment_id, occasion, job.refusal[1])
        else:
            job.wanted.append(occasion)
            self._start_wanted(job)

    def cancel(self, assignment_id: str, occasion: str = "") -> None:
        """End the run of an assignment that is under way or waits; with an occasion only if it was asked for so."""
        job = self._jobs.get(assignment_id)
        if job is None:
            return
        if occasion and job.occasion != occasion:
            with contextlib.suppress(ValueError):
                job.wanted.remove(occasion)
            return
        self._cut(job)

    def skip(self, assignment_id: str, reason: Skip, detail: str, starts: int = 1) -> None:
        """Count starts that somebody else has passed over."""
        job = self._jobs.get(assignment_id)
        if job is not None:
            self._skip(job, reason, detail, starts)

    def _start_wanted(self, job: Job) -> None:
        """Make the next start that was asked for, if nothing of the assignment is under way or waits."""
        idle = not job.running and job.task is None and job.waits_for is None
        if job.wanted and idle and not job.gone:
            job.occasion = job.wanted.popleft()
            self._try_start(job, time.monotonic())
            self._arm(afresh=True)

    def _tell_end(self, assignment_id: str, occasion: str, problem: str) -> None:
        if self._watcher is not None:
            self._watcher.ended(assignment_id, occasion, problem)

    async def close(self) -> None:
        """Stop everything and wait until it has stopped."""
        for assignment_id, job in list(self._jobs.items()):
            self._drop(assignment_id, job)
        for job in list(self._finishing):
            self._stop(job)
        if self._timer is not None:
            self._timer.cancel()
        await self._runs.close()

    def _drop(self, assignment_id: str, job: Job) -> None:
        self._stop(job)
        self._timetable.remove(assignment_id)
        del self._jobs[assignment_id]

    def _stop(self, job: Job) -> None:
        job.gone = True
        self._refuse_wanted(job)
        self._cut(job)

    def _refuse_wanted(self, job: Job) -> None:
        while job.wanted:
            self._tell_end(job.plan.assignment.id, job.wanted.popleft(), "")

    def _cut(self, job: Job) -> None:
        """End the run that is under way or waits."""
        self._runs.cut(job)
        if job.lane.drop(job):
            job.waits_for = None
            self._let_go(job)

    def _refuse(self) -> None:
        """Decide which of the assignments can never run."""
        able = {key: job for key, job in self._jobs.items() if not job.plan.impossible}
        over = self._budget.refuse((key, job.plan.demand) for key, job in able.items())
        for key, job in self._jobs.items():
            if job.plan.impossible:
                job.refusal = (Skip.UNKNOWN_PROBE, job.plan.impossible)
            else:
                job.refusal = (Skip.OVER_BUDGET, over[key]) if key in over else None

    def _arm(self, *, afresh: bool = False) -> None:
        """Set the timer to the line of the time grid behind what comes next."""
        if self._timer is not None:
            if not afresh:
                return
            self._timer.cancel()
            self._timer = None
        now, lines = time.monotonic(), []
        if (start := self._timetable.next_at) is not None:
            # It may be on a line itself, which is then the one to wake up on.
            lines.append(next_line(max(now, start - FINEST_STEP / 2), self._step))
        step = min(self._step, GRID_SECONDS)
        if (look_at := self._runs.look_at) < math.inf:
            lines.append(next_line(max(now, look_at), step))
        if self.waiting:
            lines.append(next_line(now + _RETRY_SECONDS, step))
        if lines:
            self._timer = asyncio.get_running_loop().call_later(min(lines) - now, self._tick)

    def _tick(self) -> None:
        self._timer = None
        now = time.monotonic()
        self._budget.refill()
        self._start_waiting()
        for start in self._timetable.take_due(now):
            job = start.item
            if start.missed:
                self._skip(job, Skip.LATE, "the agent was too busy, or stood still", start.missed)
            if job.refusal is not None:
                self._skip(job, *job.refusal)
            elif job.waits_for is not None:
                self._skip(job, job.waits_for, WAITS[job.waits_for])
            elif job.running or job.task is not None:
                self._skip(job, Skip.OVERRUN, "the run before was still going")
            else:
                self._try_start(job, start.at)
        if now >= self._runs.look_at:
            self._runs.expire(now)
        self._arm()

    def _look_sooner(self) -> None:
        if self._timer is not None:
            self._arm(afresh=True)

    def _try_start(self, job: Job, due_at: float) -> None:
        """Start a job that is idle, or let it wait."""
        job.due_at = due_at
        if job.plan.lane is Lane.EXCLUSIVE:
            job.task = asyncio.get_running_loop().create_task(self._run_apart(job))
        elif (obstacle := self._lanes.admit(job)) is None:
            self._runs.start(job)
        else:
            job.waits_for = obstacle
            job.lane.wait(job)

    def _start_waiting(self) -> None:
        for job in self._lanes.take_ready():
            self.counts.deferred += 1
            self._runs.start(job)

    async def _run_apart(self, job: Job) -> None:
        """Run on a quiet link while no run with a target is under way, one at a time."""
        job.begun = True
        try:
            async with self._lanes.quiet(job):
                # It waited for the link, not for the agent: that is no lag.
                job.due_at = time.monotonic()
                await self._runs.run(job)
        finally:
            job.waits_for = None
            self._runs.end(job)
            self._start_waiting()

    def _take_end(self, job: Job) -> None:
        """A run has ended: another may have its place."""
        self._finishing.discard(job)
        if job.occasion or job.wanted:
            self._let_go(job)
        if job.plan.lane is Lane.EXCLUSIVE:
            return
        self._lanes.leave(job)
        if len(job.lane):
            self._start_waiting()

    def _let_go(self, job: Job) -> None:
        """The run that somebody asked for is over; the next comes when this one is quite done."""
        if job.occasion:
            occasion, job.occasion = job.occasion, ""
            self._tell_end(job.plan.assignment.id, occasion, "")
        if job.wanted:
            asyncio.get_running_loop().call_soon(self._start_wanted, job)

    def _skip(self, job: Job, reason: Skip, detail: str, starts: int = 1) -> None:
        skipped = job.skipped.get(reason)
        if skipped is None:
            log.warning("%s is not started (%s): %s", job.plan.assignment.test, reason, detail)
            skipped = job.skipped[reason] = Skipped(job.plan.assignment, reason)
        skipped.starts += starts
        skipped.detail = detail
        self.counts.skipped += starts
        if reason is Skip.OVERRUN:
            self.counts.overruns += starts
