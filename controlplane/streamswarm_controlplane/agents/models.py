from datetime import datetime
from typing import Any

from sqlalchemy import false
from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base, new_id


class Agent(Base):
    """An enrolled agent. `assignments_version` grows with every change of what it has to run."""

    __tablename__ = "agents"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str] = mapped_column(unique=True)
    site: Mapped[str]
    secret_hash: Mapped[str]
    version: Mapped[str] = mapped_column(default="")
    host: Mapped[dict[str, Any]] = mapped_column(default=dict)
    exporter_url: Mapped[str] = mapped_column(default="")
    queued_points: Mapped[int] = mapped_column(default=0)
    clock_offset: Mapped[float | None]
    clock_error: Mapped[float | None]
    labels: Mapped[dict[str, str]] = mapped_column(default=dict, server_default="{}")
    addresses: Mapped[list[str]] = mapped_column(default=list, server_default="[]")
    budget: Mapped[dict[str, Any]] = mapped_column(default=dict, server_default="{}")
    draining: Mapped[bool] = mapped_column(default=False, server_default=false())
    restart_requested_at: Mapped[datetime | None]
    assignments_version: Mapped[int] = mapped_column(default=1)
    running_version: Mapped[int] = mapped_column(default=0)
    enrolled_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]


class RemovedAgent(Base):
    """An agent that was deleted, for as long as an access token of it may live: collectors must not take it."""

    __tablename__ = "removed_agents"

    id: Mapped[str] = mapped_column(primary_key=True)
    name: Mapped[str]
    removed_at: Mapped[datetime]
