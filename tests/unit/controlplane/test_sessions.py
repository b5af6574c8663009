"""Browsers: how long they stay logged in, and who can end it."""

from datetime import timedelta
from typing import Any

import httpx
import pytest

from streamswarm_controlplane.auth.models import UserSession
from streamswarm_core.clock import now
from tests.unit.controlplane.conftest import PASSWORD, Client, add_user, database_of


def age(client: Client, **changes: Any) -> None:
    """Set columns of every session."""
    with database_of(client).session() as db:
        for session in db.query(UserSession):
            for name, value in changes.items():
                setattr(session, name, value)


def test_an_idle_session_ends_and_a_used_one_goes_on(admin: Client) -> None:
    age(admin, last_seen_at=now() - timedelta(minutes=59))
    assert admin.http.get("/auth/me").status_code == 200
    with database_of(admin).session() as db:
        assert now() - db.query(UserSession).one().last_seen_at < timedelta(minutes=1)
    age(admin, last_seen_at=now() - timedelta(minutes=61))
    assert admin.http.get("/auth/me").status_code == 401


def test_a_session_ends_at_its_age_however_much_it_is_used(admin: Client) -> None:
    age(admin, created_at=now() - timedelta(hours=12, seconds=1))
    assert admin.http.get("/auth/me").status_code == 401


def test_the_times_are_the_configurations_at_once(admin: Client) -> None:
    age(admin, last_seen_at=now() - timedelta(minutes=10))
    admin.http.put("/config/session_idle_minutes", json={"value": 5})
    other = Client(admin.url)
    other.log_in("admin", PASSWORD)
    age(admin, last_seen_at=now() - timedelta(minutes=6))
    assert other.http.get("/auth/me").status_code == 401


def test_people_see_and_end_their_own_sessions(admin: Client) -> None:
    other = Client(admin.url)
    other.http.headers["User-Agent"] = "telephone"
    other.log_in("admin", PASSWORD)
    listed = admin.http.get("/auth/sessions").json()["items"]
    newest = listed[0]
    assert (newest["user_agent"], newest["current"], newest["address"]) == ("telephone", False, "127.0.0.1")
    assert admin.http.delete(f"/auth/sessions/{listed[0]['id']}").status_code == 204
    assert other.http.get("/auth/me").status_code == 401
    assert admin.http.delete(f"/auth/sessions/{listed[0]['id']}").status_code == 404


def test_all_other_sessions_end_at_once(admin: Client) -> None:
    others = [Client(admin.url) for _ in range(3)]
    for other in others:
        other.log_in("admin", PASSWORD)
    assert admin.http.delete("/auth/sessions").status_code == 204
    assert [other.http.get("/auth/me").status_code for other in others] == [401, 401, 401]
    assert [one["current"] for one in admin.http.get("/auth/sessions").json()["items"]] == [True]


def test_an_admin_ends_a_users_sessions_and_nobody_ends_anothers(admin: Client) -> None:
    kim, lee = add_user(admin, "kim", "viewer"), add_user(admin, "lee", "viewer")
    kim_id = kim.http.get("/auth/me").json()["id"]
    (session,) = admin.http.get(f"/users/{kim_id}/sessions").json()["items"]
    assert lee.http.delete(f"/auth/sessions/{session['id']}").status_code == 404
    assert admin.http.delete(f"/users/{kim_id}/sessions").status_code == 204
    assert kim.http.get("/auth/me").status_code == 401
    assert lee.http.get("/auth/me").status_code == 200


def test_no_list_shows_what_is_in_the_cookie(admin: Client) -> None:
    cookie = admin.http.cookies["streamswarm_session"]
    assert cookie not in admin.http.get("/auth/sessions").text
    with database_of(admin).session() as db:
        assert cookie not in repr(vars(db.query(UserSession).one()))


@pytest.mark.parametrize(("headers", "secure"), [({"X-Forwarded-Proto": "https"}, False), ({}, False)])
def test_nobody_untrusted_says_that_there_is_tls(
    url: str, first_password: str, headers: dict[str, str], secure: bool
) -> None:
    client = Client(url)
    client.http.headers.update(headers)
    cookie = client.log_in("admin", first_password).headers["set-cookie"].lower()
    assert ("secure" in cookie) == secure


@pytest.mark.parametrize("method", ["POST", "PATCH", "PUT", "DELETE"])
def test_every_way_to_change_something_needs_the_csrf_token_of_this_very_session(admin: Client, method: str) -> None:
    other = Client(admin.url)
    other.log_in("admin", PASSWORD)
    for wrong in ("", "x", other.http.headers["X-CSRF-Token"]):
        answer = admin.http.request(method, "/config/late_seconds", json={}, headers={"X-CSRF-Token": wrong})
        assert answer.status_code in {403, 405}, method
    assert admin.http.get("/config/late_seconds").json()["is_default"]


def test_a_cookie_of_a_deleted_user_is_worth_nothing(admin: Client) -> None:
    kim = add_user(admin, "kim", "viewer")
    kim_id = kim.http.get("/auth/me").json()["id"]
    cookies = {"streamswarm_session": kim.http.cookies["streamswarm_session"]}
    admin.http.delete(f"/users/{kim_id}").raise_for_status()
    assert httpx.get(f"{admin.url}/api/v1/auth/me", cookies=cookies).status_code == 401
