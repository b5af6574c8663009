"""The dns probe against a real name server on loopback whose answers, delays and flags are known."""

import asyncio
import ssl
from collections.abc import Iterator

import dns.edns
import dns.flags
import dns.message
import dns.rcode
import pytest
from pydantic import ValidationError

from streamswarm_agent.faults import Fault
from streamswarm_agent.net.dns import Reply
from streamswarm_agent.probes import Context
from streamswarm_agent.probes.dns import came_from_cache
from streamswarm_core.probespecs import DnsParams
from tests.lab.servers.certificates import Authority
from tests.lab.servers.dns import RIGHT, TTL, WRONG, dns_server
from tests.lab.servers.running import Running
from tests.support import find_free_port
from tests.unit.agent.running import run
from tests.unit.agent.servers import address_answer, http_server, response
from tests.unit.agent.servers import dns_server as small_dns_server

HERE = "127.0.0.1"
ZONE = {
    "two.lab.test": ["A 192.0.2.1", "A 192.0.2.2"],
    "lab.test": ["SOA ns.lab.test. root.lab.test. 2026112501 1 2 3 4", 'TXT "v=spf1 -all"', "MX 10 mail.lab.test."],
}


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[Running]:
    certificate = authority.certificate(HERE, "::1", "dns.lab.test")
    with dns_server(certificate=certificate, zone=ZONE, latency_ms=5, authentic=True) as running:
        yield running


def options(server: Running, authority: Authority, transport: str, **more: object) -> dict[str, object]:
    trust = {"ca_file": str(authority.path)} if transport in {"tls", "https"} else {}
    port = server.ports["tcp" if transport == "udp" else transport]
    return {"server": HERE, "port": port, "transport": transport, **trust, **more}


@pytest.mark.parametrize(
    ("transport", "phases"),
    [("udp", set()), ("tcp", {"connect"}), ("tls", {"connect", "tls"}), ("https", {"connect", "tls"})],
)
async def test_every_transport_gives_the_same_answer_and_its_own_phases(
    server: Running, authority: Authority, context: Context, transport: str, phases: set[str]
) -> None:
    point = await run("dns", "two.lab.test", context, **options(server, authority, transport, ask_twice=True))
    assert point.tags["transport"] == transport
    assert point.tags["family"] == "ipv4"
    assert {
        "up": 1,
        "rcode": "NOERROR",
        "answers": 2,
        "authorities": 0,
        "additionals": 0,
    }.items() <= point.fields.items()
    assert {
        "authoritative": 1,
        "authenticated": 1 if transport == "" else 0,
        "truncated": 0,
    }.items() <= point.fields.items()
    assert {"connect", "tls"} & set(point.fields) == phases
    assert float(point.fields["lookup"]) >= 0.005
    assert float(point.fields["lookup_again"]) >= 0.005


async def test_a_server_is_asked_over_ipv6(context: Context) -> None:
    with dns_server(host="::1") as server:
        point = await run("dns", "www.lab.test", context, server="::1", port=server.port)
    assert (point.fields["up"], point.tags["family"]) == (1, "ipv6")


@pytest.mark.parametrize(
    ("record_type", "answers", "serial"), [("SOA", 1, 2026112501), ("TXT", 1, None), ("MX", 1, None), ("AAAA", 0, None)]
)
async def test_any_record_type_can_be_asked_for(
    server: Running, context: Context, record_type: str, answers: int, serial: int | None
) -> None:
    point = await run("dns", "lab.test", context, server=HERE, port=server.port, record_type=record_type)
    assert (point.fields["up"], point.fields["answers"], point.fields.get("serial")) == (1, answers, serial)


