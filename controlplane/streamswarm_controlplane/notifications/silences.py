"""Why nobody is told of an alert: somebody silenced it, or it is maintained."""

from collections.abc import Mapping, Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.agents.models import Agent
from streamswarm_controlplane.maintenance.models import MaintenanceWindow
from streamswarm_controlplane.maintenance.service import active_windows, covers
from streamswarm_controlplane.notifications.matching import labels_of, matcher_fits
from streamswarm_controlplane.notifications.models import Alert, Silence
from streamswarm_controlplane.testplans.models import TestPlan


def active(db: Session, at: datetime) -> Sequence[Silence]:
    """Silences that hold at a time."""
    return db.scalars(select(Silence).where(Silence.starts_at <= at, Silence.ends_at > at)).all()


def covering(found: Sequence[Silence], alert: Alert) -> str:
    """Which silence means an alert, in words; "" if none does."""
    labels = labels_of(alert)
    for silence in found:
        if all(matcher_fits(matcher, labels) for matcher in silence.matchers):
            until = silence.ends_at.strftime("%Y-%m-%d %H:%M UTC")
            return f"silenced until {until} by {silence.created_by}: {silence.comment}"
    return ""


class Quiet:
    """What is quiet at a moment, read once for all alerts."""

    def __init__(self, db: Session, at: datetime) -> None:
        self._silences = active(db, at)
        self._windows: Sequence[MaintenanceWindow] = active_windows(db, at)
        self._agents: Mapping[str, Agent] = {}
        self._tests: Mapping[str, TestPlan] = {}
        if self._windows:
            self._agents = {agent.name: agent for agent in db.scalars(select(Agent))}
            self._tests = {test.key: test for test in db.scalars(select(TestPlan))}

    def reason(self, alert: Alert) -> str:
        """Why nobody is told of an alert; "" if there is no reason."""
        agent = self._agents.get(alert.labels.get("agent", ""))
        test = self._tests.get(alert.labels.get("test", ""))
        for window in self._windows:
            if covers(window, agent, test):
                return f"maintenance: {window.name}"
        return covering(self._silences, alert)
