"""The agent's run records: what it runs by schedule or by request, what came of it, and what was said of it already.

A record stands for an occasion, not for each run of the probe: those are points in the store. A test that goes on for
ever has one open record. What must not happen twice is written to disk before it is done: that a run was asked for,
that a moment of a calendar has come. Whoever takes note of such a thing calls `save`, once for many. Counts and ends
are written now and then; a kill can lose the last of them.
"""

import hashlib
import logging
from collections.abc import Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from streamswarm_agent.runfile import ERROR_LENGTH, MOST_KEPT, Handled, Record, RunFile
from streamswarm_core.assignment import MOST_REPORTS, RunKind, RunReport, RunStatus
from streamswarm_core.clock import now

log = logging.getLogger(__name__)

_KEEP_REQUESTS: Final = timedelta(days=1)


def record_id(assignment_id: str, generation: int, moment: datetime | None = None) -> str:
    """The same for the same occasion, so that it is never reported as two, whoever restarts.

    >>> record_id("a", 1) == record_id("a", 1) != record_id("a", 2)
    True
    """
    name = f"{assignment_id} {generation} {moment.timestamp() if moment else ''}"
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


class RunBook:
    """The run records of one agent.

    Args:
        path: where they are kept.

    Attributes:
        changed: whether something that must not be forgotten is not on disk yet.
    """

    def __init__(self, path: Path) -> None:
        self._file = RunFile(path)
        self._state = self._file.read()
        self._sessions: dict[str, Record] = {}
        self._current: dict[str, str] = {}
        self.changed = False
        self._of: dict[str, list[str]] = {}
        for key, known in self._state.open.items():
            self._of.setdefault(known.report.assignment_id, []).append(key)
        for record in [one for one in self._state.open.values() if one.single]:
            self.close(record.report.id, RunStatus.FAILED, "the agent stopped during the run")

    def __len__(self) -> int:
        return len(self._state.open)

    @property
    def unsent(self) -> bool:
        """Whether a record has begun or ended since it was reported."""
        return bool(self._state.unsent)

    def asked(self, request_id: str, expires_at: datetime) -> bool:
        """Take note of a run that was asked for; False if it was asked for before."""
        if request_id in self._state.requests:
            return False
        cutoff = now() - _KEEP_REQUESTS
        self._state.requests = {key: until for key, until in self._state.requests.items() if until > cutoff}
        self._state.requests[request_id] = expires_at
        self._state.touch("requests", request_id)
        self.changed = True
        return True

    def handled(self, assignment_id: str) -> Handled | None:
        """The newest occasion that was begun or given up."""
        return self._state.handled.get(assignment_id)

    def handle(self, assignment_id: str, generation: int, moment: datetime) -> None:
        """Take note that an occasion is begun or given up."""
        self._state.handle(assignment_id, Handled(generation, moment))
        self._state.touch("handled", assignment_id)
        self.changed = True

    def find(self, record: str) -> Record | None:
        """An open record."""
        return self._state.open.get(record)

    def of(self, assignment_id: str) -> list[Record]:
        """The open records of an assignment."""
        return [self._state.open[record] for record in self._of.get(assignment_id, ())]

    def open(
        self,
        record: str,
        assignment_id: str,
        kind: RunKind,
        *,
        single: bool = False,
        due_at: datetime | None = None,
        ends_at: datetime | None = None,
        generation: int = 1,
        error: str = "",
    ) -> None:
        """Begin a record, or go on with one that is open; if not `single` the assignment's runs belong to it."""
        if record not in self._state.open:
            report = RunReport(
                id=record,
                assignment_id=assignment_id,
                kind=kind,
                status=RunStatus.RUNNING,
                due_at=due_at,
                started_at=now(),
                error=error[:ERROR_LENGTH],
            )
            self._state.open[record] = Record(report, single, ends_at, generation)
            self._of.setdefault(assignment_id, []).append(record)
            self._tell(report)
            self.changed = True
        self._state.touch("open", record)
        if not single:
            self._sessions[assignment_id] = self._state.open[record]

    def miss(self, record: str, assignment_id: str, kind: RunKind, due_at: datetime | None, error: str) -> None:
        """Take note of an occasion that comes to nothing."""
        self._tell(
            RunReport(
                id=record,
                assignment_id=assignment_id,
                kind=kind,
                status=RunStatus.MISSED,
                due_at=due_at,
                finished_at=now(),
                error=error[:ERROR_LENGTH],
            )
        )

    def begun(self, assignment_id: str, record: str) -> None:
        """A run of this record is under way, whatever else the assignment's runs belong to."""
        self._current[assignment_id] = record

    def ended(self, assignment_id: str, record: str, problem: str) -> None:
        """A run of this record has ended, or never began because of a problem; a single run's record ends with it."""
        self._current.pop(assignment_id, None)
        known = self._state.open.get(record)
        if known is None or not known.single:
            return
        if problem:
            self.close(record, RunStatus.FAILED, problem)
        elif not known.executions:
            self.close(record, RunStatus.STOPPED, "ended before there was a result")
        else:
            self.close(record, RunStatus.FAILED if known.failures else RunStatus.DONE)

    def note(self, assignment_id: str, problem: str = "") -> None:
        """A run of the probe has ended: with a problem, or with its target up."""
        record = self._current.get(assignment_id)
        known = self._sessions.get(assignment_id) if record is None else self._state.open.get(record)
        if known is None:
            return
        known.executions += 1
        if problem:
            known.failures += 1
            known.problem = problem

    def leave(self, assignment_id: str) -> None:
        """The assignment's runs belong to no record any more; it stays open, to be gone on with or not."""
        self._sessions.pop(assignment_id, None)

    def close(self, record: str, status: RunStatus, error: str = "", *, at: datetime | None = None) -> None:
        """End a record; one that is not open is left alone."""
        known = self._state.open.pop(record, None)
        if known is None:
            return
        report = known.told()
        self._of[report.assignment_id].remove(record)
        if self._sessions.get(report.assignment_id) is known:
            del self._sessions[report.assignment_id]
        report.status, report.finished_at = status, at or now()
        report.error = (error or report.error)[:ERROR_LENGTH]
        self._state.touch("open", record)
        self._tell(report)
        self.changed = True

    def _tell(self, report: RunReport) -> None:
        """Have a report said; of too many that nobody takes the oldest are forgotten."""
        unsent = self._state.unsent
        unsent[report.id] = report
        self._state.touch("unsent", report.id)
        while len(unsent) > MOST_KEPT:
            oldest = next(iter(unsent))
            del unsent[oldest]
            self._state.touch("unsent", oldest)

    def to_report(self, *, progress: bool) -> list[RunReport]:
        """What is to be said next: what has begun or ended, then, if asked, what has gone on."""
        if progress:
            for key, record in self._state.open.items():
                if record.executions != record.said:
                    self._state.unsent[key] = record.told()
                    record.said = record.executions
                    self._state.touch("open", key)
                    self._state.touch("unsent", key)
        return [report.model_copy() for report in list(self._state.unsent.values())[:MOST_REPORTS]]

    def reported(self, reports: Iterable[RunReport]) -> None:
        """These have arrived; what has changed since then is said again."""
        for report in reports:
            if self._state.unsent.get(report.id) == report:
                del self._state.unsent[report.id]
                self._state.touch("unsent", report.id)

    def forget_gone(self, assignment_ids: Iterable[str]) -> None:
        """Keep the open records of assignments that are gone only as far as there are few of them."""
        known = set(assignment_ids)
        gone = [key for key, record in self._state.open.items() if record.report.assignment_id not in known]
        for key in gone[: max(0, len(gone) - MOST_KEPT)]:
            self._of[self._state.open.pop(key).report.assignment_id].remove(key)
            self._state.touch("open", key)

    def save(self, *, whole: bool = False) -> None:
        """Write to disk what has changed, or everything, with counts of what goes on."""
        self._file.write(self._state, whole=whole)
        self.changed = False