@pytest.mark.parametrize(
    ("name", "expectation", "detail"),
    [
        ("two", {"expect_values": ["192.0.2.1", "192.0.2.2"]}, None),
        ("two", {"expect_values": ["192.0.2.9"]}, "192.0.2.9 is not among 192.0.2.1, 192.0.2.2"),
        ("wrong", {"expect_values": [RIGHT["A"]]}, f"{RIGHT['A']} is not among {WRONG['A']}"),
        ("two", {"min_answers": 3}, "2 records instead of 3 or more"),
        ("two", {"answer_matches": [rf"^two\.lab\.test\.\t{TTL}\tIN\tA\t192\.0\.2\.1$"]}, None),
        ("two", {"answer_matches": ["10[.]"]}, "no record of the answer matches '10[.]'"),
        ("two", {"answer_lacks": [r"\t203[.]"]}, None),
        ("wrong", {"answer_lacks": [r"\t203[.]"]}, "a record of the answer matches"),
        ("nxdomain", {}, "NXDOMAIN instead of NOERROR"),
        ("nxdomain", {"expect_rcodes": ["NXDOMAIN"]}, None),
        ("servfail", {"expect_rcodes": ["NXDOMAIN", "NOERROR"]}, "SERVFAIL instead of NXDOMAIN or NOERROR"),
        ("refused", {}, "REFUSED instead of NOERROR"),
    ],
)
async def test_an_answer_is_held_against_what_is_expected(
    server: Running, context: Context, name: str, expectation: dict[str, object], detail: str | None
) -> None:
    point = await run("dns", f"{name}.lab.test", context, server=HERE, port=server.port, **expectation)
    assert "lookup" in point.fields
    if detail is None:
        assert point.fields["up"] == 1
    else:
        assert (point.fields["up"], point.fields["error"]) == (0, Fault.UNEXPECTED_ANSWER)
        assert detail in str(point.fields["error_detail"])


async def test_a_validating_server_says_so_only_when_asked_for_dnssec(server: Running, context: Context) -> None:
    asked = await run("dns", "www.lab.test", context, server=HERE, port=server.port, dnssec=True)
    plain = await run("dns", "www.lab.test", context, server=HERE, port=server.port)
    assert (asked.fields["authenticated"], plain.fields["authenticated"]) == (1, 0)


async def test_an_answer_nobody_has_validated_can_count_as_down(context: Context) -> None:
    with dns_server(authentic=False) as server:
        asking = {"server": HERE, "port": server.port, "dnssec": True, "expect_authenticated": True}
        point = await run("dns", "www.lab.test", context, **asking)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.UNEXPECTED_ANSWER)
    assert "no AD flag" in str(point.fields["error_detail"])


async def test_a_truncated_answer_is_asked_for_over_tcp_and_noted(server: Running, context: Context) -> None:
    point = await run("dns", "truncated.lab.test", context, server=HERE, port=server.port)
    assert (point.fields["up"], point.fields["truncated"], point.fields["answers"]) == (1, 1, 1)
    # Both answers took the server's time.
    assert float(point.fields["lookup"]) >= 0.010
    assert "connect" in point.fields


async def test_a_forged_reply_is_not_taken_for_the_answer(server: Running, context: Context) -> None:
    point = await run("dns", "forged.lab.test", context, server=HERE, port=server.port, expect_values=[RIGHT["A"]])
    assert point.fields["up"] == 1


async def test_what_edns_offers_is_what_was_set(context: Context) -> None:
    seen: list[dns.message.Message] = []

    def note(query: dns.message.Message) -> dns.message.Message:
        seen.append(query)
        return address_answer(query)

    async with small_dns_server(note) as port:
        for more in ({}, {"edns_size": 4096, "dnssec": True}, {"edns_size": 0}, {"recursive": False}):
            await run("dns", "www.lab.test", context, server=HERE, port=port, **more)
    assert [query.payload if query.edns == 0 else None for query in seen] == [1232, 4096, None, 1232]
    assert [bool(query.ednsflags & dns.flags.DO) for query in seen] == [False, True, False, False]
    assert [bool(query.flags & dns.flags.RD) for query in seen] == [True, True, True, False]


