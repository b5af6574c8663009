"""The file of the agent's run records: a line with all of them, and behind it a line for each change since.

Of thousands of tests some begin or end every second, and to write all records each time would take longer than a
second has. Lines are applied in their order; what a crash has cut short is left out.
"""

import json
import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Literal

from streamswarm_agent.statefile import write_state
from streamswarm_core.assignment import RunReport

log = logging.getLogger(__name__)

ERROR_LENGTH: Final = 500
MOST_KEPT: Final = 5_000
_LEAST_BEHIND: Final = 65_536
"""Bytes of changes that may be behind a first line that is shorter."""

Table = Literal["open", "handled", "requests", "unsent"]


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
        report.error = self.problem[:ERROR_LENGTH] or report.error
        return report


@dataclass(slots=True)
class Handled:
    """The newest occasion of an assignment that was begun or given up."""

    generation: int
    moment: datetime


@dataclass(slots=True)
class RunState:
    """What is kept, by ids of records, assignments and requests, and what of it isn't in the file yet."""

    open: dict[str, Record] = field(default_factory=dict)
    handled: dict[str, Handled] = field(default_factory=dict)
    requests: dict[str, datetime] = field(default_factory=dict)
    unsent: dict[str, RunReport] = field(default_factory=dict)
    touched: dict[tuple[Table, str], None] = field(default_factory=dict)

    def touch(self, table: Table, key: str) -> None:
        """Take note that something is new, has changed or is gone."""
        self.touched[table, key] = None

    def changes(self) -> dict[str, Any]:
        """A line for what was touched."""
        keys: dict[Table, list[str]] = {"open": [], "handled": [], "requests": [], "unsent": []}
        for table, key in self.touched:
            keys[table].append(key)
        gone = {"closed": _without(keys["open"], self.open), "sent": _without(keys["unsent"], self.unsent)}
        return self._told(**{table: _among(keys[table], getattr(self, table)) for table in keys}) | gone

    def everything(self) -> dict[str, Any]:
        """The first line."""
        return self._told(self.open, self.handled, self.requests, self.unsent)

    @staticmethod
    def _told(
        open: Mapping[str, Record],  # noqa: A002 - it is called so everywhere here
        handled: Mapping[str, Handled],
        requests: Mapping[str, datetime],
        unsent: Mapping[str, RunReport],
    ) -> dict[str, Any]:
        return {
            "open": [_stored(record) for record in open.values()],
            "handled": {key: [one.generation, one.moment] for key, one in handled.items()},
            "requests": dict(requests),
            "unsent": [report.model_dump(mode="json") for report in unsent.values()],
        }

    def apply(self, told: Mapping[str, Any]) -> None:
        """Take in a line.

        Raises:
            ValueError, KeyError, TypeError, AttributeError: it is none.
        """
        self.open |= {record.report.id: record for record in map(_record, told["open"])}
        self.unsent |= {report.id: report for report in map(RunReport.model_validate, told["unsent"])}
        self.requests |= {key: datetime.fromisoformat(until) for key, until in told["requests"].items()}
        for key, (generation, moment) in told["handled"].items():
            self.handle(key, Handled(generation, datetime.fromisoformat(moment)))
        for key in told.get("closed", ()):
            self.open.pop(key, None)
        for key in told.get("sent", ()):
            self.unsent.pop(key, None)

    def handle(self, assignment_id: str, handled: Handled) -> None:
        """Set an assignment's newest occasion; of too many the oldest are forgotten."""
        self.handled.pop(assignment_id, None)
        self.handled[assignment_id] = handled
        while len(self.handled) > MOST_KEPT:
            del self.handled[next(iter(self.handled))]


class RunFile:
    """Keeps the state of one agent's run records.

    Args:
        path: the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._first, self._behind = 0, -1
        """Bytes of the first line, and of those behind it; below 0 until this process has written the first."""

    def read(self) -> RunState:
        """The state; an empty one where there is none, or none that can be read."""
        try:
            first, *changes = self._path.read_bytes().splitlines() or [b""]
            state = RunState()
            state.apply(json.loads(first))
        except FileNotFoundError:
            return RunState()
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            log.warning("%s can't be read and is not used: %s", self._path, error)
            return RunState()
        for number, line in enumerate(changes, 2):
            try:
                state.apply(json.loads(line))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                log.warning("%s: what is behind line %d is not used: %s", self._path, number - 1, error)
                break
        # What is open and unsent is one report, not two.
        state.unsent = {key: state.open[key].report if key in state.open else one for key, one in state.unsent.items()}
        return state

    def write(self, state: RunState, *, whole: bool = False) -> None:
        """Write what was touched, or everything: where that is asked for, or shorter than what would have to be read.

        A full disk is logged, and no reason to stop measuring.
        """
        try:
            if whole or not 0 <= self._behind <= max(self._first, _LEAST_BEHIND):
                self._replace(state)
            elif state.touched:
                self._append(state)
        except OSError as error:
            self._behind = -1  # half a line may be in it
            log.error("%s: %s; run records are not kept", self._path, error.strerror)  # noqa: TRY400
        state.touched.clear()

    def _replace(self, state: RunState) -> None:
        line = _line(state.everything())
        write_state(self._path, line)
        self._first, self._behind = len(line), 0

    def _append(self, state: RunState) -> None:
        try:
            descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND)
        except FileNotFoundError:  # somebody has deleted it
            self._replace(state)
            return
        line = _line(state.changes())
        with os.fdopen(descriptor, "ab") as file:
            file.write(line.encode())
        self._behind += len(line)


def _line(told: Mapping[str, Any]) -> str:
    return json.dumps(told, default=datetime.isoformat) + "\n"


def _among(keys: Iterable[str], table: Mapping[str, Any]) -> dict[str, Any]:
    return {key: table[key] for key in keys if key in table}


def _without(keys: Iterable[str], table: Mapping[str, Any]) -> list[str]:
    return [key for key in keys if key not in table]


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
