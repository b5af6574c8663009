"""Rows by their ids, or the answer that there is none."""

from collections.abc import Sequence
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import InstrumentedAttribute, Session

from streamswarm_controlplane.db import Base
from streamswarm_controlplane.problems import ApiError

Row = TypeVar("Row", bound=Base)


def get_or_404(db: Session, table: type[Row], row_id: str, noun: str, *, lock: bool = False, hint: str = "") -> Row:
    """One row.

    Args:
        db: where to look.
        table: of which table.
        row_id: its primary key.
        noun: what users call it.
        lock: keep others from changing it until the transaction ends.
        hint: why it may be gone.

    Raises:
        ApiError: 404.
    """
    # Only this row: PostgreSQL locks none that an outer join may leave out.
    row = db.get(table, row_id, with_for_update={"of": table} if lock else None)
    if row is None:
        raise ApiError(404, f"no {noun} with the id {row_id}" + (f"; {hint}" if hint else ""))
    return row


def names_of(
    db: Session, key: InstrumentedAttribute[str], name: InstrumentedAttribute[str], ids: Sequence[str]
) -> list[str]:
    """What people call the rows with these ids, in their order; an id of none is said as it is."""
    known = dict(db.execute(select(key, name).where(key.in_(ids))).all())
    return [known.get(row_id, row_id) for row_id in ids]
