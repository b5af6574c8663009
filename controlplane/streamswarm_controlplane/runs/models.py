from datetime import datetime

from sqlalchemy import ForeignKey, Index, false
from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base


class RunRecord(Base):
    """One occasion of one test on one agent: a scheduled start, a run that was asked for, or a test that goes on.

    Runs of the probe are points in the store; here they are only counted. The names stay when test and agent are gone.
    A run that was asked for has no more to it than this row until the agent takes it: `status` is `scheduled` and
    `expires_at` says until when it may begin.
    """

    __tablename__ = "runs"
    __table_args__ = (Index("ix_runs_listed", "created_at", "id"), Index("ix_runs_of_agent", "agent_id", "status"))

    id: Mapped[str] = mapped_column(primary_key=True)
    test_id: Mapped[str | None] = mapped_column(ForeignKey("tests.id", ondelete="SET NULL"), index=True)
    agent_id: Mapped[str | None] = mapped_column(ForeignKey("agents.id", ondelete="SET NULL"))
    assignment_id: Mapped[str] = mapped_column(index=True)
    test_key: Mapped[str]
    test_name: Mapped[str]
    agent_name: Mapped[str]
    kind: Mapped[str]
    status: Mapped[str]
    requested_by: Mapped[str] = mapped_column(default="")
    stop_requested: Mapped[bool] = mapped_column(default=False, server_default=false())
    due_at: Mapped[datetime | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None] = mapped_column(index=True)
    expires_at: Mapped[datetime | None]
    executions: Mapped[int] = mapped_column(default=0)
    failures: Mapped[int] = mapped_column(default=0)
    error: Mapped[str] = mapped_column(default="")
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
