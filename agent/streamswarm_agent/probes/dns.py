import time

import dns.asyncquery
import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.resolver

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.targets import resolve
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.network import DNS
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import DnsParams


class DnsProbe:
    """One DNS query to one server."""

    async def run(self, target: str, params: DnsParams, context: Context) -> list[Point]:
        """Up if an answer came with one of the expected response codes."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target, "record_type": params.record_type, "server": params.server or ""}
        fields: dict[str, FieldValue | None] = {}
        try:
            address = (await resolve(params.server or _system_server(), params.port)).host
            tags["server"] = params.server or address
            answer, fields["lookup"] = await _ask(target, address, params)
            fields |= _describe(answer)
            _check_rcode(str(fields["rcode"]), params)
        except ProbeFault as fault:
            fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
        else:
            fields["up"] = 1
        return [DNS.point(tags, time_ns=stamp, duration=context.monotonic() - started, **fields)]


async def _ask(target: str, address: str, params: DnsParams) -> tuple[dns.message.Message, float]:
    try:
        query = dns.message.make_query(dns.name.from_text(target), params.record_type, use_edns=0)
    except (dns.exception.DNSException, UnicodeError, ValueError) as error:
        raise ProbeFault(Fault.BAD_TARGET, f"{target!r} {params.record_type}: {error}") from None
    if not params.recursive:
        query.flags &= ~dns.flags.RD
    started = time.monotonic()
    try:
        if params.transport == "tcp":
            answer = await dns.asyncquery.tcp(query, address, timeout=params.wait, port=params.port)
        else:
            answer, _ = await dns.asyncquery.udp_with_fallback(query, address, timeout=params.wait, port=params.port)
    except dns.exception.Timeout:
        raise ProbeFault(Fault.TIMEOUT, f"no answer from {address} within {params.wait} s") from None
    except dns.exception.DNSException as error:
        raise ProbeFault(Fault.PROTOCOL, f"{address}: {error}") from None
    except EOFError:
        raise ProbeFault(Fault.RESET, f"{address} closed the connection") from None
    except OSError as error:
        raise from_os_error(error) from None
    return answer, time.monotonic() - started


def _describe(answer: dns.message.Message) -> dict[str, FieldValue | None]:
    ttls = [rrset.ttl for rrset in answer.answer]
    return {
        "rcode": dns.rcode.to_text(answer.rcode()),
        "answers": sum(len(rrset) for rrset in answer.answer),
        "ttl_min": float(min(ttls)) if ttls else None,
        "authoritative": int(bool(answer.flags & dns.flags.AA)),
        "authenticated": int(bool(answer.flags & dns.flags.AD)),
        "size": len(answer.wire) if answer.wire else len(answer.to_wire()),
    }


def _check_rcode(rcode: str, params: DnsParams) -> None:
    if rcode not in params.expect_rcodes:
        raise ProbeFault(Fault.UNEXPECTED_ANSWER, f"{rcode} instead of {' or '.join(params.expect_rcodes)}")


def _system_server() -> str:
    try:
        return str(dns.resolver.Resolver().nameservers[0])
    except (dns.exception.DNSException, IndexError):
        raise ProbeFault(Fault.RESOLVER_FAILURE, "this host has no name server configured") from None
