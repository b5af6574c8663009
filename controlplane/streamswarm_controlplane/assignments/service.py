"""Which agent runs which test. Every change of what an agent has to run goes through `bump`, once."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Select, delete, select, update
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.assignment import Assignment, AssignmentSet
from streamswarm_core.clock import now


def query_assignments(*, test_id: str = "", agent_id: str = "") -> Select[AssignmentRow]:
    """All assignments, or those of a test or an agent."""
    query = select(AssignmentRow)
    if test_id:
        query = query.where(AssignmentRow.test_id == test_id)
    return query.where(AssignmentRow.agent_id == agent_id) if agent_id else query


def list_assignments(db: Session) -> Sequence[AssignmentRow]:
    """All assignments, oldest first."""
    return db.scalars(select(AssignmentRow).order_by(AssignmentRow.created_at, AssignmentRow.id)).all()


def assign(db: Session, actor: Actor, test: TestPlan, agent_id: str) -> AssignmentRow:
    """Let an agent run a test; one that it runs already stays as it is.

    Raises:
        ApiError: 404 for an unknown agent.
    """
    agent = db.get(Agent, agent_id)
    if agent is None:
        raise ApiError(404, f"no agent with the id {agent_id}", field="body.agent_id")
    same = select(AssignmentRow).where(AssignmentRow.test_id == test.id, AssignmentRow.agent_id == agent_id)
    row = db.scalar(same)
    if row is None:
        row = AssignmentRow(test_id=test.id, agent_id=agent_id, created_at=now())
        db.add(row)
        db.flush()
        record(db, actor, "assignment.create", f"{test.key}@{agent.name}")
        bump(db, [agent_id])
        db.refresh(row)
    return row


def unassign(db: Session, actor: Actor, assignment_id: str) -> None:
    """Let an agent stop running a test.

    Raises:
        ApiError: 404.
    """
    row = db.get(AssignmentRow, assignment_id)
    if row is None:
        raise ApiError(404, f"no assignment with the id {assignment_id}")
    record(db, actor, "assignment.delete", f"{row.test.key}@{row.agent.name}")
    db.delete(row)
    db.flush()
    bump(db, [row.agent_id])


def agents_of(db: Session, test: TestPlan) -> list[str]:
    """Ids of the agents that run a test."""
    return list(db.scalars(select(AssignmentRow.agent_id).where(AssignmentRow.test_id == test.id)))


def drop_all(db: Session, test: TestPlan) -> None:
    """Remove a test's assignments."""
    db.execute(delete(AssignmentRow).where(AssignmentRow.test_id == test.id))


def bump(db: Session, agent_ids: Iterable[str]) -> None:
    """Say that what these agents have to run has changed."""
    db.execute(
        update(Agent)
        .where(Agent.id.in_(list(agent_ids)))
        .values(assignments_version=Agent.assignments_version + 1)
        .execution_options(synchronize_session="fetch")
    )


def assignment_set(db: Session, agent: Agent) -> AssignmentSet:
    """What an agent has to run: its assignments of tests that are not paused; nothing while it is drained."""
    if agent.draining:
        return AssignmentSet(agent_id=agent.id, version=agent.assignments_version, draining=True)
    rows = db.scalars(
        select(AssignmentRow)
        .join(TestPlan)
        .where(AssignmentRow.agent_id == agent.id, TestPlan.paused.is_(False))
        .order_by(AssignmentRow.id)
    )
    return AssignmentSet(
        agent_id=agent.id,
        version=agent.assignments_version,
        assignments=tuple(
            Assignment(
                id=row.id,
                test=row.test.key,
                probe=row.test.probe,
                target=row.test.target,
                params=row.test.params,
                interval=row.test.interval,
                timeout=row.test.timeout,
            )
            for row in rows
        ),
    )
