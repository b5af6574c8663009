from typing import Annotated

from fastapi import APIRouter, Query

from streamswarm_controlplane.deps import SessionDep
from streamswarm_controlplane.discovery import service
from streamswarm_controlplane.discovery.service import TargetGroup
from streamswarm_controlplane.idempotency import ApiRoute
from streamswarm_controlplane.tokens.guard import StaticReaderDep

router = APIRouter(prefix="/prometheus", tags=["agents"], route_class=ApiRoute)


@router.get("/sd", summary="Agents' exporters for Prometheus's http_sd_configs")
def discover_exporters(
    db: SessionDep,
    _token: StaticReaderDep,
    site: Annotated[str | None, Query(max_length=63, description="Only agents of this site; empty: of none.")] = None,
) -> list[TargetGroup]:
    """Needs a static token with the scope `read`. Each target has the labels `agent` and `site`.

    For relabelling there are also `__meta_streamswarm_agent`, `_agent_id`, `_site`, `_version`, `_exporter_url` and
    `_label_NAME` for each of the agent's labels.
    """
    return service.target_groups(db, site)
