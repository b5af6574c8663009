import statistics

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.targets import resolve
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.point import Point
from streamswarm_core.probespecs import IcmpParams


class IcmpProbe:
    """Round-trip time, loss and jitter by ICMP echo."""

    async def run(self, target: str, params: IcmpParams, context: Context) -> list[Point]:
        """Up if at least one reply came; loss is there in any case."""
        stamp, started = context.wall_ns(), context.monotonic()
        tags = {"target": target}
        try:
            address = await resolve(target, family=params.family)
            tags["family"] = address.family_tag
            run = await context.icmp.echo(
                address, count=params.count, spacing=params.spacing, wait=params.wait, size=params.size
            )
        except ProbeFault as fault:
            # Nothing came back whatever the reason: to a reader of the loss that is a full loss.
            return [
                ICMP.point(
                    tags,
                    time_ns=stamp,
                    up=0,
                    error=fault.fault.value,
                    error_detail=fault.detail,
                    duration=context.monotonic() - started,
                    sent=0,
                    received=0,
                    loss=1.0,
                )
            ]
        received = run.received
        error, detail = None, None
        if not received:
            error = Fault.UNREACHABLE.value if run.unreachable else Fault.TIMEOUT.value
            detail = f"no reply to {params.count} echo requests"
        return [
            ICMP.point(
                tags,
                time_ns=stamp,
                up=1 if received else 0,
                error=error,
                error_detail=detail,
                duration=context.monotonic() - started,
                sent=len(run.rtts),
                received=len(received),
                loss=run.loss,
                rtt_min=min(received) if received else None,
                rtt_mean=statistics.fmean(received) if received else None,
                rtt_max=max(received) if received else None,
                rtt_stddev=run.stddev,
                jitter=run.jitter,
                duplicates=run.duplicates,
                ttl=run.ttl,
            )
        ]
