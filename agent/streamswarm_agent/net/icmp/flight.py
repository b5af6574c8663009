"""Echo requests on their way: which there are, when they left, what came back."""

import itertools
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net.icmp.requests import Echoes
from streamswarm_agent.net.icmp.run import EchoHistory, EchoRun, carry_jitter
from streamswarm_agent.net.steady import SteadyClock

log = logging.getLogger(__name__)

_GRACE_COMPLETE: Final = 1.0
_GRACE_LOSSY: Final = 10.0
"""How long replies to a flight that has ended are still told: duplicates come soon, late ones may take their time."""
_FORGET_SECONDS: Final = 1.0

_NUMBERS: Final = 2**32
_UNANSWERED, _LATE, _REFUSED = -1, -2, -3


class Outlet(Protocol):
    """What sends a flight's requests, together with those of others that are alike."""

    @property
    def channel(self) -> object:
        """The socket that they leave by."""

    def send(self, flights: Sequence["Flight"]) -> int:
        """Send the next request of some of the flights, from the first on; returns of how many, at least one.

        Raises:
            OSError: the kernel doesn't take the first one's.
        """

    def collect(self) -> int:
        """Take in what the kernel has: when requests left, replies, errors; returns how many packets."""


class Flight:
    """Several requests to one address on their way.

    Args:
        echoes: what is sent.
        outlet: what sends it.
        history: of the target.
        first: the first one's number; the others follow.
        report: is called when nothing more is waited for.
    """

    __slots__ = (
        "begun",
        "duplicates",
        "echoes",
        "ended",
        "fault",
        "finished",
        "first",
        "held_up",
        "history",
        "late",
        "newest",
        "next",
        "open",
        "outlet",
        "reordered",
        "report",
        "reporter",
        "rtts",
        "sent",
        "ttl",
        "untaken",
    )

    def __init__(
        self,
        echoes: Echoes,
        outlet: Outlet,
        history: EchoHistory,
        first: int,
        report: Callable[["Flight"], None],
    ) -> None:
        self.echoes = echoes
        self.outlet = outlet
        self.history = history
        self.first = first
        self.report = report
        self.begun = 0.0
        self.held_up = False
        self.next = self.untaken = 0
        self.open = echoes.count
        self.sent: list[int] = []
        self.rtts = [_UNANSWERED] * echoes.count
        self.newest = -1
        self.duplicates = self.reordered = self.late = 0
        self.ttl: int | None = None
        self.fault: ProbeFault | None = None
        self.reporter: str | None = None
        self.finished = False
        self.ended = 0.0

    @property
    def give_up(self) -> float:
        """Until when a request that the kernel doesn't take is tried again, on the event loop's clock."""
        echoes = self.echoes
        return self.begun + echoes.count * echoes.spacing + echoes.wait

    def answer(self, index: int, rtt: int, ttl: int) -> bool:
        """Take a reply to request `index` after `rtt` nanoseconds; returns whether nothing more is waited for."""
        before = self.rtts[index]
        if before >= 0 or before == _LATE:
            if self.finished:
                self.history.duplicates += 1
            else:
                self.duplicates += 1
            return False
        if self.finished or rtt > self.echoes.wait_ns:
            self.rtts[index] = _LATE
            if self.finished:
                self.history.late += 1
                return False
            self.late += 1
        else:
            self.rtts[index] = rtt
            self.ttl = ttl
            if index > self.newest:
                self.newest = index
            else:
                self.reordered += 1
        if before == _UNANSWERED:
            self.open -= 1
        return self.open == 0

    def refuse(self, index: int, fault: ProbeFault, reporter: str | None) -> bool:
        """Take an error in place of a reply; returns whether nothing more is waited for."""
        if self.finished or self.rtts[index] != _UNANSWERED:
            return False
        self.rtts[index] = _REFUSED
        self.open -= 1
        if self.fault is None:
            self.fault, self.reporter = fault, reporter
        return self.open == 0

    @property
    def plain(self) -> bool:
        """Whether all requests were answered in time, once and in order, and earlier flights left nothing to tell."""
        history = self.history
        odd = self.duplicates or self.reordered or self.late or history.late or history.duplicates
        return not odd and min(self.rtts) >= 0

    def result(self) -> EchoRun:
        """What has come of it."""
        history = self.history
        run = EchoRun(
            rtts=[rtt / 1e9 if rtt >= 0 else None for rtt in self.rtts],
            sent=self.next - self.untaken,
            duplicates=self.duplicates + history.duplicates,
            reordered=self.reordered,
            late=self.late + history.late,
            ttl=self.ttl,
            fault=self.fault,
            reporter=self.reporter,
        )
        history.late = history.duplicates = 0
        run.jitter = carry_jitter(history, run.received)
        return run


