from datetime import datetime

from sqlalchemy import ForeignKey
from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base, new_id


class EnrolmentToken(Base):
    """A token by which agents get secrets of their own. `agent_name` binds it to one name, if given.

    `used_by` and `used_at` are of the newest use; the audit log has all of them.
    """

    __tablename__ = "enrolment_tokens"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    token_hash: Mapped[str] = mapped_column(unique=True)
    agent_name: Mapped[str] = mapped_column(default="")
    site: Mapped[str] = mapped_column(default="")
    labels: Mapped[dict[str, str]] = mapped_column(default=dict)
    uses: Mapped[int] = mapped_column(default=1)
    uses_left: Mapped[int] = mapped_column(default=1)
    created_by: Mapped[str]
    created_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    used_at: Mapped[datetime | None]
    used_by: Mapped[str] = mapped_column(default="")
    revoked_at: Mapped[datetime | None]


class AgentSecret(Base):
    """The change of an agent's secret, while there is one; the secret in force is in the agent's own row.

    `next_hash` is the new one that the agent hasn't used yet. After `rotate_by` the old one is refused: an admin asked
    for the change.
    """

    __tablename__ = "agent_secrets"

    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"), primary_key=True)
    issued_at: Mapped[datetime]
    next_hash: Mapped[str] = mapped_column(default="")
    next_expires_at: Mapped[datetime | None]
    rotate_by: Mapped[datetime | None]
