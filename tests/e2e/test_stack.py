"""The whole system as real processes: measured, stored, scored, shown, stopped, started again."""

import asyncio
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import pytest

from streamswarm_core.probespecs import SPECS
from tests.e2e.stack import PASSWORD, Administrator, Stack
from tests.gnmidevice import Device, running
from tests.lab.servers.certificates import Authority
from tests.lab.servers.http import http_server
from tests.support import eventually
from tests.unit.agent.servers import address_answer, dns_server, tcp_server

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300), pytest.mark.xdist_group("stack")]


Place = TypeVar("Place")


def serving(server: Callable[[], AbstractAsyncContextManager[Place]]) -> Iterator[Place]:
    """A real server on loopback, in a thread of its own; yields where it is."""
    place: list[Place] = []
    ready, stop = threading.Event(), threading.Event()

    async def serve() -> None:
        async with server() as bound:
            place.append(bound)
            ready.set()
            await asyncio.to_thread(stop.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    ready.wait(10)
    yield place[0]
    stop.set()
    thread.join(10)


@pytest.fixture
def name_server() -> Iterator[int]:
    yield from serving(lambda: dns_server(address_answer))


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[int]:
    """A TLS server whose certificate nobody here trusts."""
    with http_server(certificate=Authority(tmp_path).certificate("127.0.0.1")) as server:
        yield server.port


def test_first_points_are_shown_on_the_terminal(stack: Stack) -> None:
    text = eventually(lambda: stack.output, lambda output: "First points" in output and "This host" not in output, 40)
    for word in ("Ping", "TCP handshake", "HTTP", "Host"):
        assert word in text


@pytest.fixture
def device() -> Iterator[str]:
    """A network device that speaks gNMI."""
    for port in serving(lambda: running(Device())):
        yield f"127.0.0.1:{port}"


@pytest.fixture
def discarding() -> Iterator[str]:
    """A server that reads whatever it gets."""

    async def discard(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        while await reader.read(65_536):
            pass

    yield from serving(lambda: tcp_server(discard))


def test_points_of_every_probe_come_through_api_and_influxql(
    stack: Stack, administrator: Administrator, name_server: int, discarding: str, tls_server: int, device: str
) -> None:
    agent = administrator.agent()
    keys = {"loopback-ping": "icmp", "controlplane-tcp": "tcp", "controlplane-http": "http", "host": "system"}
    keys["collector-stamp"] = "stamp"
    reflector = next(
        one["params"] for one in administrator.call("GET", "/tests")["items"] if one["key"] == "collector-stamp"
    )
    added: list[tuple[str, str, dict[str, Any]]] = [
        ("dns", "www.example.com", {"server": "127.0.0.1", "port": name_server}),
        ("traceroute", "127.0.0.1", {}),
        ("mtu", "127.0.0.1", {}),
        ("tcp_window", discarding, {}),
        ("tls", f"127.0.0.1:{tls_server}", {"verify_tls": False}),
        ("qos", "127.0.0.1", {"count": 2, "spacing": 0.05, "budget": 0}),
        ("bandwidth", "127.0.0.1", {"port": reflector["port"]}),
        ("voip", "127.0.0.1", {"mode": "stream", "port": reflector["port"], "seconds": 1}),
        ("gnmi", device, {"insecure": True}),
    ]
    for probe, target, params in added:
        keys[f"try-{probe.replace('_', '-')}"] = probe
        test = {"name": f"Try {probe.replace('_', ' ')}", "probe": probe, "target": target, "params": params}
        administrator.call(
            "POST", "/tests", json={**test, "interval": 60 if probe == "bandwidth" else 4, "agent_ids": [agent["id"]]}
        )
    assert set(keys.values()) == set(SPECS)
    for key in keys:
        item = eventually(partial(administrator.status, key), lambda found: found["state"] == "up", 40)
        assert item["value"] is not None, key
    with stack.reader() as reader:
        for key, probe in keys.items():
            spec = SPECS[probe]
            asked = f'SELECT "seq", "{spec.headline}" FROM "{spec.measurements[0].name}"'
            (series,) = reader.execute(f"{asked} WHERE test = '{key}' GROUP BY agent")
            assert series.tags == {"agent": "local"}
            numbers = [row[1] for row in series.rows if row[1] is not None]
            assert numbers == list(range(1, len(numbers) + 1)), f"{key}: run numbers have a gap"
    test = next(one for one in administrator.call("GET", "/tests")["items"] if one["key"] == "try-dns")
    path, field = f"/tests/{test['id']}/results", SPECS["dns"].headline
    eventually(
        lambda: administrator.call("GET", path, params={"field": field})["series"],
        lambda history: len(history) == 1 and any(value is not None for _, value in history[0]["rows"]),
    )


def test_a_target_that_goes_away_is_down_and_then_an_anomaly(stack: Stack, administrator: Administrator) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    agent = administrator.agent()
    port = listener.getsockname()[1]
    administrator.call(
        "POST",
        "/tests",
        json={
            "name": "Victim",
            "probe": "tcp",
            "target": f"127.0.0.1:{port}",
            "interval": 0.5,
            "agent_ids": [agent["id"]],
        },
    )

    def accept() -> None:
        while True:
            try:
                listener.accept()[0].close()
            except OSError:
                return

    threading.Thread(target=accept, daemon=True).start()

    def scored() -> int:
        with stack.reader() as reader:
            answer = reader.execute("SELECT count(score) FROM anomaly WHERE test = 'victim' AND \"field\" = 'up'")
            return int(answer[0].rows[0][1] or 0) if answer else 0

    eventually(scored, lambda count: count >= 15, 60)
    assert administrator.status("victim")["state"] == "up"
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    item = eventually(lambda: administrator.status("victim"), lambda found: found["state"] == "down", 30)
    assert item["error"] == "refused"
    flagged: Any = eventually(
        lambda: administrator.status("victim")["anomaly"], lambda anomaly: anomaly is not None and anomaly["flag"], 30
    )
    assert flagged["score"] >= flagged["threshold"]
    assert flagged["field"] == "tcp.up"


def test_a_drained_agent_falls_silent_and_a_restarted_one_goes_on_with_its_numbers(
    stack: Stack, administrator: Administrator
) -> None:
    agent = administrator.agent()
    path = f"/agents/{agent['id']}"

    def numbers() -> list[int]:
        with stack.reader() as reader:
            answer = reader.execute("SELECT seq FROM icmp WHERE test = 'loopback-ping'")
            return [int(row[1] or 0) for series in answer for row in series.rows]

    eventually(numbers, lambda found: len(found) > 2, 40)
    administrator.call("POST", f"{path}/drain")
    eventually(
        lambda: administrator.call("GET", path)["running_version"], lambda running: running > agent["running_version"]
    )

    def two_looks() -> tuple[list[int], list[int]]:
        first = numbers()
        time.sleep(2.5)  # runs are a second apart
        return first, numbers()

    _, before = eventually(two_looks, lambda found: found[0] == found[1], 40)
    administrator.call("POST", f"{path}/undrain")
    eventually(numbers, lambda found: len(found) > len(before), 40)

    started = administrator.call("POST", f"{path}/restart")["started_at"]
    shown = eventually(lambda: administrator.call("GET", path), lambda one: one["started_at"] != started, 60)
    assert shown["restart_requested_at"] is None
    assert "agent ended (exit code 75)" in stack.output
    assert abs(shown["clock_offset"]) < 5
    count = len(numbers())
    after = eventually(numbers, lambda found: len(found) > count + 1, 40)
    assert after == list(range(1, len(after) + 1))
    clock = eventually(lambda: administrator.call("GET", path)["clock_error"], lambda error: error is not None, 40)
    assert clock < 5


@pytest.mark.usefixtures("administrator")  # has changed the password, whichever test is run first
def test_ctrl_c_leaves_nothing_and_a_second_start_goes_on_with_the_same_data(stack: Stack) -> None:
    assert len(stack.children()) == 5
    with stack.reader() as reader:
        counted = "SELECT count(seq) FROM icmp WHERE test = 'loopback-ping'"
        before = eventually(lambda: reader.execute(counted), bool)[0].rows[0][1]
    stack.stop()
    assert "stopped; the data stay" in stack.output
    said = len(stack.output)

    stack.start_again()
    again = Administrator(stack, PASSWORD)
    eventually(lambda: again.status("loopback-ping")["state"], lambda state: state == "up", 40)
    again.http.close()
    with stack.reader() as reader:
        numbers = eventually(
            lambda: [row[1] for row in reader.execute("SELECT seq FROM icmp WHERE test = 'loopback-ping'")[0].rows],
            lambda found: len(found) > int(before or 0) + 2,
            40,
        )
    assert numbers == list(range(1, len(numbers) + 1))
    assert "with the password" not in stack.output[said:]
