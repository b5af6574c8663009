from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base, new_id


class TestPlan(Base):
    """A test: what to measure, when, on which agents. `key` is the `test` tag and never changes.

    `schedule` is null for always (streamswarm_core.schedule). `generation` grows with each restart, so that a run
    record that goes on for ever begins anew. `selector` adds agents to those that were assigned by hand. `name_key` is
    the name as names are compared (testplans.names); null where an older test had the same name before 0007.
    """

    __tablename__ = "tests"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    name_key: Mapped[str | None] = mapped_column(unique=True, index=True)
    probe: Mapped[str]
    target: Mapped[str] = mapped_column(default="")
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    interval: Mapped[float]
    timeout: Mapped[float]
    schedule: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    generation: Mapped[int] = mapped_column(default=1, server_default="1")
    selector: Mapped[str] = mapped_column(default="", server_default="")
    thresholds: Mapped[list[dict[str, Any]]] = mapped_column(JSON, default=list, server_default="[]")
    objective: Mapped[dict[str, Any] | None] = mapped_column(JSON(none_as_null=True))
    paused: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Marker(Base):
    """Something that is done once in the life of an installation."""

    __tablename__ = "markers"

    name: Mapped[str] = mapped_column(primary_key=True)
    made_at: Mapped[datetime]
