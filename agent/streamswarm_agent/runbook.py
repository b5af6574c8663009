"""The agent's run records: what it runs by schedule or by request, what came of it, and what was said of it already.

A record stands for an occasion, not for each run of the probe: those are points in the store. A test that goes on for
ever has one open record. What must not happen twice is written to disk before it is done: that a run was asked for,
that a moment of a calendar has come. Whoever takes note of such a thing calls `save`, once for many. Counts and ends
are written now and then; a kill can lose the last of them.
"""

import hashlib
import json
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError

from streamswarm_agent.statefile import write_state
from streamswarm_core.assignment import MOST_REPORTS, RunKind, RunReport, RunStatus
from streamswarm_core.clock import now

log = logging.getLogger(__name__)

_MOST_KEPT: Final = 5_000
_KEEP_REQUESTS: Final = timedelta(days=1)
_ERROR_LENGTH: Final = 500


def record_id(assignment_id: str, generation: int, moment: datetime | None = None) -> str:
    """The same for the same occasion, so that it is never reported as two, whoever restarts.

    >>> record_id("a", 1) == record_id("a", 1) != record_id("a", 2)
    True
    """
    name = f"{assignment_id} {generation} {moment.timestamp() if moment else ''}"
    return hashlib.blake2b(name.encode(), digest_size=16).hexdigest()


@dataclass(slots=True)
class Record:
    """One run record.

    Attributes:
        report: what is said of it.
        single: one run of the probe; otherwise it goes on until it is closed.
        ends_at: when it is to end, wall clock.
        generation: of the assignment.
        executions: runs of the probe that have ended.
        failures: those with a problem.
        problem: the last one.
        said: how many runs were reported.
    """

    report: RunReport
    single: bool = False
    ends_at: datetime | None = None
    generation: int = 1
    executions: int = 0
    failures: int = 0
    problem: str = ""
    said: int = 0

    def told(self) -> RunReport:
        """The report, brought up to date; that is done when it is asked for, not for each of thousands of runs."""
        report = self.report
        report.executions, report.failures = self.executions, self.failures
        report.error = self.problem[:_ERROR_LENGTH] or report.error
        return report


@dataclass(slots=True)
class Handled:
    """The newest occasion of an assignment that was begun or given up."""

    generation: int
    moment: datetime


@dataclass(slots=True)
class _State:
    open: dict[str, Record] = field(default_factory=dict)
    handled: dict[str, Handled] = field(default_factory=dict)
    requests: dict[str, datetime] = field(default_factory=dict)
    unsent: dict[str, RunReport] = field(default_factory=dict)


class RunBook:
    """The run records of one agent.

    Args:
        path: where they are kept.

    Attributes:
        changed: whether something that must not be forgotten is not on disk yet.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._state = self._load()
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
        self.changed = True
        return True

    def handled(self, assignment_id: str) -> Handled | None:
        """The newest occasion that was begun or given up."""
        return self._state.handled.get(assignment_id)

    def handle(self, assignment_id: str, generation: int, moment: datetime) -> None:
        """Take note that an occasion is begun or given up."""
        self._state.handled.pop(assignment_id, None)
        self._state.handled[assignment_id] = Handled(generation, moment)
        _shorten(self._state.handled)
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
                error=error[:_ERROR_LENGTH],
            )
            self._state.open[record] = Record(report, single, ends_at, generation)
            self._of.setdefault(assignment_id, []).append(record)
            self._state.unsent[record] = report
            self.changed = True
        if not single:
            self._sessions[assignment_id] = self._state.open[record]

    def miss(self, record: str, assignment_id: str, kind: RunKind, due_at: datetime | None, error: str) -> None:
        """Take note of an occasion that comes to nothing."""
        self._state.unsent[record] = RunReport(
            id=record,
            assignment_id=assignment_id,
            kind=kind,
            status=RunStatus.MISSED,
            due_at=due_at,
            finished_at=now(),
            error=error[:_ERROR_LENGTH],
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
        report.error = (error or report.error)[:_ERROR_LENGTH]
        self._state.unsent[record] = report
        self.changed = True
        _shorten(self._state.unsent)

    def to_report(self, *, progress: bool) -> list[RunReport]:
        """What is to be said next: what has begun or ended, then, if asked, what has gone on."""
        if progress:
            for key, record in self._state.open.items():
                if record.executions != record.said:
                    self._state.unsent[key] = record.told()
                    record.said = record.executions
        return [report.model_copy() for report in list(self._state.unsent.values())[:MOST_REPORTS]]

    def reported(self, reports: Iterable[RunReport]) -> None:
        """These have arrived; what has changed since then is said again."""
        for report in reports:
            if self._state.unsent.get(report.id) == report:
                del self._state.unsent[report.id]

    def forget_gone(self, assignment_ids: Iterable[str]) -> None:
        """Keep the open records of assignments that are gone only as far as there are few of them."""
        known = set(assignment_ids)
        gone = [key for key, record in self._state.open.items() if record.report.assignment_id not in known]
        for key in gone[: max(0, len(gone) - _MOST_KEPT)]:
            self._of[self._state.open.pop(key).report.assignment_id].remove(key)

    def save(self) -> None:
        """Write everything to disk; a full disk is logged, and no reason to stop measuring."""
        state, self.changed = self._state, False
        content = {
            "open": [_stored(record) for record in state.open.values()],
            "handled": {key: [one.generation, one.moment] for key, one in state.handled.items()},
            "requests": state.requests,
            "unsent": [report.model_dump(mode="json") for report in state.unsent.values()],
        }
        try:
            write_state(self._path, json.dumps(content, default=datetime.isoformat))
        except OSError as error:
            log.error("%s: %s; run records are not kept", self._path, error.strerror)  # noqa: TRY400

    def _load(self) -> _State:
        try:
            stored = json.loads(self._path.read_bytes())
            opened = [_record(one) for one in stored["open"]]
            unsent = [RunReport.model_validate(one) for one in stored["unsent"]]
            handled = {
                key: Handled(generation, datetime.fromisoformat(moment))
                for key, (generation, moment) in stored["handled"].items()
            }
            requests = {key: datetime.fromisoformat(until) for key, until in stored["requests"].items()}
        except FileNotFoundError:
            return _State()
        except (OSError, ValueError, KeyError, TypeError, AttributeError, ValidationError) as error:
            log.warning("%s can't be read and is not used: %s", self._path, error)
            return _State()
        records = {record.report.id: record for record in opened}
        # What is open and unsent is one report, not two.
        reports = {one.id: records[one.id].report if one.id in records else one for one in unsent}
        return _State(records, handled, requests, reports)


def _record(stored: dict[str, Any]) -> Record:
    ends_at = stored["ends_at"]
    report = RunReport.model_validate(stored["report"])
    return Record(
        report,
        bool(stored["single"]),
        datetime.fromisoformat(ends_at) if ends_at else None,
        int(stored["generation"]),
        report.executions,
        report.failures,
    )


def _stored(record: Record) -> dict[str, Any]:
    """What `_record` reads."""
    return {
        "report": record.told().model_dump(mode="json"),
        "single": record.single,
        "ends_at": record.ends_at,
        "generation": record.generation,
    }


def _shorten(kept: dict[str, Any]) -> None:
    """Drop the oldest of what would grow for ever while nobody takes it."""
    while len(kept) > _MOST_KEPT:
        del kept[next(iter(kept))]
