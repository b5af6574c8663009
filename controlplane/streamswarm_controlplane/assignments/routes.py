from datetime import datetime

from fastapi import APIRouter, status
from pydantic import BaseModel, ConfigDict

from streamswarm_controlplane.assignments import service
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.deps import Operator, SessionDep, Viewer
from streamswarm_controlplane.testplans.service import get_test

router = APIRouter(prefix="/assignments", tags=["tests"])


class AssignmentCreate(BaseModel):
    """A test for an agent."""

    model_config = ConfigDict(extra="forbid")

    test_id: str
    agent_id: str


class AssignmentPublic(BaseModel):
    """One test on one agent."""

    model_config = ConfigDict(from_attributes=True)

    id: str
    test_id: str
    agent_id: str
    created_at: datetime


@router.get("", response_model=list[AssignmentPublic], summary="All assignments")
def list_assignments(db: SessionDep, _viewer: Viewer) -> list[AssignmentRow]:
    """Oldest first."""
    return list(service.list_assignments(db))


@router.post("", status_code=status.HTTP_201_CREATED, response_model=AssignmentPublic, summary="Assign a test")
def create_assignment(body: AssignmentCreate, db: SessionDep, operator: Operator) -> AssignmentRow:
    """Assigning twice is the same as once."""
    return service.assign(db, operator.actor, get_test(db, body.test_id), body.agent_id)


@router.delete("/{assignment_id}", status_code=status.HTTP_204_NO_CONTENT, summary="Take a test from an agent")
def delete_assignment(assignment_id: str, db: SessionDep, operator: Operator) -> None:
    """What it measured stays."""
    service.unassign(db, operator.actor, assignment_id)
