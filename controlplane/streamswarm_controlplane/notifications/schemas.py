from datetime import datetime
from typing import Annotated, Any, ClassVar, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from streamswarm_controlplane.fields import Given
from streamswarm_controlplane.notifications.channels import ChannelSettings
from streamswarm_controlplane.notifications.events import DeliveryStatus, Event, MessageKind, Severity
from streamswarm_core.moment import Moment

Name = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=100)]
Comment = Annotated[str, StringConstraints(strip_whitespace=True, max_length=500)]
Pattern = Annotated[str, StringConstraints(min_length=1, max_length=200)]
"""A shell pattern: `*` any text, `?` one character, `[ab]` one of these."""
LabelName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]{0,62}$"), Field(examples=["agent"])]
_ID: Final = "0b0f1c9e6d0c4f0f9a9b3f6a51c7d2e4"
Patterns = Annotated[list[Pattern], Field(max_length=50)]


class ChannelCreate(BaseModel):
    """A new channel."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"name": "NOC", "settings": {"kind": "webhook", "url": "https://hooks.example.com/streamswarm"}},
                {
                    "name": "Mail",
                    "settings": {
                        "kind": "email",
                        "host": "mail.example.com",
                        "sender": "streamswarm@example.com",
                        "recipients": ["noc@example.com"],
                    },
                },
            ]
        },
    )

    name: Name
    enabled: bool = True
    settings: ChannelSettings


class ChannelUpdate(BaseModel):
    """What can be changed of a channel; what is not given stays. `settings` is replaced as a whole."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"enabled": False}]})

    name: Given[Name] = None
    enabled: Given[bool] = None
    settings: Given[ChannelSettings] = Field(
        None, description="Of the same kind. Secrets that are sent as asterisks stay what they are."
    )


class ChannelPublic(BaseModel):
    """A channel."""

    id: str
    name: str
    kind: Literal["webhook", "email", "slack"]
    enabled: bool
    settings: dict[str, Any] = Field(description="Secrets are asterisks.")
    created_at: datetime
    updated_at: datetime


class ChannelCreated(ChannelPublic):
    """A new channel, with its signing secret if one was made: nothing shows it again."""

    signing_secret: str | None


class RuleFields(BaseModel):
    """What a rule has. Empty lists let everything through."""

    model_config = ConfigDict(extra="forbid")

    name: Name
    enabled: bool = True
    events: list[Event] = Field(default_factory=list)
    severities: list[Severity] = Field(default_factory=list)
    sites: Patterns = Field(default_factory=list, description="Shell patterns, such as `berlin*`.")
    agents: Patterns = Field(default_factory=list, description="Shell patterns of agents' names.")
    tests: Patterns = Field(default_factory=list, description="Shell patterns of tests' keys.")
    labels: dict[LabelName, Pattern] = Field(
        default_factory=dict, max_length=20, description="Shell patterns by label; all must fit."
    )
    channel_ids: list[str] = Field(min_length=1, max_length=20)
    group_by: list[LabelName] = Field(
        default_factory=lambda: ["agent"],
        max_length=10,
        description="Alerts that agree in these labels come in one message; `event` and `severity` are labels too.",
    )
    wait: float = Field(30, ge=0, le=3600, description="Seconds to wait for more alerts of a group.")
    repeat: float = Field(
        14_400, ge=0, le=604_800, description="Seconds until open alerts are told again; 0 for never, else from 60 on."
    )
    tell_closed: bool = Field(True, description="Whether to tell that an alert is closed.")

    @model_validator(mode="after")
    def _no_flood(self) -> "RuleFields":
        if 0 < self.repeat < 60:
            raise ValueError("repeat: 0 for never, or at least 60 seconds")
        return self


