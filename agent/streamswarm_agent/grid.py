"""The time grid: what may wait a moment is done at one of its lines, so that one wake-up serves much.

A wake-up costs an agent as much as two or three echoes. Nothing that is measured depends on when the agent wakes up:
the kernel stamps packets.
"""

import math
from typing import Final

GRID_SECONDS: Final = 0.1


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
