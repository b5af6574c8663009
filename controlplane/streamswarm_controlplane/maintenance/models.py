from datetime import datetime

from sqlalchemy import false
from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base, new_id


class MaintenanceWindow(Base):
    """A time in which nobody is alerted: from `starts_at` to `ends_at`, or for `duration` seconds from cron moments.

    With a cron expression `starts_at` and `ends_at` bound it, and may be missing.
    """

    __tablename__ = "maintenance"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    name: Mapped[str]
    note: Mapped[str] = mapped_column(default="")
    starts_at: Mapped[datetime | None]
    ends_at: Mapped[datetime | None]
    cron: Mapped[str] = mapped_column(default="")
    zone: Mapped[str] = mapped_column(default="UTC")
    duration: Mapped[float | None]
    everything: Mapped[bool] = mapped_column(default=False, server_default=false())
    agent_ids: Mapped[list[str]] = mapped_column(default=list)
    test_ids: Mapped[list[str]] = mapped_column(default=list)
    selector: Mapped[str] = mapped_column(default="")
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
