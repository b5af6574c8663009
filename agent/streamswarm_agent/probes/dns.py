from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdatatype
import dns.resolver

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.matching import first_found, first_missing
from streamswarm_agent.net.dns import NameServer, Reply, make_query
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.network import DNS
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import DnsParams

# What a server says that doesn't know EDNS (RFC 6891, section 7).
_WITHOUT_EDNS: Final = frozenset({dns.rcode.FORMERR, dns.rcode.NOTIMP})
_MOST_TOLD: Final = 200
_TTLS: Final = "ttls"
# The second answer has to be at least this much quicker, seconds and times, to show that the first had to be fetched;
# less could be a busy host.
_FETCHED_SECONDS: Final = 0.02
_FETCHED_TIMES: Final = 3.0


@dataclass(slots=True)
class DnsRun:
    """One run, with what does not go into its point.

    Attributes:
        tags: of the point.
        fields: of the point, as far as they are known.
        address: of the server.
        reply: its first answer.
    """

    tags: dict[str, str]
    fields: dict[str, FieldValue | None] = field(default_factory=dict)
    address: Address | None = None
    reply: Reply | None = None


class DnsProbe:
    """One DNS query to one server, or two."""

    async def run(self, target: str, params: DnsParams, context: Context) -> list[Point]:
        """Up if an answer came that is as expected."""
        stamp, started = context.wall_ns(), context.monotonic()
        run = await measure_dns(target, params, context)
        return [DNS.point(run.tags, time_ns=stamp, duration=context.monotonic() - started, **run.fields)]


async def measure_dns(target: str, params: DnsParams, context: Context) -> DnsRun:
    """Ask, and judge the answer."""
    tags = {"record_type": params.record_type, "server": params.server or "", "transport": params.transport}
    run = DnsRun({"target": target, **tags})
    try:
        await _measure(target, params, context, run)
        await _check(run, params)
    except ProbeFault as fault:
        run.fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
    else:
        run.fields["up"] = 1
    return run


async def _measure(target: str, params: DnsParams, context: Context, run: DnsRun) -> None:
    query = make_query(target, params)
    run.address = address = await resolve(params.server or _system_server(), params.port_to_ask, params.family)
    run.tags |= {"server": params.server or address.host, "family": address.family_tag}
    run.fields["resolve"] = address.resolve
    with NameServer(address, params) as server:
        try:
            run.reply = reply = await server.ask(query)
        finally:
            run.fields |= {"connect": server.phases.connect, "tls": server.phases.tls}
        run.fields |= _describe(reply)
        again = (await server.ask(query)).lookup if params.ask_twice else None
    run.fields["lookup_again"] = again
    run.fields["cache_hit"] = came_from_cache(reply, again, context.memory)


def came_from_cache(reply: Reply, again: float | None, memory: dict[str, Any]) -> int | None:
    """Whether an answer came from a cache: 1, 0, or None where nothing tells.

    - With AA the server is the source itself: 0.
    - Only a cache counts the TTL down, so a TTL below the highest that this assignment has seen means 1. (A zone whose
      owner lowers its TTL is taken for a cache until the agent restarts.)
    - A TTL at its highest again, after a lower one, has just been fetched: 0.
    - Where the same question is asked again at once and takes less than a third as long and 20 ms less, the first
      answer had to be fetched: 0.
    """
    if reply.message.flags & dns.flags.AA:
        return 0
    ttl = _ttl(reply.message)
    if ttl is not None:
        highest, last = memory.get(_TTLS, (ttl, ttl))
        memory[_TTLS] = max(ttl, highest), ttl
        if ttl < highest:
            return 1
        if ttl > last:
            return 0
    if again is not None and reply.lookup > _FETCHED_TIMES * again and reply.lookup - again >= _FETCHED_SECONDS:
        return 0
    return None


def records(section: list[Any]) -> Iterator[str]:
    """Each record of a section as one line: name, TTL, class, type and value with tabs between them."""
    for rrset in section:
        for line in rrset.to_text().splitlines():
            yield "\t".join(line.split(" ", 4))


