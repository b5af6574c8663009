from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base, new_id


class DevelopmentWindow(Base):
    """A time in which requests from this machine need no login."""

    __tablename__ = "development_windows"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    started_at: Mapped[datetime]
    until: Mapped[datetime]
    ended_at: Mapped[datetime | None]
