from collections.abc import Hashable


class Growth:
    """What counters gained since the run before.

    A counter has no gain when it wasn't there in the run before, or is less now than then: it wrapped, was reset, or
    belongs to another device of the same name. Which of these it was can't be known, so nothing is made up. A run that
    came to nothing is not compared with; the next one is over the longer time.

    Args:
        at: monotonic seconds.
        boot: names the kernel's run; counters of another one tell nothing.
        before: the last run that came to an end.

    Attributes:
        seconds: since the run before; None without one to compare with.
        counters: as they were now.
    """

    def __init__(self, at: float, boot: str = "", before: "Growth | None" = None) -> None:
        self.at: float = at
        self.boot: str = boot
        self.seconds: float | None = None
        self.counters: dict[Hashable, float] = {}
        self._before: dict[Hashable, float] = {}
        if before is not None and before.boot == boot and at > before.at:
            self.seconds = at - before.at
            self._before = before.counters

    def of(self, key: Hashable, value: float | None) -> float | None:
        """What the counter gained; None when that isn't known."""
        if value is None:
            return None
        self.counters[key] = value
        before = self._before.get(key)
        return None if before is None or value < before else value - before

    def rate(self, key: Hashable, value: float | None) -> float | None:
        """What the counter gained per second; None when that isn't known.

        >>> first = Growth(at=10)
        >>> first.rate("bytes", 500) is None
        True
        >>> Growth(at=12, before=first).rate("bytes", 800)
        150.0
        """
        grown = self.of(key, value)
        return None if grown is None or self.seconds is None else grown / self.seconds

    def share(self, key: Hashable, value: float | None) -> float | None:
        """The share of the time that a counter of seconds gained, 0..1."""
        rate = self.rate(key, value)
        return None if rate is None else min(1.0, rate)


def quotient(part: float | None, whole: float | None) -> float | None:
    """`part / whole`; None when either isn't known or there is nothing to divide by.

    >>> quotient(1, 4), quotient(0, 0), quotient(None, 4)
    (0.25, None, None)
    """
    return None if part is None or not whole else part / whole
