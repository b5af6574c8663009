from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Literal

from alembic import context
from sqlalchemy import Connection, text

from streamswarm_controlplane import models
from streamswarm_controlplane.db import Base, UtcDateTime, lock_out_others

LOCK = 7_317_042_991
"""By this one of several processes migrates, and the others wait."""

engine = context.config.attributes["engine"]
_ = models


def render_item(kind: str, item: Any, _context: Any) -> str | Literal[False]:
    """Write our own column type as what it is to the database, so that a migration needs nothing of ours."""
    return "sa.DateTime(timezone=True)" if kind == "type" and isinstance(item, UtcDateTime) else False


@contextmanager
def sole_transaction() -> Iterator[Connection]:
    """A transaction that no other migration runs beside; all steps are done, or none."""
    with engine.connect() as connection:
        if connection.dialect.name != "sqlite":
            with connection.begin():
                lock_out_others(connection, LOCK)
                yield connection
            return
        # A changed table is a new one under the old name. With foreign keys on, dropping the old one would delete the
        # rows that point to its rows. The switch has no effect inside of a transaction, so it goes by the driver.
        driver = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys = OFF")
        driver.execute("PRAGMA busy_timeout = 600000")
        try:
            with connection.begin():
                yield connection
                broken = connection.execute(text("PRAGMA foreign_key_check")).all()
                if broken:
                    raise RuntimeError(f"rows that point to nothing after the migration: {broken[:5]}")
        finally:
            # Not to be given to anybody else with these switches.
            connection.invalidate()


with sole_transaction() as connection:
    context.configure(
        connection=connection,
        target_metadata=Base.metadata,
        render_as_batch=connection.dialect.name == "sqlite",
        render_item=render_item,
    )
    context.run_migrations()
