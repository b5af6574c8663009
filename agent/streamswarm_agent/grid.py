"""The time grid: what may wait a moment is done at one of its lines, so that one wake-up serves much.

A wake-up costs an agent as much as two or three echoes. Nothing that is measured depends on when the agent wakes up:
the kernel stamps packets.
"""

import math
from collections.abc import Sequence
from typing import Final

GRID_SECONDS: Final = 0.1

_STEPS: Final = (0.5, 0.25, GRID_SECONDS, 0.05, 0.025, 0.01, 0.005)
"""Seconds from one line of the time grid to the next; starts between two lines are made together at the later one."""

FINEST_STEP: Final = _STEPS[-1]

_STARTS_TOGETHER: Final = 128
_STEPS_PER_INTERVAL: Final = 4
_STEPS_PER_ODD_INTERVAL: Final = 10
"""An interval that is no multiple of the step is sometimes a step longer or shorter."""
_ROUNDING: Final = 1e-6


def next_line(now: float, step: float = GRID_SECONDS) -> float:
    """The first line after `now`, monotonic seconds.

    >>> next_line(10.01), next_line(10.05, 0.025)
    (10.100000000000001, 10.075000000000001)
    """
    return (math.floor(now / step) + 1) * step


def nearest_line(moment: float, step: float) -> float:
    """The line next to a moment, before or after it, monotonic seconds.

    >>> nearest_line(10.012, 0.025), nearest_line(10.013, 0.025)
    (10.0, 10.025)
    """
    return round(moment / step) * step


def choose_step(intervals: Sequence[float]) -> float:
    """The widest step of the grid with which few starts come together and none comes late for its interval.

    >>> [choose_step([1.0] * targets) for targets in (100, 1000, 5000)], choose_step([0.1])
    ([0.25, 0.1, 0.025], 0.025)
    >>> choose_step([10.0] * 100), choose_step([10.0, 4.9])
    (0.5, 0.25)
    """
    rate = sum(1 / interval for interval in intervals)
    for step in _STEPS:
        if rate * step <= _STARTS_TOGETHER and all(_fits(step, interval) for interval in set(intervals)):
            return step
    return _STEPS[-1]


def _fits(step: float, interval: float) -> bool:
    even = abs(interval / step - round(interval / step)) < _ROUNDING
    return step * (_STEPS_PER_INTERVAL if even else _STEPS_PER_ODD_INTERVAL) <= interval + _ROUNDING
