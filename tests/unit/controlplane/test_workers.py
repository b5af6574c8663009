"""Several processes on one database: whichever answers, the answer is the same."""

import re
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import httpx
import psutil
import pytest
from pydantic import SecretStr

from streamswarm_controlplane.settings import ControlPlaneSettings
from streamswarm_core.clock import now
from tests.support import eventually, metrics
from tests.unit.controlplane.conftest import PASSWORD, Client, Templates, enrol_agent
from tests.unit.controlplane.processes import ControlPlane, running, start, wait

# The processes are started once, so the tests stay together.
pytestmark = pytest.mark.xdist_group("control planes")

COUNT = 3
AT_ONCE = 12

Answer = TypeVar("Answer")


@pytest.fixture(scope="module")
def planes(templates: Templates, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[ControlPlane]]:
    """Three control planes that have started together on an empty database."""
    folder = tmp_path_factory.mktemp("planes")
    for url in templates.copy("empty", folder):
        settings = ControlPlaneSettings(data=folder, database_url=SecretStr(url))
        with running(settings, count=COUNT) as started:
            first = told_passwords(started)[0]
            client = Client(started[0].url)
            client.log_in("admin", first)
            client.change_password(first, PASSWORD)
            yield started


def told_passwords(planes: list[ControlPlane]) -> list[str]:
    """What their logs say of the first admin's password."""
    return [found for one in planes for found in re.findall(r"first admin: admin / (\S+)", one.log.read_text())]


@pytest.fixture
def three(planes: list[ControlPlane]) -> list[Client]:
    """An admin at each of them, with one session for all."""
    clients = [Client(one.url) for one in planes]
    assert clients[0].log_in("admin", PASSWORD).status_code == 200
    share_session(clients)
    return clients


def share_session(clients: list[Client]) -> None:
    first, *others = clients
    for other in others:
        other.http.headers["X-CSRF-Token"] = first.http.headers["X-CSRF-Token"]
        other.http.cookies.set("streamswarm_session", first.http.cookies["streamswarm_session"])


