from datetime import datetime

from sqlalchemy import ForeignKey, UniqueConstraint, false, true
from sqlalchemy.orm import Mapped, mapped_column, relationship

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.db import Base, new_id
from streamswarm_controlplane.testplans.models import TestPlan


class AssignmentRow(Base):
    """One test on one agent: by hand (`explicit`), by the test's selector (`selected`), or by both."""

    __tablename__ = "assignments"
    __table_args__ = (UniqueConstraint("test_id", "agent_id"),)

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    test_id: Mapped[str] = mapped_column(ForeignKey("tests.id", ondelete="CASCADE"))
    agent_id: Mapped[str] = mapped_column(ForeignKey("agents.id", ondelete="CASCADE"), index=True)
    explicit: Mapped[bool] = mapped_column(default=True, server_default=true())
    selected: Mapped[bool] = mapped_column(default=False, server_default=false())
    created_at: Mapped[datetime]

    test: Mapped[TestPlan] = relationship(lazy="joined")
    agent: Mapped[Agent] = relationship(lazy="joined")
