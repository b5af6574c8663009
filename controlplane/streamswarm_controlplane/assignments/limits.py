"""What an agent can bear: its budget of packets and bits, and the one lane of its bandwidth tests.

An agent refuses what is beyond its budget by itself (streamswarm_agent.budget). Here the same sum is made before the
assignment is, so that whoever asks for too much hears of it at once.
"""

import contextlib
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.probespecs import SPECS
from streamswarm_core.probespecs.demand import DEFAULT_BUDGET, Lane, RunCost
from streamswarm_core.schedule import demand, read_schedule

OVERLOAD = "urn:streamswarm:problem:agent-overloaded"
_WHOLE_LANE = 1.0


@dataclass(frozen=True, slots=True)
class Load:
    """What a test asks of an agent while it is going.

    Attributes:
        link: per second.
        lane: share of the time for which it has the link to itself.
    """

    link: RunCost = field(default_factory=RunCost)
    lane: float = 0.0

    def __add__(self, other: "Load") -> "Load":
        return Load(self.link + other.link, self.lane + other.lane)

    def exceeds(self, other: "Load") -> bool:
        """Whether it asks for more of anything."""
        mine, theirs = self.link, other.link
        return mine.packets > theirs.packets or mine.bytes > theirs.bytes or self.lane > other.lane


def load_of(test: TestPlan) -> Load:
    """What a test asks of each of its agents; nothing if it can't be told or if the test is paused."""
    if test.paused:
        return Load()
    return _load(test.probe, json.dumps(test.params), json.dumps(test.schedule), test.interval, test.timeout)


@lru_cache(maxsize=4096)  # each test is asked for with every agent that has it
def _load(probe: str, params: str, schedule: str, interval: float, timeout: float) -> Load:
    spec = SPECS.get(probe)
    if spec is None:
        return Load()
    try:
        options, times = spec.params.model_validate(json.loads(params)), read_schedule(json.loads(schedule))
    except ValidationError:
        return Load()  # the agent refuses it
    link = demand(times, interval, spec.cost(options))
    if spec.lane is not Lane.EXCLUSIVE:
        return Load(link)
    seconds = min(spec.lasts(options), timeout)
    return Load(link, demand(times, interval, RunCost(packets=seconds)).packets)


def budget_of(agent: Agent) -> RunCost:
    """What the agent may put on its link per second, by its last heartbeat."""
    return RunCost(
        float(agent.budget.get("packets_per_second", DEFAULT_BUDGET.packets)),
        float(agent.budget.get("bits_per_second", DEFAULT_BUDGET.bytes * 8)) / 8,
    )


def overload(db: Session, agent: Agent, test: TestPlan, before: Load | None = None) -> str:
    """Why an agent can't run a test beside what it runs already; empty if it can.

    Args:
        db: the database.
        agent: which agent.
        test: the test as it is to be.
        before: what the test asks of the agent now, if it runs it; what asks for no more than that is never too much.
    """
    return next(_overloads(db, [agent], test, before), "")


def refuse_overload(db: Session, agents: Iterable[Agent], test: TestPlan, before: Load | None = None) -> None:
    """Let a change pass that all these agents can bear.

    Raises:
        ApiError: 409, with agent, sum and limit.
    """
    reasons = list(_overloads(db, agents, test, before))
    if reasons:
        more = f"; {len(reasons) - 1} more agents can't either" if len(reasons) > 1 else ""
        advice = ". Choose a longer interval, fewer packets, or another agent; the agent's own setting is the limit"
        raise ApiError(409, reasons[0] + more + advice, kind=OVERLOAD)


def _overloads(db: Session, agents: Iterable[Agent], test: TestPlan, before: Load | None) -> Iterator[str]:
    """For each agent that can't run a test: why."""
    wanted, now = load_of(test), before or Load()
    if not wanted.exceeds(now):
        return
    known = {agent.id: agent for agent in agents}
    totals = dict.fromkeys(known, wanted)
    others = select(AssignmentRow.agent_id, AssignmentRow.test_id).where(
        AssignmentRow.agent_id.in_(known), AssignmentRow.test_id != test.id
    )
    pairs = db.execute(others).all()
    tests = db.scalars(select(TestPlan).where(TestPlan.id.in_({test_id for _, test_id in pairs})))
    loads = {other.id: load_of(other) for other in tests}
    for agent_id, test_id in pairs:
        totals[agent_id] += loads[test_id]
    for agent_id, total in totals.items():
        if reason := _reason(known[agent_id], test, wanted, now, total):
            yield reason


def _reason(agent: Agent, test: TestPlan, wanted: Load, now: Load, total: Load) -> str:
    limit = budget_of(agent)
    if wanted.link.packets > now.link.packets and total.link.packets > limit.packets:
        return (
            f"{test.key} would send {wanted.link.packets:,.0f} packets/s; all tests of the agent {agent.name} together "
            f"would send {total.link.packets:,.0f}, and its budget is {limit.packets:,.0f}"
        )
    if wanted.link.bytes > now.link.bytes and total.link.bytes > limit.bytes:
        return (
            f"{test.key} would put {wanted.link.bytes * 8:,.0f} bit/s on the link; all tests of the agent {agent.name} "
            f"together would put {total.link.bytes * 8:,.0f}, and its budget is {limit.bytes * 8:,.0f}"
        )
    if wanted.lane > now.lane and total.lane > _WHOLE_LANE:
        return (
            f"{test.key} would have the link of the agent {agent.name} to itself for {wanted.lane:.0%} of the time; "
            f"with its other bandwidth tests that makes {total.lane:.0%}, so they would overlap"
        )
    return ""


def duplicates(db: Session, test: TestPlan) -> list[str]:
    """For each agent of a test that measures the same with another test: a sentence that says so."""
    twins = [
        other
        for other in db.scalars(
            select(TestPlan).where(TestPlan.probe == test.probe, TestPlan.target == test.target, TestPlan.id != test.id)
        )
        if _normal(other) == _normal(test)
    ]
    mine = set(db.scalars(select(AssignmentRow.agent_id).where(AssignmentRow.test_id == test.id)))
    found = db.scalars(
        select(AssignmentRow)
        .where(AssignmentRow.test_id.in_([twin.id for twin in twins]), AssignmentRow.agent_id.in_(mine))
        .order_by(AssignmentRow.id)
    )
    return [f"the agent {row.agent.name} measures the same already with the test {row.test.key}" for row in found]


def _normal(test: TestPlan) -> str:
    """The options as they work, so that a default that is written out is the same as one that isn't."""
    params: Any = test.params
    with contextlib.suppress(KeyError, ValidationError):
        params = SPECS[test.probe].params.model_validate(test.params).model_dump(mode="json")
    return json.dumps(params, sort_keys=True)
