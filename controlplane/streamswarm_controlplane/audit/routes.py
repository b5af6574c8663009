from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict, Field

from streamswarm_controlplane.audit.models import AuditEntry
from streamswarm_controlplane.audit.search import EXPORTS, AuditFilter
from streamswarm_controlplane.deps import Admin, DatabaseDep, SessionDep
from streamswarm_controlplane.idempotency import ApiRoute
from streamswarm_controlplane.pages import Page, PageDep
from streamswarm_core.clock import now
from streamswarm_core.moment import Moment

router = APIRouter(prefix="/audit", tags=["audit"], route_class=ApiRoute)


class AuditPublic(BaseModel):
    """Who changed what."""

    model_config = ConfigDict(from_attributes=True)

    id: int
    time: datetime
    actor: str
    actor_kind: str
    via: str = Field(description="Name of the personal token that was used, if one was.")
    address: str
    action: str
    object: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None


def _wanted(
    actor: Annotated[str, Query(max_length=255, description="Only what this user, agent or service did.")] = "",
    actor_kind: Annotated[
        str, Query(max_length=20, description="`user`, `agent`, `system`, `anonymous` or `development`.")
    ] = "",
    action: Annotated[
        str, Query(max_length=63, description="Only this action, `test.update`, or a group of them, `test.`")
    ] = "",
    target: Annotated[str, Query(max_length=300, description="Only what was done to this, by its whole name.")] = "",
    since: Annotated[Moment | None, Query(description="From this time on.")] = None,
    until: Annotated[Moment | None, Query(description="Before this time.")] = None,
    q: Annotated[str, Query(max_length=100, description="Text anywhere in the entry.")] = "",
) -> AuditFilter:
    return AuditFilter(actor, actor_kind, action, target, since, until, q)


WantedDep = Annotated[AuditFilter, Depends(_wanted)]


@router.get("", summary="The audit log")
def list_entries(db: SessionDep, page: PageDep, _admin: Admin, wanted: WantedDep) -> Page[AuditPublic]:
    """Newest first."""
    statement = wanted.statement()
    return page.read(db, statement, by=[AuditEntry.id], show=AuditPublic.model_validate, descending=True)


@router.get(
    "/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/csv": {}, "application/x-ndjson": {}}}},
    summary="The audit log as a file",
)
def export_entries(
    database: DatabaseDep,
    _admin: Admin,
    wanted: WantedDep,
    form: Annotated[Literal["csv", "jsonl"], Query(alias="format", description="CSV, or lines of JSON.")] = "csv",
) -> StreamingResponse:
    """All entries that are asked for, as CSV or lines of JSON, streamed."""
    media_type, export = EXPORTS[form]
    lines: Iterator[str] = export(database, wanted)
    name = f"audit-{now():%Y%m%dT%H%M%SZ}.{form}"
    headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
    return StreamingResponse(lines, media_type=media_type, headers=headers)
