"""Looks at agents, at what their tests wrote, and at the ML service's scores. Reads only; `alerts` acts on it."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.agents.schemas import AgentState
from streamswarm_controlplane.agents.service import state_of
from streamswarm_controlplane.assignments.service import list_assignments
from streamswarm_controlplane.notifications.events import Event, Severity
from streamswarm_controlplane.notifications.findings import Finding, Look, Subject, Verdict
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.common import ERROR, ERROR_DETAIL, UP
from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.clock import NANOSECONDS, to_ns
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reader import Reader, Select

_ANOMALY_SECONDS: Final = 900
_SILENT: Final = {AgentState.LATE: "late", AgentState.OFFLINE: "offline", AgentState.NEVER_SEEN: "not seen yet"}
_ABOUT_SERIES: Final = frozenset({"agent", "site", "test", "target", "detector", "measurement", "field"})


def look_at_agents(db: Session, settings: ControlPlaneSettings, at: datetime) -> Look:
    """Which agents and assignments there are, and which agents are silent."""
    look = Look()
    for agent in db.scalars(select(Agent).where(Agent.revoked_at.is_(None)).order_by(Agent.name)):
        state = state_of(agent, settings, at)
        look.agents.add(agent.name)
        if state in _SILENT:
            look.unreachable[agent.name] = f"agent {agent.name} is {_SILENT[state]}"
        look.findings.append(_agent(agent, state, at))
    for row in list_assignments(db):
        if row.test.paused or row.agent.name not in look.agents or row.test.probe not in SPECS:
            continue
        limit = settings.no_data_intervals * row.test.interval + row.test.timeout
        subject = Subject(
            agent=row.agent.name,
            site=row.agent.site,
            test=row.test.key,
            name=row.test.name,
            probe=row.test.probe,
            target=row.test.target,
            # An agent is called late before its tests are called silent: one alert instead of many.
            limit=max(limit, 2 * settings.late_seconds),
            since=max(row.created_at, row.test.updated_at).timestamp(),
            unreachable=look.unreachable.get(row.agent.name, ""),
            more=row.agent.labels,
        )
        look.subjects[subject.key] = subject
    return look


def _agent(agent: Agent, state: AgentState, at: datetime) -> Finding:
    labels = {"agent": agent.name, **({"site": agent.site} if agent.site else {})}
    verdict = {AgentState.ONLINE: Verdict.GOOD, AgentState.OFFLINE: Verdict.BAD}.get(state, Verdict.UNKNOWN)
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


def look_at_results(look: Look, reader: Reader, settings: ControlPlaneSettings, at: datetime) -> None:
    """Add what the store has on the assignments; a store that can't be read is a finding, and all else is unknown."""
    try:
        found = [*_runs(look, reader, settings, at), *_anomalies(look, reader, at)]
    except (Unavailable, Refused) as error:
        verdict, found, detail = Verdict.BAD, [], str(error)
    else:
        verdict, detail = Verdict.GOOD, ""
    look.findings += found
    look.findings.append(
        Finding(
            Event.STORE_UNAVAILABLE,
            {},
            verdict,
            Severity.CRITICAL,
            summary="Results can't be read from the store",
            detail=detail,
        )
    )


def _runs(look: Look, reader: Reader, settings: ControlPlaneSettings, at: datetime) -> Iterator[Finding]:
    """Tests that are down, and tests without data."""
    by_probe: dict[str, list[Subject]] = defaultdict(list)
    for subject in look.subjects.values():
        by_probe[subject.probe].append(subject)
    for probe, subjects in by_probe.items():
        newest = _newest(reader, probe, max(one.limit for one in subjects), settings.down_runs, at)
        for subject in subjects:
            records = newest.get(subject.key, [])
            yield _data(subject, records, at)
            if UP in SPECS[probe].measurements[0].fields:
                yield _down(subject, records, settings.down_runs, at)


