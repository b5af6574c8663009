from typing import Annotated

from fastapi import APIRouter, Query, Request

from streamswarm_controlplane.deps import SessionDep, bearer_token
from streamswarm_controlplane.discovery import service
from streamswarm_controlplane.discovery.service import TargetGroup
from streamswarm_controlplane.idempotency import ApiRoute
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.tokens.service import living_token
from streamswarm_core.tokens import Scope

router = APIRouter(prefix="/prometheus", tags=["agents"], route_class=ApiRoute)


@router.get("/sd", summary="Agents' exporters for Prometheus's http_sd_configs")
def discover_exporters(
    request: Request,
    db: SessionDep,
    site: Annotated[str | None, Query(max_length=63, description="Only agents of this site; empty: of none.")] = None,
) -> list[TargetGroup]:
    """Needs a static token with the scope `read`. Each target has the labels `agent` and `site`.

    For relabelling there are also `__meta_streamswarm_agent`, `_agent_id`, `_site`, `_version`, `_exporter_url` and
    `_label_NAME` for each of the agent's labels.
    """
    token = living_token(db, bearer_token(request))
    if token is None:
        raise ApiError(401, "a static token with the scope read is needed", headers={"WWW-Authenticate": "Bearer"})
    if Scope.READ not in token.scopes:
        raise ApiError(403, f"this needs a token with the scope read; this one has {', '.join(token.scopes)}")
    return service.target_groups(db, site)
