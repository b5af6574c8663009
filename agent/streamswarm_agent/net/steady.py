"""The kernel's time stamps on a clock that nobody sets.

The kernel stamps packets with the realtime clock, which an operator, a hypervisor or a time service may set while a
packet is on its way: its round trip would be an hour, or below zero.
"""

import time
from collections.abc import Callable
from typing import Final

STEP_NS: Final = 50_000_000
"""By less, a clock isn't set; between its two readings a process may have had to wait."""


class SteadyClock:
    """The realtime clock as it would be if nobody had set it since this was made.

    Args:
        wall_ns: the clock of the kernel's time stamps, nanoseconds since the epoch.
        monotonic_ns: a clock that can't be set, nanoseconds.

    Attributes:
        set_by_ns: how far it was set, as of the last look.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._wall_ns = wall_ns
        self._monotonic_ns = monotonic_ns
        self._apart_ns = wall_ns() - monotonic_ns()
        self.set_by_ns = 0

    def now_ns(self) -> int:
        """What it shows; a look at whether the realtime clock was set."""
        now_ns = self._wall_ns()
        if abs(now_ns - self._monotonic_ns() - self._apart_ns - self.set_by_ns) >= STEP_NS:
            # A wait between the two readings makes the difference too small, never too large.
            set_by_ns = max(self._wall_ns() - self._monotonic_ns() for _ in range(3)) - self._apart_ns
            if abs(set_by_ns - self.set_by_ns) >= STEP_NS:
                self.set_by_ns = set_by_ns
            now_ns = self._wall_ns()
        return now_ns - self.set_by_ns

    def tell(self, stamp_ns: int, since_ns: int) -> int | None:
        """A time stamp of the kernel's by this clock; None for one of before the realtime clock was set.

        Args:
            stamp_ns: by the realtime clock.
            since_ns: by this clock, when what is stamped can't have been yet.
        """
        now_ns = self.now_ns()
        told_ns = stamp_ns - self.set_by_ns
        return told_ns if since_ns <= told_ns <= now_ns else None

    def arrival(self, stamp_ns: int, since_ns: int) -> int:
        """When a packet came that is read now, likewise; if its stamp can't be told, it came just now."""
        told_ns = self.tell(stamp_ns, since_ns)
        return self.now_ns() if told_ns is None else told_ns