async def test_a_lost_query_is_sent_again_and_counted(context: Context) -> None:
    heard = 0

    def deaf_twice(query: dns.message.Message) -> dns.message.Message | None:
        nonlocal heard
        heard += 1
        return address_answer(query) if heard > 2 else None

    async with small_dns_server(deaf_twice) as port:
        point = await run("dns", "www.lab.test", context, server=HERE, port=port, wait=0.2, retries=2)
    assert (point.fields["up"], point.fields["retries"], heard) == (1, 2, 3)


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls"])
async def test_silence_is_a_timeout(server: Running, authority: Authority, context: Context, transport: str) -> None:
    point = await run("dns", "silent.lab.test", context, **options(server, authority, transport, wait=0.3))
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.TIMEOUT)
    assert "lookup" not in point.fields


async def test_a_web_server_without_an_answer_says_so(server: Running, authority: Authority, context: Context) -> None:
    point = await run("dns", "silent.lab.test", context, **options(server, authority, "https"))
    assert (point.fields["error"], point.fields["error_detail"]) == (
        Fault.UNEXPECTED_ANSWER,
        "HTTP status 504 instead of 200",
    )


@pytest.mark.parametrize("transport", ["udp", "tcp", "tls", "https"])
async def test_a_closed_port_is_refused(context: Context, transport: str) -> None:
    point = await run("dns", "www.lab.test", context, server=HERE, port=find_free_port(), transport=transport)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.REFUSED)


@pytest.mark.parametrize("transport", ["tls", "https"])
async def test_a_resolver_with_a_strange_certificate_is_not_asked(
    server: Running, context: Context, transport: str
) -> None:
    asking = {"server": HERE, "port": server.ports[transport], "transport": transport}
    strict = await run("dns", "www.lab.test", context, **asking)
    lax = await run("dns", "www.lab.test", context, verify_tls=False, **asking)
    assert (strict.fields["up"], strict.fields["error"]) == (0, Fault.CERTIFICATE)
    assert lax.fields["up"] == 1


@pytest.mark.parametrize("transport", ["tls", "https"])
async def test_the_name_in_the_certificate_can_differ_from_the_address(
    server: Running, authority: Authority, context: Context, transport: str
) -> None:
    right = await run(
        "dns", "www.lab.test", context, **options(server, authority, transport, server_name="dns.lab.test")
    )
    wrong = await run("dns", "www.lab.test", context, **options(server, authority, transport, server_name="other.test"))
    assert right.fields["up"] == 1
    assert wrong.fields["error"] == Fault.CERTIFICATE


async def test_what_is_no_dns_over_https_is_a_protocol_fault(authority: Authority, context: Context) -> None:
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(authority.certificate(HERE))
    async with http_server(response(200, b"<html>"), tls=tls) as port:
        asking = {"server": HERE, "port": port, "transport": "https", "ca_file": str(authority.path)}
        point = await run("dns", "www.lab.test", context, **asking)
    assert point.fields["error"] == Fault.PROTOCOL
    assert "application/dns-message" in str(point.fields["error_detail"])


