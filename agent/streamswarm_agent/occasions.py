"""Begins and ends what a calendar or a person says: cron, one-offs, tests of limited duration, runs on request.

Moments are those of the wall clock, looked at again every few seconds, so that a clock that is set, or a host that
slept, is noticed soon; how long something goes on is counted by the monotonic clock. Each occasion is begun at most
once, whoever restarts. One that was missed is begun late within its grace, and says so; else it is reported as missed,
and counted in the measurement `run`.
"""

import asyncio
import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice
from typing import Final

from pydantic import ValidationError

from streamswarm_agent.plan import Skip
from streamswarm_agent.runbook import RunBook, record_id
from streamswarm_agent.runfile import Handled
from streamswarm_agent.schedule import Scheduler
from streamswarm_core.assignment import Assignment, AssignmentSet, RunKind, RunRequest, RunStatus
from streamswarm_core.clock import now
from streamswarm_core.schedule import (
    ALWAYS,
    CronSchedule,
    IntervalSchedule,
    OnceSchedule,
    Recurrence,
    Schedule,
    is_always,
    next_occasion,
    occasions,
    read_schedule,
)

log = logging.getLogger(__name__)

_LOOK_SECONDS: Final = 5.0
_LATE_SECONDS: Final = 2.0
_MOST_MISSED: Final = 1_000
_MOST_MISSED_REPORTED: Final = 10
_CLOCK_WAS_WRONG: Final = timedelta(days=1)


@dataclass(slots=True)
class _Entry:
    """An assignment that waits for its moments.

    Attributes:
        assignment: what it is.
        schedule: when.
        due: its next moment, wall clock; None if there is none.
        session: the record it is going on for now.
        until: monotonic end of that; None if it goes on.
    """

    assignment: Assignment
    schedule: Schedule
    due: datetime | None = None
    session: str = ""
    until: float | None = None


