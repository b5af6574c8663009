"""dns, tls and http over a path whose delay is known: what physics demands of each phase, and each way to fail.

A phase takes at least as many round trips as its protocol needs. An upper bound would be the machine's load.
"""

import itertools
import sys
from pathlib import Path

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes import Context, Engines
from streamswarm_core.point import Point
from tests.lab.parts import Refusal, refuse
from tests.lab.servers.certificates import Authority
from tests.lab.servers.dns import dns_server
from tests.lab.servers.http import http_server
from tests.lab.topology import PathBuilder
from tests.unit.agent.running import run

DELAY = 15
ROUND_TRIP = 2 * DELAY / 1000


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def context() -> Context:
    return Context(Engines())


async def test_each_transport_of_dns_takes_its_round_trips(
    path: PathBuilder, authority: Authority, context: Context
) -> None:
    line = path(delay_ms=DELAY)
    certificate = authority.certificate(line.target, line.target6)
    with dns_server(line.far, port=53, certificate=certificate, tls_port=853, https_port=443), line.near.entered():
        for target, transport in itertools.product((line.target, line.target6), ("udp", "tcp", "tls", "https")):
            trust = {"ca_file": str(authority.path)} if transport in {"tls", "https"} else {}
            asking = {"server": target, "transport": transport, "ask_twice": True, "wait": 10, **trust}
            point = await run("dns", "www.lab.test", context, **asking)
            assert point.fields["up"] == 1, point
            assert point.tags["family"] == ("ipv6" if ":" in target else "ipv4")
            phases = {"udp": (), "tcp": ("connect",)}.get(transport, ("connect", "tls"))
            for phase in (*phases, "lookup", "lookup_again"):
                assert float(point.fields[phase]) >= ROUND_TRIP, (transport, phase)
    with dns_server(line.far, port=53), line.near.entered():
        point = await run("dns", "truncated.lab.test", context, server=line.target, wait=10)
    # UDP, then a handshake, then TCP.
    assert float(point.fields["lookup"]) >= 3 * ROUND_TRIP


@pytest.mark.parametrize(("newest", "round_trips"), [("TLSv1_3", 1), ("TLSv1_2", 2)])
async def test_a_tls_handshake_takes_its_round_trips(
    path: PathBuilder, authority: Authority, context: Context, newest: str, round_trips: int
) -> None:
    line = path(delay_ms=DELAY)
    certificate = authority.certificate(line.target)
    with http_server(line.far, port=443, certificate=certificate, newest_tls=newest), line.near.entered():
        point = await run("tls", f"{line.target}:443", context, ca_file=str(authority.path), resume=True)
    assert (point.fields["up"], point.fields["resumed"]) == (1, 1)
    assert float(point.fields["connect"]) >= ROUND_TRIP
    assert float(point.fields["handshake"]) >= round_trips * ROUND_TRIP


def _waited(point: Point) -> float:
    """From the request to the first byte; where one phase ends and the next begins depends on the scheduler, too."""
    return float(point.fields["request"]) + float(point.fields["first_byte"])


@pytest.mark.parametrize("http2", [True, False])
async def test_each_phase_of_http_takes_its_round_trips(
    path: PathBuilder, authority: Authority, context: Context, http2: bool
) -> None:
    line = path(delay_ms=DELAY)
    certificate = authority.certificate(line.target, line.target6)
    with http_server(line.far, port=443, certificate=certificate), line.near.entered():
        trust = {"ca_file": str(authority.path), "http2": http2, "wait": 20}
        plain = await run("http", f"https://{line.target}/", context, requests=3, **trust)
        followed = await run("http", f"https://[{line.target6}]/redirect/3", context, **trust)
        large = await run("http", f"https://{line.target}/bytes/400000", context, **trust)
    for phase in ("connect", "tls", "repeat"):
        assert float(plain.fields[phase]) >= ROUND_TRIP, phase
    assert _waited(plain) >= ROUND_TRIP
    assert plain.fields["reused"] == 1.0
    # Three redirects and the page, over one connection.
    assert (followed.fields["redirects"], followed.tags["family"]) == (3, "ipv6")
    assert _waited(followed) >= 4 * ROUND_TRIP
    # TCP's first window holds ten packets; the rest waits for acknowledgements.
    assert float(large.fields["transfer"]) >= ROUND_TRIP


