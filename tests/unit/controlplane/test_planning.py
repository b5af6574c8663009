"""Who changes what agents have to run takes turns, whatever the database: side by side they would miss one another."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor

import httpx
import pytest
from sqlalchemy import text
from sqlalchemy.orm import Session

from streamswarm_controlplane.assignments.turn import take_turn
from streamswarm_controlplane.audit.service import SYSTEM
from streamswarm_controlplane.testplans import schemas
from streamswarm_controlplane.testplans.service import create_test
from tests.support import eventually
from tests.unit.controlplane.conftest import Client, database_of
from tests.unit.controlplane.plans import PlayedAgent, add_test, items

_WAITING = text(
    "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = pg_locks.database "
    "WHERE NOT granted AND datname = current_database()"
)
CHANGES: dict[str, Callable[[Client, str, str], httpx.Response]] = {
    "a test is made": lambda admin, _test, _agent: admin.http.post("/tests", json={"name": "new", "probe": "system"}),
    "a test is changed": lambda admin, test, _agent: admin.http.patch(f"/tests/{test}", json={"interval": 7}),
    "a test is run": lambda admin, test, _agent: admin.http.post(f"/tests/{test}/run"),
    "tests are paused": lambda admin, test, _agent: admin.http.post(
        "/tests/bulk", json={"action": "pause", "ids": [test]}
    ),
    "a test is given": lambda admin, test, agent: admin.http.post(
        "/assignments", json={"test_id": test, "agent_id": agent}
    ),
    "a test is taken": lambda admin, _test, _agent: admin.http.delete(
        f"/assignments/{items(admin, '/assignments')[0]['id']}"
    ),
    "an agent is labelled": lambda admin, _test, agent: admin.http.patch(f"/agents/{agent}", json={"site": "x"}),
    "an agent is drained": lambda admin, _test, agent: admin.http.post(f"/agents/{agent}/drain"),
    "an agent is deleted": lambda admin, _test, agent: admin.http.delete(f"/agents/{agent}?series=keep"),
}


def wait_for_it(db: Session, change: Future[httpx.Response]) -> None:
    """Until the change waits for the transaction, or doesn't; SQLite, which can't be asked, has one writer anyway."""
    if db.get_bind().dialect.name == "postgresql":
        eventually(lambda: change.done() or bool(db.scalar(_WAITING)), bool)


@pytest.mark.parametrize("change", CHANGES)
def test_changes_of_what_agents_run_wait_for_one_that_is_under_way(admin: Client, change: str) -> None:
    agent = PlayedAgent(admin, "a")
    test = add_test(admin, agent)["id"]
    with ThreadPoolExecutor(1) as pool:
        with database_of(admin).session() as db:
            take_turn(db)
            asked = pool.submit(CHANGES[change], admin, test, agent.id)
            wait_for_it(db, asked)
            assert not asked.done()
            assert agent.tests(), "nobody's polls wait"
        assert asked.result().status_code < 300, asked.result().text


def test_an_agent_that_enrols_while_a_test_is_made_has_it(admin: Client) -> None:
    token = admin.http.post("/enrolment-tokens", json={}).json()["token"]
    enrol = {"token": token, "name": "late"}
    with ThreadPoolExecutor(1) as pool:
        with database_of(admin).session() as db:
            create_test(db, SYSTEM, schemas.TestCreate(name="all", probe="icmp", target="127.0.0.1", selector="agent"))
            asked = pool.submit(httpx.post, f"{admin.url}/api/v1/agent/enrol", json=enrol, timeout=60)
            wait_for_it(db, asked)
        asked.result().raise_for_status()
    (assignment,) = items(admin, "/assignments")
    assert assignment["agent_id"] == asked.result().json()["agent_id"]
