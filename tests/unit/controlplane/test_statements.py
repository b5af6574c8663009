"""What is asked of the database doesn't grow with what there is: with 400 agents nobody waits for 400 answers."""

import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.event import listen, remove

from streamswarm_controlplane.users.models import User
from streamswarm_core.clock import now
from tests.unit.controlplane.conftest import Client, database_of
from tests.unit.controlplane.plans import PlayedAgent, add_test

FEW, MANY = 2, 6


@contextmanager
def counted(engine: Engine, table: str) -> Iterator[list[str]]:
    """Statements that have to do with a table; many rows of one statement are one."""
    found: list[str] = []

    def note(*about: Any) -> None:
        if f" {table} " in f"{about[2]} ".replace("\n", " "):
            found.append(about[2])

    listen(engine, "before_cursor_execute", note)
    yield found
    remove(engine, "before_cursor_execute", note)


def add_users(admin: Client, number: int) -> None:
    with database_of(admin).session() as db:
        for name in (uuid.uuid4().hex for _ in range(number)):
            db.add(User(username=name, username_key=name, role="viewer", password_hash="", created_at=now()))


@pytest.fixture
def progress(admin: Client) -> Callable[[Client], object]:
    test = add_test(admin, selector="agent")["id"]
    return lambda client: client.http.get(f"/tests/{test}/progress").raise_for_status()


@pytest.fixture
def reselect(admin: Client) -> Callable[[Client], object]:
    """Takes a test from all agents, and gives it to them again."""
    test = add_test(admin, selector="agent")["id"]

    def change(client: Client) -> None:
        for selector in ("", "agent"):
            client.http.patch(f"/tests/{test}", json={"selector": selector}).raise_for_status()

    return change


def add_agents(admin: Client, number: int) -> None:
    for _ in range(number):
        PlayedAgent(admin, f"a{uuid.uuid4().hex[:8]}")


@pytest.mark.parametrize(
    ("table", "more", "ask"),
    [
        ("login_throttles", add_users, lambda client: client.http.get("/users").raise_for_status()),
        ("runs", add_agents, "progress"),
        ("runs", add_agents, "reselect"),
        ("assignments", add_agents, "reselect"),
    ],
)
def test_more_rows_are_no_more_statements(
    admin: Client, table: str, more: Callable[[Client, int], None], ask: Any, request: pytest.FixtureRequest
) -> None:
    act = request.getfixturevalue(ask) if isinstance(ask, str) else ask
    numbers = []
    for rows in (FEW, MANY):
        more(admin, rows)
        with counted(database_of(admin).engine, table) as statements:
            act(admin)
        numbers.append(len(statements))
    assert numbers[0] == numbers[1]


def test_the_configuration_is_read_once_for_all_of_its_keys(admin: Client) -> None:
    with counted(database_of(admin).engine, "config_values") as statements:
        assert len(admin.http.get("/config").json()["items"]) > 10
    assert len(statements) <= 2, "for the request's settings, and for the list"
