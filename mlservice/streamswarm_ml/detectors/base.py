from dataclasses import dataclass
from enum import IntEnum
from typing import Final, Protocol


class Ending(IntEnum):
    """How an anomaly ended."""

    NONE = 0
    INCIDENT = 1
    NEW_NORMAL = 2


class Baseline(IntEnum):
    """What a value was compared with."""

    RECENT = 0
    HOUR_OF_DAY = 1
    HOUR_OF_WEEK = 2


VIEWS: Final = ("residual", "short mean", "long mean", "trend", "value")
"""What a series is looked at in for values never seen; the residual is what the baseline leaves."""
FEATURES: Final = (
    "residual",
    "short residual",
    "long residual",
    "spread",
    "short variation",
    "long variation",
    "value",
)
"""What a series is looked at in for unusual values."""
TOLD_VIEWS: Final = (*VIEWS, *FEATURES)
"""Names of `Verdict.view`."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a detector says of one value.

    Attributes:
        score: 0 as ever to 1 never seen. From 0.5 on a value begins an incident, and the score says how often a healthy
            series would show it: 0.5 + 0.5 / (1 + times a week). Below, it says how far the value is out.
        threshold: the score from which an anomaly opens; it also opens where smaller deviations last.
        flag: whether the series is in an anomaly.
        expected: what the value was expected to be, in its own unit; of a counter, where its usual rate would lead.
        opened: whether an anomaly begins with this value.
        ending: how an anomaly ended with this value.
        view: what showed the most, an index of TOLD_VIEWS.
        baseline: what it was compared with.
    """

    score: float
    threshold: float
    flag: bool
    expected: float
    opened: bool = False
    ending: Ending = Ending.NONE
    view: int = 0
    baseline: Baseline = Baseline.RECENT


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


def threshold_for(false_alarms: float) -> float:
    """The score that a healthy series reaches so many times a week.

    >>> threshold_for(1.0)
    0.75
    """
    return 0.5 + 0.5 / (1 + false_alarms)
