from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net.targets import resolve, split_host_port
from streamswarm_agent.net.tcp import connect, kernel_rtt
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.network import TCP
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import TcpParams


class TcpProbe:
    """TCP connection set-up."""

    async def run(self, target: str, params: TcpParams, context: Context) -> list[Point]:
        """Up if the connection was established; it is closed at once."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target}
        fields: dict[str, FieldValue | None] = {}
        try:
            host, port = split_host_port(target)
            address = await resolve(host, port, params.family)
            tags["family"] = address.family_tag
            fields["resolve"] = address.resolve
            opened, fields["connect"] = await connect(address, params.wait)
            with opened:
                fields["rtt"] = kernel_rtt(opened)
        except ProbeFault as fault:
            fields |= {"up": 0, "error": fault.fault.value, "error_detail": fault.detail}
        else:
            fields["up"] = 1
        return [TCP.point(tags, time_ns=stamp, duration=context.monotonic() - started, **fields)]
