"""How far a training is, what it did, and who hears of it."""

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is.

    Attributes:
        measurement: what is being read.
        share: 0..1 of all.
        points: scored so far.
        seconds: since it began.
    """

    measurement: str
    share: float
    points: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Training:
    """What a training did.

    Attributes:
        points: scored.
        series: watched now.
        seconds: it took.
        cancelled: whether it was; a cancelled reset has changed no detector.
    """

    points: int
    series: int
    seconds: float
    cancelled: bool


Watcher = Callable[[Progress], bool]
"""Gets the progress; returns whether to go on."""


def go_on(_progress: Progress) -> bool:
    """Say nothing, and don't stop."""
    return True
