from datetime import datetime
from typing import Any

from sqlalchemy import JSON
from sqlalchemy.orm import Mapped, mapped_column

from streamswarm_controlplane.db import Base


class ConfigValue(Base):
    """A value that an admin has set; what isn't here is as the settings say."""

    __tablename__ = "config_values"

    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)
    changed_by: Mapped[str]
    changed_at: Mapped[datetime]


class ConfigChange(Base):
    """Who changed a value from what to what; null stands for the default."""

    __tablename__ = "config_changes"

    id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    key: Mapped[str] = mapped_column(index=True)
    before: Mapped[Any] = mapped_column(JSON, nullable=True)
    after: Mapped[Any] = mapped_column(JSON, nullable=True)
    changed_by: Mapped[str]
    changed_at: Mapped[datetime]
