import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from starlette.responses import PlainTextResponse

from streamswarm_controlplane.db import Database
from streamswarm_controlplane.notifications import outbox
from streamswarm_controlplane.notifications.models import Channel, Delivery
from tests.unit.controlplane.notifications.tools import (
    KEY,
    NOON,
    SECRET,
    Clock,
    Receiver,
    add_channel,
    add_message,
    delivery_of,
    new_dispatcher,
)


@pytest.fixture
def channel_id(database: Database, receiver: Receiver) -> str:
    return add_channel(database, "hook", url=receiver.url, secret=SECRET)


def ids(receiver: Receiver) -> list[str]:
    return [one.headers["webhook-id"] for one in receiver.requests]


def test_a_message_is_delivered_once_and_kept(
    database: Database, receiver: Receiver, channel_id: str, clock: Clock
) -> None:
    message_id = add_message(database, channel_id)
    dispatcher = new_dispatcher(database, clock)
    assert [dispatcher.dispatch(), dispatcher.dispatch()] == [1, 0]
    assert ids(receiver) == [message_id]
    kept = delivery_of(database, message_id)
    assert (kept.status, kept.attempts, kept.delivered_at, kept.lease_holder) == ("delivered", 1, NOON, "")


def test_a_failed_attempt_is_repeated_later_each_time_with_the_same_id(
    database: Database, receiver: Receiver, channel_id: str, clock: Clock
) -> None:
    receiver.answers = [PlainTextResponse("down", 500) for _ in range(3)]
    message_id = add_message(database, channel_id)
    dispatcher = new_dispatcher(database, clock)
    waits = []
    for _ in range(3):
        assert dispatcher.dispatch() == 1
        kept = delivery_of(database, message_id)
        assert (kept.status, kept.last_error) == ("pending", "127.0.0.1: HTTP 500: down")
        waits.append((kept.next_attempt_at - clock.at).total_seconds())
        clock.pass_by(waits[-1] - 0.01)
        assert dispatcher.dispatch() == 0
        clock.pass_by(0.02)
    assert dispatcher.dispatch() == 1
    assert ids(receiver) == [message_id] * 4
    assert delivery_of(database, message_id).status == "delivered"
    for wait, usual in zip(waits, (5, 10, 20), strict=True):
        assert usual / 2 <= wait <= usual * 1.5


def test_a_receivers_wish_to_wait_is_granted(
    database: Database, receiver: Receiver, channel_id: str, clock: Clock
) -> None:
    receiver.answers = [PlainTextResponse("busy", 503, {"Retry-After": "600"})]
    message_id = add_message(database, channel_id)
    new_dispatcher(database, clock).dispatch()
    assert delivery_of(database, message_id).next_attempt_at == NOON + timedelta(seconds=600)


def test_what_is_never_delivered_is_given_up_kept_and_can_be_tried_again(
    database: Database, receiver: Receiver, channel_id: str, clock: Clock
) -> None:
    receiver.answers = [PlainTextResponse("down", 500) for _ in range(100)]
    message_id = add_message(database, channel_id, hours=1)
    dispatcher = new_dispatcher(database, clock)
    while (kept := delivery_of(database, message_id)).status == "pending":
        clock.at = max(clock.at, kept.next_attempt_at)
        assert dispatcher.dispatch() == 1
    assert (kept.status, kept.last_error) == ("dead", "127.0.0.1: HTTP 500: down")
    assert clock.at <= NOON + timedelta(hours=1)
    assert kept.attempts >= 7
    clock.pass_by(86_400)
    assert dispatcher.dispatch() == 0
    receiver.answers = []
    with database.session() as db:
        outbox.retry(db, db.get_one(Delivery, kept.number), clock.at, timedelta(hours=1))
    assert dispatcher.dispatch() == 1
    assert delivery_of(database, message_id).status == "delivered"


def test_messages_of_a_thread_keep_their_order_and_do_not_hold_up_others(
    database: Database, receiver: Receiver, channel_id: str, clock: Clock
) -> None:
    receiver.answers = [PlainTextResponse("down", 500)]
    first = add_message(database, channel_id, thread="a")
    new_dispatcher(database, clock).dispatch()
    second = add_message(database, channel_id, thread="a")
    other = add_message(database, channel_id, thread="b")
    new_dispatcher(database, clock).dispatch()
    assert ids(receiver) == [first, other]
    clock.pass_by(60)
    new_dispatcher(database, clock).dispatch()
    assert ids(receiver) == [first, other, first, second]


