"""How much of a measurement is asked for at once: what the store can answer and memory can hold."""

from typing import Final

from streamswarm_core.clock import NANOSECONDS

_SHORTEST_NS: Final = 60 * NANOSECONDS
_FIRST_NS: Final = 3600 * NANOSECONDS
_LONGEST_NS: Final = 30 * 86_400 * NANOSECONDS
_MANY_POINTS: Final = 100_000
_GROWTH: Final = 16
"""What was too much for the store is tried again by steps of such a part."""


class Spans:
    """The spans of all measurements, in nanoseconds."""

    def __init__(self) -> None:
        self._spans: dict[str, int] = {}
        self._most: dict[str, int] = {}

    def of(self, measurement: str) -> int:
        """What to ask for next."""
        return min(self._spans.get(measurement, _FIRST_NS), self._most.get(measurement, _LONGEST_NS))

    def is_held_up(self, measurement: str) -> bool:
        """Whether the store had no answer the last time."""
        return measurement in self._most

    def shorten(self, measurement: str, span: int) -> None:
        """The store has no answer to so much: it may have been too much."""
        self._most[measurement] = max(span // 2, _SHORTEST_NS)

    def take(self, measurement: str, span: int, points: int) -> None:
        """The store has answered with so many points."""
        if measurement in self._most:
            self._most[measurement] += span // _GROWTH
        if points > _MANY_POINTS:
            span = max(span // 2, _SHORTEST_NS)
        elif points < _MANY_POINTS // 4:
            span *= 2
        self._spans[measurement] = span

    def end(self, measurement: str) -> None:
        """All of it is read."""
        self._most.pop(measurement, None)
