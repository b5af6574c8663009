from typing import Any, Literal

from alembic import context

from streamswarm_controlplane import models
from streamswarm_controlplane.db import Base, UtcDateTime

engine = context.config.attributes["engine"]
_ = models


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our own column type as what it is to the database, so that a migration needs nothing of ours."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


with engine.begin() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render_item,
    )
    context.run_migrations()
