"""The tcp probe over paths whose delay, loss and firewalls are known."""

import threading
from collections.abc import AsyncIterator

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.net.icmp.engine import IcmpEngine
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.catalogue.tcp import HandshakeFinding
from streamswarm_core.hostport import host_port
from streamswarm_core.point import Point
from streamswarm_core.probespecs import TcpParams
from tests.lab.parts import Refusal, refuse
from tests.lab.servers.tcp import tcp_server
from tests.lab.topology import Path, PathBuilder
from tests.support import figures

PORT = 7007


async def run(line: Path, context: Context, **options: object) -> Point:
    target = options.pop("target", line.target)
    with line.near.entered():
        (point,) = await PROBES["tcp"].run(
            host_port(str(target), PORT),
            TcpParams.model_validate(options),
            context,
        )
    return point


@pytest.fixture
async def context() -> AsyncIterator[Context]:
    engine = IcmpEngine()
    yield Context(Engines(engine))
    engine.close()


@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
async def test_the_networks_delay_is_told_from_the_servers(path: PathBuilder, context: Context, *, six: bool) -> None:
    line = path(delay_ms=20)
    with tcp_server(line.far, port=PORT, banner="220 here", speak_ms=150):
        target = line.target6 if six else line.target
        point = await run(line, context, target=target, response="banner", response_wait=10)
    fields = point.fields
    numbers = figures(point)
    assert (fields["up"], fields["handshakes"], fields["syn_retransmits"]) == (1, 3, 0)
    assert numbers["syn_ack"] >= 0.040
    assert numbers["network_delay"] >= 0.040
    assert numbers["response"] >= 0.190
    # The banner's round trip took at least 40 ms; the rest of `response` is the server's for sure.
    assert numbers["server_processing"] >= 0.190 - numbers["network_delay"]


async def test_a_slow_network_is_not_blamed_on_the_server(path: PathBuilder, context: Context) -> None:
    line = path(delay_ms=120)
    with tcp_server(line.far, port=PORT, banner="220 here"):
        point = await run(line, context, response="banner", response_wait=10, slow_server=5)
    assert point.fields["finding"] == HandshakeFinding.SLOW_NETWORK
    assert figures(point)["network_delay"] >= 0.240


@pytest.mark.parametrize("response", ["banner", "close"])
async def test_a_program_that_accepts_late_is_slow_although_its_kernel_answers_at_once(
    path: PathBuilder, context: Context, response: str
) -> None:
    line = path(delay_ms=5)
    with tcp_server(line.far, port=PORT, accept_ms=600, banner="220 here" if response == "banner" else ""):
        point = await run(line, context, response=response, response_wait=20, slow_server=0.3)
    assert point.fields["finding"] == HandshakeFinding.SLOW_SERVER
    assert figures(point)["response"] >= 0.600


async def test_a_lost_syn_is_counted_and_its_wait_is_in_the_connect_time(path: PathBuilder, context: Context) -> None:
    line = path(delay_ms=5, loss=1.0)
    with tcp_server(line.far, port=PORT):
        # The first SYN is lost for sure; the wire is mended before the kernel sends the second, a second later.
        mend = threading.Timer(0.5, line.set, kwargs={"loss": 0.0})
        mend.start()
        point = await run(line, context, wait=20, count=1, response="off")
        mend.join()
    fields = point.fields
    numbers = figures(point)
    assert (fields["up"], fields["finding"]) == (1, HandshakeFinding.PACKET_LOSS)
    assert numbers["syn_retransmits"] >= 1
    assert numbers["connect"] >= 1.0
    assert "ack" not in fields


async def test_an_open_port_whose_queue_is_full_is_told_from_a_filter(path: PathBuilder, context: Context) -> None:
    line = path(delay_ms=2)
    with tcp_server(line.far, port=PORT, backlog=0, accept_ms=60_000):
        # The first connection is taken from the queue and waits, the next one fills the queue for good.
        before = [await run(line, context, count=1, response="off", wait=1.5) for _ in range(3)]
        point = await run(line, context, wait=2.5)
    assert before[0].fields["up"] == 1
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.TIMEOUT)
    assert point.fields["finding"] == HandshakeFinding.BACKLOG_OVERFLOW


