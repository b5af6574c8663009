"""What notifications are tested with: a clock, a receiver, channels and messages."""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from cryptography.fernet import Fernet
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from streamswarm_controlplane.db import Database
from streamswarm_controlplane.notifications.channels import KINDS, split
from streamswarm_controlplane.notifications.dispatcher import Dispatcher
from streamswarm_controlplane.notifications.events import MessageKind
from streamswarm_controlplane.notifications.guard import Guard
from streamswarm_controlplane.notifications.models import Channel, Delivery
from streamswarm_controlplane.notifications.outbox import enqueue
from streamswarm_controlplane.notifications.routing import Route as MessageRoute
from streamswarm_controlplane.notifications.routing import message
from streamswarm_controlplane.notifications.secretbox import SecretBox
from streamswarm_controlplane.notifications.senders import Senders
from streamswarm_controlplane.notifications.signing import new_signing_secret

NOON = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
KEY = Fernet.generate_key()
SECRET = new_signing_secret()
SHAPE = MessageRoute("http://console.test", timedelta(hours=24))


@dataclass
class Clock:
    """Time that passes when a test says so."""

    at: datetime = NOON

    def __call__(self) -> datetime:
        return self.at

    def pass_by(self, seconds: float) -> datetime:
        self.at += timedelta(seconds=seconds)
        return self.at


@dataclass
class Received:
    """One request of a receiver."""

    path: str
    headers: dict[str, str]
    body: bytes


@dataclass
class Receiver:
    """An HTTP server that takes note of what it gets and answers as it is told."""

    url: str = ""
    requests: list[Received] = field(default_factory=list)
    answers: list[Response] = field(default_factory=list)
    on_request: Callable[[], None] = lambda: None

    async def take(self, request: Request) -> Response:
        self.requests.append(Received(request.url.path, dict(request.headers), await request.body()))
        self.on_request()
        return self.answers.pop(0) if self.answers else PlainTextResponse("ok")


def loopback_senders(tls: ssl.SSLContext | None = None) -> Senders:
    return Senders(Guard.parse("127.0.0.0/8 ::1/128"), tls or ssl.create_default_context())


def new_dispatcher(database: Database, clock: Clock, worker: str = "worker") -> Dispatcher:
    return Dispatcher(database, loopback_senders(), SecretBox(KEY), worker, clock)


def add_channel(database: Database, name: str, **settings: object) -> str:
    """A channel's id."""
    kind = str(settings.get("kind", "webhook"))
    values, hidden = split(KINDS[kind].model_validate({"kind": kind, **settings}))
    with database.session() as db:
        channel = Channel(
            name=name, kind=kind, settings=values, secrets=SecretBox(KEY).seal(hidden), created_at=NOON, updated_at=NOON
        )
        db.add(channel)
        db.flush()
        return channel.id


def add_message(database: Database, channel_id: str, at: datetime = NOON, thread: str = "", hours: float = 24) -> str:
    """A message's id."""
    with database.session() as db:
        channel = db.get_one(Channel, channel_id)
        payload = message(MessageKind.TEST, [], SHAPE, at, thread=thread)
        delivery = enqueue(
            db,
            channel,
            payload,
            kind=MessageKind.TEST,
            at=at,
            give_up_after=timedelta(hours=hours),
            thread=thread,
        )
        db.flush()
        return delivery.id


def delivery_of(database: Database, delivery_id: str) -> Delivery:
    with database.session() as db:
        return db.query(Delivery).filter(Delivery.id == delivery_id).one()
