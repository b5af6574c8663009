"""A reading held against the thresholds of its own test."""

from typing import Final

from streamswarm_ml.windows import Reading

BAD: Final = 2
"""Rank of what is bad; 1 is degraded, 0 is neither."""


def has_limit(reading: Reading, field: str, *, bad: bool = False) -> bool:
    """Whether the test has a limit of its own for a field; with `bad`, one beyond which it is bad."""
    return any(one.field == field and (not bad or one.bad is not None) for one in reading.thresholds)


def own_rank(reading: Reading) -> int:
    """The worst that the test's own thresholds say of the means of five minutes; what is missing is no fault.

    `window` and `share` of a threshold are for single values, of which a reading has none.

    >>> from streamswarm_core.thresholds import Threshold
    >>> own_rank(Reading("icmp", (), {"rtt_mean": 0.2}, (Threshold(field="rtt_mean", warn=0.1, bad=0.3),)))
    1
    """
    worst = 0
    for one in reading.thresholds:
        value = reading.values.get(one.field)
        for rank, limit in ((1, one.warn), (BAD, one.bad)):
            if value is not None and limit is not None and one.beyond(value, limit):
                worst = max(worst, rank)
    return worst
