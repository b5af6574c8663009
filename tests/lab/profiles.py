"""Wires as they are met with: `path(**WIFI_INTERFERENCE)`, `path.set(**diurnal(hour=20))`."""

import math
from typing import Final

from tests.lab.impairment import Options

# A microwave oven or a neighbour's channel: losses in a row, and retries that show as jitter.
WIFI_INTERFERENCE: Final[Options] = {
    "delay_ms": 2,
    "loss": 0.06,
    "burst": 6,
    "jitter_ms": 4,
    "jitter": "exponential",
}

# A home's uplink with a second of queue before it.
BUFFERBLOAT: Final[Options] = {"delay_ms": 10, "rate": "2mbit", "queue_ms": 1_000}


def diurnal(hour: float, *, delay_ms: float = 10, busy_ms: float = 15, busy_loss: float = 0.01) -> Options:
    """A day on a shared line: quiet at 4, busiest at 16 hours, a raised cosine between.

    >>> diurnal(4)["delay_ms"], diurnal(16)["delay_ms"]
    (10.0, 25.0)
    """
    load = (1 - math.cos(2 * math.pi * (hour - 4) / 24)) / 2
    return {"delay_ms": delay_ms + load * busy_ms, "jitter_ms": load * busy_ms / 3, "loss": load * busy_loss}
