import asyncio
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

import dns.asyncresolver
import dns.exception

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.icmp.errors import Kind, unreachable_words
from streamswarm_agent.net.path.flows import Flow
from streamswarm_agent.net.path.geo import Place, PlaceNames, extent
from streamswarm_agent.net.path.hops import HopListener
from streamswarm_agent.net.path.memory import PathMemory
from streamswarm_agent.net.path.multipath import group_by_path
from streamswarm_agent.net.path.tracing import Hop, Trace, Tracer
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.path import TRACEROUTE, TRACEROUTE_FLOW, TRACEROUTE_HOP
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import TraceMethod, TracerouteParams

_PORTS: Final = {TraceMethod.ICMP: 0, TraceMethod.UDP: 33_434, TraceMethod.TCP: 443}
_NAME_SECONDS: Final = 1.0
_MEMORY: Final = "paths"

Fields = dict[str, FieldValue | None]


class TracerouteProbe:
    """The path to a target, hop by hop."""

    async def run(self, target: str, params: TracerouteParams, context: Context) -> list[Point]:
        """Up if the target answered; a summary first, then one point a hop, and one a flow with `multipath`."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target, "method": params.method.value}
        fields: Fields = {}
        points: list[Point] = []
        try:
            address = await resolve(target, family=params.family)
            tags["family"] = address.family_tag
            fields["resolve"] = address.resolve
            memory = _memory_of(context, address)
            trace = await _trace(address, params, context, memory)
            known = context.engines.get(PlaceNames)
            places = {one: known.find(one) for one in _addresses(trace)}
            names = await _look_up_names(_addresses(trace)) if params.names else {}
            fields |= _describe(trace, memory, address) | _geography(trace, places, known.here)
            hops = _hop_points(trace, tags, stamp, family=address.family, places=places, names=names)
            points = [*hops, *_flow_points(trace, tags, stamp)]
        except ProbeFault as fault:
            fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
        fields["duration"] = context.monotonic() - started
        return [TRACEROUTE.point(tags, time_ns=stamp, **fields), *points]


async def _trace(address: Address, params: TracerouteParams, context: Context, memory: PathMemory) -> Trace:
    flow = Flow.to(address, params.method, params.port or _PORTS[params.method])
    return await Tracer(context.engines.get(HopListener), flow, params, expected=memory.hops).run()


def _memory_of(context: Context, address: Address) -> PathMemory:
    """The path known to this address; a name that moves to another address starts a path of its own."""
    known = context.memory.get(_MEMORY)
    if known is None or known[0] != address.host:
        known = context.memory[_MEMORY] = (address.host, PathMemory())
    memory: PathMemory = known[1]
    return memory


def _describe(trace: Trace, memory: PathMemory, address: Address) -> Fields:
    failing = None if trace.reached else _failing_hop(trace)
    failing_address = memory.at(failing) if failing else None
    final = trace.hops[-1] if trace.reached else None
    loss_begins = trace.loss_begins_at()
    return {
        "up": int(trace.reached),
        **({} if failing is None else _failure(trace, failing, failing_address, address)),
        "hops": len(trace.hops) or None,
        "silent": sum(hop.address is None for hop in trace.hops),
        "sent": trace.sent,
        "loss": final.loss if final else 1.0,
        "rtt_min": min(final.rtts) if final else None,
        "rtt_mean": final.rtt_mean if final else None,
        "rtt_max": max(final.rtts) if final else None,
        "path": _path_text(trace.path),
        "loss_hop": loss_begins.ttl if loss_begins else None,
        "loss_address": loss_begins.address if loss_begins else None,
        "branches": max(map(len, trace.seen), default=0) or None,
        "flows": len(trace.flow_paths),
        "paths": len(group_by_path(dict(enumerate(trace.flow_paths)))),
        "per_packet": int(trace.per_packet),
        **_compare(trace, memory),
    }


def _compare(trace: Trace, memory: PathMemory) -> Fields:
    """What changed since the run before; a trace that nothing answered says nothing of the path."""
    if not trace.hops:
        return {}
    comparison = memory.compare(trace.path, trace.seen, reached=trace.reached)
    change = comparison.change
    return {
        "path_hash": comparison.hash,
        "path_changed": int(change is not None) if comparison.known_before else None,
        "previous_path_hash": comparison.previous_hash,
        "changed_hop": change.hop if change else None,
        "changed_from": change.before if change else None,
        "changed_to": change.now if change else None,
    }


def _failing_hop(trace: Trace) -> int:
    """The hop from which on nothing answers, or that says there is no way on."""
    refusing = trace.hops and trace.hops[-1].last
    return len(trace.hops) + (0 if refusing and refusing.kind is not Kind.EXPIRED else 1)


def _failure(trace: Trace, failing: int, failing_address: str | None, address: Address) -> Fields:
    """Why the target is not up, and where the path ends."""
    answering = [hop for hop in trace.hops if hop.ttl < failing and hop.address]
    last = answering[-1] if answering else None
    refusal = trace.hops[-1].last if trace.hops and trace.hops[-1].ttl == failing else None
    if refusal is not None:
        fault = Fault.UNREACHABLE
        detail = f"hop {failing}: {refusal.address} says {_answer_text(trace.hops[-1], address.family)}"
    else:
        fault = Fault.TIMEOUT
        after = f"after hop {last.ttl} ({last.address})" if last else "at all"
        detail = f"nothing answers {after}" + (f"; hop {failing} was {failing_address}" if failing_address else "")
    return {
        "error": fault.value,
        "error_detail": detail,
        "failing_hop": failing,
        "failing_after": last.address if last else None,
        "failing_address": failing_address,
    }


def _geography(trace: Trace, places: Mapping[str, Place], here: tuple[float, float] | None) -> Fields:
    on_path = [places[address] for address in trace.path if address]
    systems: list[int] = []
    for place in on_path:
        if place.asn is not None and systems[-1:] != [place.asn]:
            systems.append(place.asn)
    passed = [here, *(place.coordinates for place in on_path)]
    far = extent([coordinates for coordinates in passed if coordinates is not None])
    return {
        "as_path": " ".join(map(str, systems)) or None,
        "distance": far.distance if far else None,
        "direct_distance": far.direct if far else None,
        "geographic_efficiency": far.efficiency if far else None,
    }


def _hop_points(
    trace: Trace,
    tags: Mapping[str, str],
    stamp: int,
    *,
    family: socket.AddressFamily,
    places: Mapping[str, Place],
    names: Mapping[str, str],
) -> Iterable[Point]:
    for hop, addresses in zip(trace.hops, trace.seen, strict=True):
        place = places.get(hop.address or "", Place())
        yield TRACEROUTE_HOP.point(
            {**tags, "hop": f"{hop.ttl:02}"},
            time_ns=stamp,
            address=hop.address,
            name=names.get(hop.address or ""),
            answer=_answer_text(hop, family),
            sent=len(hop.packets),
            received=len(hop.answers),
            loss=hop.loss,
            rtt_min=min(hop.rtts, default=None),
            rtt_mean=hop.rtt_mean,
            rtt_max=max(hop.rtts, default=None),
            branches=len(addresses) or None,
            addresses=" ".join(sorted(addresses)) if len(addresses) > 1 else None,
            mpls=" ".join(map(str, hop.last.labels)) or None if hop.last else None,
            asn=place.asn,
            as_name=place.as_name,
            country=place.country,
            city=place.city,
            latitude=place.latitude,
            longitude=place.longitude,
        )


def _flow_points(trace: Trace, tags: Mapping[str, str], stamp: int) -> Iterable[Point]:
    if not trace.flows:
        return
    constant = [hop.last for hop in trace.hops]
    for number, answers in enumerate([constant, *trace.flows]):
        final = answers[-1] if answers and answers[-1] and answers[-1].reached else None
        yield TRACEROUTE_FLOW.point(
            {**tags, "flow": f"{number:03}"},
            time_ns=stamp,
            path=_path_text([answer.address if answer else None for answer in answers]),
            hops=len(answers) if final else None,
            rtt=final.rtt if final else None,
        )


def _answer_text(hop: Hop, family: socket.AddressFamily) -> str | None:
    """What a hop said, in words; None for a silent one."""
    last = hop.last
    if last is None:
        return None
    if last.reached:
        return "reply"
    if last.kind is Kind.UNREACHABLE:
        return unreachable_words(family, last.code)
    return {Kind.EXPIRED: "time exceeded", Kind.TOO_BIG: "packet too big", Kind.REPLY: "reply"}[last.kind]


def _path_text(path: Sequence[str | None]) -> str | None:
    return " ".join(address or "*" for address in path) or None


def _addresses(trace: Trace) -> list[str]:
    return list(dict.fromkeys(address for address in trace.path if address))


async def _look_up_names(addresses: Sequence[str]) -> dict[str, str]:
    """The names of some addresses, all asked for at the same time; what isn't answered within a second has none."""

    async def look_up(address: str) -> tuple[str, str] | None:
        try:
            found = await dns.asyncresolver.resolve_address(address.partition("%")[0], lifetime=_NAME_SECONDS)
        except (dns.exception.DNSException, OSError):
            return None
        return address, str(found[0]).rstrip(".")

    return dict(filter(None, await asyncio.gather(*map(look_up, addresses))))