class RuleCreate(RuleFields):
    """A new rule."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={"examples": [{"name": "NOC", "severities": ["critical"], "channel_ids": [_ID]}]},
    )


class RuleUpdate(BaseModel):
    """What can be changed of a rule; what is not given stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"wait": 60, "sites": ["berlin*"]}]})

    name: Given[Name] = None
    enabled: Given[bool] = None
    events: Given[list[Event]] = None
    severities: Given[list[Severity]] = None
    sites: Given[Patterns] = None
    agents: Given[Patterns] = None
    tests: Given[Patterns] = None
    labels: Given[Annotated[dict[LabelName, Pattern], Field(max_length=20)]] = None
    channel_ids: Given[Annotated[list[str], Field(min_length=1, max_length=20)]] = None
    group_by: Given[Annotated[list[LabelName], Field(max_length=10)]] = None
    wait: Given[Annotated[float, Field(ge=0, le=3600)]] = None
    repeat: Given[Annotated[float, Field(ge=0, le=604_800)]] = None
    tell_closed: Given[bool] = None


class RulePublic(RuleFields):
    """A rule."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": _ID,
                    "name": "NOC",
                    "channel_ids": [_ID],
                    "created_at": "2026-03-01T12:00:00Z",
                    "updated_at": "2026-03-01T12:00:00Z",
                }
            ]
        },
    )

    id: str
    created_at: datetime
    updated_at: datetime


class AlertPublic(BaseModel):
    """An alert."""

    model_config = ConfigDict(from_attributes=True)
    MEASURED: ClassVar = ("seen_at", "value", "detail", "held_back")

    id: str
    fingerprint: str = Field(description="The same each time the same thing is wrong.")
    event: Event
    severity: Severity
    labels: dict[str, str]
    summary: str
    detail: str
    value: float | None
    unit: str
    opened_at: datetime
    seen_at: datetime = Field(description="When it was last found to be so.")
    closed_at: datetime | None
    close_reason: str
    acknowledged_at: datetime | None
    acknowledged_by: str
    comment: str
    held_back: str = Field(description="Why nobody is told: a silence, or what it follows from; else empty.")


class Acknowledgement(BaseModel):
    """Somebody takes care of it."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"comment": "ringing the provider"}]})

    comment: Comment = ""


class Matcher(BaseModel):
    """One condition of a silence."""

    model_config = ConfigDict(extra="forbid")

    label: LabelName = Field(description="Such as `agent`, `site`, `test`, `event`, `severity`.")
    operator: Literal["=", "!=", "~"] = Field("=", description="`~` takes a shell pattern, such as `berlin*`.")
    value: Annotated[str, StringConstraints(max_length=200)]


class SilenceCreate(BaseModel):
    """Alerts that fit all matchers are told to nobody until the end."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {
                    "matchers": [{"label": "agent", "operator": "=", "value": "berlin-1"}],
                    "ends_at": "2026-03-01T08:00:00+01:00",
                    "comment": "new line card",
                }
            ]
        },
    )

    matchers: list[Matcher] = Field(min_length=1, max_length=20)
    starts_at: Moment | None = Field(None, description="Now if not given.")
    ends_at: Moment
    comment: Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]


class SilenceUpdate(BaseModel):
    """What can be changed of a silence; what is not given stays."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"examples": [{"comment": "longer than we thought"}]})

    ends_at: Given[Moment] = None
    comment: Given[Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=500)]] = None


class SilencePublic(BaseModel):
    """A silence."""

    model_config = ConfigDict(
        from_attributes=True,
        json_schema_extra={
            "examples": [
                {
                    "id": _ID,
                    "matchers": [{"label": "agent", "operator": "=", "value": "berlin-1"}],
                    "starts_at": "2026-03-01T12:00:00Z",
                    "ends_at": "2026-03-01T16:00:00Z",
                    "comment": "new line card",
                    "created_by": "olga",
                    "created_at": "2026-03-01T12:00:00Z",
                }
            ]
        },
    )

    id: str
    matchers: list[Matcher]
    starts_at: datetime
    ends_at: datetime
    comment: str
    created_by: str
    created_at: datetime


class DeliveryPublic(BaseModel):
    """A message on its way, or at its end."""

    model_config = ConfigDict(from_attributes=True)

    id: str = Field(description="`webhook-id` of webhooks, part of the Message-ID of mails.")
    channel_id: str | None = Field(description="Null if the channel was deleted.")
    channel_name: str
    rule_name: str
    kind: MessageKind
    status: DeliveryStatus
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    give_up_at: datetime
    delivered_at: datetime | None
    last_error: str


class DeliveryDetail(DeliveryPublic):
    """A message with what it says."""

    payload: dict[str, Any]
