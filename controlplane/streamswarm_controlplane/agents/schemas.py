import ipaddress
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Any, ClassVar, Final

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    StringConstraints,
    WithJsonSchema,
)

from streamswarm_controlplane.fields import LABEL, LABEL_FILTER, NAME, NAME_OR_NONE, ONE_LINE, SITE, Count, Given
from streamswarm_core.moment import Moment

AgentName = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=63, pattern=NAME)]
"""An agent's name, as in the `agent` tag."""
OneAgent = Annotated[str, StringConstraints(strip_whitespace=True, max_length=63, pattern=NAME_OR_NONE)]
"""An agent's name, or none."""
SiteName = Annotated[str, StringConstraints(strip_whitespace=True, max_length=63, pattern=SITE)]
"""A site's name, as in the `site` tag; empty for none."""

_LONGEST_NAME, _LONGEST_FACT = 40, 200
_RESERVED: Final = frozenset({"agent", "site"})


def _free_label_name(name: str) -> str:
    if name.startswith("__") or name in _RESERVED:
        raise ValueError("names that begin with __ are Prometheus's own, and agent and site are tags already")
    return name


LabelName = Annotated[str, StringConstraints(max_length=63, pattern=LABEL), AfterValidator(_free_label_name)]
"""A label's name, as Prometheus takes it."""
LabelValue = Annotated[str, StringConstraints(strip_whitespace=True, max_length=200, pattern=ONE_LINE)]
Labels = Annotated[dict[LabelName, LabelValue], Field(max_length=32)]
"""What a user says of an agent: `{"role": "edge", "provider": "acme"}`."""
LabelFilter = Annotated[str, StringConstraints(max_length=264, pattern=LABEL_FILTER)]
"""`name=value`, or `name` for any value."""


class AgentState(StrEnum):
    """How an agent is, by the age of its last heartbeat."""

    ONLINE = "online"
    LATE = "late"
    OFFLINE = "offline"
    DRAINING = "draining"
    NEVER_SEEN = "never seen"
    REVOKED = "revoked"


_HOST: Final[dict[str, JsonValue]] = {
    "hostname": "probe-7",
    "system": "Linux",
    "release": "6.12.9",
    "machine": "x86_64",
    "python": "3.13.5",
}
_ID: Final = "5d1a8d3c0f6b4a52a3d2f4f1b8a7c6e9"
_IP_SCHEMA: Final[dict[str, JsonValue]] = {
    "anyOf": [{"type": "string", "format": "ipv4"}, {"type": "string", "format": "ipv6"}]
}


def _ip_address(text: str) -> str:
    return str(ipaddress.ip_address("" if "%" in text else text))


IpAddress = Annotated[str, AfterValidator(_ip_address), WithJsonSchema(_IP_SCHEMA)]


def _facts(told: object) -> object:
    """What an agent says of its host, cut to what a person reads: every list of agents shows it to everybody."""
    if not isinstance(told, dict):
        return told
    return {
        str(name)[:_LONGEST_NAME]: value[:_LONGEST_FACT] if isinstance(value, str) else value
        for name, value in told.items()
        if isinstance(value, str | int | float | None)
    }


HostFacts = Annotated[dict[str, Any], BeforeValidator(_facts)]
"""What is no text, number or truth value is left out, not refused: an agent may be newer."""


class Enrolment(BaseModel):
    """What an agent sends to be taken in."""

    model_config = ConfigDict(
        extra="ignore",  # an agent may be newer
        json_schema_extra={"examples": [{"token": "sse_…", "name": "berlin-1", "version": "0.1.0", "host": _HOST}]},
    )

    token: Annotated[str, StringConstraints(min_length=1, max_length=200)]
    name: AgentName
    version: Annotated[str, StringConstraints(max_length=40)] = ""
    host: Annotated[HostFacts, Field(max_length=40)] = Field(default_factory=dict)


class Enrolled(BaseModel):
    """What an agent gets once."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"agent_id": _ID, "name": "berlin-1", "site": "berlin", "secret": "ssa_…"}],
        }
    )

    agent_id: str
    name: str
    site: str
    secret: str


class TokenRequest(BaseModel):
    """An agent asking for an access token."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"agent_id": _ID, "secret": "ssa_…"}]})

    agent_id: Annotated[str, StringConstraints(max_length=64)]
    secret: Annotated[str, StringConstraints(max_length=200)]


class AccessToken(BaseModel):
    """A short-lived access token."""

    access_token: str
    expires_in: float = Field(description="Seconds.")
    rotate_secret: bool = Field(
        False, description="Whether the agent should ask for another secret: POST /agent/secret."
    )


