"""What the dns probe says of servers that truncate, refuse, or distrust what they found."""

import asyncio

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes import Context
from streamswarm_core.point import Point
from tests.unit.agent.running import run
from tests.unit.agent.servers import Answer, address_answer, no_such_name
from tests.unit.agent.servers import dns_server as small_dns_server

HERE = "127.0.0.1"


def truncated(query: dns.message.Message) -> dns.message.Message:
    answer = dns.message.make_response(query)
    answer.flags |= dns.flags.TC
    return answer


def cut_in_a_record(query: dns.message.Message) -> bytes:
    answer = address_answer(query)
    answer.flags |= dns.flags.TC
    return answer.to_wire()[:-2]


async def asked_over_tcp(context: Context, first: Answer, then: str, **more: object) -> Point:
    """Ask a server that over UDP gives `first`, and over TCP answers, closes or hangs."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        query = dns.message.from_wire(await reader.readexactly(int.from_bytes(await reader.readexactly(2))))
        if then == "answers":
            whole = address_answer(query).to_wire()
            writer.write(len(whole).to_bytes(2) + whole)
        elif then == "hangs":
            await reader.read()
        writer.close()

    server = await asyncio.start_server(serve, HERE, 0)
    async with server, small_dns_server(first, server.sockets[0].getsockname()[1]) as port:
        return await run("dns", "www.lab.test", context, server=HERE, port=port, **more)


@pytest.mark.parametrize("first", [truncated, cut_in_a_record])
async def test_a_truncated_answer_is_asked_for_over_tcp_even_if_it_ends_within_a_record(
    context: Context, first: Answer
) -> None:
    point = await asked_over_tcp(context, first, "answers")
    assert (point.fields["up"], point.fields["truncated"], point.fields["answers"]) == (1, 1, 1)


async def test_what_fails_over_tcp_says_why_tcp_was_asked(context: Context) -> None:
    closed = await asked_over_tcp(context, truncated, "closes")
    assert closed.fields["error"] == Fault.RESET
    assert str(closed.fields["error_detail"]).startswith("over TCP, as the answer didn't fit UDP: the server closed")
    hung = await asked_over_tcp(context, truncated, "hangs", wait=0.3, retries=1)
    assert hung.fields["error"] == Fault.TIMEOUT
    assert hung.fields["error_detail"] == "the answer didn't fit UDP, and over TCP there was none within 0.3 s"


def refuse_edns(query: dns.message.Message) -> dns.message.Message:
    """As servers from before 1999 do."""
    if query.edns < 0:
        return address_answer(query)
    answer = dns.message.make_response(query)
    answer.use_edns(-1)
    answer.set_rcode(dns.rcode.FORMERR)
    return answer


def bogus(query: dns.message.Message) -> dns.message.Message:
    answer = dns.message.make_response(query)
    answer.set_rcode(dns.rcode.SERVFAIL)
    answer.use_edns(0, options=[dns.edns.EDEOption(dns.edns.EDECode.DNSSEC_BOGUS, "signature expired")])
    return answer


@pytest.mark.parametrize(
    ("answer", "size", "detail"),
    [
        (refuse_edns, 1232, "FORMERR instead of NOERROR: it doesn't seem to know EDNS; set edns_size to 0"),
        (refuse_edns, 0, None),
        (bogus, 1232, "SERVFAIL instead of NOERROR: DNSSEC bogus (signature expired)"),
        (no_such_name, 1232, "NXDOMAIN instead of NOERROR"),
    ],
)
async def test_a_refusal_says_why_where_the_server_does_or_lets_see(
    context: Context, answer: Answer, size: int, detail: str | None
) -> None:
    async with small_dns_server(answer) as port:
        point = await run("dns", "www.lab.test", context, server=HERE, port=port, edns_size=size)
    assert (point.fields["up"], point.fields.get("error_detail")) == (int(detail is None), detail)
