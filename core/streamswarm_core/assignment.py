"""What the control plane tells an agent to do, and what the agent says of it; the wire format between them."""

from enum import StrEnum
from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field

from streamswarm_core.integer import Integer
from streamswarm_core.moment import Moment

MOST_REPORTS: Final = 200
"""Runs that one request may report."""


class Assignment(BaseModel):
    """One test that one agent runs on a schedule.

    The agent counts an assignment's runs in `seq`, from 1, across restarts; `id` is what the count belongs to.
    """

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Stable id of the pair of test and agent.")
    test: str = Field(description="The `test` tag: the test's key.")
    probe: str = Field(description="Name of the probe, such as `icmp`.")
    target: str = Field("", description="The `target` tag: host, address or URL; empty for the agent's own host.")
    params: dict[str, Any] = Field(default_factory=dict, description="The probe's options, without the target.")
    interval: float = Field(gt=0, description="Seconds between the starts of two runs, while it is going.")
    timeout: float = Field(gt=0, description="Seconds after which a run is given up.")
    schedule: dict[str, Any] | None = Field(
        None,
        description="When it is going (streamswarm_core.schedule); always if null. An agent that can't use it refuses "
        "this assignment, not the set.",
    )
    generation: int = Field(
        1, ge=1, description="Grows with each restart of the test; its run record, if it has but one, begins anew."
    )


class RunRequest(BaseModel):
    """A run that somebody asked for, to be made once, outside of the schedule."""

    model_config = ConfigDict(frozen=True)

    id: str = Field(description="Id of the run record; a run that the agent has had before is not made again.")
    assignment_id: str
    expires_at: Moment = Field(description="An agent that hears of it later doesn't make it.")


class AssignmentSet(BaseModel):
    """All assignments of one agent.

    A draining agent starts no runs and lets those that are under way end; it gets no assignments meanwhile.
    `version` grows with every change, so an agent never falls back to an older set. `signature` and `key_id` are kept
    for a detached signature over the set's canonical JSON without these two; today both are null.
    """

    model_config = ConfigDict(frozen=True)

    agent_id: str
    version: int = Field(ge=0)
    assignments: tuple[Assignment, ...] = ()
    draining: bool = False
    run_now: tuple[RunRequest, ...] = Field((), description="Runs that were asked for and have not begun.")
    stop: tuple[str, ...] = Field((), description="Ids of run records that are to end now.")
    signature: str | None = None
    key_id: str | None = None

    def etag(self) -> str:
        """The HTTP entity tag of this version."""
        return f'"{self.agent_id}-{self.version}"'


class RunKind(StrEnum):
    """Why a run record exists."""

    SCHEDULED = "scheduled"
    MANUAL = "manual"


class RunStatus(StrEnum):
    """How a run record is."""

    SCHEDULED = "scheduled"
    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    MISSED = "missed"

    @property
    def final(self) -> bool:
        """Whether nothing follows."""
        return self not in {RunStatus.SCHEDULED, RunStatus.RUNNING}


class RunReport(BaseModel):
    """What an agent says of one run record; said again, it replaces what was said before."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(min_length=1, max_length=64)
    assignment_id: str = Field(min_length=1, max_length=64)
    kind: RunKind
    status: RunStatus
    due_at: Moment | None = Field(None, description="When it should have begun, if a calendar said so.")
    started_at: Moment | None = None
    finished_at: Moment | None = None
    executions: Integer = Field(0, ge=0, le=2**31 - 1, description="Runs of the probe that have ended.")
    failures: Integer = Field(
        0, ge=0, le=2**31 - 1, description="Those of them that found the target not up, or came to nothing."
    )
    error: str = Field("", max_length=500, description="Why it failed, was missed or came late; else the last failure.")


class RunReports(BaseModel):
    """Reports of one agent."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "runs": [
                        {
                            "id": "9b2f6c1e7a5d4038b0e1c2d3f4a5b6c7",
                            "assignment_id": "6f1d3a7c0b5e4d29a1c8e7f60b3d5a92",
                            "kind": "scheduled",
                            "status": "done",
                            "due_at": "2026-01-31T02:30:00Z",
                            "started_at": "2026-01-31T02:30:00.2Z",
                            "finished_at": "2026-01-31T02:30:12Z",
                            "executions": 1,
                        }
                    ]
                }
            ]
        },
    )

    runs: list[RunReport] = Field(max_length=MOST_REPORTS)
