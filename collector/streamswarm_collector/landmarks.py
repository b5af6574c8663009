"""When records of the log became durable: how old what a sink lacks is."""

import bisect
import itertools
import threading
from collections.abc import Iterable
from typing import Final

_MOST: Final = 4096
_SECONDS_APART: Final = 1.0


class Landmarks:
    """Remembers the time of one record a second; of older ones fewer, so that an outage of weeks takes no more memory.

    Args:
        known: numbers and times (seconds since the epoch) of records from before, in order.
    """

    def __init__(self, known: Iterable[tuple[int, float]] = ()) -> None:
        self._lock = threading.Lock()
        self._numbers: list[int] = []
        self._times: list[float] = []
        for lsn, seconds in known:
            self._numbers.append(lsn)
            self._times.append(seconds)

    def add(self, lsn: int, seconds: float) -> None:
        """Note when a record, newer than all before, became durable."""
        with self._lock:
            if self._times and abs(seconds - self._times[-1]) < _SECONDS_APART:
                return
            self._numbers.append(lsn)
            self._times.append(seconds)
            if len(self._numbers) > _MOST:
                older = [number % 2 == 0 or number >= _MOST // 2 for number in range(len(self._numbers))]
                self._numbers = list(itertools.compress(self._numbers, older))
                self._times = list(itertools.compress(self._times, older))

    def time_of(self, lsn: int) -> float | None:
        """A time at which the record may have become durable, rather too early than too late; None if unknown."""
        with self._lock:
            place = bisect.bisect_right(self._numbers, lsn) - 1
            return self._times[place] if place >= 0 else None

    def release(self, upto: int) -> None:
        """Forget what only records up to a number need."""
        with self._lock:
            place = max(0, bisect.bisect_right(self._numbers, upto + 1) - 1)
            del self._numbers[:place], self._times[:place]
