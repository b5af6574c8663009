"""Which agent runs which test. Every change of what an agent has to run goes through `bump`, once."""

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import ColumnElement, Select, delete, select, update
from sqlalchemy.orm import InstrumentedAttribute, Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.assignments import limits
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.assignments.turn import take_turn
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.lookup import get_or_404
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.runs.models import RunRecord
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.assignment import Assignment, AssignmentSet, RunRequest, RunStatus
from streamswarm_core.clock import now

OPEN: Final = (RunStatus.SCHEDULED.value, RunStatus.RUNNING.value)
"""Run records that something still comes of."""


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
    """Let an agent run a test, whatever the test's selector says; one that it runs already stays as it is.

    Raises:
        ApiError: 404 for an unknown agent, 409 for one that can't bear it.
    """
    take_turn(db)
    agent = db.get(Agent, agent_id)
    if agent is None:
        raise ApiError(404, f"no agent with the id {agent_id}", field="body.agent_id")
    same = select(AssignmentRow).where(AssignmentRow.test_id == test.id, AssignmentRow.agent_id == agent_id)
    row = db.scalar(same)
    if row is not None:
        row.explicit = True
        return row
    limits.refuse_overload(db, [agent], test)
    row = AssignmentRow(test_id=test.id, agent_id=agent_id, explicit=True, selected=False, created_at=now())
    db.add(row)
    db.flush()
    record(db, actor, "assignment.create", f"{test.key}@{agent.name}")
    bump(db, [agent_id])
    db.refresh(row)
    return row


def get_assignment(db: Session, assignment_id: str, *, lock: bool = False) -> AssignmentRow:
    """One assignment; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    if lock:
        take_turn(db)
    return get_or_404(db, AssignmentRow, assignment_id, "assignment", lock=lock)


def unassign(db: Session, actor: Actor, row: AssignmentRow) -> None:
    """Let an agent stop running a test, unless the test's selector still matches it.

    Raises:
        ApiError: 409 for an assignment that nobody made by hand.
    """
    if row.selected and not row.explicit:
        raise ApiError(
            409,
            f"{row.agent.name} runs {row.test.key} because the selector {row.test.selector!r} matches it; change the "
            "selector or the agent's labels",
        )
    record(db, actor, "assignment.delete", f"{row.test.key}@{row.agent.name}")
    if row.selected:
        row.explicit = False
        return
    end_runs(db, [row.id], "the test was taken from the agent")
    db.delete(row)
    db.flush()
    bump(db, [row.agent_id])


def assign_only(db: Session, actor: Actor, test: TestPlan, agent_ids: Iterable[str]) -> None:
    """Let these agents run a test by hand, and no others; those of its selector stay.

    Of hundreds of agents it asks the database little more than of one, so that none of them waits for it.

    Raises:
        ApiError: 404 for an unknown agent, 409 for one that can't bear it.
    """
    wanted = list(dict.fromkeys(agent_ids))
    rows = {row.agent_id: row for row in db.scalars(select(AssignmentRow).where(AssignmentRow.test_id == test.id))}
    added = [agent_id for agent_id in wanted if agent_id not in rows]
    known = {agent.id: agent for agent in db.scalars(select(Agent).where(Agent.id.in_(added)))}
    for agent_id in added:
        if agent_id not in known:
            raise ApiError(404, f"no agent with the id {agent_id}", field="body.agent_ids")
    limits.refuse_overload(db, known.values(), test)
    at = now()
    for agent_id in added:
        db.add(AssignmentRow(test_id=test.id, agent_id=agent_id, explicit=True, selected=False, created_at=at))
        record(db, actor, "assignment.create", f"{test.key}@{known[agent_id].name}")
    taken = [row for row in rows.values() if row.explicit and row.agent_id not in wanted]
    for row in taken:
        record(db, actor, "assignment.delete", f"{test.key}@{row.agent.name}")
        row.explicit = False
    for agent_id in wanted:
        if agent_id in rows:
            rows[agent_id].explicit = True
    gone = [row for row in taken if not row.selected]
    end_runs(db, [row.id for row in gone], "the test was taken from the agent")
    for row in gone:
        db.delete(row)
    db.flush()
    bump(db, [*added, *(row.agent_id for row in gone)])


def end_runs(db: Session, assignment_ids: Iterable[str], why: str) -> None:
    """Close the run records of assignments that an agent has no more."""
    db.execute(
        update(RunRecord)
        .where(RunRecord.assignment_id.in_(list(assignment_ids)), RunRecord.status.in_(OPEN))
        .values(status=RunStatus.STOPPED.value, finished_at=now(), updated_at=now(), error=why)
        .execution_options(synchronize_session="fetch")
    )


def agents_of(db: Session, test: TestPlan) -> list[str]:
    """Ids of the agents that run a test."""
    return list(db.scalars(select(AssignmentRow.agent_id).where(AssignmentRow.test_id == test.id)))


def ids_of_agent(db: Session, agent: Agent) -> list[str]:
    """Ids of an agent's assignments."""
    return list(db.scalars(select(AssignmentRow.id).where(AssignmentRow.agent_id == agent.id)))


def drop_all(db: Session, test: TestPlan) -> None:
    """Remove a test's assignments."""
    ids = db.scalars(select(AssignmentRow.id).where(AssignmentRow.test_id == test.id))
    end_runs(db, list(ids), "the test was deleted")
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
                schedule=row.test.schedule,
                generation=row.test.generation,
            )
            for row in rows
        ),
        run_now=tuple(
            RunRequest(id=run.id, assignment_id=run.assignment_id, expires_at=run.expires_at or now())
            for run in _runs(db, agent, RunRecord.status == RunStatus.SCHEDULED.value, RunRecord.expires_at > now())
        ),
        stop=tuple(
            run.id for run in _runs(db, agent, RunRecord.status == RunStatus.RUNNING.value, RunRecord.stop_requested)
        ),
    )


def _runs(db: Session, agent: Agent, *conditions: ColumnElement[bool] | InstrumentedAttribute[bool]) -> list[RunRecord]:
    query = select(RunRecord).where(RunRecord.agent_id == agent.id, *conditions)
    return list(db.scalars(query.order_by(RunRecord.created_at, RunRecord.id)))
