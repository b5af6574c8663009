"""Selectors at work: which agents a test has because of their labels, kept apart from those it was given by hand."""

from collections.abc import Mapping, Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.assignments.limits import overload, refuse_overload
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.assignments.service import bump, end_runs
from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.clock import now
from streamswarm_core.selector import Selector, SelectorError, parse_selector


def labels_of(agent: Agent) -> Mapping[str, str]:
    """What selectors see of an agent: its labels, name and site."""
    return {**agent.labels, "agent": agent.name, "site": agent.site}


def parse(text: str, field: str = "body.selector") -> Selector:
    """Read a selector.

    Raises:
        ApiError: 422 with the place and what would be accepted.
    """
    try:
        return parse_selector(text)
    except SelectorError as error:
        raise ApiError(422, f"{field}: {error}", field=field) from None


def selects(selector: str, agent: Agent) -> bool:
    """Whether a selector matches an agent; none, or one that can't be read, matches nobody."""
    try:
        return bool(selector) and parse_selector(selector).matches(labels_of(agent))
    except SelectorError:
        return False


def matching(db: Session, selector: Selector) -> list[Agent]:
    """The agents that match, by name; those that were shut out don't."""
    agents = db.scalars(select(Agent).where(Agent.revoked_at.is_(None)).order_by(Agent.name))
    return [agent for agent in agents if selector.matches(labels_of(agent))]


def reselect_test(db: Session, actor: Actor, test: TestPlan) -> None:
    """Give the test to the agents that its selector matches, and take it from those it doesn't any more.

    Raises:
        ApiError: 409 if an agent can't bear it.
    """
    wanted = matching(db, parse(test.selector)) if test.selector else []
    rows = {row.agent_id: row for row in db.scalars(select(AssignmentRow).where(AssignmentRow.test_id == test.id))}
    new = [agent for agent in wanted if agent.id not in rows]
    refuse_overload(db, new, test)
    ids = {agent.id for agent in wanted}
    for agent in wanted:
        _select(db, actor, test, agent, rows.get(agent.id))
    db.flush()
    bump(db, [agent.id for agent in new])
    _deselect(db, actor, [row for row in rows.values() if row.selected and row.agent_id not in ids])


def reselect_agent(db: Session, actor: Actor, agent: Agent) -> None:
    """The same for all tests, after an agent was enrolled or labelled anew, or shut out.

    What it can't bear is left out, and said so in the audit log: nobody is there to be refused.
    """
    rows = {row.test_id: row for row in db.scalars(select(AssignmentRow).where(AssignmentRow.agent_id == agent.id))}
    wanted: set[str] = set()
    for test in db.scalars(select(TestPlan).where(TestPlan.selector != "").order_by(TestPlan.created_at, TestPlan.id)):
        try:
            matches = agent.revoked_at is None and parse_selector(test.selector).matches(labels_of(agent))
        except SelectorError:
            continue
        if not matches:
            continue
        reason = "" if test.id in rows else overload(db, agent, test)
        if reason:
            record(db, actor, "assignment.refuse", f"{test.key}@{agent.name}", after={"reason": reason})
            continue
        wanted.add(test.id)
        _select(db, actor, test, agent, rows.get(test.id))
    db.flush()
    if wanted - rows.keys():
        bump(db, [agent.id])
    _deselect(db, actor, [row for row in rows.values() if row.selected and row.test_id not in wanted])


def _select(db: Session, actor: Actor, test: TestPlan, agent: Agent, row: AssignmentRow | None) -> None:
    if row is not None:
        row.selected = True
        return
    db.add(AssignmentRow(test_id=test.id, agent_id=agent.id, explicit=False, selected=True, created_at=now()))
    record(db, actor, "assignment.select", f"{test.key}@{agent.name}", after={"selector": test.selector})


def _deselect(db: Session, actor: Actor, rows: Sequence[AssignmentRow]) -> None:
    gone = [row for row in rows if not row.explicit]
    for row in rows:
        row.selected = False
    for row in gone:
        record(db, actor, "assignment.deselect", f"{row.test.key}@{row.agent.name}")
        db.delete(row)
    db.flush()
    end_runs(db, [row.id for row in gone], "the agent matches the test's selector no more")
    bump(db, [row.agent_id for row in gone])
