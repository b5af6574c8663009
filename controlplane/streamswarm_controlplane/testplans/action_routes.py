from datetime import datetime
from itertools import islice

from fastapi import APIRouter, status
from pydantic import BaseModel, ConfigDict, Field

from streamswarm_controlplane.assignments import selection
from streamswarm_controlplane.deps import Operator, ReaderDep, SessionDep, SettingsDep, Viewer
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.runs.schemas import RunPublic
from streamswarm_controlplane.testplans import actions, progress, service
from streamswarm_controlplane.testplans.schemas import (
    BulkAnswer,
    BulkRequest,
    Progress,
    SchedulePreview,
    ScheduleStarts,
    SelectorText,
    TestChanged,
    TestClone,
    TestPublic,
)
from streamswarm_core.clock import now
from streamswarm_core.schedule import is_over, occasions

router = APIRouter(tags=["tests"], route_class=ApiRoute)


@router.post("/tests/bulk", summary="Do one thing to many tests")
def change_tests(
    body: BulkRequest, db: SessionDep, settings: SettingsDep, operator: Operator, _once: OnceDep
) -> BulkAnswer:
    """Each test is answered for by itself; what is refused of one changes nothing of the others."""
    items = actions.bulk(db, operator.actor, settings, actions.BulkAction(body.action), body.ids)
    return BulkAnswer(items=items, failed=sum(not item.ok for item in items))


@router.post("/tests/{test_id}/clone", status_code=status.HTTP_201_CREATED, summary="Copy a test")
def clone_test(test_id: str, body: TestClone, db: SessionDep, operator: Operator, _once: OnceDep) -> TestChanged:
    """The copy is paused unless said otherwise. Secrets are copied only if the target's host stays."""
    test = service.get_test(db, test_id)
    return service.changed(db, actions.clone(db, operator.actor, test, body))


@router.post("/tests/{test_id}/pause", summary="Pause a test")
def pause_test(test_id: str, db: SessionDep, operator: Operator, _once: OnceDep) -> TestPublic:
    """Until it is resumed. A run record that goes on stays open."""
    test = service.get_test(db, test_id, lock=True)
    return TestPublic.model_validate(actions.pause(db, operator.actor, test))


@router.post("/tests/{test_id}/resume", summary="Resume a test")
def resume_test(test_id: str, db: SessionDep, operator: Operator, _once: OnceDep) -> TestPublic:
    """Refused if one of its agents can't bear it any more."""
    test = service.get_test(db, test_id, lock=True)
    return TestPublic.model_validate(actions.resume(db, operator.actor, test))


@router.post("/tests/{test_id}/run", status_code=status.HTTP_202_ACCEPTED, summary="Run a test now")
def run_test(
    test_id: str, db: SessionDep, settings: SettingsDep, operator: Operator, _once: OnceDep
) -> list[RunPublic]:
    """Once on each of its agents, which hear of it with their next poll: 5 seconds unless they are set otherwise."""
    test = service.get_test(db, test_id, lock=True)
    return [RunPublic.model_validate(run) for run in actions.run_now(db, operator.actor, settings, test)]


@router.post("/tests/{test_id}/stop", summary="Stop a test")
def stop_test(test_id: str, db: SessionDep, operator: Operator, _once: OnceDep) -> TestPublic:
    """End what is under way. A test that goes on is paused by that; a calendar's next start comes all the same."""
    test = service.get_test(db, test_id, lock=True)
    return TestPublic.model_validate(actions.stop(db, operator.actor, test))


@router.post("/tests/{test_id}/restart", summary="Restart a test")
def restart_test(test_id: str, db: SessionDep, settings: SettingsDep, operator: Operator, _once: OnceDep) -> TestPublic:
    """End what is under way and begin anew, with a new run record; resumes a paused test."""
    test = service.get_test(db, test_id, lock=True)
    return TestPublic.model_validate(actions.restart(db, operator.actor, settings, test))


@router.get("/tests/{test_id}/progress", summary="How a test is getting on")
def get_progress(test_id: str, db: SessionDep, reader: ReaderDep, settings: SettingsDep, _viewer: Viewer) -> Progress:
    """Which agents have taken it, runs done and expected, what came last of each agent."""
    return progress.progress(db, reader, settings, service.get_test(db, test_id))


@router.post("/schedules/preview", summary="When would a schedule start?")
def preview_schedule(body: SchedulePreview, _viewer: Viewer) -> ScheduleStarts:
    """Its next five starts. Nothing is changed."""
    at = now()
    starts: list[datetime] = list(islice(occasions(body.schedule, at), 5))
    return ScheduleStarts(starts=starts, over=is_over(body.schedule, at))


class SelectorPreview(BaseModel):
    """A selector to try."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"examples": [{"selector": "site=berlin,role in (edge,core),!lab"}]}
    )

    selector: SelectorText


class MatchingAgent(BaseModel):
    """An agent that a selector matches."""

    id: str
    name: str
    site: str
    labels: dict[str, str]


class MatchingAgents(BaseModel):
    """Who would match."""

    agents: list[MatchingAgent] = Field(description="The first 100 by name.")
    count: int


@router.post("/selectors/preview", summary="Which agents would match?")
def preview_selector(body: SelectorPreview, db: SessionDep, _viewer: Viewer) -> MatchingAgents:
    """Nothing is changed."""
    found = selection.matching(db, selection.parse(body.selector))
    shown = [MatchingAgent(id=agent.id, name=agent.name, site=agent.site, labels=agent.labels) for agent in found[:100]]
    return MatchingAgents(agents=shown, count=len(found))
