import threading

import httpx
import pytest

from streamswarm_controlplane.security import fold_username, generate_password, weakness
from tests.unit.controlplane.conftest import PASSWORD, Client, add_user


def test_the_first_password_must_be_changed_before_anything_else(url: str, first_password: str) -> None:
    client = Client(url)
    assert client.log_in("admin", first_password).json()["must_change_password"]
    refusal = client.http.get("/tests")
    assert refusal.status_code == 403
    assert refusal.json()["type"] == "urn:streamswarm:problem:password-change-required"
    assert client.change_password(first_password, PASSWORD).status_code == 204
    assert client.http.get("/tests").status_code == 200


def test_user_names_match_in_any_case(admin: Client) -> None:
    add_user(admin, "Straße", "viewer")
    assert Client(admin.url).log_in("STRASSE", PASSWORD).status_code == 200
    assert admin.http.post("/users", json={"username": "strasse"}).status_code == 409


def test_changing_the_password_ends_the_other_sessions(admin: Client) -> None:
    other = Client(admin.url)
    other.log_in("admin", PASSWORD)
    admin.change_password(PASSWORD, "another long sentence")
    assert other.http.get("/auth/me").status_code == 401
    assert admin.http.get("/auth/me").status_code == 200


@pytest.mark.parametrize(
    ("new", "words"),
    [
        ("short", "too short"),
        ("aaaaaaaaaaaaaaa", "too simple"),
        ("the admin forever", "user name"),
        (PASSWORD, "old one"),
    ],
)
def test_a_weak_password_is_refused_with_the_reason(admin: Client, new: str, words: str) -> None:
    answer = admin.change_password(PASSWORD, new)
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.new_password"
    assert words in answer.json()["detail"]


def test_an_unsafe_request_needs_the_csrf_token(admin: Client) -> None:
    del admin.http.headers["X-CSRF-Token"]
    answer = admin.http.post("/users", json={"username": "x"})
    assert answer.status_code == 403
    assert "X-CSRF-Token" in answer.json()["detail"]


def test_the_session_cookie_is_out_of_reach_for_scripts_and_other_sites(url: str, first_password: str) -> None:
    cookie = Client(url).log_in("admin", first_password).headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie


def test_logging_out_ends_the_session(admin: Client) -> None:
    cookie = admin.http.cookies["streamswarm_session"]
    assert admin.http.post("/auth/logout").status_code == 204
    assert httpx.get(f"{admin.url}/api/v1/auth/me", cookies={"streamswarm_session": cookie}).status_code == 401


def test_failed_logins_are_slowed_down_and_other_accounts_are_counted_by_address(admin: Client) -> None:
    for _ in range(5):
        assert Client(admin.url).log_in("admin", "wrong").status_code == 401
    answer = Client(admin.url).log_in("admin", PASSWORD)
    assert answer.status_code == 429
    assert int(answer.headers["Retry-After"]) >= 1
    assert Client(admin.url).log_in("somebody-else", "wrong").status_code == 429


def test_an_unknown_user_gets_the_same_answer_as_a_wrong_password(admin: Client) -> None:
    known, unknown = Client(admin.url).log_in("admin", "x"), Client(admin.url).log_in("nobody", "x")
    assert (known.status_code, known.json()) == (unknown.status_code, unknown.json())


def test_a_deactivated_user_is_out_at_once(admin: Client) -> None:
    kim = add_user(admin, "kim", "operator")
    kim_id = next(user["id"] for user in admin.http.get("/users").json()["items"] if user["username"] == "kim")
    assert admin.http.patch(f"/users/{kim_id}", json={"active": False}).status_code == 200
    assert kim.http.get("/tests").status_code == 401
    assert Client(admin.url).log_in("kim", PASSWORD).status_code == 401


def test_an_admin_can_not_demote_deactivate_or_delete_themself(admin: Client) -> None:
    me = admin.http.get("/auth/me").json()["id"]
    answers = [
        admin.http.patch(f"/users/{me}", json={"role": "viewer"}),
        admin.http.patch(f"/users/{me}", json={"active": False}),
        admin.http.delete(f"/users/{me}"),
    ]
    assert [answer.status_code for answer in answers] == [409, 409, 409]


def test_two_admins_who_demote_each_other_at_the_same_time_leave_one(admin: Client) -> None:
    other = add_user(admin, "other", "admin")
    ids = {user["username"]: user["id"] for user in admin.http.get("/users").json()["items"]}
    barrier = threading.Barrier(2)

    def demote(client: Client, victim: str) -> None:
        barrier.wait(10)
        client.http.patch(f"/users/{ids[victim]}", json={"role": "viewer"})

    threads = [
        threading.Thread(target=demote, args=(admin, "other")),
        threading.Thread(target=demote, args=(other, "admin")),
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    roles = [client.http.get("/auth/me").json()["role"] for client in (admin, other)]
    assert sorted(roles) == ["admin", "viewer"]


def test_generated_passwords_differ_and_are_strong_enough_for_our_own_rules() -> None:
    passwords = {generate_password() for _ in range(50)}
    assert len(passwords) == 50
    assert not any(weakness(password, "admin") for password in passwords)


def test_names_that_look_alike_after_normalisation_are_the_same() -> None:
    assert fold_username("\ufb01lip") == fold_username("FILIP")


def test_no_proxy_keeps_what_one_caller_may_see_for_the_next(admin: Client) -> None:
    for path in ("/auth/me", "/users", "/tests", "/agents", "/keys"):
        headers = admin.http.get(path).headers
        assert (headers["cache-control"], headers["x-content-type-options"]) == ("private, no-cache", "nosniff")
    assert admin.http.get("/audit/export").headers["cache-control"] == "no-store"
