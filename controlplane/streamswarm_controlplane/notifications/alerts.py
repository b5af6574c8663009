"""Alerts: opened once for each thing that is wrong, closed only by what shows that it is good again."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.notifications.events import DeliveryStatus, Event
from streamswarm_controlplane.notifications.findings import Finding, Look, Verdict
from streamswarm_controlplane.notifications.models import Alert, Delivery, Silence
from streamswarm_controlplane.notifications.silences import Quiet

_OF_TESTS: Final = frozenset({Event.TEST_DOWN, Event.NO_DATA, Event.THRESHOLD, Event.ANOMALY})
_RECOVERED: Final = "recovered"
_GONE: Final = "no longer watched"


def open_alerts(db: Session) -> Sequence[Alert]:
    """All open ones, oldest first."""
    return db.scalars(select(Alert).where(Alert.closed_at.is_(None)).order_by(Alert.opened_at, Alert.id)).all()


def reconcile(db: Session, look: Look, at: datetime) -> None:
    """Bring the alerts in line with what was found.

    Bad opens, good closes, unknown does neither. What nobody watches any longer (its test is deleted, paused or taken
    from the agent; its agent is revoked) is closed, and says so.
    """
    known = {alert.fingerprint: alert for alert in open_alerts(db)}
    quiet = Quiet(db, at)
    looked_at = set()
    for finding in look.findings:
        fingerprint = finding.fingerprint
        looked_at.add(fingerprint)
        alert = known.get(fingerprint)
        if finding.verdict is Verdict.BAD:
            if alert is None:
                alert = _open(db, finding, at)
                known[alert.fingerprint] = alert
            _update(alert, finding, at)
        elif finding.verdict is Verdict.GOOD and alert is not None:
            _close(alert, at, _RECOVERED, quiet)
    for fingerprint, alert in known.items():
        if alert.closed_at is None and fingerprint not in looked_at and not _watched(alert, look):
            _close(alert, at, _GONE, quiet)
    db.flush()
    _hold_back(db, look, quiet, at)


def _open(db: Session, finding: Finding, at: datetime) -> Alert:
    alert = Alert(
        fingerprint=finding.fingerprint,
        open_key=finding.fingerprint,
        event=finding.event,
        severity=finding.severity,
        summary=finding.summary,
        opened_at=at,
        seen_at=at,
        labels={},
    )
    db.add(alert)
    return alert


def _update(alert: Alert, finding: Finding, at: datetime) -> None:
    alert.labels = {**finding.more, **finding.labels}
    alert.severity, alert.summary, alert.detail = finding.severity, finding.summary, finding.detail
    alert.value, alert.unit, alert.seen_at = finding.value, finding.unit, at


def _close(alert: Alert, at: datetime, reason: str, quiet: Quiet) -> None:
    # That its agent was silent until now is no reason any longer to keep the good news back.
    alert.held_back = quiet.reason(alert)
    alert.closed_at = at
    alert.close_reason = reason
    alert.open_key = None


def _watched(alert: Alert, look: Look) -> bool:
    agent = alert.labels.get("agent", "")
    if alert.event == Event.STORE_UNAVAILABLE:
        return True
    if alert.event == Event.AGENT_OFFLINE:
        return agent in look.agents
    return (agent, alert.labels.get("test", "")) in look.subjects


def _hold_back(db: Session, look: Look, quiet: Quiet, at: datetime) -> None:
    """Say at each open alert why nobody is told of it, if so."""
    for alert in open_alerts(db):
        alert.held_back = _dependent(alert, look, at, db) or quiet.reason(alert)


def _dependent(alert: Alert, look: Look, at: datetime, db: Session) -> str:
    """While an agent is silent nothing is known of its tests; once it is back its points have to arrive first."""
    if alert.event not in _OF_TESTS:
        return ""
    agent = alert.labels.get("agent", "")
    if agent in look.unreachable:
        return look.unreachable[agent]
    subject = look.subjects.get((agent, alert.labels.get("test", "")))
    if alert.event != Event.NO_DATA or subject is None:
        return ""
    back = db.scalars(
        select(Alert.labels).where(
            Alert.event == Event.AGENT_OFFLINE, Alert.closed_at > at - timedelta(seconds=subject.limit)
        )
    )
    return f"agent {agent} has just come back" if any(one.get("agent") == agent for one in back) else ""


def purge(db: Session, keep: timedelta, at: datetime) -> None:
    """Forget what was closed, delivered or over longer ago than this. Open alerts and messages on their way stay."""
    before = at - keep
    db.execute(delete(Alert).where(Alert.closed_at < before))
    done = Delivery.status.in_([DeliveryStatus.DELIVERED, DeliveryStatus.DEAD])
    db.execute(delete(Delivery).where(done, Delivery.created_at < before))
    db.execute(delete(Silence).where(Silence.ends_at < before))
