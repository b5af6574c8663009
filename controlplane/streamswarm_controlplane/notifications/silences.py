from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from streamswarm_controlplane.notifications.matching import labels_of, matcher_fits
from streamswarm_controlplane.notifications.models import Alert, Silence


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
