"""What an ICMP run says: the fields of its point, and the distribution of its round-trip times."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Final, Self

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.icmp.run import EchoHistory, EchoRun, percentiles_of, summarise
from streamswarm_core.catalogue.distribution import ICMP_RTT
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.sketch import Sketch

_DISTRIBUTION_SECONDS: Final = 10.0
"""Runs that are closer together share a point of the distribution, which costs as much as the run's own."""


Fields = dict[str, FieldValue | None]


@dataclass(slots=True)
class State:
    """What an assignment keeps from run to run.

    Attributes:
        history: for the engine.
        rtts: round-trip times that are not yet in a point of the distribution, seconds.
        due: from when on they are to be written, monotonic seconds.
    """

    history: EchoHistory = field(default_factory=EchoHistory)
    rtts: list[float] = field(default_factory=list)
    due: float = 0.0

    @classmethod
    def of(cls, memory: dict[str, Any]) -> Self:
        """The one in an assignment's memory."""
        state: Self = memory.setdefault("icmp", cls())
        return state

    def count(self, started: float, tags: Mapping[str, str], time_ns: int) -> Sequence[Point]:
        """The distribution of the round-trip times so far, if it is due."""
        if started < self.due or not self.rtts:
            return ()
        point = ICMP_RTT.point(tags, time_ns=time_ns, **Sketch.of(self.rtts).to_fields())
        self.rtts.clear()
        self.due = started + _DISTRIBUTION_SECONDS
        return (point,)


def fields_of(run: EchoRun, duration: float, resolve_seconds: float | None) -> Fields:
    """Times to the nanosecond, which is how the kernel gives them."""
    received = run.received
    fields: Fields = {
        "up": 1 if received else 0,
        "duration": _to_ns(duration),
        "resolve": resolve_seconds,
        "sent": run.sent,
        "received": len(received),
        "loss": run.loss,
        "duplicates": run.duplicates,
        "reordered": run.reordered,
        "late": run.late,
    }
    if not received:
        fault = run.fault or ProbeFault(Fault.TIMEOUT, f"no reply to {run.sent} echo requests")
        return fields | {"error": fault.fault.value, "error_detail": fault.detail, "reporter": run.reporter}
    times = [time / 1e9 for time in summarise([round(rtt * 1e9) for rtt in received])]
    fields |= zip(_summary_names(len(received)), times, strict=True)
    fields["jitter"] = _to_ns(run.jitter)
    fields["ttl"] = run.ttl
    return fields


@cache
def _summary_names(count: int) -> Sequence[str]:
    """The fields for what `summarise` returns."""
    percentiles = (f"rtt_p{share * 100:.0f}" for share, _ in percentiles_of(count))
    return ("rtt_min", "rtt_mean", "rtt_max", "rtt_stddev", *percentiles)


def is_rtt(field_name: str) -> bool:
    """Whether a field is a round-trip time, seconds."""
    return field_name.startswith("rtt_")


def _to_ns(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e9) / 1e9


def nothing_sent(fault: ProbeFault, duration: float) -> Fields:
    """Nothing came back whatever the reason: to a reader of the loss that is a full loss."""
    return {
        "up": 0,
        "error": fault.fault.value,
        "error_detail": fault.detail,
        "duration": duration,
        "sent": 0,
        "received": 0,
        "loss": 1.0,
    }
