"""Alerts, as users find and acknowledge them."""

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.lookup import get_or_404
from streamswarm_controlplane.notifications.models import Alert
from streamswarm_controlplane.problems import ApiError
from streamswarm_core.clock import now


def query_alerts(*, state: str, event: str, severity: str, agent: str, test: str) -> Select[Alert]:
    """Alerts that are open, closed or either, of a kind, of an agent or test."""
    query = select(Alert)
    if state != "all":
        query = query.where(Alert.closed_at.is_(None) if state == "open" else Alert.closed_at.is_not(None))
    for column, value in ((Alert.event, event), (Alert.severity, severity)):
        if value:
            query = query.where(column == value)
    for label, value in (("agent", agent), ("test", test)):
        if value:
            query = query.where(Alert.labels[label].as_string() == value)
    return query


def get_alert(db: Session, alert_id: str, *, lock: bool = False) -> Alert:
    """One alert; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    return get_or_404(db, Alert, alert_id, "alert", lock=lock)


def acknowledge(db: Session, actor: Actor, alert: Alert, comment: str) -> Alert:
    """Say who takes care of an alert; it is not repeated any more. Again, to change the comment.

    Raises:
        ApiError: 409 if it is closed.
    """
    if alert.closed_at is not None:
        raise ApiError(409, "the alert is closed already")
    alert.acknowledged_at = now()
    alert.acknowledged_by = actor.name
    alert.comment = comment
    record(db, actor, "alert.acknowledge", alert.summary, after={"id": alert.id, "comment": comment})
    return alert


def unacknowledge(db: Session, actor: Actor, alert: Alert) -> Alert:
    """Take an acknowledgement back."""
    if alert.acknowledged_at is not None:
        record(db, actor, "alert.unacknowledge", alert.summary, before={"id": alert.id, "by": alert.acknowledged_by})
    alert.acknowledged_at, alert.acknowledged_by, alert.comment = None, "", ""
    return alert
