from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base, new_id


class Channel(Base):
    """Where messages go. `secrets` is sealed with the key in the data folder."""

    __tablename__ = "channels"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str]
    settings: Mapped[dict[str, Any]] = mapped_column(default=dict)
    secrets: Mapped[str] = mapped_column(default="")
    enabled: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Rule(Base):
    """Which alerts are told on which channels, grouped how, how often. Empty lists let everything through."""

    __tablename__ = "notification_rules"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    enabled: Mapped[bool] = mapped_column(default=True)
    events: Mapped[list[str]] = mapped_column(default=list)
    severities: Mapped[list[str]] = mapped_column(default=list)
    sites: Mapped[list[str]] = mapped_column(default=list)
    agents: Mapped[list[str]] = mapped_column(default=list)
    tests: Mapped[list[str]] = mapped_column(default=list)
    labels: Mapped[dict[str, str]] = mapped_column(default=dict)
    channel_ids: Mapped[list[str]] = mapped_column(default=list)
    group_by: Mapped[list[str]] = mapped_column(default=list)
    wait: Mapped[float]
    repeat: Mapped[float]
    tell_closed: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Alert(Base):
    """Something that is or was wrong. `open_key` is the fingerprint while it is open, so that it opens only once."""

    __tablename__ = "alerts"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    fingerprint: Mapped[str] = mapped_column(index=True)
    open_key: Mapped[str | None] = mapped_column(unique=True)
    event: Mapped[str]
    severity: Mapped[str]
    labels: Mapped[dict[str, str]] = mapped_column(default=dict)
    summary: Mapped[str]
    detail: Mapped[str] = mapped_column(default="")
    value: Mapped[float | None]
    unit: Mapped[str] = mapped_column(default="")
    opened_at: Mapped[datetime] = mapped_column(index=True)
    seen_at: Mapped[datetime]
    closed_at: Mapped[datetime | None] = mapped_column(index=True)
    close_reason: Mapped[str] = mapped_column(default="")
    acknowledged_at: Mapped[datetime | None]
    acknowledged_by: Mapped[str] = mapped_column(default="")
    comment: Mapped[str] = mapped_column(default="")
    held_back: Mapped[str] = mapped_column(default="")
    """Why nobody is told: a silence, maintenance, or an agent that is offline."""


class RuleGroup(Base):
    """What a rule's recipients know of one group of alerts."""

    __tablename__ = "notification_groups"
    __table_args__ = (UniqueConstraint("rule_id", "key"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    rule_id: Mapped[str] = mapped_column(ForeignKey("notification_rules.id", ondelete="CASCADE"))
    key: Mapped[str]
    told: Mapped[list[str]] = mapped_column(default=list)
    """Ids of alerts that they know to be open, each with the severity that they were told."""
    wait_since: Mapped[datetime | None]
    last_sent_at: Mapped[datetime | None]


class Delivery(Base):
    """A message for a channel, written in the transaction that decided on it."""

    __tablename__ = "deliveries"
    __table_args__ = (Index("ix_deliveries_due", "status", "next_attempt_at"),)

    number: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    id: Mapped[str] = mapped_column(unique=True, default=new_id)
    channel_id: Mapped[str | None] = mapped_column(ForeignKey("channels.id", ondelete="SET NULL"), index=True)
    channel_name: Mapped[str]
    rule_name: Mapped[str] = mapped_column(default="")
    thread: Mapped[str] = mapped_column(default="")
    """Messages of one thread and channel are delivered in their order."""
    kind: Mapped[str]
    payload: Mapped[dict[str, Any]] = mapped_column(default=dict)
    status: Mapped[str]
    attempts: Mapped[int] = mapped_column(default=0)
    created_at: Mapped[datetime] = mapped_column(index=True)
    next_attempt_at: Mapped[datetime]
    give_up_at: Mapped[datetime]
    lease_holder: Mapped[str] = mapped_column(default="")
    lease_until: Mapped[datetime | None]
    last_error: Mapped[str] = mapped_column(default="")
    delivered_at: Mapped[datetime | None]


class Silence(Base):
    """Alerts that nobody is told of for a while, and who wanted that."""

    __tablename__ = "silences"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    matchers: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    starts_at: Mapped[datetime]
    ends_at: Mapped[datetime] = mapped_column(index=True)
    comment: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[datetime]
