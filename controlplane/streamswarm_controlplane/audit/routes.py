from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from streamswarm_controlplane.audit.models import AuditEntry
from streamswarm_controlplane.deps import Admin, SessionDep

router = APIRouter(prefix="/audit", tags=["audit"])


class AuditPublic(BaseModel):
    """Who changed what."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    time: datetime
    actor: str
    address: str
    action: str
    object: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


@router.get("", response_model=list[AuditPublic], summary="The audit log")
def list_entries(
    db: SessionDep,
    _admin: Admin,
    before: Annotated[int | None, Query(description="Entries older than this id.")] = None,
    limit: Annotated[int, Query(ge=1, le=1000)] = 100,
) -> list[AuditEntry]:
    """Newest first."""
    query = select(AuditEntry).order_by(AuditEntry.id.desc()).limit(limit)
    if before is not None:
        query = query.where(AuditEntry.id < before)
    return list(db.scalars(query))
