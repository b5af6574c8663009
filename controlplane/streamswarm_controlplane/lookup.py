"""Rows by their ids, or the answer that there is none."""

from typing import TypeVar

from sqlalchemy.orm import Session

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
    row = db.get(table, row_id, with_for_update=lock or None)
    if row is None:
        raise ApiError(404, f"no {noun} with the id {row_id}" + (f"; {hint}" if hint else ""))
    return row
