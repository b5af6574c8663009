import asyncio
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.path.flows import Flow
from streamswarm_agent.net.path.hops import HopListener, Sent
from streamswarm_agent.net.path.tracing import Tracer
from streamswarm_agent.net.qos.classes import ClassRun, compare, loss_difference, rtt_difference
from streamswarm_agent.net.qos.compliance import Compliance, Measured, judge_policy
from streamswarm_agent.net.qos.echoes import Exchange, IcmpExchange, UdpExchange
from streamswarm_agent.net.qos.marking import ECT_0, EcnMarking, Marking, MarkingProber, judge_dscp, judge_ecn
from streamswarm_agent.net.qos.ratelimit import Limit
from streamswarm_agent.net.qos.train import LimitSearch
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.qos import QOS, QOS_CLASS
from streamswarm_core.dscp import dscp_name, parse_dscp
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import ClassPolicy, QosParams, TraceMethod, TracerouteParams

_TTL: Final = 64
_ECN_ANSWERS: Final = 3
"""Of each hop, because congestion marks only some packets."""
_MARKING_BYTES: Final = {"ipv4": 34, "ipv6": 54}
"""Of a packet without padding, IP header included."""

Fields = dict[str, FieldValue | None]


@dataclass(slots=True)
class _Run:
    """What one run has found so far."""

    address: Address
    params: QosParams
    listener: HopListener
    classes: Sequence[ClassRun] = ()
    markings: dict[int, Marking] = field(default_factory=dict)
    ecn: EcnMarking | None = None
    hops: int | None = None
    quoting: int | None = None
    tcp_ecn: bool | None = None
    searches: dict[int, LimitSearch] = field(default_factory=dict)
    limits: dict[int, Limit | None] = field(default_factory=dict)
    sent: int = 0
    sent_bytes: int = 0


