from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

from streamswarm_controlplane.db import Database
from streamswarm_controlplane.jobs.lease import hold, release
from tests.unit.controlplane.notifications.tools import Clock


def take(database: Database, holder: str, clock: Clock, seconds: float = 10) -> datetime | None:
    with database.session() as db:
        return hold(db, "job", holder, seconds, clock.at)


def test_one_worker_holds_a_lease_and_renews_it(database: Database, clock: Clock) -> None:
    assert take(database, "a", clock)
    for _ in range(5):
        clock.pass_by(8)
        assert not take(database, "b", clock)
        assert take(database, "a", clock)


def test_another_takes_over_once_the_holder_is_silent_and_the_former_learns_it(
    database: Database, clock: Clock
) -> None:
    assert take(database, "a", clock)
    clock.pass_by(10.1)
    assert take(database, "b", clock)
    assert not take(database, "a", clock)


def test_a_worker_that_leaves_lets_another_in_at_once(database: Database, clock: Clock) -> None:
    assert take(database, "a", clock)
    with database.session() as db:
        release(db, "job", "b", clock.at)  # not b's to give
    assert not take(database, "b", clock)
    with database.session() as db:
        release(db, "job", "a", clock.at)
    assert take(database, "b", clock)


def test_a_lease_that_is_not_committed_is_not_held(database: Database, clock: Clock) -> None:
    with database.session() as db:
        assert hold(db, "job", "a", 10, clock.at)
        db.rollback()
    assert take(database, "b", clock)


def test_of_many_workers_that_begin_at_once_one_gets_it(database_url: str, database: Database, clock: Clock) -> None:
    assert database
    workers = [Database(database_url) for _ in range(6)]
    with ThreadPoolExecutor(6) as pool:
        won = list(pool.map(lambda pair: take(pair[1], str(pair[0]), clock), enumerate(workers)))
    for one in workers:
        one.close()
    assert len([since for since in won if since]) == 1


def test_a_lease_tells_since_when_it_is_held_without_a_gap_by_whomever(database: Database, clock: Clock) -> None:
    begun = clock.at
    assert take(database, "a", clock) == begun
    clock.pass_by(9)
    assert take(database, "a", clock) == begun
    clock.pass_by(19.9)  # not longer than another lease would have been
    assert take(database, "b", clock) == begun
    clock.pass_by(20.1)
    assert take(database, "b", clock) == clock.at
    with database.session() as db:
        release(db, "job", "b", clock.at)
    assert take(database, "a", clock) == clock.at
    clock.pass_by(3600)
    assert take(database, "b", clock) == clock.at
