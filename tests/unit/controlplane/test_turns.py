"""Many logins at the same time, by people without an account."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from streamswarm_controlplane.auth import service
from streamswarm_controlplane.auth.turns import AT_A_TIME, WAITING
from tests.support import eventually
from tests.unit.controlplane.conftest import PASSWORD, Client, database_of, everything

MANY = 60
"""More than the threads that answer requests."""


class SlowCheck:
    """Checks passwords as slowly as the test wants, and counts how many at a time."""

    def __init__(self) -> None:
        self.go_on = threading.Event()
        self.now = self.most = 0
        self._lock = threading.Lock()

    def __call__(self, _password: str, _stored: str) -> bool:
        with self._lock:
            self.now += 1
            self.most = max(self.most, self.now)
        self.go_on.wait(60)
        with self._lock:
            self.now -= 1
        return False


@pytest.fixture
def slow(admin: Client, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlowCheck]:
    assert admin
    check = SlowCheck()
    monkeypatch.setattr(service, "verify_password", check)
    monkeypatch.setattr("streamswarm_controlplane.auth.turns._WAIT_SECONDS", 60)
    yield check
    check.go_on.set()


def test_a_flood_of_logins_takes_few_turns_and_nobody_elses_thread(admin: Client, slow: SlowCheck) -> None:
    def log_in(number: int) -> httpx.Response:
        return Client(admin.url).log_in(f"nobody-{number}", PASSWORD)

    with ThreadPoolExecutor(MANY) as pool:
        flood = [pool.submit(log_in, number) for number in range(MANY)]
        try:
            eventually(lambda: sum(one.done() for one in flood), lambda done: done == MANY - AT_A_TIME - WAITING)
            assert httpx.get(f"{admin.url}/health", timeout=10).status_code == 200
            assert admin.http.get("/auth/me").status_code == 200
        finally:
            slow.go_on.set()
        answers = [one.result() for one in flood]
    assert slow.most == AT_A_TIME
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == MANY - AT_A_TIME - WAITING
    assert {answer.headers["Retry-After"] for answer in refused} == {"2"}
    # Whoever was refused has not used up a try.
    with database_of(admin).session() as db:
        failures = [row.failures for row in db.execute(everything("login_throttles")) if row.key.startswith("address:")]
    assert failures == [5]
