from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base


class AuditEntry(Base):
    """Who changed what. Triggers in the database refuse to change rows, and to delete them.

    `actor_kind` is `user`, `agent`, `system`, `anonymous` or `development`; `via` names the personal token that was
    used, if one was.
    """

    __tablename__ = "audit"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    time: Mapped[datetime] = mapped_column(index=True)
    actor: Mapped[str] = mapped_column(index=True)
    actor_kind: Mapped[str] = mapped_column(default="")
    via: Mapped[str] = mapped_column(default="")
    address: Mapped[str]
    action: Mapped[str] = mapped_column(index=True)
    object: Mapped[str]
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]


class AuditRetention(Base):
    """Entries older than `cutoff` may be deleted; there is a row only while the command `audit-prune` runs."""

    __tablename__ = "audit_retention"

    cutoff: Mapped[datetime] = mapped_column(primary_key=True)
