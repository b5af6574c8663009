from collections.abc import Mapping

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net.targets import literal, resolve
from streamswarm_agent.probes.base import Context
from streamswarm_agent.probes.icmp_direct import DirectPings, NamedPings
from streamswarm_agent.probes.icmp_fields import State, fields_of, nothing_sent
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.point import Point
from streamswarm_core.probespecs import IcmpParams


class IcmpProbe:
    """Round-trip time, loss and jitter by ICMP echo."""

    async def run(self, target: str, params: IcmpParams, context: Context) -> list[Point]:
        """Up if at least one reply came; loss is there in any case, the distribution only if there was a reply."""
        stamp, started = context.wall_ns(), context.monotonic()
        state = State.of(context.memory)
        tags = {"target": target}
        try:
            address = await resolve(target, family=params.family, on_interface=params.source is not None)
            tags["family"] = address.family_tag
            run = await context.icmp.echo(
                address,
                count=params.count,
                spacing=params.spacing,
                wait=params.wait,
                size=params.size,
                dscp=params.dscp,
                df=params.df,
                ttl=params.ttl,
                source=params.source,
                history=state.history,
            )
        except ProbeFault as fault:
            return [ICMP.point(tags, time_ns=stamp, **nothing_sent(fault, context.monotonic() - started))]
        fields = fields_of(run, context.monotonic() - started, address.resolve)
        state.rtts += run.received
        return [ICMP.point(tags, time_ns=stamp, **fields), *state.count(started, tags, stamp)]

    def direct(
        self, target: str, params: IcmpParams, context: Context, tags: Mapping[str, str]
    ) -> DirectPings | NamedPings | None:
        """The runs of an assignment; a target that can't be, such as an address of the other family, needs a task."""
        tags = {**tags, "target": target}
        try:
            address = literal(target, params.family, on_interface=params.source is not None)
        except ProbeFault:
            return None
        if address is None:
            return NamedPings(target, params, context, tags)
        return DirectPings(address, params, context, tags)
