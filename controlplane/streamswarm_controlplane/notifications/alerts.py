"""Alerts: opened once for each thing that is wrong, closed only by what shows that it is good again.

What comes and goes, such as a link that flaps, is one alert that stays open until it is steady again.
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import delete, or_, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.notifications.anomalies import farthest, once_over, while_it_lasts
from streamswarm_controlplane.notifications.dependence import Dependence
from streamswarm_controlplane.notifications.events import DeliveryStatus, Event, Severity
from streamswarm_controlplane.notifications.findings import Finding, Look, Verdict
from streamswarm_controlplane.notifications.models import Alert, Delivery, Silence
from streamswarm_controlplane.notifications.silences import Quiet
from streamswarm_core.wording import format_length

_RECOVERED: Final = "recovered"
_TIMES: Final = 3
"""What opens so many times comes and goes."""
_LOOK_BACK: Final = 3
"""Within so many times as long as it then has to be steady."""
_GONE: Final = "no longer watched"


def open_alerts(db: Session) -> Sequence[Alert]:
    """All open ones, oldest first."""
    return db.scalars(select(Alert).where(Alert.closed_at.is_(None)).order_by(Alert.opened_at, Alert.id)).all()


def reconcile(db: Session, look: Look, at: datetime, *, steady: timedelta = timedelta()) -> None:
    """Bring the alerts in line with what was found.

    Bad opens, good closes, unknown does neither. What nobody watches any longer (its test is deleted, paused or taken
    from the agent; its agent is revoked) is closed, and says so. What has opened three times in a short while stays
    open until it has been good for as long as `steady`.
    """
    known = {alert.fingerprint: alert for alert in open_alerts(db)}
    quiet = Quiet(db, at)
    past = _Past(db, known.values(), steady, at)
    looked_at = set()
    for finding in look.findings:
        fingerprint = finding.fingerprint
        looked_at.add(fingerprint)
        alert = known.get(fingerprint)
        if finding.verdict is Verdict.BAD:
            if alert is None:
                alert = known[fingerprint] = _open(db, finding, at)
            _update(alert, finding, past.restless(alert), at)
        elif finding.verdict is not Verdict.GOOD or alert is None:
            continue
        elif at - alert.seen_at >= steady or alert.held_back or finding.ending or not past.restless(alert):
            if alert.value is not None and alert.event == Event.ANOMALY and alert.severity != Severity.INFO:
                alert.detail = once_over(finding, alert.value)
            _close(alert, at, finding.ending or _RECOVERED, quiet)
        else:
            alert.detail = f"well since {alert.seen_at:%H:%M:%S} UTC; {past.restless(alert)}"
    for fingerprint, alert in known.items():
        if alert.closed_at is None and fingerprint not in looked_at and not _watched(alert, look):
            _close(alert, at, _GONE, quiet)
    db.flush()
    # Say at each open alert why nobody is told of it, if so.
    dependence = Dependence(db, look, at)
    for alert in open_alerts(db):
        alert.held_back = dependence.reason(alert) or quiet.reason(alert)


class _Past:
    """How often things opened and recovered before they opened last, read once for all alerts."""

    def __init__(self, db: Session, known: Iterable[Alert], steady: timedelta, at: datetime) -> None:
        self._steady = steady
        self._span = _LOOK_BACK * steady
        self._ends: dict[str, list[datetime]] = defaultdict(list)
        earliest = min((alert.opened_at for alert in known), default=at)
        are_open = Alert.fingerprint.in_(select(Alert.open_key).where(Alert.open_key.is_not(None)))
        ends = select(Alert.fingerprint, Alert.closed_at).where(
            Alert.closed_at > earliest - self._span,
            Alert.close_reason == _RECOVERED,
            or_(are_open, Alert.closed_at > at - self._span),
        )
        for fingerprint, closed_at in db.execute(ends):
            if closed_at is not None:
                self._ends[fingerprint].append(closed_at)

    def restless(self, alert: Alert) -> str:
        """In words, that an alert comes and goes; "" if it doesn't."""
        times = 1 + sum(end > alert.opened_at - self._span for end in self._ends[alert.fingerprint])
        if times < _TIMES:
            return ""
        within, steady = (format_length(one.total_seconds()) for one in (self._span, self._steady))
        return f"comes and goes: {times} times within {within}, closes once all was well for {steady}"


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


def _update(alert: Alert, finding: Finding, remark: str, at: datetime) -> None:
    severities = [finding.severity, Severity(alert.severity)]
    alert.labels = {**finding.more, **finding.labels}
    alert.severity, alert.summary = finding.severity, finding.summary
    detail, value = finding.detail, finding.value
    if alert.event == Event.ANOMALY:
        # One that was for the worse is no less when it swings to the other side on its way back.
        alert.severity = max(severities, key=list(Severity).index)
        if alert.severity == Severity.INFO:
            alert.summary += ", for the better"
        else:
            value = farthest(alert.value, finding)
            detail = while_it_lasts(finding, value)
    alert.detail = "; ".join(filter(None, (detail, remark)))
    alert.value, alert.unit, alert.seen_at = value, finding.unit, at


def _close(alert: Alert, at: datetime, reason: str, quiet: Quiet) -> None:
    # That its agent was silent until now is no reason any longer to keep the good news back.
    alert.held_back = quiet.reason(alert)
    alert.closed_at = at
    alert.close_reason = reason
    alert.open_key = None


def _watched(alert: Alert, look: Look) -> bool:
    agent, test = alert.labels.get("agent", ""), alert.labels.get("test", "")
    if alert.event == Event.STORE_UNAVAILABLE:
        return True
    if alert.event == Event.AGENT_OFFLINE:
        return agent in look.agents
    if alert.event == Event.NO_DATA and not test:
        return any(not agent or subject.agent == agent for subject in look.subjects.values())
    return (agent, test) in look.subjects


def purge(db: Session, keep: timedelta, at: datetime) -> None:
    """Forget what was closed, delivered or over longer ago than this. Open alerts and messages on their way stay."""
    before = at - keep
    db.execute(delete(Alert).where(Alert.closed_at < before))
    done = Delivery.status.in_([DeliveryStatus.DELIVERED, DeliveryStatus.DEAD])
    db.execute(delete(Delivery).where(done, Delivery.created_at < before))
    db.execute(delete(Silence).where(Silence.ends_at < before))
