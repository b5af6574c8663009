"""Who guesses is slowed down; who is guessed at isn't shut out."""

import threading
from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from streamswarm_controlplane import security
from streamswarm_controlplane.addresses import client_of
from streamswarm_controlplane.app import create_app
from streamswarm_controlplane.auth.models import LoginThrottle
from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from tests.support import serve_app
from tests.unit.controlplane import conftest
from tests.unit.controlplane.conftest import PASSWORD, Client, database_of

HOME, OFFICE = "198.51.100.7", "203.0.113.9"


@pytest.fixture
def settings(settings: ControlPlaneSettings) -> ControlPlaneSettings:
    """Behind a proxy on this host, so that a test can come from anywhere."""
    return settings.model_copy(update={"trusted_proxies": ["127.0.0.0/8"]})


def come_from(address: str, url: str, password: str, username: str = "admin") -> httpx.Response:
    client = Client(url)
    client.http.headers["X-Forwarded-For"] = address
    return client.log_in(username, password)


def later(admin: Client, seconds: float) -> None:
    """Let time pass for the blocks."""
    with database_of(admin).session() as db:
        for row in db.query(LoginThrottle):
            row.blocked_until -= timedelta(seconds=seconds)


def longest_block(admin: Client) -> int:
    """Seconds, counted from the failure, however long ago that is on a busy machine."""
    with database_of(admin).session() as db:
        blocks = [row.blocked_until - row.last_failure_at for row in db.query(LoginThrottle) if row.last_failure_at]
    return round(max(blocks).total_seconds())


def test_an_address_waits_longer_with_each_failure_up_to_the_limit(admin: Client) -> None:
    waits = []
    for _ in range(18):
        come_from(OFFICE, admin.url, "wrong", "somebody")
        answer = come_from(OFFICE, admin.url, "wrong", "somebody else")
        if answer.status_code == 429:
            waits.append(longest_block(admin))
            assert 0 < int(answer.headers["Retry-After"]) <= waits[-1]
            later(admin, 10_000)
    assert waits == sorted(waits)
    assert waits[0] == 5
    assert max(waits) == 900


def test_being_refused_while_one_waits_makes_it_no_longer(admin: Client) -> None:
    for _ in range(5):
        come_from(OFFICE, admin.url, "wrong")
    for _ in range(20):
        assert come_from(OFFICE, admin.url, "wrong").status_code == 429
    with database_of(admin).session() as db:
        assert db.get_one(LoginThrottle, f"address:{OFFICE}").failures == 5


def test_an_attacker_from_many_addresses_makes_nobody_wait_where_they_usually_are(admin: Client) -> None:
    assert come_from(HOME, admin.url, PASSWORD).status_code == 200
    for number in range(40):
        come_from(f"192.0.2.{number}", admin.url, "wrong")
        if number % 4 == 3:
            later(admin, 70)
    while come_from("192.0.2.200", admin.url, "wrong").status_code != 429:
        pass
    assert come_from(OFFICE, admin.url, PASSWORD).status_code == 429, "at a new address the account has to wait"
    assert come_from(HOME, admin.url, PASSWORD).status_code == 200


def test_at_a_new_address_the_account_waits_a_minute_at_most_however_long_it_is_attacked(admin: Client) -> None:
    for number in range(60):
        come_from(f"192.0.2.{number}", admin.url, "wrong")
        later(admin, 61)
    for _ in range(3):
        come_from("192.0.2.201", admin.url, "wrong")
    with database_of(admin).session() as db:
        account = db.query(LoginThrottle).where(LoginThrottle.key.startswith("account:")).one()
        assert account.failures > 50
        assert account.blocked_until - now() < timedelta(seconds=61)
    later(admin, 61)
    assert come_from(OFFICE, admin.url, PASSWORD).status_code == 200


