"""What the control plane tells an agent to do; the wire format between them."""

from typing import Any

from pydantic import BaseModel, ConfigDict, Field


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
    interval: float = Field(gt=0, description="Seconds between the starts of two runs.")
    timeout: float = Field(gt=0, description="Seconds after which a run is given up.")


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
    signature: str | None = None
    key_id: str | None = None

    def etag(self) -> str:
        """The HTTP entity tag of this version."""
        return f'"{self.agent_id}-{self.version}"'