async def test_a_server_that_hangs_up_is_a_reset(context: Context) -> None:
    async def hang_up(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    listening = await asyncio.start_server(hang_up, HERE, 0)
    async with listening:
        port = listening.sockets[0].getsockname()[1]
        point = await run("dns", "www.lab.test", context, server=HERE, port=port, transport="tcp")
    assert point.fields["error"] == Fault.RESET


async def test_a_cache_is_told_from_the_source(context: Context) -> None:
    """The server takes a second and a half for what it has not heard of before, and then counts the TTL down."""
    with dns_server(authoritative=False, cold_ms=1500, latency_ms=5) as server:
        asking = {"server": HERE, "port": server.port, "ask_twice": True, "wait": 10}
        cold = await run("dns", "www.lab.test", context, **asking)
        warm = await run("dns", "www.lab.test", context, **asking)
    assert float(cold.fields["lookup"]) >= 1.505
    assert float(cold.fields["lookup_again"]) >= 0.005
    assert (cold.fields["cache_hit"], cold.fields["ttl_min"]) == (0, TTL)
    assert warm.fields["cache_hit"] == 1
    assert float(warm.fields["ttl_min"]) < TTL
    with dns_server() as server:
        source = await run("dns", "www.lab.test", context, server=HERE, port=server.port)
    assert source.fields["cache_hit"] == 0


def cached(ttl: int, lookup: float, again: float | None, memory: dict[str, object], *, source: bool = False) -> object:
    """What is made of an answer with this TTL that took so many seconds."""
    answer = address_answer(dns.message.make_query("www.lab.test", "A"))
    answer.answer[0].ttl = ttl
    if not source:
        answer.flags &= ~dns.flags.AA
    return came_from_cache(Reply(answer, 50, lookup), again, memory)


def test_whether_an_answer_was_cached_is_said_only_where_something_tells() -> None:
    assert cached(300, 0.1, 0.1, {}, source=True) == 0
    memory: dict[str, object] = {}
    assert cached(300, 0.01, 0.01, memory) is None
    assert cached(290, 0.01, 0.01, memory) == 1
    assert cached(260, 0.01, None, memory) == 1
    assert cached(300, 0.01, 0.01, memory) == 0
    assert cached(300, 0.01, 0.01, memory) is None
    assert cached(300, 0.09, 0.01, {}) == 0
    assert cached(300, 0.018, 0.006, {}) is None


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"transport": "tls"}, "needs a server"),
        ({"server_name": "x.test"}, "server_name is for transport tls and https, not udp"),
        ({"ca_file": "/x.pem", "transport": "tcp"}, "ca_file is for transport tls and https"),
        ({"path": "/q"}, "path is for transport https"),
        ({"server": "x", "transport": "tcp", "retries": 1}, "retries is for transport udp"),
        ({"edns_size": 100}, "0 or from 512 to 65535"),
        ({"edns_size": 0, "dnssec": True}, "dnssec needs EDNS"),
        ({"expect_authenticated": True}, "needs dnssec"),
        ({"answer_lacks": ["("]}, "is no regular expression"),
        ({"colour": "red"}, "Extra inputs are not permitted"),
    ],
)
def test_options_that_do_not_go_together_are_refused(wrong: dict[str, object], words: str) -> None:
    with pytest.raises(ValidationError, match=words):
        DnsParams.model_validate(wrong)


async def test_a_truncated_answer_without_tcp_says_why_tcp_was_asked(context: Context) -> None:
    def truncate(query: dns.message.Message) -> dns.message.Message:
        answer = dns.message.make_response(query)
        answer.flags |= dns.flags.TC
        return answer

    async with small_dns_server(truncate) as port:
        point = await run("dns", "www.lab.test", context, server=HERE, port=port)
    assert (point.fields["error"], point.fields["error_detail"]) == (
        Fault.REFUSED,
        "over TCP, as the answer didn't fit UDP: Connection refused",
    )


@pytest.mark.parametrize(
    ("name", "record_type", "value"),
    [
        ("six.lab.test", "AAAA", "2001:DB8:0::1"),
        ("lab.test", "MX", "10 Mail.lab.test"),
        ("lab.test", "MX", "10 mail.lab.test."),
        ("lab.test", "TXT", "v=spf1 -all"),
        ("lab.test", "TXT", '"v=spf1 -all"'),
    ],
)
async def test_an_expected_value_may_be_written_in_any_of_its_forms(
    context: Context, name: str, record_type: str, value: str
) -> None:
    with dns_server(zone={**ZONE, "six.lab.test": ["AAAA 2001:db8::1"]}) as server:
        asked = {"server": HERE, "port": server.port, "record_type": record_type}
        point = await run("dns", name, context, **asked, expect_values=[value])
        other = await run("dns", name, context, **asked, expect_values=[f"{value}1"])
    assert point.fields["up"] == 1
    assert other.fields["error"] == Fault.UNEXPECTED_ANSWER