def at_once(calls: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """All calls at the same time."""
    barrier = threading.Barrier(len(calls))

    def call(one: Callable[[], Answer]) -> Answer:
        barrier.wait(20)
        return one()

    with ThreadPoolExecutor(len(calls)) as pool:
        return list(pool.map(call, calls))


def test_who_logs_in_at_one_is_known_at_the_others_and_out_everywhere_at_once(three: list[Client]) -> None:
    assert [client.http.get("/auth/me").status_code for client in three] == [200] * COUNT
    assert three[1].http.post("/auth/logout").status_code == 204
    assert [client.http.get("/auth/me").status_code for client in three] == [401] * COUNT


def test_an_agent_that_one_revokes_is_refused_by_all_at_once(three: list[Client]) -> None:
    agent_id, headers = enrol_agent(three[0], "revoked")
    polls = [f"{client.url}/api/v1/agent/assignments" for client in three]
    # Twice, so that whatever a process remembers of the token is remembered.
    at = now().isoformat()
    beat = {"version": "1", "started_at": at, "sent_at": at, "assignments_version": 1}
    beats = [f"{client.url}/api/v1/agent/heartbeat" for client in three]
    for _ in range(2):
        assert [httpx.get(poll, headers=headers, timeout=30).status_code for poll in polls] == [200] * COUNT
        assert [httpx.post(one, headers=headers, json=beat, timeout=30).status_code for one in beats] == [200] * COUNT
    assert three[2].http.post(f"/agents/{agent_id}/revoke").status_code == 204
    assert [httpx.get(poll, headers=headers, timeout=30).status_code for poll in polls] == [401] * COUNT
    assert [httpx.post(one, headers=headers, json=beat, timeout=30).status_code for one in beats] == [401] * COUNT
    assert httpx.post(f"{three[0].url}/api/v1/agent/runs", headers=headers, json={"runs": []}).status_code == 401


def test_a_change_at_one_is_what_an_agent_is_told_by_all(three: list[Client]) -> None:
    agent_id, headers = enrol_agent(three[0], "polling")
    polls = [f"{client.url}/api/v1/agent/assignments" for client in three]
    tags = [httpx.get(poll, headers=headers, timeout=30).headers["ETag"] for poll in polls]
    assert len(set(tags)) == 1
    new = {"name": "x", "probe": "icmp", "target": "127.0.0.1", "agent_ids": [agent_id]}
    assert three[1].http.post("/tests", json=new).status_code == 201
    for poll in polls:
        answer = httpx.get(poll, headers={**headers, "If-None-Match": tags[0]})
        assert (answer.status_code, len(answer.json()["assignments"])) == (200, 1)


@pytest.mark.parametrize("taken", ["key", "name"])
def test_of_many_who_take_the_same_key_or_name_at_once_one_gets_it_and_the_others_are_told(
    three: list[Client], taken: str
) -> None:
    body = {"probe": "icmp", "target": "127.0.0.1"}
    calls = [
        partial(
            client.http.post, "/tests", json={"key": f"key-{number}", "name": f"Name {number}", **body, taken: "same"}
        )
        for number, client in enumerate(three * (AT_ONCE // COUNT))
    ]
    answers = at_once(calls)
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * (AT_ONCE - 1)
    refused = [answer.json() for answer in answers if answer.status_code == 409]
    assert {problem["errors"][0]["field"] for problem in refused} == {f"body.{taken}"}


def test_of_many_who_enrol_with_one_token_at_once_one_gets_in(three: list[Client]) -> None:
    token = three[0].http.post("/enrolment-tokens", json={}).json()["token"]
    urls = [f"{client.url}/api/v1/agent/enrol" for client in three] * (AT_ONCE // COUNT)
    calls = [
        partial(httpx.post, url, json={"token": token, "name": f"agent-{number}"}, timeout=20)
        for number, url in enumerate(urls)
    ]
    answers = at_once(calls)
    assert sorted(answer.status_code for answer in answers) == [201] + [401] * (AT_ONCE - 1)


def test_control_planes_that_start_together_on_nothing_make_one_installation(planes: list[ControlPlane]) -> None:
    assert len({httpx.get(f"{one.url}/api/v1/keys").text for one in planes}) == 1
    assert len(told_passwords(planes)) == 1
    assert [Client(one.url).log_in("admin", PASSWORD).status_code for one in planes] == [200] * COUNT


# What the database decides is tried on both above. What becomes of processes is the same on either.
@pytest.mark.parametrize("templates", ["postgresql"], indirect=True, scope="session")
def test_workers_share_a_port_are_replaced_when_they_die_and_end_with_ctrl_c(
    settings: ControlPlaneSettings, first_password: str
) -> None:
    with running(settings, workers=COUNT) as (one,):
        before = eventually(one.workers, lambda found: len(found) == COUNT)
        body = {"key": "office", "name": "x", "probe": "icmp", "target": "127.0.0.1"}
        admin = Client(one.url)
        admin.log_in("admin", first_password)
        admin.change_password(first_password, PASSWORD)
        # A connection each, so that several workers take part.
        clients = [Client(one.url) for _ in range(AT_ONCE)]
        share_session([admin, *clients])
        answers = at_once([partial(client.http.post, "/tests", json=body) for client in clients])
        assert sorted(answer.status_code for answer in answers) == [201] + [409] * (AT_ONCE - 1)
        # Whoever answers a scrape, and whoever ends.
        count = ("streamswarm_controlplane_request_duration_seconds_count", "POST", "/tests", "409")
        assert [metrics(one.url)[count] for _ in range(AT_ONCE)] == [AT_ONCE - 1] * AT_ONCE

        psutil.Process(before[0]).kill()
        eventually(one.workers, lambda found: len(found) == COUNT and before[0] not in found, 60)
        assert Client(one.url).log_in("admin", PASSWORD).status_code == 200
        assert metrics(one.url)[count] == AT_ONCE - 1
        assert metrics(one.url)["streamswarm_controlplane_agents", "online"] == 0

        last = one.workers()
        assert one.interrupt() == 0
        eventually(lambda: alive(last), lambda left: not left)
        assert "Traceback" not in one.log.read_text()


@pytest.mark.parametrize("templates", ["sqlite"], indirect=True, scope="session")
def test_workers_end_when_what_started_them_is_killed(settings: ControlPlaneSettings, first_password: str) -> None:
    assert first_password
    with running(settings, workers=COUNT) as (one,):
        workers = eventually(one.workers, lambda found: len(found) == COUNT)
        one.process.kill()
        one.process.wait()
        eventually(lambda: alive(workers), lambda left: not left)


def alive(pids: list[int]) -> list[int]:
    return [pid for pid in pids if psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE]


def wrong(settings: ControlPlaneSettings) -> SecretStr:
    name = settings.database.replace("postgresql+psycopg://streamswarm@/", "postgresql+psycopg://streamswarm@/no_")
    return SecretStr(name.replace("sqlite:///", "sqlite:////nowhere/"))


def test_a_database_that_can_not_be_used_stops_the_start_with_one_line(
    settings: ControlPlaneSettings, first_password: str
) -> None:
    assert first_password
    broken = settings.model_copy(update={"data": settings.data / "other", "database_url": wrong(settings)})
    broken.data.mkdir()
    # A server may have it later, for which systemd starts it again; a file's folder is a setting to be mended.
    code = 75 if settings.database.startswith("postgresql") else 2
    with pytest.raises(RuntimeError, match=f"exit code {code};") as told, running(broken, workers=COUNT):
        pass
    log = str(told.value).partition("log:\n")[2].strip()
    assert log.startswith("error: database ")
    assert len(log.splitlines()) == 1


@pytest.mark.parametrize(
    "url",
    ["mysql://x:planted@127.0.0.1/x", "sqlite+aiosqlite:///x", "planted", "postgresql://x:planted@127.0.0.1:http/x"],
)
def test_a_url_of_no_database_that_there_is_stops_the_start_with_one_line(tmp_path: Path, url: str) -> None:
    settings = ControlPlaneSettings(data=tmp_path)
    with pytest.raises(RuntimeError, match="exit code 2") as told:
        wait(start(settings, STREAMSWARM_CONTROLPLANE_DATABASE_URL=url))
    log = str(told.value).partition("log:\n")[2].strip()
    assert log.startswith("error: STREAMSWARM_CONTROLPLANE_DATABASE_URL (or [controlplane] database_url): ")
    assert "postgresql+psycopg://HOST:PORT/DATABASE, with USER:PASSWORD@ before HOST, or sqlite:////FILE" in log
    assert "planted" not in log
    assert len(log.splitlines()) == 1


# The last one: nobody can log in afterwards.
def test_failed_logins_at_all_are_counted_together(three: list[Client]) -> None:
    answers = at_once([partial(checked_login, Client(client.url), "wrong") for client in three * 3])
    assert {answer.status_code for answer in answers} <= {401, 429}
    assert all(Client(client.url).log_in("admin", PASSWORD).status_code == 429 for client in three)


def checked_login(client: Client, password: str) -> httpx.Response:
    """The answer, once a process has the time to check the password: what it has no time for isn't counted."""
    return eventually(partial(client.log_in, "admin", password), lambda answer: answer.status_code != 503, 60)
