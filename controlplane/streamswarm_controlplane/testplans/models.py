from datetime import datetime
from typing import Any

from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base, new_id


class TestPlan(Base):
    """A test: what to measure, how often. `key` is the `test` tag and never changes."""

    __tablename__ = "tests"

    id: Mapped[str] = mapped_column(primary_key=True, default=new_id)
    key: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    probe: Mapped[str]
    target: Mapped[str] = mapped_column(default="")
    params: Mapped[dict[str, Any]] = mapped_column(default=dict)
    interval: Mapped[float]
    timeout: Mapped[float]
    paused: Mapped[bool] = mapped_column(default=False)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Marker(Base):
    """Something that is done once in the life of an installation."""

    __tablename__ = "markers"

    name: Mapped[str] = mapped_column(primary_key=True)
    made_at: Mapped[datetime]
