"""Rates from counters, by the device's own time stamps."""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Final

_MODULUS: Final = 1 << 64
_OUT_OF_DATE: Final = 120.0
"""Seconds. What a device answers may be as old as its cache; by more than that its clock doesn't differ from ours."""
_NEAR: Final = _MODULUS >> 4
"""A counter that was this near to its end and is this near to 0 has wrapped; any other that fell was reset."""


@dataclass(frozen=True, slots=True)
class Reading:
    """What a counter was, and when: nanoseconds of the device's clock, and seconds of the agent's monotonic one."""

    value: int
    time_ns: int
    at: float


class CounterRates:
    """The rates of one run.

    OpenConfig's counters have 64 bits. One that is less than before has wrapped or was reset; which of the two can
    only be guessed, and the guess is that nobody resets one that is about to wrap.

    Args:
        before: the readings of the last run that came to an end.
        at: of this run, seconds of the agent's monotonic clock.

    Attributes:
        readings: those of this run, for the next.
        resets: counters that began anew, by what `owner` says.
    """

    def __init__(self, before: Mapping[Hashable, Reading] | None = None, *, at: float) -> None:
        self._before = before or {}
        self._at = at
        self.readings: dict[Hashable, Reading] = {}
        self.resets: dict[Hashable, int] = {}

    def rate(
        self, owner: Hashable, name: str, value: int | None, time_ns: int, *, cleared: bool = False
    ) -> float | None:
        """Growth per second; None without a run before, after a reset, and if no time passed or its clock was set.

        Args:
            owner: what the counter belongs to.
            name: of the counter.
            value: what it is now; None if it isn't there.
            time_ns: when, by the device's clock.
            cleared: whether the device says that its counters were set to 0.

        >>> first = CounterRates(at=0)
        >>> first.rate("eth0", "in", 500, 10_000_000_000) is None
        True
        >>> CounterRates(first.readings, at=2).rate("eth0", "in", 800, 12_000_000_000)
        150.0
        """
        if value is None:
            return None
        key = (owner, name)
        before = self._before.get(key)
        self.readings[key] = Reading(value, time_ns, self._at)
        if before is None:
            return None
        if time_ns == before.time_ns:
            # The device answered from its cache; what comes next is compared with the same reading.
            self.readings[key] = before
            return None
        grown = None if cleared else _growth(before.value, value)
        if grown is None:
            self.resets[owner] = self.resets.get(owner, 0) + 1
            return None
        seconds = (time_ns - before.time_ns) / 1e9
        was_set = abs(seconds - (self._at - before.at)) > _OUT_OF_DATE
        return grown / seconds if seconds > 0 and not was_set else None

    def changed(self, owner: Hashable, name: str, value: int) -> bool:
        """Whether a value that isn't counted is another than in the run before; False without one."""
        key = (owner, name)
        before = self._before.get(key)
        self.readings[key] = Reading(value, 0, self._at)
        return before is not None and before.value != value


def _growth(before: int, now: int) -> int | None:
    if now >= before:
        return now - before
    if before >= _MODULUS - _NEAR and now < _NEAR:
        return now + _MODULUS - before
    return None
