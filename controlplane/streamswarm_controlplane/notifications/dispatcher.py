"""Takes messages from the outbox and sends them."""

import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from typing import Final

from sqlalchemy.orm import Session

from streamswarm_controlplane.db import Database
from streamswarm_controlplane.notifications import outbox
from streamswarm_controlplane.notifications.models import Channel, Delivery
from streamswarm_controlplane.notifications.secretbox import SealedError, SecretBox
from streamswarm_controlplane.notifications.senders import DeliveryError, Senders
from streamswarm_core.clock import now

_log = logging.getLogger(__name__)
_AT_ONCE: Final = 4
_BATCH: Final = 20


class Dispatcher:
    """Sends what is due.

    Args:
        database: of the outbox.
        senders: how it is sent.
        box: opens channels' secrets.
        worker: name of this worker.
        clock: tells the time.
    """

    def __init__(
        self, database: Database, senders: Senders, box: SecretBox, worker: str, clock: Callable[[], datetime] = now
    ) -> None:
        self._database = database
        self._senders = senders
        self._box = box
        self._worker = worker
        self._clock = clock

    def dispatch(self) -> int:
        """Send everything that is due now; returns how many attempts were made."""
        attempts = 0
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="deliver") as pool:
            # No more than are sent at once is claimed: what waits for a thread is free for another worker.
            while attempts < _BATCH:
                with self._database.session() as db:
                    taken = [
                        (one, self._channel(db, one)) for one in outbox.claim(db, self._worker, self._clock(), _AT_ONCE)
                    ]
                if not taken:
                    break
                attempts += len(taken)
                list(pool.map(lambda pair: self._attempt(*pair), taken))
        return attempts

    @staticmethod
    def _channel(db: Session, delivery: Delivery) -> Channel | None:
        return db.get(Channel, delivery.channel_id) if delivery.channel_id else None

    def _attempt(self, delivery: Delivery, channel: Channel | None) -> None:
        if channel is None:
            with self._database.session() as db:
                outbox.failed(db, delivery, self._clock(), "the channel was deleted", for_good=True)
            return
        try:
            remark = self._send(delivery, channel)
        except (DeliveryError, SealedError) as error:
            _log.warning("message %s by %s not delivered: %s", delivery.id, delivery.channel_name, error)
            with self._database.session() as db:
                outbox.failed(db, delivery, self._clock(), str(error), retry_after=getattr(error, "retry_after", None))
            return
        with self._database.session() as db:
            outbox.delivered(db, delivery, self._clock(), remark)

    def _send(self, delivery: Delivery, channel: Channel) -> str:
        if not channel.enabled:
            raise DeliveryError("the channel is disabled")
        secrets = self._box.open(channel.secrets)
        return self._senders.send(channel.kind, channel.settings, secrets, delivery.id, delivery.payload)
