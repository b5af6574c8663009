from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query, status
from pydantic import BaseModel, ConfigDict, Field

from streamswarm_controlplane.assignments import limits, service
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.deps import Operator, SessionDep, Viewer
from streamswarm_controlplane.etags import ChangingDep, ReadingDep
from streamswarm_controlplane.idempotency import ApiRoute, OnceDep
from streamswarm_controlplane.pages import Page, PageDep
from streamswarm_controlplane.testplans.service import get_test

router = APIRouter(prefix="/assignments", tags=["tests"], route_class=ApiRoute)


class AssignmentCreate(BaseModel):
    """A test for an agent."""

    model_config = ConfigDict(
        extra="forbid",
        json_schema_extra={
            "examples": [
                {"test_id": "0d2f1c7b9e8a4d6fb1a2c3d4e5f60718", "agent_id": "5d1a8d3c0f6b4a52a3d2f4f1b8a7c6e9"}
            ]
        },
    )

    test_id: str
    agent_id: str


class AssignmentPublic(BaseModel):
    """One test on one agent."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    test_id: str
    agent_id: str
    explicit: bool = Field(description="Made by hand.")
    selected: bool = Field(description="Made by the test's selector; it ends when the selector matches no more.")
    created_at: datetime


@router.get("", summary="All assignments")
def list_assignments(
    db: SessionDep,
    page: PageDep,
    _viewer: Viewer,
    test_id: Annotated[str, Query(max_length=64, description="Only those of this test.")] = "",
    agent_id: Annotated[str, Query(max_length=64, description="Only those of this agent.")] = "",
) -> Page[AssignmentPublic]:
    """Oldest first."""
    query = service.query_assignments(test_id=test_id, agent_id=agent_id)
    by = [AssignmentRow.created_at, AssignmentRow.id]
    return page.read(db, query, by=by, show=AssignmentPublic.model_validate)


class AssignmentMade(AssignmentPublic):
    """A new assignment, with what somebody should know of it."""

    warnings: list[str] = Field([], description="What is allowed, but may not be meant, such as measuring twice.")


@router.post("", status_code=status.HTTP_201_CREATED, summary="Assign a test")
def create_assignment(body: AssignmentCreate, db: SessionDep, operator: Operator, _once: OnceDep) -> AssignmentMade:
    """Assigning twice is the same as once. Refused if the agent can't bear it."""
    test = get_test(db, body.test_id)
    made = AssignmentMade.model_validate(service.assign(db, operator.actor, test, body.agent_id))
    return made.model_copy(update={"warnings": limits.duplicates(db, test)})


@router.get("/{assignment_id}", summary="One assignment")
def get_assignment(assignment_id: str, db: SessionDep, reading: ReadingDep, _viewer: Viewer) -> AssignmentPublic:
    """By id."""
    return reading.show(AssignmentPublic.model_validate(service.get_assignment(db, assignment_id)))


@router.delete("/{assignment_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Take a test from an agent")
def delete_assignment(assignment_id: str, db: SessionDep, changing: ChangingDep, operator: Operator) -> None:
    """What it measured stays."""
    row = service.get_assignment(db, assignment_id, lock=True)
    changing.check(AssignmentPublic.model_validate(row))
    service.unassign(db, operator.actor, row)