def _newest(
    reader: Reader, probe: str, seconds: float, count: int, at: datetime
) -> dict[tuple[str, str], list[Mapping[str, Any]]]:
    measurement = SPECS[probe].measurements[0]
    columns = [one.name for one in (UP, ERROR, ERROR_DETAIL) if one in measurement.fields]
    statement = Select(
        measurement.name,
        columns or [SPECS[probe].headline],
        start_ns=to_ns(at) - int(seconds * NANOSECONDS),
        group_by=("agent", "test"),
        descending=True,
        limit=count,
    )
    answer = reader.select(statement)
    return {(one.tags.get("agent", ""), one.tags.get("test", "")): list(one.records()) for one in answer}


def _fresh(subject: Subject, records: list[Mapping[str, Any]], at: datetime) -> bool:
    return bool(records) and (to_ns(at) - int(records[0]["time"])) / NANOSECONDS <= subject.limit


def _data(subject: Subject, records: list[Mapping[str, Any]], at: datetime) -> Finding:
    if _fresh(subject, records, at):
        verdict = Verdict.GOOD
    else:
        verdict = Verdict.BAD if at.timestamp() - subject.since > subject.limit else Verdict.UNKNOWN
    return Finding(
        Event.NO_DATA,
        subject.labels,
        verdict,
        Severity.WARNING,
        summary=f"No data of {subject.name} on {subject.agent}",
        detail=f"no point within {subject.limit:g} s",
        more=subject.more,
    )


def _down(subject: Subject, records: list[Mapping[str, Any]], count: int, at: datetime) -> Finding:
    ups = [record.get(UP.name) for record in records]
    if not _fresh(subject, records, at) or ups[0] is None:
        verdict = Verdict.UNKNOWN
    elif ups[0] != 0:
        verdict = Verdict.GOOD
    else:
        verdict = Verdict.BAD if len(ups) == count and not any(ups) else Verdict.UNKNOWN
    newest = records[0] if records else {}
    words = [str(newest.get(one.name) or "") for one in (ERROR, ERROR_DETAIL)]
    return Finding(
        Event.TEST_DOWN,
        subject.labels,
        verdict,
        Severity.CRITICAL,
        summary=f"{subject.name} is down, seen from {subject.agent}",
        detail=": ".join(word for word in words if word),
        more=subject.more,
    )


def _anomalies(look: Look, reader: Reader, at: datetime) -> Iterable[Finding]:
    """Series that a detector flags; while several detectors watch a series, one that flags it is enough."""
    statement = Select(
        ANOMALY.name,
        ["flag", "score", "threshold", "expected", "value"],
        start_ns=to_ns(at) - _ANOMALY_SECONDS * NANOSECONDS,
        group_by=("*",),
        descending=True,
        limit=1,
    )
    worst: dict[str, Finding] = {}
    for series in reader.select(statement):
        subject = look.subjects.get((series.tags.get("agent", ""), series.tags.get("test", "")))
        if subject is None or not series.rows:
            continue
        found = _anomaly(subject, series.tags, next(series.records()))
        known = worst.get(found.fingerprint)
        if known is None or found.verdict is Verdict.BAD:
            worst[found.fingerprint] = found
    return worst.values()


def _anomaly(subject: Subject, tags: Mapping[str, str], record: Mapping[str, Any]) -> Finding:
    measurement, field = tags.get("measurement", ""), tags.get("field", "")
    known = CATALOGUE.get(measurement)
    unit = known[field].unit.name if known is not None and field in known else ""
    further = {key: value for key, value in tags.items() if value and key not in _ABOUT_SERIES}
    value, expected = record.get("value"), record.get("expected")
    detail = f"score {record.get('score') or 0:.3g}, flagged from {record.get('threshold') or 0:.3g}"
    if value is not None and expected is not None:
        detail += f"; measured {value:.6g}, expected {expected:.6g} {unit}".rstrip()
    return Finding(
        Event.ANOMALY,
        {**subject.labels, "measurement": measurement, "field": field, **further},
        Verdict.BAD if record.get("flag") else Verdict.GOOD,
        Severity.WARNING,
        summary=f"{measurement}.{field} of {subject.name} on {subject.agent} is unusual",
        detail=detail,
        value=None if value is None else float(value),
        unit=unit,
        more=subject.more,
    )
