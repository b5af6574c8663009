from datetime import datetime

from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base


class Lease(Base):
    """Which of several workers does a job, until when it has to say that it still does, and since when somebody has."""

    __tablename__ = "leases"

    name: Mapped[str] = mapped_column(primary_key=True)
    holder: Mapped[str]
    until: Mapped[datetime]
    since: Mapped[datetime | None]
