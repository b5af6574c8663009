from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.echorun import EchoHistory, EchoRun
from streamswarm_agent.net.targets import resolve
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.distribution import ICMP_RTT
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import IcmpParams
from streamswarm_core.sketch import Sketch

_STATE = "icmp"
_DISTRIBUTION_SECONDS: Final = 10.0
"""Runs that are closer together share a point of the distribution, which costs as much as the run's own."""


@dataclass(slots=True)
class _State:
    """What an assignment keeps from run to run.

    Attributes:
        history: for the engine.
        sketch: round-trip times that are not yet written.
        due: from when on they are to be written, monotonic seconds.
    """

    history: EchoHistory = field(default_factory=EchoHistory)
    sketch: Sketch = field(default_factory=Sketch)
    due: float = 0.0


class IcmpProbe:
    """Round-trip time, loss and jitter by ICMP echo."""

    async def run(self, target: str, params: IcmpParams, context: Context) -> list[Point]:
        """Up if at least one reply came; loss is there in any case, the distribution only if there was a reply."""
        stamp, started = context.wall_ns(), context.monotonic()
        state: _State = context.memory.setdefault(_STATE, _State())
        tags = {"target": target}
        try:
            address = await resolve(target, family=params.family)
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
        now = context.monotonic()
        points = [
            ICMP.point(
                tags,
                time_ns=stamp,
                up=1 if run.received else 0,
                duration=now - started,
                resolve=address.resolve,
                **(_statistics(run) if run.received else _failure(run)),
            )
        ]
        for rtt in run.received:
            state.sketch.add(rtt)
        if state.sketch.buckets and started >= state.due:
            points.append(ICMP_RTT.point(tags, time_ns=stamp, **state.sketch.to_fields()))
            state.sketch, state.due = Sketch(), started + _DISTRIBUTION_SECONDS
        return points


def _statistics(run: EchoRun) -> dict[str, FieldValue | None]:
    return {
        **_counts(run),
        "rtt_min": min(run.received),
        "rtt_mean": run.mean,
        "rtt_max": max(run.received),
        "rtt_stddev": run.stddev,
        **run.percentiles,
        "jitter": run.jitter,
        "ttl": run.ttl,
    }


def _failure(run: EchoRun) -> dict[str, FieldValue | None]:
    fault = run.fault or ProbeFault(Fault.TIMEOUT, f"no reply to {run.sent} echo requests")
    return {**_counts(run), "error": fault.fault.value, "error_detail": fault.detail, "reporter": run.reporter}


def _counts(run: EchoRun) -> dict[str, FieldValue | None]:
    return {
        "sent": run.sent,
        "received": len(run.received),
        "loss": run.loss,
        "duplicates": run.duplicates,
        "reordered": run.reordered,
        "late": run.late,
    }
