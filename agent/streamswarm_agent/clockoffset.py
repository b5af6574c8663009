"""How far the control plane's clock is from this one, measured as NTP does (RFC 5905, section 8)."""

from collections import deque
from dataclasses import dataclass
from datetime import datetime
from typing import Final

_KEPT: Final = 8
"""Exchanges to choose from, as in NTP's clock filter (RFC 5905, section 10)."""
_DRIFT: Final = 15e-6
"""Seconds by which two undisciplined clocks may part in a second (RFC 5905: PHI)."""
_STEP_SECONDS: Final = 0.001
"""A wall clock that has moved by more than this and its slew has been set."""
_SLEW: Final = 500e-6
"""The most by which the kernel speeds a clock up or slows it down, in seconds a second (adjtimex)."""


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its answer.

    Attributes:
        sent: when the request left, by this host's clock (T1).
        begun: the same by the monotonic clock, in seconds.
        received: when it arrived, by the control plane's clock (T2).
        answered: when the answer left, by the control plane's clock (T3).
        ended: when the answer arrived, by the monotonic clock; the wall clock may have been set meanwhile.
    """

    sent: datetime
    begun: float
    received: datetime
    answered: datetime
    ended: float

    @property
    def offset(self) -> float:
        """Seconds the other clock is ahead: ((T2 - T1) + (T3 - T4)) / 2."""
        there = (self.received - self.sent).total_seconds()
        back = (self.answered - self.sent).total_seconds() - (self.ended - self.begun)
        return (there + back) / 2

    @property
    def error(self) -> float:
        """Seconds by which the offset may be wrong at most: half of the time on the way, (T4 - T1) - (T3 - T2)."""
        waited = (self.answered - self.received).total_seconds()
        return max(0.0, (self.ended - self.begun - waited) / 2)


@dataclass(frozen=True, slots=True)
class Reading:
    """The other clock minus this one, in seconds, and the most by which that may be wrong."""

    offset: float
    error: float


class ClockOffset:
    """Takes the best of the last exchanges: the one that was the shortest time on the way."""

    def __init__(self) -> None:
        self._exchanges: deque[Exchange] = deque(maxlen=_KEPT)

    def add(self, exchange: Exchange) -> None:
        """Take a new exchange; those from before this host's clock was set are forgotten."""
        if self._exchanges and _was_set(self._exchanges[-1], exchange):
            self._exchanges.clear()
        self._exchanges.append(exchange)

    def read(self, at: float) -> Reading | None:
        """The best reading at a monotonic time in seconds; None before the first exchange."""
        readings = [Reading(one.offset, one.error + _DRIFT * (at - one.ended)) for one in self._exchanges]
        return min(readings, key=lambda reading: reading.error, default=None)


def _was_set(before: Exchange, after: Exchange) -> bool:
    elapsed = after.begun - before.begun
    moved = (after.sent - before.sent).total_seconds() - elapsed
    return abs(moved) > _STEP_SECONDS + _SLEW * elapsed
