"""Alerts that follow from another one, which is told instead of them."""

from collections import defaultdict
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import func, or_, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.notifications.events import Event, Severity
from streamswarm_controlplane.notifications.findings import Look, Subject
from streamswarm_controlplane.notifications.models import Alert
from streamswarm_core.catalogue.common import UP

_OF_TESTS: Final = frozenset({Event.TEST_DOWN, Event.NO_DATA, Event.THRESHOLD, Event.ANOMALY})
_CLOSING_RUNS: Final = 10
"""So many good runs close an anomaly, mostly."""


class Dependence:
    """What is wrong already, read once for all alerts."""

    def __init__(self, db: Session, look: Look, at: datetime) -> None:
        self._look = look
        self._returns = _Returns(db, look, at)
        self._downs = _Downs(db, look, at)

    def reason(self, alert: Alert) -> str:
        """Why an open alert needs nobody's attention; "" if it does.

        While an agent is silent nothing is known of its tests; once it is back its points have to arrive first.
        """
        look = self._look
        agent, test = alert.labels.get("agent", ""), alert.labels.get("test", "")
        if alert.event not in _OF_TESTS or not agent:
            return ""
        if agent in look.unreachable or look.nothing:
            return look.unreachable.get(agent, look.nothing)
        if test and agent in look.undelivered:
            return look.undelivered[agent]
        subject = look.subjects.get((agent, test))
        if alert.event == Event.ANOMALY and subject is not None:
            return self._downs.reason(alert, subject)
        if alert.event != Event.NO_DATA or (test and subject is None):
            return ""
        return self._returns.reason(alert, subject.limit if subject else None)


class _Returns:
    """Which agents have just come back, by themselves or with all others: their points have to arrive first."""

    def __init__(self, db: Session, look: Look, at: datetime) -> None:
        self._at = at
        self._limits: dict[str, float] = defaultdict(float)
        for subject in look.subjects.values():
            self._limits[subject.agent] = max(self._limits[subject.agent], subject.limit)
        longest = timedelta(seconds=max(self._limits.values(), default=0.0))
        # One that comes and goes may be back although its alert is still open.
        silent_until = func.coalesce(Alert.closed_at, Alert.seen_at)
        found = db.execute(
            select(Alert.event, Alert.labels, silent_until).where(
                Alert.event.in_([Event.AGENT_OFFLINE, Event.NO_DATA]), silent_until > at - longest
            )
        )
        self._found = [
            (event, labels.get("agent", ""), until) for event, labels, until in found if "test" not in labels
        ]

    def reason(self, alert: Alert, limit: float | None) -> str:
        """Why an alert about missing points of an agent has to wait; "" if it hasn't."""
        agent, of_test = alert.labels["agent"], "test" in alert.labels
        since = self._at - timedelta(seconds=self._limits[agent] if limit is None else limit)
        for event, whose, until in self._found:
            if until <= since:
                continue
            if event == Event.AGENT_OFFLINE and whose == agent:
                return f"agent {agent} has just come back"
            if event == Event.NO_DATA and (not whose or (of_test and whose == agent)):
                return f"points of agent {agent} have just begun to arrive again"
        return ""


class _Downs:
    """Which tests are down, or were when the anomalies that are open began: one failure, seen by each of its fields."""

    def __init__(self, db: Session, look: Look, at: datetime) -> None:
        self._at = at
        # Once all is well a detector may take its time, while what it finds unusual is that nothing is lost any more.
        self._better = {one.fingerprint for one in look.findings if one.severity is Severity.INFO}
        earliest = select(func.min(Alert.opened_at)).where(Alert.event == Event.ANOMALY, Alert.closed_at.is_(None))
        found = db.execute(
            select(Alert.labels, Alert.opened_at, Alert.closed_at).where(
                Alert.event == Event.TEST_DOWN,
                or_(Alert.closed_at.is_(None), Alert.closed_at >= earliest.scalar_subquery()),
            )
        )
        self._spans: dict[tuple[str, str], list[tuple[datetime, datetime | None]]] = defaultdict(list)
        for labels, opened_at, closed_at in found:
            self._spans[labels.get("agent", ""), labels.get("test", "")].append((opened_at, closed_at))

    def reason(self, alert: Alert, subject: Subject) -> str:
        """Why an anomaly has to wait; "" if it hasn't."""
        limit = timedelta(seconds=subject.limit)
        for opened_at, closed_at in self._spans.get(subject.key, ()):
            # The first failed run is an anomaly at once; the test is down after some of them.
            if alert.opened_at <= opened_at - limit:
                continue
            if closed_at is None:
                return f"{subject.name} is down, seen from {subject.agent}"
            just_now = self._at - closed_at < _closing(subject)
            if alert.opened_at <= closed_at and (just_now or alert.fingerprint in self._better):
                return f"{subject.name} has just come up again, seen from {subject.agent}"
        if alert.labels.get("field") == UP.name and self._at - alert.opened_at < limit:
            return "it is told if the test is not down soon"
        return ""


def _closing(subject: Subject) -> timedelta:
    plan = subject.test_plan
    return timedelta(seconds=_CLOSING_RUNS * plan.interval + plan.timeout)