@pytest.mark.needs("nft", "nftables")
@pytest.mark.parametrize(
    ("how", "error", "finding"),
    [
        ("drop", Fault.TIMEOUT, HandshakeFinding.FILTERED),
        ("reset", Fault.REFUSED, HandshakeFinding.REFUSED),
        ("port-unreachable", Fault.REFUSED, HandshakeFinding.FILTERED),
        ("prohibited", Fault.UNREACHABLE, HandshakeFinding.FILTERED),
    ],
)
@pytest.mark.parametrize("six", [False, True], ids=["ipv4", "ipv6"])
async def test_what_a_firewall_does_is_named(
    path: PathBuilder, context: Context, how: Refusal, error: Fault, finding: HandshakeFinding, *, six: bool
) -> None:
    line = path(delay_ms=2)
    router = line.routers[-1]
    rule = refuse(router, f"tcp dport {PORT}", how)
    point = await run(line, context, target=line.target6 if six else line.target, wait=1.5)
    assert rule.packets >= 1
    assert (point.fields["up"], point.fields["error"], point.fields["finding"]) == (0, error, finding)
    if how in {"port-unreachable", "prohibited"}:
        # The message names the firewall, not the target.
        assert (router.v6 if six else router.v4) in str(point.fields["analysis"])


@pytest.mark.needs("nft", "nftables")
async def test_a_connection_that_is_reset_once_it_carries_something_is_down(
    path: PathBuilder, context: Context
) -> None:
    line = path(delay_ms=2)
    refuse(line.far, f"tcp dport {PORT} tcp flags & psh == psh", "reset")
    with tcp_server(line.far, port=PORT):
        point = await run(line, context, send="hello", response_wait=10, count=1)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.RESET)
    assert point.fields["finding"] == HandshakeFinding.RESET
    assert figures(point)["syn_ack"] >= 0.004


async def test_a_dead_host_is_not_called_filtered(path: PathBuilder, context: Context) -> None:
    line = path(loss=1.0)
    point = await run(line, context, wait=1.5)
    assert (point.fields["error"], point.fields["finding"]) == (Fault.TIMEOUT, HandshakeFinding.NO_ANSWER)
    assert figures(point)["syn_retransmits"] >= 1


async def test_a_host_that_its_router_can_not_find_is_unreachable(path: PathBuilder, context: Context) -> None:
    line = path(hops=1)
    line.routers[0].configure([f"route add unreachable {line.target}/32"])
    point = await run(line, context)
    assert (point.fields["error"], point.fields["finding"]) == (Fault.UNREACHABLE, HandshakeFinding.UNREACHABLE)
    assert line.routers[0].v4 in str(point.fields["analysis"])


@pytest.mark.parametrize(("target", "family"), [("203.0.113.1", "ipv4"), ("2001:db8::1", "ipv6")])
async def test_a_network_without_a_route_is_unreachable(
    path: PathBuilder, context: Context, target: str, family: str
) -> None:
    point = await run(path(hops=0), context, target=target)
    assert (point.fields["error"], point.fields["finding"]) == (Fault.UNREACHABLE, HandshakeFinding.UNREACHABLE)
    assert point.tags["family"] == family


async def test_ecn_is_told_where_it_is_asked_for(path: PathBuilder, context: Context) -> None:
    line = path(delay_ms=1)
    with tcp_server(line.far, port=PORT):
        unasked = await run(line, context, count=1, response="off")
        line.near.sysctl({"ipv4/tcp_ecn": 1})
        asked = await run(line, context, count=1, response="off")
        line.far.sysctl({"ipv4/tcp_ecn": 0})
        refused = await run(line, context, count=1, response="off")
    assert "ecn" not in unasked.fields
    assert (asked.fields["ecn"], refused.fields["ecn"]) == (1, 0)
