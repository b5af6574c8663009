from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, StringConstraints

AgentName = Annotated[
    str, StringConstraints(strip_whitespace=True, min_length=1, max_length=63, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
]
"""An agent's name, as in the `agent` tag."""
SiteName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=63, pattern=r"^[A-Za-z0-9._ -]*$")]
"""A site's name, as in the `site` tag; empty for none."""

_RESERVED: Final = frozenset({"agent", "site"})


def _free_label_name(name: str) -> str:
    if name.startswith("__") or name in _RESERVED:
        raise ValueError("names that begin with __ are Prometheus's own, and agent and site are tags already")
    return name


LabelName = Annotated[
    str, StringConstraints(max_length=63, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*$"), AfterValidator(_free_label_name)
]
"""A label's name, as Prometheus takes it."""
LabelValue = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=r"^[^\x00-\x1f\x7f]*$")]
Labels = Annotated[dict[LabelName, LabelValue], Field(max_length=32)]
"""What a user says of an agent: `{"role": "edge", "provider": "acme"}`."""
LabelFilter = Annotated[
    str, StringConstraints(max_length=264, pattern=r"^[a-zA-Z_][a-zA-Z0-9_]*(=[^\x00-\x1f\x7f]*)?$")
]
"""`name=value`, or `name` for any value."""


class AgentState(StrEnum):
    """How an agent is, by the age of its last heartbeat."""

    ONLINE = "online"
    LATE = "late"
    OFFLINE = "offline"
    DRAINING = "draining"
    NEVER_SEEN = "never seen"
    REVOKED = "revoked"


class Enrolment(BaseModel):
    """What an agent sends to be taken in."""

    model_config = ConfigDict(extra="forbid")

    token: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    name: AgentName
    version: Annotated[str, StringConstraints(max_length=40)] = ""
    host: dict[str, Any] = Field(default_factory=dict, max_length=40)


class Enrolled(BaseModel):
    """What an agent gets once."""

    agent_id: str
    name: str
    site: str
    secret: str


class TokenRequest(BaseModel):
    """An agent asking for an access token."""

    model_config = ConfigDict(extra="forbid")

    agent_id: Annotated[str, StringConstraints(max_length=64)]
    secret: Annotated[str, StringConstraints(max_length=200)]


class AccessToken(BaseModel):
    """A short-lived access token."""

    access_token: str
    expires_in: float = Field(description="Seconds.")


class Heartbeat(BaseModel):
    """An agent's sign of life."""

    model_config = ConfigDict(extra="forbid")

    version: Annotated[str, StringConstraints(max_length=40)]
    started_at: AwareDatetime
    sent_at: AwareDatetime
    assignments_version: Annotated[int, Field(ge=0)]
    queued_points: Annotated[int, Field(ge=0)] = 0
    exporter_url: Annotated[str, StringConstraints(max_length=300)] = ""


class HeartbeatAnswer(BaseModel):
    """What the control plane says back."""

    time: datetime
    assignments_version: int


class AgentPublic(BaseModel):
    """An agent as users see it."""

    MEASURED: ClassVar = frozenset(
        {
            "state",
            "version",
            "host",
            "addresses",
            "exporter_url",
            "queued_points",
            "clock_offset",
            "clock_error",
            "running_version",
            "assignments_version",
            "started_at",
            "last_seen_at",
        }
    )

    id: str
    name: str
    site: str
    labels: dict[str, str]
    state: AgentState
    draining: bool = Field(description="Whether it starts no runs until it is undrained.")
    version: str
    host: dict[str, Any]
    addresses: list[str] = Field(description="IP addresses of its interfaces, without loopback and link-local ones.")
    exporter_url: str
    queued_points: int
    clock_offset: float | None = Field(description="Seconds the control plane's clock is ahead of the agent's.")
    clock_error: float | None = Field(
        description="The offset is wrong by no more than these seconds, half the round trip it was measured with; "
        "null if the agent doesn't measure it."
    )
    assignments_version: int
    running_version: int
    enrolled_at: datetime
    started_at: datetime | None
    last_seen_at: datetime | None
    restart_requested_at: datetime | None
