"""Messages on their way. They are rows: nothing is lost by a restart, and several workers share them.

A worker takes a message with a lease, sends it, and takes note of what came of it. Two workers never hold the same one.
A worker that dies between sending and taking note leaves a lease that runs out, and the message is sent again with the
same id: at least once, not at most once.
"""

import random
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import and_, exists, or_, select, update
from sqlalchemy.orm import Session, aliased

from streamswarm_controlplane.db import new_id
from streamswarm_controlplane.notifications.events import DeliveryStatus, MessageKind
from streamswarm_controlplane.notifications.models import Channel, Delivery

LEASE_SECONDS: Final = 180.0
"""Longer than any attempt may take."""
_FIRST_WAIT: Final = 5.0
_LONGEST_WAIT: Final = 1800.0


def enqueue(
    db: Session,
    channel: Channel,
    payload: Mapping[str, Any],
    *,
    kind: MessageKind,
    at: datetime,
    give_up_after: timedelta,
    rule_name: str = "",
    thread: str = "",
) -> Delivery:
    """Put a message on its way, in the transaction that decided on it."""
    delivery = Delivery(
        id=new_id(),
        channel_id=channel.id,
        channel_name=channel.name,
        rule_name=rule_name,
        thread=thread,
        kind=kind,
        payload=dict(payload),
        status=DeliveryStatus.PENDING,
        created_at=at,
        next_attempt_at=at,
        give_up_at=at + give_up_after,
    )
    db.add(delivery)
    return delivery


def claim(db: Session, worker: str, at: datetime, limit: int) -> list[Delivery]:
    """Take messages that are due, oldest first; of a thread and channel only the first that isn't done.

    On PostgreSQL rows that another worker is just taking are passed over; SQLite has one writer at a time anyway.
    """
    earlier = aliased(Delivery)
    blocked = exists(
        select(earlier.number).where(
            earlier.channel_id == Delivery.channel_id,
            earlier.thread == Delivery.thread,
            earlier.thread != "",
            earlier.number < Delivery.number,
            earlier.status.in_([DeliveryStatus.PENDING, DeliveryStatus.SENDING]),
        )
    )
    due = or_(
        and_(Delivery.status == DeliveryStatus.PENDING, Delivery.next_attempt_at <= at),
        and_(Delivery.status == DeliveryStatus.SENDING, Delivery.lease_until < at),
    )
    query = (
        select(Delivery).where(due, ~blocked).order_by(Delivery.number).limit(limit).with_for_update(skip_locked=True)
    )
    taken = list(db.scalars(query))
    for delivery in list(taken):
        if delivery.status == DeliveryStatus.SENDING and delivery.give_up_at < at:
            delivery.status = DeliveryStatus.DEAD
            delivery.last_error = delivery.last_error or "no worker came to an end with it"
            taken.remove(delivery)
            continue
        delivery.status = DeliveryStatus.SENDING
        delivery.lease_holder = worker
        delivery.lease_until = at + timedelta(seconds=LEASE_SECONDS)
        delivery.attempts += 1
    return taken


def delivered(db: Session, delivery: Delivery, at: datetime, remark: str = "") -> None:
    """Take note that a message got there."""
    _settle(db, delivery, status=DeliveryStatus.DELIVERED, delivered_at=at, last_error=remark)


def failed(
    db: Session,
    delivery: Delivery,
    at: datetime,
    reason: str,
    *,
    retry_after: float | None = None,
    for_good: bool = False,
    chance: Callable[[], float] = random.random,
) -> None:
    """Take note that an attempt failed: the next one is later each time, or it is given up and kept."""
    wait = max(retry_after or 0.0, back_off(delivery.attempts, chance()))
    next_at = at + timedelta(seconds=wait)
    dead = for_good or next_at > delivery.give_up_at
    status = DeliveryStatus.DEAD if dead else DeliveryStatus.PENDING
    _settle(db, delivery, status=status, next_attempt_at=next_at, last_error=reason[:1000])


def back_off(attempts: int, chance: float) -> float:
    """Seconds until the next attempt: doubled each time up to half an hour, by chance up to a half more or less.

    >>> [back_off(attempts, 0.5) for attempts in (1, 2, 3, 20)]
    [5.0, 10.0, 20.0, 1800.0]
    """
    return min(_LONGEST_WAIT, _FIRST_WAIT * 2.0 ** min(attempts - 1, 20)) * (0.5 + chance)


def retry(db: Session, delivery: Delivery, at: datetime, give_up_after: timedelta) -> None:
    """Try a message that was given up, or that waits, at once."""
    delivery.status = DeliveryStatus.PENDING
    delivery.next_attempt_at = at
    delivery.give_up_at = at + give_up_after
    db.flush()


def waiting(db: Session) -> Sequence[Delivery]:
    """Messages that are not done, oldest first."""
    open_states = [DeliveryStatus.PENDING, DeliveryStatus.SENDING]
    return db.scalars(select(Delivery).where(Delivery.status.in_(open_states)).order_by(Delivery.number)).all()


def _settle(db: Session, delivery: Delivery, **values: Any) -> None:
    """Only if the lease is still one's own: another may have sent it again meanwhile."""
    db.execute(
        update(Delivery)
        .where(Delivery.number == delivery.number, Delivery.lease_holder == delivery.lease_holder)
        .where(Delivery.status == DeliveryStatus.SENDING, Delivery.attempts == delivery.attempts)
        .values(lease_holder="", lease_until=None, **values)
        .execution_options(synchronize_session=False)
    )
