"""Messages on their way, as users look after them."""

from datetime import timedelta

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from streamswarm_controlplane.audit.service import Actor, record
from streamswarm_controlplane.notifications import outbox
from streamswarm_controlplane.notifications.events import DeliveryStatus
from streamswarm_controlplane.notifications.models import Delivery
from streamswarm_controlplane.problems import ApiError
from streamswarm_core.clock import now


def query_deliveries(*, status: str, channel_id: str) -> Select[Delivery]:
    """Messages, of a status and a channel."""
    query = select(Delivery)
    if status:
        query = query.where(Delivery.status == status)
    return query.where(Delivery.channel_id == channel_id) if channel_id else query


def get_delivery(db: Session, delivery_id: str, *, lock: bool = False) -> Delivery:
    """One delivery; locked if it is to be changed.

    Raises:
        ApiError: 404.
    """
    query = select(Delivery).where(Delivery.id == delivery_id)
    delivery = db.scalar(query.with_for_update() if lock else query)
    if delivery is None:
        raise ApiError(404, f"no delivery with the id {delivery_id}")
    return delivery


def retry_delivery(db: Session, actor: Actor, delivery: Delivery, give_up_after: timedelta) -> Delivery:
    """Try a message at once that waits or was given up.

    Raises:
        ApiError: 409 if it is delivered, being sent, or without a channel.
    """
    if delivery.status in {DeliveryStatus.DELIVERED, DeliveryStatus.SENDING}:
        raise ApiError(409, f"the message is {delivery.status}; only one that waits or is dead can be tried again")
    if delivery.channel_id is None:
        raise ApiError(409, "its channel was deleted; there is nowhere to send it to")
    outbox.retry(db, delivery, now(), give_up_after)
    record(db, actor, "delivery.retry", delivery.channel_name, after={"id": delivery.id})
    return delivery
