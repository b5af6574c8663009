from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base


class AuditEntry(Base):
    """Who changed what; rows are only ever added."""

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    time: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str]
    address: Mapped[str]
    action: Mapped[str]
    object: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
