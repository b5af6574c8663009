"""There is always somebody who can let others in."""

import itertools
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from sqlalchemy import create_engine, select
from sqlalchemy.orm import Session
from sqlalchemy.pool import StaticPool

from streamswarm_controlplane import models
from streamswarm_controlplane.audit.service import SYSTEM, Actor
from streamswarm_controlplane.db import Base
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.users import service
from streamswarm_controlplane.users.models import User
from streamswarm_controlplane.users.roles import Role
from streamswarm_controlplane.users.schemas import UserUpdate
from tests.unit.controlplane.conftest import Client, add_user, database_of

assert models


class Accounts(RuleBasedStateMachine):
    """Anybody does anything to anybody, as the API and an OpenID provider can; what is refused changes nothing."""

    def __init__(self) -> None:
        super().__init__()
        self.engine = create_engine("sqlite://", poolclass=StaticPool, connect_args={"check_same_thread": False})
        Base.metadata.create_all(self.engine)
        self.db = Session(self.engine)
        self.names = (f"user-{number}" for number in itertools.count())

    def teardown(self) -> None:
        self.db.close()
        self.engine.dispose()

    def users(self) -> list[User]:
        return list(self.db.scalars(select(User).order_by(User.username_key)))

    @contextmanager
    def attempt(self) -> Iterator[None]:
        before = [(user.id, user.role, user.active) for user in self.users()]
        try:
            yield
            self.db.commit()
        except ApiError:
            self.db.rollback()
            assert [(user.id, user.role, user.active) for user in self.users()] == before

    @initialize()
    def install(self) -> None:
        service.create_user(self.db, SYSTEM, next(self.names), Role.ADMIN, password="")
        self.db.commit()

    @rule(role=st.sampled_from(Role))
    def add(self, role: Role) -> None:
        service.create_user(self.db, SYSTEM, next(self.names), role, password="")
        self.db.commit()

    @rule(
        pick=st.data(),
        change=st.fixed_dictionaries({}, optional={"role": st.sampled_from(Role), "active": st.booleans()}).map(
            UserUpdate.model_validate
        ),
    )
    def update(self, pick: st.DataObject, change: UserUpdate) -> None:
        actor, user = (pick.draw(st.sampled_from(self.users())) for _ in range(2))
        with self.attempt():
            service.update_user(self.db, Actor(actor.username, user_id=actor.id), user, change)

    @rule(pick=st.data())
    def delete(self, pick: st.DataObject) -> None:
        actor, user = (pick.draw(st.sampled_from(self.users())) for _ in range(2))
        with self.attempt():
            service.delete_user(self.db, Actor(actor.username, user_id=actor.id), user)

    @rule(pick=st.data())
    def delete_without_an_actor(self, pick: st.DataObject) -> None:
        """As in development mode, where there is no account that could be one's own."""
        with self.attempt():
            service.delete_user(self.db, SYSTEM, pick.draw(st.sampled_from(self.users())))

    @rule(pick=st.data(), role=st.sampled_from(Role))
    def provider_decides(self, pick: st.DataObject, role: Role) -> None:
        with self.attempt():
            service.set_role(self.db, SYSTEM, pick.draw(st.sampled_from(self.users())), role)

    @invariant()
    def an_active_admin_is_left(self) -> None:
        if self.users():
            assert any(user.role == Role.ADMIN and user.active for user in self.users())


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(
    max_examples=60, stateful_step_count=30, deadline=None, suppress_health_check=list(HealthCheck)
)

Act = Callable[[Client, str], httpx.Response]
ACTS: dict[str, Act] = {
    "demote": lambda client, victim: client.http.patch(f"/users/{victim}", json={"role": "viewer"}),
    "deactivate": lambda client, victim: client.http.patch(f"/users/{victim}", json={"active": False}),
    "delete": lambda client, victim: client.http.delete(f"/users/{victim}"),
}


@pytest.mark.parametrize("acts", [*itertools.combinations_with_replacement(ACTS, 2)], ids="+".join)
def test_admins_who_remove_each_other_at_the_same_time_leave_one(admin: Client, acts: tuple[str, str]) -> None:
    others = [add_user(admin, name, "admin") for name in ("b", "c")]
    clients = [admin, *others]
    ids = [client.http.get("/auth/me").json()["id"] for client in clients]
    barrier = threading.Barrier(6)
    statuses: list[int] = []

    def run(client: Client, act: Act, victim: str) -> None:
        barrier.wait(20)
        statuses.append(act(client, victim).status_code)

    pairs = list(itertools.permutations(range(3), 2))
    threads = [
        threading.Thread(target=run, args=(clients[one], ACTS[acts[number % 2]], ids[other]))
        for number, (one, other) in enumerate(pairs)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    with database_of(admin).session() as db:
        left = db.scalars(select(User.username).where(User.role == "admin", User.active)).all()
    assert len(left) >= 1
    assert len(statuses) == 6
    assert set(statuses) <= {200, 204, 401, 403, 404, 409}, "no deadlock, and no other fault"
    assert any(status < 300 for status in statuses)


def test_the_last_admin_stays_whatever_is_tried(admin: Client) -> None:
    other = add_user(admin, "other", "admin")
    me = admin.http.get("/auth/me").json()["id"]
    for act in ACTS.values():
        assert act(admin, me).status_code == 409
    other_id = other.http.get("/auth/me").json()["id"]
    assert ACTS["deactivate"](other, me).status_code == 200
    assert [act(other, other_id).status_code for act in ACTS.values()] == [409, 409, 409]
