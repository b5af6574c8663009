import threading
import uuid
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest
from fastapi import Response
from sqlalchemy import MetaData, select, text, update

from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.db import Database, connect
from streamswarm_controlplane.idempotency import Claim, KeptAnswer
from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from tests.support import serve_app
from tests.unit.controlplane.conftest import Client, add_user

TOKEN = {"name": "grafana", "scopes": ["read"]}


def post(client: Client, path: str, key: str, body: object, **headers: str) -> httpx.Response:
    return client.http.post(path, json=body, headers={"Idempotency-Key": key, **headers})


@pytest.fixture
def key() -> str:
    return str(uuid.uuid4())


def test_sent_again_it_does_nothing_and_gets_the_first_answer(admin: Client, key: str) -> None:
    first, again = (post(admin, "/tokens", key, TOKEN) for _ in range(2))
    assert (first.status_code, again.status_code, again.json()) == (201, 201, first.json())
    assert again.headers["Idempotent-Replayed"] == "true"
    assert again.headers["Content-Type"] == first.headers["Content-Type"]
    assert "Idempotent-Replayed" not in first.headers
    assert len(admin.http.get("/tokens").json()["items"]) == 3


def test_an_answer_without_a_body_is_replayed_too(admin: Client, key: str) -> None:
    user = admin.http.post("/users", json={"username": "kim"}).json()
    path = f"/users/{user['id']}/reset-password"
    assert post(admin, path, key, None).json() == post(admin, path, key, None).json()


def test_without_a_key_each_request_counts(admin: Client) -> None:
    tokens = {admin.http.post("/tokens", json=TOKEN).json()["token"] for _ in range(2)}
    assert len(tokens) == 2


def test_the_same_key_for_something_else_is_refused(admin: Client, key: str) -> None:
    post(admin, "/tokens", key, TOKEN).raise_for_status()
    for answer in (post(admin, "/tokens", key, {**TOKEN, "name": "x"}), post(admin, "/users", key, {"username": "x"})):
        assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "header.Idempotency-Key")


def test_a_refusal_is_not_kept_so_that_the_mended_request_can_use_the_key(admin: Client, key: str) -> None:
    assert post(admin, "/tokens", key, {"name": ""}).status_code == 422
    assert post(admin, "/tests", key, {"name": "a", "probe": "none"}).status_code == 422
    admin.http.post("/users", json={"username": "kim"}).raise_for_status()
    assert post(admin, "/users", key, {"username": "KIM"}).status_code == 409
    assert post(admin, "/tokens", key, TOKEN).status_code == 201


def test_somebody_elses_key_is_another_key(admin: Client, key: str) -> None:
    other = add_user(admin, "olga", "admin")
    first, second = post(admin, "/tokens", key, TOKEN), post(other, "/tokens", key, TOKEN)
    assert first.json()["token"] != second.json()["token"]


def test_a_caller_who_may_not_do_it_any_more_gets_no_replay(admin: Client, key: str) -> None:
    olga = add_user(admin, "olga", "admin")
    post(olga, "/tokens", key, TOKEN).raise_for_status()
    admin.http.patch(f"/users/{olga.http.get('/auth/me').json()['id']}", json={"role": "viewer"}).raise_for_status()
    assert post(olga, "/tokens", key, TOKEN).status_code == 403


def test_an_agent_whose_answer_got_lost_enrols_with_the_same_one_time_token(admin: Client, key: str) -> None:
    token = admin.http.post("/enrolment-tokens", json={}).json()["token"]
    enrolled = [
        httpx.post(
            f"{admin.url}/api/v1/agent/enrol",
            json={"token": token, "name": "berlin-1"},
            headers={"Idempotency-Key": key},
        )
        for _ in range(2)
    ]
    assert enrolled[0].json() == enrolled[1].json()
    assert [answer.status_code for answer in enrolled] == [201, 201]


