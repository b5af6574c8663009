from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.echoflight import Flight
from streamswarm_agent.net.echorequests import Echoes
from streamswarm_agent.net.echorun import EchoHistory, EchoRun, carry_jitter, percentiles_of, summarise
from streamswarm_agent.net.targets import Address, literal, resolve
from streamswarm_agent.probes.base import Context
from streamswarm_agent.probes.direct import Outcome, Reading
from streamswarm_core.catalogue.common import SEQ
from streamswarm_core.catalogue.distribution import ICMP_RTT
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.lineprotocol import encode
from streamswarm_core.point import FieldValue, Point
from streamswarm_core.probespecs import IcmpParams
from streamswarm_core.series import Series
from streamswarm_core.sketch import Sketch

_STATE = "icmp"
_SECOND: Final = 1_000_000_000
_BELOW_A_SECOND: Final = "0.%09d"
"""Whole nanoseconds as seconds."""
_MAXIMUM: Final = 2
"""Its place among what `summarise` returns."""
_DISTRIBUTION_SECONDS: Final = 10.0
"""Runs that are closer together share a point of the distribution, which costs as much as the run's own."""


_Fields = dict[str, FieldValue | None]


@dataclass(slots=True)
class _State:
    """What an assignment keeps from run to run.

    Attributes:
        history: for the engine.
        rtts: round-trip times that are not yet in a point of the distribution, seconds.
        due: from when on they are to be written, monotonic seconds.
    """

    history: EchoHistory = field(default_factory=EchoHistory)
    rtts: list[float] = field(default_factory=list)
    due: float = 0.0

    def count(self, started: float, tags: Mapping[str, str], time_ns: int) -> Sequence[Point]:
        """The distribution of the round-trip times so far, if it is due."""
        if started < self.due or not self.rtts:
            return ()
        point = ICMP_RTT.point(tags, time_ns=time_ns, **Sketch.of(self.rtts).to_fields())
        self.rtts.clear()
        self.due = started + _DISTRIBUTION_SECONDS
        return (point,)


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
            return [ICMP.point(tags, time_ns=stamp, **_nothing_sent(fault, context.monotonic() - started))]
        fields = _fields(run, context.monotonic() - started, address.resolve)
        state.rtts += run.received
        return [ICMP.point(tags, time_ns=stamp, **fields), *state.count(started, tags, stamp)]

    def direct(
        self, target: str, params: IcmpParams, context: Context, tags: Mapping[str, str]
    ) -> "_DirectPings | None":
        """The runs of an assignment to an address; a name has to be looked up, which takes a task."""
        try:
            address = literal(target, params.family)
        except ProbeFault:
            return None
        return None if address is None else _DirectPings(address, params, context, {**tags, "target": target})


class _DirectPings:
    """The runs of one assignment, without tasks."""

    def __init__(self, address: Address, params: IcmpParams, context: Context, tags: Mapping[str, str]) -> None:
        self._wall_ns, self._monotonic = context.wall_ns, context.monotonic
        self._engine = context.icmp
        self._echoes = Echoes(
            address,
            params.count,
            params.spacing,
            params.wait,
            params.size,
            params.dscp,
            params.df,
            params.ttl,
            params.source,
        )
        self._tags = {**tags, "family": address.family_tag}
        self._series = Series(ICMP, self._tags)
        self._answered = _Answered(self._series, params.count)
        self._state: _State = context.memory.setdefault(_STATE, _State())
        self._flight: Flight | None = None
        self._stamp = 0
        self._started = 0.0

    def start(self, report: Callable[[Flight | ProbeFault], None]) -> None:
        """Send."""
        self._stamp, self._started = self._wall_ns(), self._monotonic()
        try:
            self._flight = self._engine.launch(self._echoes, self._state.history, report)
        except ProbeFault as fault:
            report(fault)

    def stop(self) -> None:
        """Wait no longer."""
        if self._flight is not None:
            self._engine.abandon(self._flight)

    def read(self, reported: Flight | ProbeFault) -> Outcome:
        """As `IcmpProbe.run`."""
        duration = self._monotonic() - self._started
        if isinstance(reported, ProbeFault):
            return Reading(self._series, _nothing_sent(reported, duration), self._stamp)
        self._flight = None
        state = self._state
        if reported.plain and state.history.newest_rtt is not None:
            received = [rtt / 1e9 for rtt in reported.rtts]
            state.rtts += received
            answered = self._answered
            answered.time_ns = self._stamp
            answered.duration_ns = round(duration * 1e9)
            answered.rtts = reported.rtts
            answered.jitter_ns = round((carry_jitter(state.history, received) or 0.0) * 1e9)
            answered.ttl = reported.ttl or 0
            answered.more = () if self._started < state.due else state.count(self._started, self._tags, self._stamp)
            return answered
        run = reported.result()
        state.rtts += run.received
        more = state.count(self._started, self._tags, self._stamp)
        return Reading(self._series, _fields(run, duration, None), self._stamp, more)


class _Answered:
    """The newest run of an assignment, if all its requests were answered and nothing else was to tell.

    Most runs are like that. They are written without making fields first; they are the same.

    Attributes:
        time_ns: when it began.
        duration_ns: how long it took.
        rtts: nanoseconds.
        jitter_ns: after the last reply.
        ttl: of the last reply.
        more: further points.
        number: of the run.
    """

    __slots__ = ("_form", "_series", "duration_ns", "jitter_ns", "more", "number", "rtts", "time_ns", "ttl")

    problem = ""

    def __init__(self, series: Series, count: int) -> None:
        self._series = series
        self.time_ns = self.duration_ns = self.jitter_ns = self.ttl = self.number = 0
        self.rtts: Sequence[int] = [0] * count
        self.more: Sequence[Point] = ()
        fields = self._fields
        times = dict.fromkeys(("duration", *filter(_is_rtt, fields), "jitter"), _BELOW_A_SECOND)
        self._form = series.form(fields, {**times, "ttl": "%d", SEQ.name: "%d"})

    def line(self) -> str:
        """Numbers as `_fields` has them, in its order."""
        times = summarise(self.rtts)
        if max(self.duration_ns, times[_MAXIMUM], self.jitter_ns) >= _SECOND:
            return encode(self.point())
        return self._form % (self.duration_ns, *times, self.jitter_ns, self.ttl, self.number, self.time_ns)

    def point(self) -> Point:
        """For a scrape, and for what the form is too narrow for."""
        return self._series.point(self._fields, self.time_ns)

    @property
    def _fields(self) -> _Fields:
        rtts = [rtt / 1e9 for rtt in self.rtts]
        run = EchoRun(rtts, sent=len(rtts), ttl=self.ttl, jitter=self.jitter_ns / 1e9)
        return {**_fields(run, self.duration_ns / 1e9, None), SEQ.name: self.number}


def _fields(run: EchoRun, duration: float, resolve_seconds: float | None) -> _Fields:
    """Times to the nanosecond, which is how the kernel gives them."""
    received = run.received
    fields: _Fields = {
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


def _is_rtt(field_name: str) -> bool:
    return field_name.startswith("rtt_")


def _to_ns(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1e9) / 1e9


def _nothing_sent(fault: ProbeFault, duration: float) -> _Fields:
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
