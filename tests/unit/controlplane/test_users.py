"""People: what is kept of them, and how they come and go."""

import threading

import pytest
from sqlalchemy import select

from streamswarm_controlplane.security import weakness
from streamswarm_controlplane.users.models import User
from tests.unit.controlplane.conftest import PASSWORD, Client, add_user, database_of


def id_of(admin: Client, username: str) -> str:
    return next(str(user["id"]) for user in admin.http.get("/users").json()["items"] if user["username"] == username)


def test_a_user_is_made_read_changed_and_deleted(admin: Client) -> None:
    body = {"username": "Kim", "role": "operator", "display_name": "Kim Meier", "email": "Kim@EXAMPLE.org"}
    made = admin.http.post("/users", json=body).json()
    path = f"/users/{made['id']}"
    assert admin.http.get(path).json()["email"] == "Kim@example.org"
    changed = admin.http.patch(path, json={"username": "kim.meier", "role": "viewer", "email": ""}).json()
    assert (changed["username"], changed["role"], changed["email"], changed["display_name"]) == (
        "kim.meier",
        "viewer",
        "",
        "Kim Meier",
    )
    assert admin.http.delete(path).status_code == 204
    assert admin.http.get(path).status_code == 404


@pytest.mark.parametrize("email", ["kim", "kim@", "@example.org", "kim@exa mple.org", "a@b@c.org", "kim@localhost"])
def test_what_is_no_mail_address_is_refused_with_the_field(admin: Client, email: str) -> None:
    answer = admin.http.post("/users", json={"username": "kim", "email": email})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["field"] == "body.email"
    assert "such as kim@example.org" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("first", "second"), [("Straße", "STRASSE"), ("ﬁlip", "FILIP"), ("Σίσυφος", "ΣΊΣΥΦΟΣ"), ("K1m", "\uff2b1m")]
)
def test_two_names_that_differ_in_case_only_can_not_both_be_taken(admin: Client, first: str, second: str) -> None:
    admin.http.post("/users", json={"username": first}).raise_for_status()
    taken = admin.http.post("/users", json={"username": second})
    assert (taken.status_code, taken.json()["errors"][0]["field"]) == (409, "body.username")
    other = admin.http.post("/users", json={"username": "other"}).json()
    renamed = admin.http.patch(f"/users/{other['id']}", json={"username": second})
    assert renamed.status_code == 409
    assert admin.http.get(f"/users/{other['id']}").json()["username"] == "other"


def test_of_many_who_take_a_name_at_the_same_time_one_gets_it(admin: Client) -> None:
    barrier = threading.Barrier(6)
    statuses = []

    def create(name: str) -> None:
        barrier.wait(10)
        statuses.append(admin.http.post("/users", json={"username": name}).status_code)

    threads = [threading.Thread(target=create, args=(name,)) for name in ("kim", "KIM", "Kim", "kIm", "kiM", "KIm")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(statuses) == [201, 409, 409, 409, 409, 409]
    with database_of(admin).session() as db:
        assert db.scalars(select(User.username_key)).all().count("kim") == 1


@pytest.mark.parametrize(
    ("password", "words"),
    [
        ("password1234", "too easy to guess: This is a very common password"),
        ("qwertyuiop12", "too easy to guess"),
        ("AnnaMeier1980", "too easy to guess: it is little more than your own name"),
        ("example.org!!", "too easy to guess: it is little more than your own name"),
        ("Kim.Meier@ex", "user name"),
        ("abcabcabcabcabc", "too simple"),
        ("x" * 300, "too long"),
    ],
)
def test_common_passwords_and_ones_about_the_user_are_refused(password: str, words: str) -> None:
    assert words in weakness(password, "kim", ("Anna Meier", "kim.meier@example.org"))


def test_what_is_known_of_a_user_makes_a_password_weaker() -> None:
    assert weakness("harbourlamps99", "kim") == ""
    assert "too easy" in weakness("harbourlamps99", "kim", ("Harbour Lamps", "harbourlamps@example.org"))


def test_judging_many_passwords_at_once_mixes_no_users_up() -> None:
    answers: dict[int, str] = {}

    def judge(number: int) -> None:
        about = ("Harbour Lamps", "harbourlamps@example.org") if number % 2 else ()
        answers[number] = weakness("harbourlamps99", "kim", about)

    threads = [threading.Thread(target=judge, args=(number,)) for number in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert {number: bool(answer) for number, answer in answers.items()} == {n: bool(n % 2) for n in range(24)}


def test_people_change_their_own_name_and_mail_but_not_their_role(admin: Client) -> None:
    kim = add_user(admin, "kim", "viewer")
    changed = kim.http.patch("/auth/me", json={"display_name": " Kim ", "email": "kim@example.org"}).json()
    assert (changed["display_name"], changed["email"]) == ("Kim", "kim@example.org")
    assert kim.http.patch("/auth/me", json={"role": "admin"}).status_code == 422
    assert kim.http.get("/auth/me").json()["role"] == "viewer"


def test_a_reset_ends_the_sessions_and_has_to_be_followed_by_a_password_of_ones_own(admin: Client) -> None:
    kim = add_user(admin, "kim", "viewer")
    password = admin.http.post(f"/users/{id_of(admin, 'kim')}/reset-password").json()["password"]
    assert kim.http.get("/auth/me").status_code == 401
    assert Client(admin.url).log_in("kim", PASSWORD).status_code == 401
    again = Client(admin.url)
    assert again.log_in("kim", password).json()["must_change_password"]
    assert again.http.get("/tests").status_code == 403
    assert again.change_password(password, "a quiet green harbour").status_code == 204
    assert again.http.get("/tests").status_code == 200


def test_failed_logins_are_counted_until_one_succeeds(admin: Client) -> None:
    add_user(admin, "kim", "viewer")
    for _ in range(2):
        Client(admin.url).log_in("KIM", "wrong")
    seen = admin.http.get(f"/users/{id_of(admin, 'kim')}").json()
    assert (seen["failed_logins"], seen["last_failed_login_at"] is not None) == (2, True)
    assert Client(admin.url).log_in("kim", PASSWORD).json()["failed_logins"] == 0
    seen = admin.http.get(f"/users/{id_of(admin, 'kim')}").json()
    assert (seen["failed_logins"], seen["last_login_at"] > seen["last_failed_login_at"]) == (0, True)


def test_what_was_typed_as_a_name_that_nobody_has_is_kept_nowhere(admin: Client) -> None:
    Client(admin.url).log_in("my secret passphrase", "x")
    log = admin.http.get("/audit", params={"action": "auth.login_failed"})
    assert [entry["object"] for entry in log.json()["items"]] == ["an unknown user"]
    assert "my secret" not in log.text


def test_the_length_of_passwords_is_the_configurations(admin: Client) -> None:
    admin.http.put("/config/password_length", json={"value": 30}).raise_for_status()
    answer = admin.change_password(PASSWORD, "seven green boats at noon")
    assert "at least 30 characters" in answer.json()["detail"]
