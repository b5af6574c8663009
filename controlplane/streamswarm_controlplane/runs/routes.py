from typing import Annotated

from fastapi import APIRouter, Query

from streamswarm_controlplane.deps import AgentDep, Operator, SessionDep, SettingsDep, Viewer
from streamswarm_controlplane.etags import ReadingDep
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.pages import Page, PageDep
from streamswarm_controlplane.runs import service
from streamswarm_controlplane.runs.models import RunRecord
from streamswarm_controlplane.runs.schemas import RunPublic, RunsTaken
from streamswarm_core.assignment import RunKind, RunReports, RunStatus
from streamswarm_core.moment import Moment

router = APIRouter(prefix="/runs", tags=["runs"], route_class=ApiRoute)
agent_router = APIRouter(prefix="/agent", tags=["for agents"], route_class=ApiRoute)


@router.get("", summary="All run records")
def list_runs(
    db: SessionDep,
    page: PageDep,
    _viewer: Viewer,
    test_id: Annotated[str, Query(max_length=64, description="Only those of this test.")] = "",
    agent_id: Annotated[str, Query(max_length=64, description="Only those of this agent.")] = "",
    status: Annotated[RunStatus | None, Query(description="Only those with this status.")] = None,
    kind: Annotated[RunKind | None, Query(description="Only scheduled, or only manual ones.")] = None,
    since: Annotated[Moment | None, Query(description="Only those made since then.")] = None,
    until: Annotated[Moment | None, Query(description="Only those made before then.")] = None,
) -> Page[RunPublic]:
    """Newest first. A record is an occasion of a test; the runs of its probe are its results."""
    service.expire(db)
    query = service.query_runs(test_id=test_id, agent_id=agent_id, status=status, kind=kind, since=since, until=until)
    by = [RunRecord.created_at, RunRecord.id]
    return page.read(db, query, by=by, show=RunPublic.model_validate, descending=True)


@router.get("/{run_id}", summary="One run record")
def get_run(run_id: str, db: SessionDep, reading: ReadingDep, _viewer: Viewer) -> RunPublic:
    """By id."""
    service.expire(db)
    return reading.show(RunPublic.model_validate(service.get_run(db, run_id)))


@router.post("/{run_id}/stop", summary="End a run")
def stop_run(run_id: str, db: SessionDep, operator: Operator, _once: OnceDep) -> RunPublic:
    """One that has not begun is ended at once, another with the agent's next poll."""
    run = service.get_run(db, run_id, lock=True)
    return RunPublic.model_validate(service.stop(db, operator.actor, run))


@agent_router.post("/runs", summary="Say what has become of runs")
def report_runs(body: RunReports, db: SessionDep, settings: SettingsDep, agent: AgentDep) -> RunsTaken:
    """A record that is said again replaces what was said before, until it is over."""
    return service.take_reports(db, settings, agent, body.runs)
