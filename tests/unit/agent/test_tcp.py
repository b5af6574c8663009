import asyncio
import re
import socket
import struct
from dataclasses import replace

import pytest

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.tcp import IcmpError
from streamswarm_agent.probes import PROBES, Context
from streamswarm_agent.probes.tcp_finding import Evidence, Pings, explain
from streamswarm_core.catalogue.tcp import HandshakeFinding
from streamswarm_core.hostport import host_port
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SPECS, TcpParams
from tests.support import figures, find_free_port
from tests.unit.agent.servers import tcp_server


async def run(target: str, context: Context, **options: object) -> Point:
    (point,) = await PROBES["tcp"].run(target, TcpParams.model_validate(options), context)
    return point


async def until_closed(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
    await reader.read()


async def greet_late(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await asyncio.sleep(0.05)
    writer.write(b"220 here\r\n")
    await writer.drain()


async def echo_late(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    line = await reader.readline()
    await asyncio.sleep(0.05)
    writer.write(line)
    await writer.drain()


async def reset(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    opened: socket.socket = writer.get_extra_info("socket")
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("@ii", 1, 0))


@pytest.mark.parametrize(("host", "family"), [("127.0.0.1", "ipv4"), ("::1", "ipv6")])
async def test_a_handshake_is_split_into_phases_and_described(host: str, family: str, context: Context) -> None:
    async with tcp_server(until_closed, host) as target:
        point = await run(target, context)
    fields = point.fields
    numbers = figures(point)
    assert (point.tags["family"], fields["up"], fields["finding"]) == (family, 1, HandshakeFinding.HEALTHY)
    assert (fields["handshakes"], fields["syn_retransmits"]) == (3, 0)
    assert fields["connect"] == fields["syn_ack"]
    assert 0 < numbers["syn_ack"] <= numbers["total"]
    assert numbers["total"] == pytest.approx(numbers["syn_ack"] + numbers["ack"])
    assert fields["server_processing"] == pytest.approx(max(0.0, numbers["response"] - numbers["network_delay"]))
    assert numbers["network_delay_error"] > 0
    assert (fields["sack"], fields["timestamps"]) == (1, 1)
    assert numbers["remote_window"] > numbers["mss"] > 500
    assert "the program took another" in str(fields["analysis"])


async def test_one_handshake_has_no_error_bar_until_an_earlier_run_is_remembered(context: Context) -> None:
    async with tcp_server(until_closed) as target:
        first = await run(target, context, count=1)
        second = await run(target, context, count=1)
    assert "network_delay_error" not in first.fields
    assert figures(second)["network_delay_error"] > 0


async def test_a_late_banner_is_the_servers_time_and_not_the_networks(context: Context) -> None:
    async with tcp_server(greet_late) as target:
        point = await run(target, context, response="banner", slow_server=0.02)
    assert figures(point)["server_processing"] >= 0.04
    assert figures(point)["syn_ack"] < figures(point)["response"]
    assert (point.fields["up"], point.fields["finding"]) == (1, HandshakeFinding.SLOW_SERVER)


async def test_the_answer_to_what_is_sent_is_waited_for(context: Context) -> None:
    async with tcp_server(echo_late) as target:
        point = await run(target, context, send="hello\r\n")
    assert figures(point)["response"] >= 0.05
    assert "send its answer" in str(point.fields["analysis"])


async def test_a_program_that_says_nothing_when_it_should_is_slow(context: Context) -> None:
    async with tcp_server(until_closed) as target:
        point = await run(target, context, response="banner", response_wait=0.05)
    assert (point.fields["up"], point.fields["finding"]) == (1, HandshakeFinding.SLOW_SERVER)
    assert "response" not in point.fields
    assert "server_processing" not in point.fields


async def test_a_program_that_never_accepts_is_not_called_slow_for_not_closing(context: Context) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=8) as deaf:
        point = await run(f"127.0.0.1:{deaf.getsockname()[1]}", context, response_wait=0.05)
    assert (point.fields["up"], point.fields["finding"]) == (1, HandshakeFinding.HEALTHY)
    assert "not known" in str(point.fields["analysis"])


async def test_without_a_sign_only_the_network_is_measured(context: Context) -> None:
    async with tcp_server(until_closed) as target:
        point = await run(target, context, response="off")
    assert "response" not in point.fields
    assert figures(point)["network_delay"] > 0


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_closed_port_is_refused(host: str, context: Context) -> None:
    port = find_free_port()
    point = await run(host_port(host, port), context)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.REFUSED)
    assert point.fields["finding"] == HandshakeFinding.REFUSED
    assert "connect" not in point.fields


async def test_a_connection_that_is_reset_before_the_banner_is_down(context: Context) -> None:
    async with tcp_server(reset) as target:
        point = await run(target, context, response="banner")
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.RESET)
    assert point.fields["finding"] == HandshakeFinding.RESET
    assert figures(point)["syn_ack"] > 0