@pytest.mark.parametrize("key", ["short", "x" * 256, "no spaces are allowed", "0123456789abcde\tf"])
def test_a_key_is_16_to_255_visible_characters(admin: Client, key: str) -> None:
    answer = post(admin, "/tokens", key, TOKEN)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (422, "header.Idempotency-Key")


def test_neither_key_nor_body_nor_answer_are_at_rest_in_plain(
    admin: Client, key: str, settings: ControlPlaneSettings
) -> None:
    body = {"old_password": "nine quiet harbour lamps", "new_password": "another long sentence"}
    secret = post(admin, "/tokens", key, TOKEN).json()["token"]
    post(admin, "/auth/password", key[::-1], body).raise_for_status()
    engine = connect(settings.database)
    tables = MetaData()
    tables.reflect(engine)
    with engine.connect() as connection:
        rows = [tuple(row) for table in tables.sorted_tables for row in connection.execute(select(table))]
        answered = connection.execute(text("SELECT count(*) FROM idempotency WHERE answer IS NOT NULL")).scalar_one()
    engine.dispose()
    stored = "".join(value.hex() if isinstance(value, bytes) else str(value) for row in rows for value in row)
    for plain in (key, secret, body["new_password"], "Idempotency"):
        assert plain not in stored
        assert plain.encode().hex() not in stored
    assert answered == 2


@pytest.fixture
def second_worker(settings: ControlPlaneSettings, url: str) -> Iterator[str]:
    with serve_app(create_app(settings)) as second:
        for worker in (url, second):
            # FastAPI prepares its routes at the first request, which two apps in one process can't do at once.
            httpx.get(f"{worker}/api/v1/tokens")
        yield second


def test_many_at_the_same_time_at_several_workers_act_once(admin: Client, second_worker: str, key: str) -> None:
    answers: list[httpx.Response] = []

    def send(url: str) -> None:
        with httpx.Client(cookies=admin.http.cookies, timeout=30) as client:
            headers = {"X-CSRF-Token": admin.http.headers["X-CSRF-Token"], "Idempotency-Key": key}
            answers.append(client.post(f"{url}/api/v1/tokens", json=TOKEN, headers=headers))

    threads = [threading.Thread(target=send, args=(url,)) for url in [admin.url, second_worker] * 4]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {answer.status_code for answer in answers} <= {201, 409}
    assert len({answer.json()["token"] for answer in answers if answer.status_code == 201}) == 1
    assert len([item for item in admin.http.get("/tokens").json()["items"] if item["name"] == "grafana"]) == 1


@pytest.fixture
def database(settings: ControlPlaneSettings) -> Iterator[Database]:
    database = Database(settings.database)
    yield database
    database.close()


def test_while_the_first_is_under_way_the_second_is_told_to_wait(database: Database, key: str) -> None:
    with database.session() as db:
        Claim(db, key, "user:1", b"POST /x").take()
    with pytest.raises(ApiError, match="still under way") as refusal, database.session() as db:
        Claim(db, key, "user:1", b"POST /x").take()
    assert (refusal.value.problem.status, refusal.value.headers) == (409, {"Retry-After": "1"})


def test_a_request_that_died_is_taken_over_and_can_not_end_after_all(database: Database, key: str) -> None:
    with database.session() as db:
        dead = Claim(db, key, "user:1", b"POST /x")
        dead.take()
        db.execute(update(KeptAnswer).values(claimed_at=now() - timedelta(minutes=3)))
        db.commit()
        Claim(db, key, "user:1", b"POST /x").take()
        with pytest.raises(ApiError, match="still under way"):
            dead.keep(Response(b"{}", 201))


def test_a_kept_answer_is_gone_after_a_day(admin: Client, database: Database, key: str) -> None:
    first = post(admin, "/tokens", key, TOKEN).json()["token"]
    with database.session() as db:
        db.execute(update(KeptAnswer).values(expires_at=now()))
    assert post(admin, "/tokens", key, TOKEN).json()["token"] != first
