from datetime import datetime
from typing import Any

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
    assignments_version: Mapped[int] = mapped_column(default=1)
    running_version: Mapped[int] = mapped_column(default=0)
    enrolled_at: Mapped[datetime]
    started_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