class Flights:
    """All requests of a process that are on their way, by number, and those that ended a short while ago.

    Args:
        wall_ns: wall clock, nanoseconds since the epoch, the clock of the kernel's timestamps.
        monotonic_ns: monotonic clock, nanoseconds.

    Attributes:
        pending: flights by the numbers of their requests; new ones are put here.
        earlier: those that have been there for a second.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self.wall_ns = wall_ns
        self.pending: dict[int, Flight] = {}
        self.earlier: dict[int, Flight] = {}
        self._clock = SteadyClock(wall_ns, monotonic_ns)
        self._next_number = secrets.randbelow(_NUMBERS)
        self._identifiers = itertools.count(secrets.randbelow(0x10000))
        self._forget_at = 0.0

    def take_numbers(self, count: int) -> int:
        """Reserve numbers that follow one another; returns the first."""
        if self._next_number + count > _NUMBERS:
            self._next_number = 0
        first = self._next_number
        self._next_number += count
        return first

    def take_identifier(self) -> int:
        """One that no other socket has, so that no reply is read twice."""
        return next(self._identifiers) & 0xFFFF

    def newest_of(self, sequence: int) -> int:
        """The number of the newest request with this sequence number."""
        return self._next_number - 1 - ((self._next_number - 1 - sequence) & 0xFFFF)

    def find(self, number: int) -> Flight | None:
        """The flight that a request is of, as long as it isn't forgotten."""
        return self.pending.get(number) or self.earlier.get(number)

    def answer(self, number: int, secret: bytes, received_ns: int, now_ns: int, ttl: int) -> None:
        """Take a reply.

        Args:
            number: of its request.
            secret: that it carries; a reply with another than its request's is none.
            received_ns: when it came, by the kernel.
            now_ns: when it was read; where the two don't fit together the clock was set, and this one counts.
            ttl: TTL or hop limit.
        """
        flight = self.pending.get(number) or self.earlier.get(number)
        if flight is None or flight.echoes.secret != secret:
            return
        index = number - flight.first
        try:
            sent_ns = flight.sent[index]
        except IndexError:  # A target that answers what it hasn't been asked yet.
            return
        rtt = received_ns - sent_ns
        if not 0 <= rtt <= now_ns - sent_ns:
            rtt = max(0, now_ns - sent_ns)
        if (
            index > flight.newest
            and rtt <= flight.echoes.wait_ns
            and flight.rtts[index] == _UNANSWERED
            and not flight.finished
        ):
            # As most replies are: the first to its request, in time and in order.
            flight.rtts[index] = rtt
            flight.ttl, flight.newest = ttl, index
            flight.open -= 1
            if not flight.open:
                self.finish(flight)
        elif flight.answer(index, rtt, ttl):
            self.finish(flight)

    def finish(self, flight: Flight) -> None:
        """Wait for nothing more; replies that still come are told by the next flight to the target."""
        if flight.finished:
            return
        flight.finished = True
        flight.ended = time.monotonic()
        flight.report(flight)

    def forget_ended(self, now: float) -> None:
        """Take no more replies to flights whose grace is over at `now`, monotonic seconds; once a second is enough."""
        if now < self._forget_at:
            return
        self._forget_at = now + _FORGET_SECONDS
        complete, lossy = now - _GRACE_COMPLETE, now - _GRACE_LOSSY
        # Most are forgotten with the dictionary that they are in; the few others join the next one.
        kept = {
            number: flight
            for number, flight in self.earlier.items()
            if not flight.finished or flight.ended > (lossy if flight.open else complete)
        }
        self.earlier, self.pending = self.pending, {}
        self.earlier.update(kept)

    def watch_clock(self) -> None:
        """Notice a step of the wall clock, and move along with it what is on its way."""
        before_ns = self._clock.set_by_ns
        self._clock.now_ns()
        step = self._clock.set_by_ns - before_ns
        if not step:
            return
        log.info("the wall clock was set by %+.3f s; round-trip times go on without that", step / 1e9)
        for flight in {*self.pending.values(), *self.earlier.values()}:
            flight.sent = [sent_ns + step for sent_ns in flight.sent]