@pytest.mark.parametrize(
    ("how", "expected"), [("drop", Fault.TIMEOUT), ("reset", Fault.REFUSED), ("prohibited", Fault.UNREACHABLE)]
)
async def test_what_a_firewall_does_has_its_word(
    path: PathBuilder, context: Context, how: Refusal, expected: Fault
) -> None:
    line = path(hops=1, relay=False)
    refuse(line.routers[0], "tcp dport 443", how)
    with line.near.entered():
        for probe, target in (("tls", f"{line.target}:443"), ("http", f"http://{line.target}:443/")):
            point = await run(probe, target, context, wait=0.5)
            assert (point.fields["up"], point.fields["error"]) == (0, expected), point


@pytest.mark.parametrize(
    ("how", "expected"),
    [("drop", Fault.TIMEOUT), ("port-unreachable", Fault.REFUSED), ("prohibited", Fault.UNREACHABLE)],
)
async def test_what_a_firewall_does_to_a_query_has_its_word(
    path: PathBuilder, context: Context, how: Refusal, expected: Fault
) -> None:
    line = path(hops=1, relay=False)
    refuse(line.routers[0], "udp dport 53", how)
    with line.near.entered():
        point = await run("dns", "www.lab.test", context, server=line.target, wait=0.5)
    assert (point.fields["up"], point.fields["error"]) == (0, expected)


async def test_a_path_that_loses_queries_is_seen_through_with_retries(path: PathBuilder, context: Context) -> None:
    line = path(loss=1.0)
    with dns_server(line.far, port=53), line.near.entered():
        lost = await run("dns", "www.lab.test", context, server=line.target, wait=0.1, retries=2)
        assert (lost.fields["up"], lost.fields["error"]) == (0, Fault.TIMEOUT)
        assert "no answer to 3 queries" in str(lost.fields["error_detail"])
        line.set(loss=0.0)
        answered = await run("dns", "www.lab.test", context, server=line.target, wait=5, retries=2)
    assert (answered.fields["up"], answered.fields["retries"]) == (1, 0)


_ANSWER_EARLY = """
import socket, sys, time
with socket.create_server(("0.0.0.0", 80)) as listening:
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    print("ready", flush=True)
    while True:
        connection, _ = listening.accept()
        connection.recv(500)
        if sys.argv[1] == "answers":
            connection.sendall(b"HTTP/1.1 413 Too Large\\r\\nConnection: close\\r\\nContent-Length: 3\\r\\n\\r\\nbig")
            time.sleep(0.2)
            connection.close()
        else:
            time.sleep(30)
"""


@pytest.mark.parametrize("does", ["answers", "stalls"])
async def test_an_answer_to_half_a_request_is_one_and_a_stalled_request_is_not_taken_for_silence(
    path: PathBuilder, context: Context, does: str
) -> None:
    line = path(hops=0, delay_ms=5)
    # Else the kernel takes the whole body at once, whatever the server does with it.
    line.near.sysctl({"ipv4/tcp_wmem": "4096 16384 16384"})
    server = line.far.popen([sys.executable, "-c", _ANSWER_EARLY, does])
    assert server.stdout is not None
    assert server.stdout.readline() == "ready\n"
    with line.near.entered():
        point = await run("http", f"http://{line.target}/", context, method="POST", body="x" * 1_000_000, wait=3)
    if does == "answers":
        assert (point.fields["error"], point.fields["status"]) == (Fault.UNEXPECTED_ANSWER, 413)
        assert point.fields["error_detail"] == "status 413 instead of 2xx"
    else:
        assert point.fields["error"] == Fault.TIMEOUT
        assert "the server didn't take all of the request" in str(point.fields["error_detail"])