async def test_a_connection_that_is_reset_when_the_agent_closes_it_is_up_and_says_so(context: Context) -> None:
    async def reset_at_the_end(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        await reset(reader, writer)

    async with tcp_server(reset_at_the_end) as target:
        point = await run(target, context)
    assert (point.fields["up"], point.fields["finding"]) == (1, HandshakeFinding.RESET)
    assert "error" not in point.fields
    assert figures(point)["response"] > 0


async def test_a_connection_that_is_already_gone_when_the_agent_closes_it_raises_nothing(context: Context) -> None:
    async with tcp_server(reset) as target:
        points = [await run(target, context, response_wait=0.2) for _ in range(20)]
    assert all(point.fields["up"] == 1 for point in points)


async def test_a_time_out_shorter_than_the_first_repetition_is_still_explained(context: Context) -> None:
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        target = f"127.0.0.1:{deaf.getsockname()[1]}"
        await run(target, context, count=1, response="off")
        point = await run(target, context, wait=0.2)
    assert (point.fields["error"], point.fields["syn_retransmits"]) == (Fault.TIMEOUT, 0)
    assert "1 SYNs" not in str(point.fields["analysis"])
    assert "in 0.2 s" in str(point.fields["analysis"])


async def test_a_name_that_does_not_exist_says_so(context: Context) -> None:
    point = await run("nowhere.invalid:80", context)
    assert (point.fields["up"], point.fields["error"]) in [(0, Fault.NO_SUCH_NAME), (0, Fault.RESOLVER_FAILURE)]
    assert point.fields["finding"] in {HandshakeFinding.NO_SUCH_NAME, HandshakeFinding.NOT_TRIED}


async def test_a_full_accept_queue_of_a_port_known_to_be_open_is_told_from_a_filter(context: Context) -> None:
    # Linux drops SYNs while the accept queue is full; nobody accepts here, so the first run fills it.
    with socket.create_server(("127.0.0.1", 0), backlog=0) as deaf:
        target = f"127.0.0.1:{deaf.getsockname()[1]}"
        fresh = Context(context.engines)
        before = await run(target, context, count=1, response="off")
        point = await run(target, context, wait=1.5)
        stranger = await run(target, fresh, wait=1.5)
    assert before.fields["up"] == 1
    for silent in (point, stranger):
        assert (silent.fields["up"], silent.fields["error"]) == (0, Fault.TIMEOUT)
        assert figures(silent)["syn_retransmits"] >= 1
    if await may_ping(context):
        assert point.fields["finding"] == HandshakeFinding.BACKLOG_OVERFLOW
        assert stranger.fields["finding"] == HandshakeFinding.FILTERED
    else:
        assert point.fields["finding"] == HandshakeFinding.NO_ANSWER


async def may_ping(context: Context) -> bool:
    point, *_ = await PROBES["icmp"].run("127.0.0.1", SPECS["icmp"].params(), context)
    return point.fields["up"] == 1


SILENT = Evidence(
    fault=ProbeFault(Fault.TIMEOUT, "no answer in time"),
    syn_retransmits=(2,),
    wait=3.0,
    response_wait=1.0,
    slow_network=0.2,
    slow_server=0.2,
)
OPEN = replace(SILENT, fault=None, syn_retransmits=(0, 0, 0), network_delay=0.01, network_delay_error=0.001)
BY_FILTER = IcmpError(kind=3, code=13, offender="192.0.2.1", prohibited=True)
BY_ROUTER = IcmpError(kind=3, code=1, offender="192.0.2.1", prohibited=False)


@pytest.mark.parametrize(
    ("evidence", "finding", "words"),
    [
        (OPEN, HandshakeFinding.HEALTHY, r"answered in 10\.0 ms \(± 1\.0 ms\)"),
        (replace(OPEN, network_delay=0.3), HandshakeFinding.SLOW_NETWORK, "0.2 s or more counts as slow"),
        (
            replace(OPEN, sign="banner", response=0.5, server_processing=0.49),
            HandshakeFinding.SLOW_SERVER,
            r"of the 500\.0 ms until its banner, the program took 490\.0 ms",
        ),
        (
            # The program seems to need more than the limit, but not by more than the error.
            replace(OPEN, sign="banner", response=0.26, server_processing=0.25, network_delay_error=0.1),
            HandshakeFinding.HEALTHY,
            "250.0 ms to send its banner",
        ),
        (replace(OPEN, sign="close", reset=True), HandshakeFinding.RESET, "reset when the agent closed it"),
        (replace(OPEN, syn_retransmits=(0, 1, 0)), HandshakeFinding.PACKET_LOSS, "1 SYN had to be repeated"),
        (
            replace(OPEN, syn_retransmits=(2, 0, 0), pings=Pings(5, 5)),
            HandshakeFinding.BACKLOG_OVERFLOW,
            "its accept queue is full",
        ),
        (
            replace(OPEN, syn_retransmits=(2, 0, 0), pings=Pings(5, 4)),
            HandshakeFinding.PACKET_LOSS,
            "of 5 pings 4 were answered",
        ),
        (
            replace(OPEN, syn_retransmits=(0, 0), later_fault=ProbeFault(Fault.REFUSED, "Connection refused")),
            HandshakeFinding.PACKET_LOSS,
            "a later handshake of the run failed",
        ),
        (SILENT, HandshakeFinding.NO_ANSWER, "3 SYNs in 3 s went unanswered; .* could not be pinged"),
        (replace(SILENT, pings=Pings(5, 0)), HandshakeFinding.NO_ANSWER, "so did the pings"),
        (replace(SILENT, pings=Pings(5, 5)), HandshakeFinding.FILTERED, "a firewall drops them, or"),
        (
            replace(SILENT, pings=Pings(5, 5), open_lately=True),
            HandshakeFinding.BACKLOG_OVERFLOW,
            "the port was open lately",
        ),
        (
            replace(SILENT, fault=ProbeFault(Fault.REFUSED, ""), icmp=BY_ROUTER),
            HandshakeFinding.FILTERED,
            r"from 192\.0\.2\.1 .* a firewall's refusal",
        ),
        (
            replace(SILENT, fault=ProbeFault(Fault.UNREACHABLE, ""), icmp=BY_FILTER),
            HandshakeFinding.FILTERED,
            "a filter forbids",
        ),
        (
            replace(SILENT, fault=ProbeFault(Fault.UNREACHABLE, ""), icmp=BY_ROUTER),
            HandshakeFinding.UNREACHABLE,
            r"from 192\.0\.2\.1 says that the host",
        ),
        (
            replace(SILENT, fault=ProbeFault(Fault.UNREACHABLE, "Network is unreachable")),
            HandshakeFinding.UNREACHABLE,
            "this host knows no way there: Network is unreachable",
        ),
        (
            replace(SILENT, fault=ProbeFault(Fault.BAD_TARGET, "'x'")),
            HandshakeFinding.NOT_TRIED,
            "no SYN was sent: 'x'",
        ),
    ],
)
def test_a_finding_follows_from_the_evidence_and_says_why(
    evidence: Evidence, finding: HandshakeFinding, words: str
) -> None:
    found, analysis = explain(evidence)
    assert found == finding
    assert re.search(words, analysis), analysis