def test_guesses_at_the_same_time_get_no_further_than_one_after_the_other(admin: Client) -> None:
    barrier = threading.Barrier(16)
    statuses: list[int] = []

    def guess() -> None:
        barrier.wait(20)
        statuses.append(come_from(OFFICE, admin.url, "wrong").status_code)

    threads = [threading.Thread(target=guess) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    # What comes while eight others wait for their turn is told so, and isn't counted.
    assert statuses.count(401) == 5
    assert statuses.count(429) + statuses.count(503) == 11


def test_an_admin_lets_a_user_in_again(admin: Client) -> None:
    kim = conftest.add_user(admin, "kim", "viewer")
    kim_id = kim.http.get("/auth/me").json()["id"]
    for number in range(6):
        come_from(f"192.0.2.{number}", admin.url, "wrong", "kim")
    assert admin.http.get(f"/users/{kim_id}").json()["blocked_until"]
    assert come_from(OFFICE, admin.url, PASSWORD, "kim").status_code == 429
    unlocked = admin.http.post(f"/users/{kim_id}/unlock").json()
    assert (unlocked["blocked_until"], unlocked["failed_logins"]) == (None, 0)
    assert come_from(OFFICE, admin.url, PASSWORD, "kim").status_code == 200


def test_addresses_of_one_ipv6_network_count_as_one(admin: Client) -> None:
    for number in range(5):
        come_from(f"2001:db8::{number}", admin.url, "wrong", f"somebody-{number}")
    assert come_from("2001:db8::ffff", admin.url, "wrong", "another").status_code == 429
    assert come_from("2001:db8:0:1::1", admin.url, "wrong", "another").status_code == 401


def test_guessing_the_old_password_in_a_stolen_session_is_slowed_down_too(admin: Client) -> None:
    statuses = [admin.change_password("wrong", "a quiet green harbour").status_code for _ in range(6)]
    assert statuses == [403, 403, 403, 403, 403, 429]


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "expected"),
    [
        ("192.0.2.1", ["198.51.100.7"], [], "192.0.2.1"),
        ("10.0.0.1", ["198.51.100.7"], ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7"], ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6, 198.51.100.7, 10.0.0.2"], ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", ["6.6.6.6", "198.51.100.7"], ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", ["[2001:db8::7]:443"], ["10.0.0.0/8"], "2001:db8::7"),
        ("10.0.0.1", ["198.51.100.7:5555"], ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", ["nonsense"], ["10.0.0.0/8"], "10.0.0.1"),
        ("::ffff:10.0.0.1", ["198.51.100.7"], ["10.0.0.0/8"], "198.51.100.7"),
        ("10.0.0.1", [], ["10.0.0.0/8"], "10.0.0.1"),
    ],
)
def test_forwarded_addresses_count_only_from_trusted_proxies_and_from_the_right(
    peer: str, forwarded: list[str], proxies: list[str], expected: str
) -> None:
    assert client_of(peer, forwarded, proxies) == expected


@pytest.fixture
def exposed(settings: ControlPlaneSettings, first_password: str) -> Iterator[str]:
    """The same without a proxy that is trusted."""
    assert first_password
    with serve_app(create_app(settings.model_copy(update={"trusted_proxies": []}))) as url:
        yield url


def test_a_made_up_forwarded_address_is_no_way_round_the_limit(exposed: str) -> None:
    statuses = [come_from(f"192.0.2.{number}", exposed, "wrong").status_code for number in range(7)]
    assert statuses == [401, 401, 401, 401, 401, 429, 429]


def test_a_trusted_proxy_says_whether_there_is_tls(url: str, first_password: str) -> None:
    client = Client(url)
    client.http.headers["X-Forwarded-Proto"] = "https"
    assert "secure" in client.log_in("admin", first_password).headers["set-cookie"].lower()


def test_every_401_of_a_login_has_verified_exactly_one_hash(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of Argon2; docs/users-and-tokens.md has the figures of benchmarks/logins.py."""
    kim = conftest.add_user(admin, "kim", "viewer")
    kim_id = kim.http.get("/auth/me").json()["id"]
    conftest.add_user(admin, "off", "viewer")
    ids = {user["username"]: user["id"] for user in admin.http.get("/users").json()["items"]}
    admin.http.patch(f"/users/{ids['off']}", json={"active": False}).raise_for_status()
    hashes: list[str] = []

    class Counting:
        def verify(self, stored: str, password: str) -> bool:
            hashes.append(stored)
            return real.verify(stored, password)

    real = security._hasher()
    security._nobody()  # made once in a process
    monkeypatch.setattr(security, "_hasher", Counting)
    for number, (username, password) in enumerate(
        [("kim", "wrong"), ("nobody", "wrong"), ("off", PASSWORD), ("off", "wrong"), ("", "wrong")]
    ):
        hashes.clear()
        answer = come_from(f"192.0.2.{number}", admin.url, password, username or "x" * 255)
        assert answer.status_code == 401
        assert len(hashes) == 1
        assert hashes[0].split("$")[2:4] == security._nobody().split("$")[2:4], "the same memory, time and lanes"
        assert answer.json()["detail"] == "wrong user name or password"
    assert kim_id
