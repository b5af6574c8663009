from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict

from streamswarm_controlplane.audit.models import AuditEntry
from streamswarm_controlplane.audit.service import query_entries
from streamswarm_controlplane.deps import Admin, SessionDep
from streamswarm_controlplane.fields import Moment
from streamswarm_controlplane.idempotency import ApiRoute
from streamswarm_controlplane.pages import Page, PageDep

router = APIRouter(prefix="/audit", tags=["audit"], route_class=ApiRoute)


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


@router.get("", summary="The audit log")
def list_entries(
    db: SessionDep,
    page: PageDep,
    _admin: Admin,
    actor: Annotated[str, Query(max_length=255, description="Only what this user, agent or service did.")] = "",
    action: Annotated[str, Query(max_length=63, description="Only this action, such as `test.update`.")] = "",
    since: Annotated[Moment | None, Query(description="From this time on.")] = None,
    until: Annotated[Moment | None, Query(description="Before this time.")] = None,
    q: Annotated[str, Query(max_length=100, description="Part of the object's name.")] = "",
) -> Page[AuditPublic]:
    """Newest first."""
    query = query_entries(actor=actor, action=action, since=since, until=until, part=q)
    return page.read(db, query, by=[AuditEntry.id], show=AuditPublic.model_validate, descending=True)
