"""Interarrival jitter, RFC 3550, section 6.4.1: how much delays differ from one packet to the next, smoothed."""

import itertools
from collections.abc import Iterable


def advance(jitter: float, before: float, after: float) -> float:
    """The jitter after one more packet.

    Args:
        jitter: so far, seconds.
        before: delay of the packet before, seconds; a round-trip time does as well.
        after: delay of this one.
    """
    return jitter + (abs(after - before) - jitter) / 16


def interarrival_jitter(delays: Iterable[float]) -> float | None:
    """The jitter after the last packet, seconds; None before there are two.

    >>> interarrival_jitter([0.010, 0.026]), interarrival_jitter([0.010])
    (0.001, None)
    """
    jitter = None
    for before, after in itertools.pairwise(delays):
        jitter = advance(jitter or 0.0, before, after)
    return jitter
