from typing import Final

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net.path.flows import Flow
from streamswarm_agent.net.path.hops import HopListener
from streamswarm_agent.net.path.mtu import PathMtu, Prober
from streamswarm_agent.net.targets import resolve
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.path import MTU
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import MtuParams, TraceMethod

_TCP_HEADER: Final = 20


class MtuProbe:
    """The largest packet that reaches a target unfragmented."""

    async def run(self, target: str, params: MtuParams, context: Context) -> list[Point]:
        """Up if the target answers packets of the smallest size that is tried."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target, "method": params.method}
        fields: dict[str, FieldValue | None] = {}
        try:
            address = await resolve(target, family=params.family)
            tags["family"] = address.family_tag
            fields["resolve"] = address.resolve
            flow = Flow.to(address, TraceMethod(params.method), params.port)
            found = await Prober(context.engines.get(HopListener), flow, params).run()
            fields |= _describe(found, flow)
        except ProbeFault as fault:
            fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
        fields["duration"] = context.monotonic() - started
        return [MTU.point(tags, time_ns=stamp, **fields)]


def _describe(found: PathMtu, flow: Flow) -> dict[str, FieldValue | None]:
    return {
        "up": 1,
        "pmtu": found.size,
        "interface_mtu": found.interface,
        "tcp_mss": found.size - flow.header_size - _TCP_HEADER,
        "black_hole": int(found.black_hole),
        "limiting_hop": found.limiting_hop,
        "limiting_address": found.limiting_address,
        "rtt": found.rtt,
        "sent": found.sent,
    }
