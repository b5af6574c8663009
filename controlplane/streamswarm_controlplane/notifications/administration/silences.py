"""Silences, as users change them."""

from typing import Any

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.lookup import get_or_404
from streamswarm_controlplane.notifications.models import Silence
from streamswarm_controlplane.notifications.schemas import SilenceCreate, SilenceUpdate
from streamswarm_controlplane.problems import ApiError
from streamswarm_core.clock import now


def query_silences(*, state: str) -> Select[Silence]:
    """Silences that hold, that are over, that are to come, or all."""
    query, at = select(Silence), now()
    match state:
        case "active":
            return query.where(Silence.starts_at <= at, Silence.ends_at > at)
        case "pending":
            return query.where(Silence.starts_at > at, Silence.ends_at > at)
        case "expired":
            return query.where(Silence.ends_at <= at)
        case _:
            return query


def get_silence(db: Session, silence_id: str, *, lock: bool = False) -> Silence:
    """One silence; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    return get_or_404(db, Silence, silence_id, "silence", lock=lock)


def create_silence(db: Session, actor: Actor, new: SilenceCreate) -> Silence:
    """Add a silence.

    Raises:
        ApiError: 422 if it ends before it starts, or has ended.
    """
    starts_at = new.starts_at or now()
    if new.ends_at <= max(starts_at, now()):
        raise ApiError(422, "ends_at: give a time after the start, and after now", field="body.ends_at")
    silence = Silence(
        matchers=[one.model_dump() for one in new.matchers],
        starts_at=starts_at,
        ends_at=new.ends_at,
        comment=new.comment,
        created_by=actor.name,
        created_at=now(),
    )
    db.add(silence)
    db.flush()
    record(db, actor, "silence.create", _described(silence), after=_audited_silence(silence))
    return silence


def update_silence(db: Session, actor: Actor, silence: Silence, change: SilenceUpdate) -> Silence:
    """Change end or comment.

    Raises:
        ApiError: 422 if it would end before it starts; 409 if it is over.
    """
    if silence.ends_at <= now():
        raise ApiError(409, "the silence is over; add another")
    before = _audited_silence(silence)
    if change.ends_at is not None:
        if change.ends_at <= silence.starts_at:
            raise ApiError(422, "ends_at: give a time after the start", field="body.ends_at")
        silence.ends_at = change.ends_at
    silence.comment = change.comment or silence.comment
    if db.is_modified(silence):
        record(db, actor, "silence.update", _described(silence), before=before, after=_audited_silence(silence))
    return silence


def end_silence(db: Session, actor: Actor, silence: Silence) -> None:
    """End a silence now; that it was there stays known."""
    if silence.ends_at > now():
        record(db, actor, "silence.end", _described(silence), before=_audited_silence(silence))
        silence.ends_at = now()
        silence.starts_at = min(silence.starts_at, silence.ends_at)


def _described(silence: Silence) -> str:
    """What it silences, as people tell silences apart, which have no name."""
    return ", ".join("{label}{operator}{value}".format_map(one) for one in silence.matchers)


def _audited_silence(silence: Silence) -> dict[str, Any]:
    return {
        "id": silence.id,
        "matchers": silence.matchers,
        "starts_at": silence.starts_at.isoformat(),
        "ends_at": silence.ends_at.isoformat(),
        "comment": silence.comment,
    }
