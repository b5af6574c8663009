"""What webhooks are sent, as the API's description tells it to whoever generates a receiver from it."""

from datetime import datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Header, status
from pydantic import BaseModel, ConfigDict, Field

from streamswarm_controlplane.notifications.events import Event, MessageKind, Severity

webhooks = APIRouter()
"""Requests that are sent by us, not to us."""


class WebhookAlert(BaseModel):
    """An alert as it is told."""

    model_config = ConfigDict(extra="forbid")

    id: str
    fingerprint: str = Field(description="The same each time the same thing is wrong.")
    state: Literal["open", "closed"]
    event: Event
    severity: Severity
    labels: dict[str, str]
    summary: str
    detail: str
    value: float | None
    unit: str
    opened_at: datetime
    closed_at: datetime | None
    close_reason: str
    acknowledged_by: str
    news: bool = Field(description="Whether this message is the first to say that it is open, worse, or closed.")
    url: str = Field(description="Where to look first: the results of its test, or its agent.")


class WebhookMessage(BaseModel):
    """A message about alerts."""

    model_config = ConfigDict(extra="forbid")

    id: str = Field(description="The same at each attempt: drop what you have seen.")
    type: Literal["streamswarm.alerts"]
    version: Literal[1]
    kind: MessageKind
    time: datetime
    rule: str = Field(description="Name of the rule; empty for a test message.")
    group: dict[str, str] = Field(description="Labels in which the alerts agree.")
    thread: str = Field(description="The same for all messages of a group.")
    url: str = Field(description="Where the alerts are in the console.")
    alerts: list[WebhookAlert]


@webhooks.post("alerts", status_code=status.HTTP_204_NO_CONTENT, summary="Alerts that a rule tells a webhook")
def alerts(
    body: WebhookMessage,
    webhook_id: Annotated[str, Header(description="`id` of the message.")],
    webhook_timestamp: Annotated[int, Header(description="Seconds since the epoch, of this attempt.")],
    webhook_signature: Annotated[str, Header(description="Of Standard Webhooks; see docs/notifications.md.")],
) -> None:
    """Any 2xx takes it; after any other answer it is sent again, when `Retry-After` says if that is there."""