def _describe(reply: Reply) -> dict[str, FieldValue | None]:
    message = reply.message
    return {
        "lookup": reply.lookup,
        "rcode": dns.rcode.to_text(message.rcode()),
        "answers": _count(message.answer),
        "authorities": _count(message.authority),
        "additionals": _count(message.additional),
        "ttl_min": _ttl(message),
        "serial": zone_serial(message),
        "authoritative": int(bool(message.flags & dns.flags.AA)),
        "authenticated": int(bool(message.flags & dns.flags.AD)),
        "truncated": int(reply.truncated),
        "retries": reply.retries,
        "size": reply.size,
    }


def zone_serial(message: dns.message.Message) -> int | None:
    """The serial number of the SOA record in the answer, if there is one."""
    found_records = (item for rrset in message.answer if rrset.rdtype == dns.rdatatype.SOA for item in rrset)
    return next((int(item.serial) for item in found_records), None)


def _count(section: list[Any]) -> int:
    return sum(len(rrset) for rrset in section)


def _ttl(message: dns.message.Message) -> float | None:
    return min((float(rrset.ttl) for rrset in message.answer), default=None)


async def _check(run: DnsRun, params: DnsParams) -> None:
    """Hold the answer against what is expected.

    Raises:
        ProbeFault: the first difference.
    """
    assert run.reply is not None  # noqa: S101 - without an answer there was a fault before
    answer = run.reply.message.answer
    rcode, count = str(run.fields["rcode"]), _count(answer)
    lines = list(records(answer))
    values = {line.split("\t", 4)[4] for line in lines}
    absent = next((value for value in params.expect_values if not _is_among(value, answer)), None)
    unfound = await first_missing(params.answer_matches, *lines)
    unwanted = await first_found(params.answer_lacks, *lines)
    if rcode not in params.expect_rcodes:
        detail = f"{rcode} instead of {' or '.join(params.expect_rcodes)}{_why(run.reply.message, params)}"
    elif count < params.min_answers:
        detail = f"{count} records instead of {params.min_answers} or more"
    elif absent is not None:
        detail = f"{absent} is not among {', '.join(sorted(values)) or 'no answers'}"
    elif unfound is not None:
        detail = f"no record of the answer matches {unfound!r}"
    elif unwanted is not None:
        detail = f"a record of the answer matches {unwanted!r}"
    elif params.expect_authenticated and not run.fields["authenticated"]:
        detail = "the answer has no AD flag: the server has not validated it"
    else:
        return
    raise ProbeFault(Fault.UNEXPECTED_ANSWER, detail)


def _why(message: dns.message.Message, params: DnsParams) -> str:
    """What the server says about its refusal (RFC 8914), or lets see."""
    told = next((option for option in message.options if isinstance(option, dns.edns.EDEOption)), None)
    if told is not None:
        named = told.code.name if isinstance(told.code, dns.edns.EDECode) else f"extended error {told.code}"
        words = named.replace("_", " ").lower().replace("dnssec", "DNSSEC")
        return f": {words} ({told.text[:_MOST_TOLD]})" if told.text else f": {words}"
    bare = message.edns < 0 and message.rcode() in _WITHOUT_EDNS
    if params.edns_size and (bare or message.rcode() == dns.rcode.BADVERS):
        return ": it doesn't seem to know EDNS; set edns_size to 0"
    return ""


def _is_among(value: str, answer: list[Any]) -> bool:
    """Whether a record has this value, however it is written: 2001:DB8::0:1, a name without its dot, a bare text."""
    return any(_is_value(value, rdata) for rrset in answer for rdata in rrset)


def _is_value(value: str, rdata: dns.rdata.Rdata) -> bool:
    if value == rdata.to_text() or value.encode() == b"".join(getattr(rdata, "strings", ())):
        return True
    try:
        meant = dns.rdata.from_text(rdata.rdclass, rdata.rdtype, value, origin=dns.name.root, relativize=False)
    except (dns.exception.DNSException, ValueError):
        return False
    return bool(meant == rdata)


def _system_server() -> str:
    try:
        return str(dns.resolver.Resolver().nameservers[0])
    except (dns.exception.DNSException, IndexError):
        raise ProbeFault(Fault.RESOLVER_FAILURE, "this host has no name server configured") from None
