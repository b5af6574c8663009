from datetime import datetime
from typing import ClassVar

from pydantic import BaseModel, ConfigDict, Field

from streamswarm_core.assignment import RunKind, RunStatus


class RunPublic(BaseModel):
    """One occasion of one test on one agent."""

    model_config = ConfigDict(from_attributes=True)
    MEASURED: ClassVar = frozenset(
        {"status", "started_at", "finished_at", "executions", "failures", "error", "updated_at"}
    )

    id: str
    test_id: str | None = Field(description="Null once the test is deleted.")
    test_key: str
    test_name: str
    agent_id: str | None = Field(description="Null once the agent is deleted.")
    agent_name: str
    assignment_id: str
    kind: RunKind
    status: RunStatus = Field(
        description="`scheduled`: asked for, and not begun. `running`: under way, or a test that goes on. `missed`: "
        "never begun, see error."
    )
    requested_by: str = Field(description="Who asked for it; empty for scheduled ones.")
    stop_requested: bool = Field(description="The agent is told to end it with its next poll.")
    due_at: datetime | None = Field(description="When it should have begun, if a calendar said so.")
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime | None = Field(description="A run that was asked for is missed if it hasn't begun by then.")
    executions: int = Field(description="Runs of the probe that have ended.")
    failures: int = Field(description="Those of them that found the target not up, or came to nothing.")
    error: str
    created_at: datetime
    updated_at: datetime


class RunsTaken(BaseModel):
    """What became of an agent's reports."""

    taken: int
    unknown: list[str] = Field(description="Ids of records whose assignment the agent doesn't have; not kept.")