class QosProbe:
    """How the network treats classes of traffic to a target."""

    async def run(self, target: str, params: QosParams, context: Context) -> list[Point]:
        """Up if the target answered a request of any class; a summary first, then one point a class."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target, "method": params.method}
        fields: Fields = {}
        points: list[Point] = []
        try:
            address = await resolve(target, params.port if params.method == "udp" else 0, family=params.family)
            tags["family"] = address.family_tag
            fields["resolve"] = address.resolve
            found = _Run(address, params, context.engines.get(HopListener))
            await _measure(found)
            compliance = _compliance(found)
            fields |= _describe(found, compliance)
            points = [_class_point(found, run, compliance.get(run.dscp), tags, stamp) for run in found.classes]
        except ProbeFault as fault:
            fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
        fields["duration"] = context.monotonic() - started
        return [QOS.point(tags, time_ns=stamp, **fields), *points]


async def _measure(found: _Run) -> None:
    """One thing after another: trains would spoil the comparison, and routers answer only so many packets."""
    params = found.params
    exchange: Exchange = (
        UdpExchange(found.address) if params.method == "udp" else IcmpExchange(found.listener, found.address)
    )
    try:
        found.classes = await compare(
            exchange,
            params.values,
            count=params.count,
            spacing=params.spacing,
            wait=params.wait,
            size=params.size,
        )
        found.sent += params.count * len(found.classes)
        found.sent_bytes += params.count * len(found.classes) * params.size
        if params.marking:
            await _find_markings(found)
        if params.tcp_port is not None:
            found.tcp_ecn = await _negotiate_ecn(found, params.tcp_port)
        if any(run.rtts for run in found.classes):
            await _find_limits(found, exchange)
    finally:
        exchange.close()


async def _find_markings(found: _Run) -> None:
    params = found.params
    tracing = TracerouteParams(count=1, max_hops=params.max_hops, wait=params.wait)
    trace = await Tracer(found.listener, Flow.to(found.address, TraceMethod.ICMP, 0), tracing).run()
    prober = MarkingProber(
        found.listener, Flow.to(found.address, TraceMethod.UDP, params.marking_port), len(trace.hops)
    )
    wanted = {dscp << 2: 1 for dscp in params.values} | {ECT_0: _ECN_ANSWERS}
    quotes = await prober.run(wanted, tries=params.tries, wait=params.wait)
    found.markings = {
        dscp: marking for dscp in params.values if (marking := judge_dscp(dscp, quotes[dscp << 2])) is not None
    }
    found.ecn = judge_ecn(quotes[ECT_0])
    found.hops = len(trace.hops)
    found.quoting = len({quote.hop for of_class in quotes.values() for quote in of_class})
    found.sent += trace.sent + prober.sent
    found.sent_bytes += (trace.sent + prober.sent) * _MARKING_BYTES[found.address.family_tag]


async def _negotiate_ecn(found: _Run, port: int) -> bool | None:
    """Send SYNs that offer ECN until one is answered: whether the target agrees."""
    flow = replace(Flow.to(found.address, TraceMethod.TCP, port), asks_ecn=True)
    for _ in range(found.params.tries):
        answered: asyncio.Queue[Sent] = asyncio.Queue()
        packet = found.listener.send(flow, _TTL, answered.put_nowait)
        found.sent += 1
        found.sent_bytes += len(flow.packet(packet.mark, _TTL, bytes(4)))
        try:
            async with asyncio.timeout(found.params.wait):
                await answered.get()
        except TimeoutError:
            continue
        finally:
            found.listener.forget([packet])
        return packet.answer.accepts_ecn if packet.answer else None
    return None


async def _find_limits(found: _Run, exchange: Exchange) -> None:
    params = found.params
    for dscp in dict.fromkeys(map(parse_dscp, params.limit_classes)) if params.budget else ():
        search = LimitSearch(
            exchange,
            dscp << 2,
            size=params.train_size,
            min_rate=params.min_rate,
            max_rate=params.max_rate,
            budget=params.budget,
            wait=params.wait,
        )
        found.limits[dscp] = await search.run()
        found.searches[dscp] = search
        found.sent += search.spent // params.train_size
        found.sent_bytes += search.spent


def _compliance(found: _Run) -> Mapping[int, Compliance]:
    policies: dict[int, ClassPolicy] = {parse_dscp(name): policy for name, policy in found.params.policy.items()}
    judged = {}
    for run in found.classes:
        if run.dscp not in policies:
            continue
        marking = found.markings.get(run.dscp)
        measured = Measured(
            loss=run.loss,
            rtt=statistics.fmean(run.rtts) if run.rtts else None,
            jitter=run.jitter,
            arrived_dscp=marking.dscp if marking else None,
        )
        judged[run.dscp] = judge_policy(policies[run.dscp], measured, run.dscp)
    return judged


def _describe(found: _Run, compliance: Mapping[int, Compliance]) -> Fields:
    answered = any(run.rtts for run in found.classes)
    best_effort = found.classes[0]
    verdicts = [marking.verdict for marking in found.markings.values()]
    kept = [one.kept for one in compliance.values()]
    return {
        "up": int(answered),
        **({} if answered else _failure(found)),
        "rtt_mean": statistics.fmean(best_effort.rtts) if best_effort.rtts else None,
        "loss": statistics.fmean(run.loss for run in found.classes),
        "classes": len(found.classes),
        "hops": found.hops,
        "quoting": found.quoting,
        "bleached": verdicts.count("bleached") if verdicts else None,
        "rewritten": verdicts.count("rewritten") if verdicts else None,
        **_describe_ecn(found.ecn),
        "tcp_ecn": None if found.tcp_ecn is None else int(found.tcp_ecn),
        "limited": sum(limit is not None for limit in found.limits.values()) if found.limits else None,
        "compliant": 0 if False in kept else None if None in kept or not kept else 1,
        "sent": found.sent,
        "sent_bytes": found.sent_bytes,
    }


def _failure(found: _Run) -> Fields:
    refusal = next((run.refusal for run in found.classes if run.refusal), None)
    fault = Fault.UNREACHABLE if refusal else Fault.TIMEOUT
    count = sum(len(run.requests) for run in found.classes)
    return {"error": fault.value, "error_detail": refusal or f"no reply to {count} requests of any class"}


def _describe_ecn(ecn: EcnMarking | None) -> Fields:
    if ecn is None:
        return {}
    change = ecn.change
    return {
        "ecn": ecn.verdict,
        "ecn_capable": None if ecn.capable is None else int(ecn.capable),
        "ecn_hop": change.hop if change else None,
        "ecn_address": change.address if change else None,
        "ecn_after": change.after if change else None,
        "ce_ratio": ecn.ce_ratio,
    }


def _class_point(
    found: _Run, run: ClassRun, compliance: Compliance | None, tags: Mapping[str, str], stamp: int
) -> Point:
    fields: Fields = {
        "sent": len(run.requests),
        "received": len(run.rtts),
        "loss": run.loss,
        "rtt_min": min(run.rtts, default=None),
        "rtt_mean": statistics.fmean(run.rtts) if run.rtts else None,
        "rtt_max": max(run.rtts, default=None),
        "jitter": run.jitter,
        "reply_dscp": run.reply_dscp,
    }
    fields |= _describe_difference(run, found.classes[0])
    fields |= _describe_marking(found.markings.get(run.dscp))
    fields |= _describe_limit(found.limits.get(run.dscp), found.searches.get(run.dscp))
    if compliance is not None:
        fields["compliant"] = None if compliance.kept is None else int(compliance.kept)
        fields["violations"] = "; ".join(compliance.violations) or None
    return QOS_CLASS.point({**tags, "dscp": dscp_name(run.dscp)}, time_ns=stamp, **fields)


def _describe_difference(run: ClassRun, best_effort: ClassRun) -> Fields:
    if run is best_effort:
        return {}
    rtt, loss = rtt_difference(run, best_effort), loss_difference(run, best_effort)
    return {
        "rtt_difference": rtt.value if rtt else None,
        "rtt_difference_error": rtt.error if rtt else None,
        "loss_difference": loss.value,
        "loss_difference_error": loss.error,
    }


def _describe_marking(marking: Marking | None) -> Fields:
    if marking is None:
        return {}
    first = marking.changes[0] if marking.changes else None
    several = len(marking.changes) > 1
    return {
        "marking": marking.verdict,
        "marking_dscp": marking.dscp,
        "marking_hop": first.hop if first else None,
        "marking_address": first.address if first else None,
        "marking_after": first.after if first else None,
        "marking_path": " ".join(f"{one.hop}:{dscp_name(one.value)}" for one in marking.changes) if several else None,
        "marking_seen": marking.seen,
        "misquoted": marking.misquoted,
    }


def _describe_limit(limit: Limit | None, search: LimitSearch | None) -> Fields:
    if search is None:
        return {}
    return {
        "limit": limit.bucket.kind if limit else None,
        "limit_rate": limit.bucket.rate if limit else None,
        "limit_burst": limit.bucket.burst if limit else None,
        "limit_confidence": limit.confidence if limit else None,
        "queue_delay": search.queue_delay,
        "delivered_rate": search.delivered_rate,
    }