class ClockReading(BaseModel):
    """What an agent knows of its clock by exchanging heartbeats."""

    offset: float = Field(
        ge=-1e10, le=1e10, strict=True, description="Seconds the control plane's clock is ahead of the agent's."
    )
    error: float = Field(ge=0, le=1e6, strict=True, description="Seconds by which that may be wrong at most.")


class LinkBudget(BaseModel):
    """What all of an agent's assignments together may put on its link."""

    model_config = ConfigDict(extra="forbid")

    packets_per_second: Annotated[float, Field(gt=0)]
    bits_per_second: Annotated[float, Field(gt=0)]


class Heartbeat(BaseModel):
    """An agent's sign of life. Fields that it doesn't know are left alone: an agent may be newer, or older."""

    model_config = ConfigDict(
        extra="ignore",
        json_schema_extra={
            "examples": [
                {
                    "version": "0.1.0",
                    "started_at": "2026-01-31T11:00:00Z",
                    "sent_at": "2026-01-31T12:00:00Z",
                    "assignments_version": 7,
                    "queued_points": 0,
                    "exporter_url": "http://127.0.0.1:8803/metrics",
                    "addresses": ["192.0.2.7", "2001:db8::7"],
                    "clock": {"offset": -0.0021, "error": 0.0004},
                }
            ]
        },
    )

    version: Annotated[str, StringConstraints(max_length=40)]
    started_at: Moment = Field(description="Start of the process; another one is another process.")
    sent_at: Moment
    assignments_version: Count
    queued_points: Count = 0
    exporter_url: Annotated[str, StringConstraints(max_length=300)] = ""
    budget: LinkBudget | None = None
    addresses: list[IpAddress] | None = Field(
        None, max_length=64, description="IP addresses of the host, without loopback and link-local ones."
    )
    host: Annotated[HostFacts, Field(max_length=40)] | None = Field(
        None, description="Facts of the host; sent once by each process."
    )
    clock: ClockReading | None = Field(None, description="Null before the first exchange.")


class HeartbeatAnswer(BaseModel):
    """What the control plane says back."""

    received_at: datetime = Field(description="When the heartbeat arrived, by the control plane's clock.")
    time: datetime = Field(description="When this answer was made, by the same clock.")
    assignments_version: int
    name: str = Field(description="The agent's name; renamed, it needs a new access token.")
    site: str
    latitude: float | None = Field(description="Of the site, degrees; null where nobody has said where it is.")
    longitude: float | None = Field(description="The same, east positive.")
    restart: bool = Field(description="Whether the process is to end, so that its supervisor starts it again.")


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
            "uptime",
            "clock_offset",
            "clock_error",
            "running_version",
            "assignments_version",
            "started_at",
            "last_seen_at",
        }
    )

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "id": _ID,
                    "name": "berlin-1",
                    "site": "berlin",
                    "labels": {"role": "edge"},
                    "state": "online",
                    "draining": False,
                    "version": "0.1.0",
                    "host": _HOST,
                    "addresses": ["192.0.2.7", "2001:db8::7"],
                    "exporter_url": "http://127.0.0.1:8803/metrics",
                    "queued_points": 0,
                    "clock_offset": -0.0021,
                    "clock_error": 0.0004,
                    "assignments_version": 7,
                    "running_version": 7,
                    "enrolled_at": "2026-01-01T08:00:00Z",
                    "started_at": "2026-01-31T11:00:00Z",
                    "last_seen_at": "2026-01-31T12:00:00Z",
                    "uptime": 3600.0,
                    "restart_requested_at": "2026-01-31T12:00:05Z",
                }
            ]
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
    uptime: float | None = Field(description="Seconds that the process had run at its last heartbeat.")
    restart_requested_at: datetime | None = Field(description="Since when a restart is wanted that hasn't come yet.")


class AgentUpdate(BaseModel):
    """What can be changed of an agent; what is not given stays."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"site": "berlin", "labels": {"role": "edge"}}]}
    )

    name: Given[AgentName] = Field(
        None,
        description="The `agent` tag of what it measures from now on. What is stored keeps the old name: its series "
        "end, and new ones begin.",
    )
    site: Given[SiteName] = Field(None, description='The `site` tag from now on; "" for none.')
    labels: Given[Labels] = Field(None, description="All labels; those that aren't given are gone.")


class SeriesChoice(StrEnum):
    """What becomes of what a deleted agent has measured."""

    KEEP = "keep"
    DELETE = "delete"


class AgentRemoved(BaseModel):
    """What was deleted."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"id": _ID, "name": "berlin-1", "series": "keep", "detail": "its series stay in the store"}]
        }
    )

    id: str
    name: str
    series: SeriesChoice
    detail: str = Field(description="What became of its series, and what may be left elsewhere.")
