"""Looks at agents, at what their tests wrote, and at the ML service's scores. Reads only; `alerts` acts on it."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.agents.schemas import AgentState
from streamswarm_controlplane.agents.service import state_of
from streamswarm_controlplane.assignments.models import AssignmentRow
from streamswarm_controlplane.notifications.anomalies import look_at_anomalies
from streamswarm_controlplane.notifications.arrivals import LONG_SECONDS, Arrivals, heard, is_silent
from streamswarm_controlplane.notifications.events import Event, Severity
from streamswarm_controlplane.notifications.findings import Finding, KnownAgent, Look, Subject, Verdict
from streamswarm_controlplane.notifications.limits import ThresholdWatch
from streamswarm_controlplane.notifications.models import Alert
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_controlplane.testplans.models import TestPlan
from streamswarm_core.catalogue.common import ERROR, ERROR_DETAIL, UP
from streamswarm_core.clock import NANOSECONDS, to_ns
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reader import Condition, Reader, Select
from streamswarm_core.schedule import is_always, is_over, read_schedule
from streamswarm_core.wording import format_length

_RESTART: Final = timedelta(seconds=10)
_SILENT: Final = {AgentState.LATE: "late", AgentState.OFFLINE: "offline", AgentState.NEVER_SEEN: "not seen yet"}


def look_at_agents(db: Session, settings: ControlPlaneSettings, since: datetime, at: datetime) -> Look:
    """Which agents and assignments there are, and which agents are silent; they could be heard `since`."""
    look = Look(since=since, results_since=max(since, _readable_since(db) or since))
    for event, labels in db.execute(select(Alert.event, Alert.labels).where(Alert.closed_at.is_(None))):
        look.opened.add((event, labels.get("agent", ""), labels.get("test", "")))
    agents = {
        agent.id: agent for agent in db.scalars(select(Agent).where(Agent.revoked_at.is_(None)).order_by(Agent.name))
    }
    heard = (at - since).total_seconds() > max(settings.late_seconds, settings.offline_seconds)
    for agent in agents.values():
        state = state_of(agent, settings, at)
        look.agents[agent.name] = _known(agent, settings)
        if state in _SILENT:
            look.unreachable[agent.name] = f"agent {agent.name} is {_SILENT[state]}"
        look.findings.append(_agent(agent, state, at, heard=heard))
    tests = {
        test.id: test for test in db.scalars(select(TestPlan).where(TestPlan.paused.is_(False))) if _goes_on(test, at)
    }
    # Of the many assignments only what they are made of: as objects they would take most of a round's time.
    made = select(AssignmentRow.agent_id, AssignmentRow.test_id, AssignmentRow.created_at)
    for agent_id, test_id, created_at in db.execute(made.order_by(AssignmentRow.created_at, AssignmentRow.id)):
        if agent_id in agents and test_id in tests:
            subject = _subject(look, agents[agent_id], tests[test_id], created_at, settings)
            look.subjects[subject.key] = subject
    return look


def _readable_since(db: Session) -> datetime | None:
    """Since when the store can be read; None if it always could."""
    # While one is open that comes and goes, the store may be readable again.
    unreadable_until = func.coalesce(Alert.closed_at, Alert.seen_at)
    newest = select(unreadable_until).where(Alert.event == Event.STORE_UNAVAILABLE).order_by(Alert.opened_at.desc())
    return db.scalar(newest.limit(1))


def _goes_on(test: TestPlan, at: datetime) -> bool:
    return test.probe in SPECS and not is_over(read_schedule(test.schedule), at)


def _subject(
    look: Look, agent: Agent, test: TestPlan, assigned_at: datetime, settings: ControlPlaneSettings
) -> Subject:
    limit = settings.no_data_intervals * test.interval + test.timeout
    return Subject(
        agent=agent.name,
        site=agent.site,
        test=test.key,
        name=test.name,
        probe=test.probe,
        target=test.target,
        # An agent is called late before its tests are called silent: one alert instead of many.
        limit=max(limit, 2 * settings.late_seconds),
        since=max(assigned_at, test.updated_at),
        test_plan=test,
        unreachable=look.unreachable.get(agent.name, ""),
        more=agent.labels,
    )


def _agent(agent: Agent, state: AgentState, at: datetime, *, heard: bool) -> Finding:
    labels = {"agent": agent.name, **({"site": agent.site} if agent.site else {})}
    offline = Verdict.BAD if heard else Verdict.UNKNOWN
    verdict = {AgentState.ONLINE: Verdict.GOOD, AgentState.OFFLINE: offline}.get(state, Verdict.UNKNOWN)
    silent = (at - agent.last_seen_at).total_seconds() if agent.last_seen_at else 0.0
    return Finding(
        Event.AGENT_OFFLINE,
        labels,
        verdict,
        Severity.CRITICAL,
        summary=f"Agent {agent.name} is offline",
        detail=f"no heartbeat since {agent.last_seen_at:%Y-%m-%d %H:%M:%S} UTC" if agent.last_seen_at else "",
        value=silent,
        unit="seconds",
        more=agent.labels,
    )


def _known(agent: Agent, settings: ControlPlaneSettings) -> KnownAgent:
    offset = agent.clock_offset or 0.0
    clock = ""
    if abs(offset) > settings.late_seconds:
        way = "behind" if offset > 0 else "ahead"
        clock = f"its clock is {format_length(round(abs(offset)))} {way}, so its points have wrong times: set it by NTP"
    return KnownAgent(agent.site, agent.labels, agent.queued_points, clock)


class StoreWatch:
    """Tells a store that is gone from one that is started again, which nobody needs to hear of."""

    def __init__(self) -> None:
        self._since: datetime | None = None

    def judge(self, fault: str, at: datetime) -> Finding:
        """What to tell of a store that could be read, or couldn't because of a fault."""
        self._since = (self._since or at) if fault else None
        gone = self._since is not None and at - self._since >= _RESTART
        return Finding(
            Event.STORE_UNAVAILABLE,
            {},
            Verdict.GOOD if not fault else Verdict.BAD if gone else Verdict.UNKNOWN,
            Severity.CRITICAL,
            summary="Results can't be read from the store",
            detail=fault,
        )


