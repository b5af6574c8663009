from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector says of one value.

    Attributes:
        score: 0 as ever, 1 never seen.
        threshold: the score from which an anomaly opens.
        flag: whether the series is in an anomaly.
        expected: what the value was expected to be, in its own unit.
    """

    score: float
    threshold: float
    flag: bool
    expected: float


class Detector(Protocol):
    """Scores one series."""

    @property
    def name(self) -> str:
        """The `detector` tag."""

    def update(self, value: float, time_ns: int) -> Verdict:
        """Score a finite value, then learn it.

        Args:
            value: in the series' unit.
            time_ns: nanoseconds since the epoch; values come in the order of their times.
        """
