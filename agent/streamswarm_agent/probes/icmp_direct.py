"""ICMP runs without tasks, of an address or of a name whose address is known."""

import asyncio
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net.icmp.flight import Flight
from streamswarm_agent.net.icmp.requests import Echoes
from streamswarm_agent.net.icmp.run import EchoRun, carry_jitter, summarise
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.probes.base import Context
from streamswarm_agent.probes.direct import Outcome, Reading
from streamswarm_agent.probes.icmp_fields import Fields, State, fields_of, is_rtt, nothing_sent
from streamswarm_core.catalogue.common import SEQ
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.lineprotocol import encode
from streamswarm_core.point import Point
from streamswarm_core.probespecs import IcmpParams
from streamswarm_core.serieslines import SeriesLines

_SECOND: Final = 1_000_000_000
_BELOW_A_SECOND: Final = "0.%09d"
"""Whole nanoseconds as seconds."""
_LOOK_UP_SECONDS: Final = 60.0
_MAXIMUM: Final = 2
"""Its place among what `summarise` returns."""


class DirectPings:
    """The runs of one assignment to one address."""

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
        self._series = SeriesLines(ICMP, self._tags)
        self._answered = _Answered(self._series, params.count)
        self._state = State.of(context.memory)
        self._flight: Flight | None = None
        self._stamp = 0
        self._started = 0.0
        self._resolve: float | None = None

    def start(self, report: Callable[[Flight | ProbeFault], None]) -> None:
        """Send."""
        self.send(report, self._wall_ns(), self._monotonic(), None)

    def send(
        self, report: Callable[[Flight | ProbeFault], None], stamp: int, started: float, resolve_seconds: float | None
    ) -> None:
        """The same in a run that began before, and has looked up the name meanwhile."""
        self._stamp, self._started, self._resolve = stamp, started, resolve_seconds
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
            return Reading(self._series, nothing_sent(reported, duration), self._stamp)
        self._flight = None
        state = self._state
        if reported.plain and state.history.newest_rtt is not None and self._resolve is None:
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
        return Reading(self._series, fields_of(run, duration, self._resolve), self._stamp, more)


class NamedPings:
    """The runs of one assignment to a name, which is looked up every minute, and after a run without a reply."""

    def __init__(self, target: str, params: IcmpParams, context: Context, tags: Mapping[str, str]) -> None:
        self._target, self._params, self._context, self._tags = target, params, context, tags
        self._address: Address | None = None
        self._pings: DirectPings | None = None
        self._look_up_at = -math.inf
        self._looking_up: asyncio.Task[None] | None = None

    def start(self, report: Callable[[Any], None]) -> None:
        """Send, or look up the name first."""
        now = self._context.monotonic()
        if self._pings is not None and now < self._look_up_at:
            self._pings.start(report)
        else:
            looking_up = self._look_up(report, self._context.wall_ns(), now)
            self._looking_up = asyncio.get_running_loop().create_task(looking_up)

    def stop(self) -> None:
        """Wait no longer."""
        if self._looking_up is not None:
            self._looking_up.cancel()
        if self._pings is not None:
            self._pings.stop()

    def read(self, reported: Any) -> Outcome:
        """As `IcmpProbe.run`; `resolve` is there in runs that looked up the name."""
        if self._pings is None or isinstance(reported, Reading):
            outcome: Outcome = reported
            return outcome
        outcome = self._pings.read(reported)
        if outcome.problem:
            # The name may mean another address by now.
            self._look_up_at = -math.inf
        return outcome

    async def _look_up(self, report: Callable[[Any], None], stamp: int, started: float) -> None:
        self._look_up_at = -math.inf
        try:
            params = self._params
            found = await resolve(self._target, family=params.family, on_interface=params.source is not None)
        except ProbeFault as fault:
            fields = nothing_sent(fault, self._context.monotonic() - started)
            report(Reading(SeriesLines(ICMP, self._tags), fields, stamp))
            return
        address = replace(found, resolve=None)
        if self._pings is None or address != self._address:
            self._address, self._pings = address, DirectPings(address, self._params, self._context, self._tags)
        self._look_up_at = started + _LOOK_UP_SECONDS
        self._pings.send(report, stamp, started, found.resolve)


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

    def __init__(self, series: SeriesLines, count: int) -> None:
        self._series = series
        self.time_ns = self.duration_ns = self.jitter_ns = self.ttl = self.number = 0
        self.rtts: Sequence[int] = [0] * count
        self.more: Sequence[Point] = ()
        fields = self._fields
        times = dict.fromkeys(("duration", *filter(is_rtt, fields), "jitter"), _BELOW_A_SECOND)
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
    def _fields(self) -> Fields:
        rtts = [rtt / 1e9 for rtt in self.rtts]
        run = EchoRun(rtts, sent=len(rtts), ttl=self.ttl, jitter=self.jitter_ns / 1e9)
        return {**fields_of(run, self.duration_ns / 1e9, None), SEQ.name: self.number}