def test_nothing_is_lost_by_a_restart(
    database_url: str, database: Database, receiver: Receiver, channel_id: str, clock: Clock
) -> None:
    sent = [add_message(database, channel_id) for _ in range(5)]
    database.close()
    reopened = Database(database_url)
    assert new_dispatcher(reopened, clock).dispatch() == 5
    reopened.close()
    assert sorted(ids(receiver)) == sorted(sent)


def test_several_workers_send_nothing_twice(
    database_url: str, database: Database, receiver: Receiver, channel_id: str, clock: Clock
) -> None:
    sent = [add_message(database, channel_id) for _ in range(60)]

    def work(number: int) -> int:
        own = Database(database_url)
        try:
            dispatcher = new_dispatcher(own, clock, f"worker-{number}")
            return sum(dispatcher.dispatch() for _ in range(20))
        finally:
            own.close()

    with ThreadPoolExecutor(4) as pool:
        attempts = list(pool.map(work, range(4)))
    assert sum(attempts) == 60
    assert sorted(ids(receiver)) == sorted(sent)
    assert len([one for one in attempts if one]) > 1, "one worker did it all: nothing was shared"


WORKER = """
import os, sys
from datetime import datetime
from streamswarm_controlplane.db import Database
from tests.unit.controlplane.notifications import tools
tools.KEY = sys.argv[2].encode()
clock = tools.Clock()
tools.new_dispatcher(Database(sys.argv[1]), clock, "doomed").dispatch()
"""


def test_a_worker_killed_between_sending_and_noting_it_leads_to_a_second_sending(
    database_url: str, database: Database, receiver: Receiver, channel_id: str, clock: Clock
) -> None:
    message_id = add_message(database, channel_id)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path.cwd()), *sys.path])}
    process = subprocess.Popen([sys.executable, "-c", WORKER, database_url, KEY.decode()], env=environment)
    receiver.on_request = process.kill
    assert process.wait(60) == -signal.SIGKILL
    receiver.on_request = lambda: None
    assert ids(receiver) == [message_id]
    dying = delivery_of(database, message_id)
    assert (dying.status, dying.lease_holder) == ("sending", "doomed")
    dispatcher = new_dispatcher(database, clock)
    assert dispatcher.dispatch() == 0  # the lease still holds: perhaps it is alive
    clock.pass_by(outbox.LEASE_SECONDS + 1)
    assert dispatcher.dispatch() == 1
    assert ids(receiver) == [message_id, message_id]
    kept = delivery_of(database, message_id)
    assert (kept.status, kept.attempts) == ("delivered", 2)


def test_a_worker_that_comes_late_does_not_undo_what_another_noted(
    database: Database, receiver: Receiver, channel_id: str, clock: Clock
) -> None:
    message_id = add_message(database, channel_id)
    with database.session() as db:
        (slow,) = outbox.claim(db, "slow", clock.at, 1)
    clock.pass_by(outbox.LEASE_SECONDS + 1)
    new_dispatcher(database, clock).dispatch()
    with database.session() as db:
        outbox.failed(db, slow, clock.at, "too late")
    assert delivery_of(database, message_id).status == "delivered"
    assert ids(receiver) == [message_id]


def test_messages_for_a_deleted_channel_are_given_up_at_once_and_for_a_disabled_one_wait(
    database: Database, receiver: Receiver, channel_id: str, clock: Clock
) -> None:
    with database.session() as db:
        db.get_one(Channel, channel_id).enabled = False
    message_id = add_message(database, channel_id)
    new_dispatcher(database, clock).dispatch()
    assert delivery_of(database, message_id).last_error == "the channel is disabled"
    with database.session() as db:
        db.delete(db.get_one(Channel, channel_id))
    clock.pass_by(60)
    new_dispatcher(database, clock).dispatch()
    kept = delivery_of(database, message_id)
    assert (kept.status, kept.last_error, kept.channel_name) == ("dead", "the channel was deleted", "hook")
    assert receiver.requests == []


def test_a_lost_key_is_said_and_the_message_waits(
    database: Database, receiver: Receiver, channel_id: str, clock: Clock
) -> None:
    message_id = add_message(database, channel_id)
    with database.session() as db:
        channel = db.get_one(Channel, channel_id)
        channel.secrets = channel.secrets[:-8] + "AAAAAAA="
    new_dispatcher(database, clock).dispatch()
    kept = delivery_of(database, message_id)
    assert kept.status == "pending"
    assert "sealed with another key" in kept.last_error
    assert receiver.requests == []