def look_at_results(
    look: Look,
    reader: Reader,
    settings: ControlPlaneSettings,
    at: datetime,
    limits: ThresholdWatch,
    store: StoreWatch,
) -> None:
    """Add what the store has on the assignments; while it can't be read all of that is unknown."""
    fault = ""
    try:
        found = [
            *_runs(look, reader, settings, at),
            *look_at_anomalies(look, reader, at),
            *limits.look(look, reader, at),
        ]
    except (Unavailable, Refused) as error:
        fault = str(error)
    else:
        look.findings += found
    look.findings.append(store.judge(fault, at))


def _runs(look: Look, reader: Reader, settings: ControlPlaneSettings, at: datetime) -> Iterator[Finding]:
    """Tests that are down, and tests without data."""
    arrivals = Arrivals(look, heard(reader, settings.late_seconds, at), reader.complaint)
    together: dict[tuple[str, str], list[Subject]] = defaultdict(list)
    by_test: dict[str, list[bool]] = defaultdict(list)
    by_agent: dict[str, list[bool]] = defaultdict(list)
    down: list[tuple[Subject, list[Mapping[str, Any]], Verdict]] = []
    for subject in look.subjects.values():
        # One question for all tests of a probe that are always going; one for each that waits for its next occasion.
        alone = "" if is_always(read_schedule(subject.test_plan.schedule)) else subject.test
        together[subject.probe, alone].append(subject)
    for (probe, test), subjects in together.items():
        seconds = LONG_SECONDS if test else max(one.limit for one in subjects)
        newest = _newest(reader, probe, test, seconds, settings.down_runs, at)
        has_up = UP in SPECS[probe].measurements[0].fields
        for subject in subjects:
            records = newest.get(subject.key, [])
            silent = is_silent(subject, records, look.results_since, at)
            yield from arrivals.take(subject, silent)
            verdict = _up_verdict(records, settings.down_runs, silent=silent)
            if silent is False and records[0].get(UP.name) is not None:
                by_test[subject.test].append(not records[0][UP.name])
                by_agent[subject.agent].append(not records[0][UP.name])
            if has_up and look.matters(Event.TEST_DOWN, subject, verdict):
                down.append((subject, records, verdict))
    for subject, records, verdict in down:
        yield _down(subject, records, verdict, by_test[subject.test], by_agent[subject.agent])
    yield from arrivals.together()


def _newest(
    reader: Reader, probe: str, test: str, seconds: float, count: int, at: datetime
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    measurement = SPECS[probe].measurements[0]
    columns = [one.name for one in (UP, ERROR, ERROR_DETAIL) if one in measurement.fields]
    statement = Select(
        measurement.name,
        columns or [SPECS[probe].headline],
        start_ns=to_ns(at) - int(seconds * NANOSECONDS),
        stop_ns=to_ns(at) + 1,  # what an agent whose clock is ahead writes says nothing of now
        where=[Condition("test", test)] if test else [],
        group_by=("agent", "test"),
        descending=True,
        limit=count,
    )
    answer = reader.select(statement)
    return {(one.tags.get("agent", ""), one.tags.get("test", "")): list(one.records()) for one in answer}


def _up_verdict(records: list[Mapping[str, Any]], count: int, *, silent: bool | None) -> Verdict:
    ups = [record.get(UP.name) for record in records]
    if silent is not False or not ups or ups[0] is None:
        return Verdict.UNKNOWN
    if ups[0] != 0:
        return Verdict.GOOD
    return Verdict.BAD if len(ups) == count and not any(ups) else Verdict.UNKNOWN


def _down(
    subject: Subject,
    records: list[Mapping[str, Any]],
    verdict: Verdict,
    of_test: Sequence[bool],
    of_agent: Sequence[bool],
) -> Finding:
    """A test that is down on an agent; with whether it is on each agent, and whether each of the agent's tests is."""
    newest = records[0] if records else {}
    words = ": ".join(filter(None, (str(newest.get(one.name) or "") for one in (ERROR, ERROR_DETAIL))))
    # Whether it is the target's fault, the way's or the agent's is what is asked first.
    others = f"down on {sum(of_test)} of {len(of_test)} agents" if len(of_test) > 1 else ""
    besides = f"{sum(of_agent)} of the agent's {len(of_agent)} tests are down" if sum(of_agent) > 1 else ""
    return Finding(
        Event.TEST_DOWN,
        subject.labels,
        verdict,
        Severity.CRITICAL,
        summary=f"{subject.name} is down, seen from {subject.agent}",
        detail="; ".join(filter(None, (words, others, besides))),
        more=subject.more,
    )
