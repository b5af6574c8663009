"""Names that only one may have."""

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.notifications.models import Channel, Rule
from streamswarm_controlplane.problems import ApiError


def refuse_taken(db: Session, table: type[Channel] | type[Rule], name: str, own_id: str = "") -> None:
    """Make sure that nobody else in the table has this name.

    Raises:
        ApiError: 409.
    """
    taken = db.scalar(select(table.id).where(table.name == name))
    if taken is not None and taken != own_id:
        raise ApiError(409, f"the name {name!r} is taken; choose another", field="body.name")