class Occasions:
    """Tells the scheduler what to start when.

    Args:
        scheduler: starts the runs.
        book: the run records.
        wall: the wall clock.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        scheduler: Scheduler,
        book: RunBook,
        wall: Callable[[], datetime] = now,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scheduler = scheduler
        self._book = book
        self._wall = wall
        self._clock = clock
        self._entries: dict[str, _Entry] = {}
        self._known: dict[str, Assignment] = {}
        self._changed = asyncio.Event()
        self._starts: list[Callable[[], None]] = []
        self._looked_at = wall()
        self._starting = True

    def update(self, fresh: AssignmentSet) -> None:
        """Take what the scheduler has just taken, and what was asked for with it."""
        known = {assignment.id: assignment for assignment in fresh.assignments}
        for assignment_id, before in self._known.items():
            if known.get(assignment_id) != before:
                self._leave(assignment_id, known.get(assignment_id))
        for assignment_id, assignment in known.items():
            if self._known.get(assignment_id) != assignment:
                self._enter(assignment)
        self._known = known
        self._starting = False
        self._book.forget_gone(known)
        for record in fresh.stop:
            self._stop(record)
        for request in fresh.run_now:
            self._take_request(request)
        self.look()
        self._changed.set()

    async def run_forever(self) -> None:
        """Begin and end what is due."""
        while True:
            self.look()
            self._changed.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._pause()):
                    await self._changed.wait()

    def look(self) -> None:
        """Begin and end what is due by now."""
        moment, clock = self._wall(), self._clock()
        if moment < self._looked_at - _CLOCK_WAS_WRONG:
            self._look_again(moment)
        self._looked_at = moment
        for entry in self._entries.values():
            if entry.session and self._is_over(entry, moment, clock):
                self._end_session(entry)
            if entry.due is not None and moment >= entry.due:
                self._begin_due(entry, moment)
        self._start()

    def _start(self) -> None:
        """Begin what was decided on, once that is on disk: one write for all that comes together."""
        if self._book.changed:
            self._book.save()
        starts, self._starts = self._starts, []
        for start in starts:
            start()

    def _pause(self) -> float | None:
        """Seconds until something has to be looked at; None if nothing has until something changes."""
        if not self._entries:
            return None
        moment, clock = self._wall(), self._clock()
        waits = [(entry.due - moment).total_seconds() for entry in self._entries.values() if entry.due]
        waits += [entry.until - clock for entry in self._entries.values() if entry.until is not None]
        return max(0.0, min([_LOOK_SECONDS, *waits]))

    def _look_again(self, moment: datetime) -> None:
        """The clock was far ahead, and moments were passed over that are yet to come."""
        for entry in self._entries.values():
            if isinstance(entry.schedule, CronSchedule):
                entry.due = next_occasion(entry.schedule, moment)

    # What there is

    def _enter(self, assignment: Assignment) -> None:
        try:
            schedule = read_schedule(assignment.schedule)
        except ValidationError:
            return  # its plan refuses it, with the reason
        if is_always(schedule):
            record = record_id(assignment.id, assignment.generation)
            self._book.open(record, assignment.id, RunKind.SCHEDULED, generation=assignment.generation)
            return
        entry = self._entries[assignment.id] = _Entry(assignment, schedule)
        handled = self._handled(entry)
        if isinstance(schedule, CronSchedule):
            self._go_on(entry)
            after = handled.moment if handled else self._wall()
            if not self._starting or handled is None:
                # Only what came while this process was away was missed, not what came while the test was paused.
                after = max(after, self._wall())
                self._book.handle(assignment.id, assignment.generation, after)
            entry.due = next_occasion(schedule, after)
        elif handled is not None and handled.generation == assignment.generation:
            self._go_on(entry)
        elif isinstance(schedule, OnceSchedule):
            entry.due = schedule.at.astimezone(UTC)
        else:
            entry.due = schedule.start.astimezone(UTC) if schedule.start else self._wall()

    def _handled(self, entry: _Entry) -> Handled | None:
        """What was handled last, unless it lies in a future that a wrong clock has shown."""
        handled = self._book.handled(entry.assignment.id)
        if handled is not None and handled.moment > self._wall() + _CLOCK_WAS_WRONG:
            return None
        return handled

    def _go_on(self, entry: _Entry) -> None:
        """Take up what was going on when the agent stopped, or the assignment was taken away for a while."""
        for record in self._book.of(entry.assignment.id):
            if record.single or record.generation != entry.assignment.generation:
                continue
            if record.ends_at is None:
                if isinstance(entry.schedule, IntervalSchedule):
                    self._open_session(entry, record.report.id, record.report.kind, None)
            elif record.ends_at > self._wall():
                self._open_session(entry, record.report.id, record.report.kind, record.ends_at)
            elif not self._keeps_open(entry):
                self._book.close(record.report.id, RunStatus.DONE, at=record.ends_at)

    def _leave(self, assignment_id: str, successor: Assignment | None) -> None:
        """The assignment is gone or changed; a restart ends what was open before it."""
        entry = self._entries.pop(assignment_id, None)
        if entry is not None and entry.session:
            self._scheduler.shut(assignment_id)
        if successor is not None:
            for record in self._book.of(assignment_id):
                if record.generation != successor.generation:
                    self._book.close(record.report.id, RunStatus.STOPPED, "the test was restarted or changed")
        self._book.leave(assignment_id)

    # Moments

    def _begin_due(self, entry: _Entry, moment: datetime) -> None:
        """The moment has come, or some have passed; the newest counts, within its grace."""
        assignment, schedule, due = entry.assignment, entry.schedule, entry.due
        assert due is not None  # noqa: S101 - for the type checker: asked for by the caller
        entry.due = None
        if isinstance(schedule, CronSchedule):
            passed = [due, *islice(_until(occasions(schedule, due), moment), _MOST_MISSED)]
            due = passed.pop()
            self._miss(entry, passed, "a later start had come by then")
            entry.due = next_occasion(schedule, max(due, moment))
        self._book.handle(assignment.id, assignment.generation, due)
        late = (moment - due).total_seconds()
        if isinstance(schedule, IntervalSchedule):
            if schedule.until is None or moment < schedule.until:
                self._begin(entry, self._scheduled(entry, due), RunKind.SCHEDULED, due, moment, "")
            return
        if late > max(schedule.grace, schedule.duration or 0.0):
            self._miss(entry, [due], f"the agent was away, or its clock was wrong, until {late:.0f} s after it")
        elif entry.session:
            self._miss(entry, [due], "the one before was still going on")
        else:
            said = f"began {late:.0f} s late" if late > _LATE_SECONDS else ""
            self._begin(entry, self._scheduled(entry, due), RunKind.SCHEDULED, due, moment, said)

    def _miss(self, entry: _Entry, missed: Sequence[datetime], why: str) -> None:
        if not missed:
            return
        assignment = entry.assignment
        self._scheduler.skip(assignment.id, Skip.MISSED, why, len(missed))
        for due in missed[-_MOST_MISSED_REPORTED:]:
            record = record_id(assignment.id, assignment.generation, due)
            self._book.miss(record, assignment.id, RunKind.SCHEDULED, due, why)

    def _scheduled(self, entry: _Entry, due: datetime) -> str:
        """The id of the record that a start belongs to."""
        assignment = entry.assignment
        one = isinstance(entry.schedule, IntervalSchedule) or entry.schedule.recurrence is Recurrence.CONTINUE
        return record_id(assignment.id, assignment.generation, None if one else due)

    def _keeps_open(self, entry: _Entry) -> bool:
        """Whether further starts go on with the same record."""
        return isinstance(entry.schedule, CronSchedule) and entry.schedule.recurrence is Recurrence.CONTINUE

    def _begin(
        self, entry: _Entry, record: str, kind: RunKind, due: datetime | None, moment: datetime, said: str
    ) -> None:
        """Begin an occasion: one run, or runs for a while."""
        assignment, schedule = entry.assignment, entry.schedule
        goes_on = isinstance(schedule, IntervalSchedule) and kind is RunKind.SCHEDULED
        if not goes_on and (schedule.duration is None or isinstance(schedule, IntervalSchedule)):
            single = kind is RunKind.MANUAL or not self._keeps_open(entry)
            self._book.open(
                record, assignment.id, kind, single=single, due_at=due, generation=assignment.generation, error=said
            )
            self._starts.append(partial(self._scheduler.run_once, assignment.id, record))
            return
        ends_at = None
        if schedule.duration is not None:
            length = timedelta(seconds=schedule.duration)
            # What begins late ends when it would have, unless there is nothing left of it.
            ends_at = due + length if due is not None and due + length > moment else moment + length
        if isinstance(schedule, IntervalSchedule) and schedule.until is not None:
            ends_at = min(ends_at, schedule.until) if ends_at else schedule.until
        self._book.open(
            record, assignment.id, kind, due_at=due, ends_at=ends_at, generation=assignment.generation, error=said
        )
        self._open_session(entry, record, kind, ends_at)

    def _open_session(self, entry: _Entry, record: str, kind: RunKind, ends_at: datetime | None) -> None:
        entry.session = record
        known = self._book.find(record)
        if known is not None:
            known.ends_at = ends_at
        self._book.open(record, entry.assignment.id, kind)
        entry.until = None if ends_at is None else self._clock() + (ends_at - self._wall()).total_seconds()
        self._starts.append(partial(self._open, entry))

    def _open(self, entry: _Entry) -> None:
        if entry.session:
            self._scheduler.open(entry.assignment.id)

    def _is_over(self, entry: _Entry, moment: datetime, clock: float) -> bool:
        # `until` of an interval is a moment, so the wall clock decides; a duration is a duration.
        schedule = entry.schedule
        if isinstance(schedule, IntervalSchedule) and schedule.until is not None and moment >= schedule.until:
            return True
        return entry.until is not None and clock >= entry.until

    def _end_session(self, entry: _Entry, status: RunStatus = RunStatus.DONE) -> None:
        record, entry.session, entry.until = entry.session, "", None
        self._scheduler.shut(entry.assignment.id)
        known = self._book.find(record)
        scheduled = known is not None and known.report.kind is RunKind.SCHEDULED
        if status is RunStatus.DONE and scheduled and self._keeps_open(entry):
            return
        self._book.close(record, status)

    # Requests

    def _take_request(self, request: RunRequest) -> None:
        if not self._book.asked(request.id, request.expires_at):
            return
        assignment = self._known.get(request.assignment_id)
        moment = self._wall()
        if moment > request.expires_at:
            why = f"the agent heard of it at {moment:%H:%M:%S} UTC, too late"
            self._book.miss(request.id, request.assignment_id, RunKind.MANUAL, None, why)
        elif assignment is None:
            why = "the agent doesn't have this test"
            self._book.miss(request.id, request.assignment_id, RunKind.MANUAL, None, why)
        else:
            entry = self._entries.get(assignment.id) or _Entry(assignment, ALWAYS)
            if entry.session and not isinstance(entry.schedule, IntervalSchedule):
                why = "it was going on already; restart it to begin anew"
                self._book.miss(request.id, assignment.id, RunKind.MANUAL, None, why)
            else:
                self._begin(entry, request.id, RunKind.MANUAL, None, moment, "")

    def _stop(self, record: str) -> None:
        known = self._book.find(record)
        if known is None:
            return
        entry = self._entries.get(known.report.assignment_id)
        self._book.close(record, RunStatus.STOPPED)
        if entry is not None and entry.session == record:
            self._end_session(entry, RunStatus.STOPPED)
        self._scheduler.cancel(known.report.assignment_id, record if known.single else "")


def _until(moments: Iterable[datetime], last: datetime) -> Iterable[datetime]:
    """Those that have come."""
    for moment in moments:
        if moment > last:
            return
        yield moment
