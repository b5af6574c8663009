"""What several echo requests came to, and the statistics of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net.jitter import advance

_ENOUGH_SAMPLES: Final = {0.5: 3, 0.9: 10, 0.95: 20, 0.99: 100}
"""Percentiles and from how many samples on they say more than the maximum does: 1 / (1 - p), and three for a median."""


@dataclass(slots=True)
class EchoHistory:
    """What has to be kept between the runs to one target.

    Attributes:
        late: replies that came after their run had ended, and are not yet reported.
        duplicates: the same for replies that came again.
        jitter: interarrival jitter so far, seconds.
        newest_rtt: the last reply's, seconds; None before the first.
    """

    late: int = 0
    duplicates: int = 0
    jitter: float = 0.0
    newest_rtt: float | None = None


@dataclass(slots=True)
class EchoRun:
    """What several echo requests to one address came to.

    Attributes:
        rtts: seconds, in the order of the requests; None for a lost one.
        sent: requests that the kernel took.
        duplicates: replies that came more than once.
        reordered: replies that a later request's reply had overtaken (RFC 4737, type-P-reordered).
        late: replies that came when they no longer counted: longer than the wait, or after their run had ended.
        ttl: TTL or hop limit of the last reply.
        fault: the first error that a router or the kernel gave instead of a reply.
        reporter: the router that gave it; None if it was the kernel.
        jitter: interarrival jitter after the last reply, seconds; None before there are two.
        received: round-trip times of the answered requests, seconds.
    """

    rtts: Sequence[float | None]
    sent: int
    duplicates: int = 0
    reordered: int = 0
    late: int = 0
    ttl: int | None = None
    fault: ProbeFault | None = None
    reporter: str | None = None
    jitter: float | None = None
    received: Sequence[float] = field(init=False)

    def __post_init__(self) -> None:
        self.received = [rtt for rtt in self.rtts if rtt is not None]

    @property
    def loss(self) -> float:
        """Share of the requests without a reply in time."""
        return 1 - len(self.received) / len(self.rtts)


def summarise(rtts: Sequence[int]) -> Sequence[int]:
    """Minimum, mean, maximum, population standard deviation, and the percentiles of `percentiles_of`.

    Args:
        rtts: one or more, whole nanoseconds, which is how the kernel gives them; so is what is returned.

    >>> summarise([10, 30, 20])
    (10, 20, 30, 8, 20)
    """
    count = len(rtts)
    if count == 1:
        return (rtts[0], rtts[0], rtts[0], 0)
    ordered, total = sorted(rtts), sum(rtts)
    # Of whole numbers the difference is exact, which it isn't of floats.
    stddev = math.sqrt(count * sum([rtt * rtt for rtt in rtts]) - total * total) / count
    ranks = [ordered[rank] for _, rank in percentiles_of(count)]
    return (ordered[0], round(total / count), ordered[-1], round(stddev), *ranks)


@cache
def percentiles_of(samples: int) -> Sequence[tuple[float, int]]:
    """The percentiles that so many samples suffice for, each with its index among the ordered ones.

    Nearest rank, which is a time that was measured.
    """
    return tuple(
        (share, math.ceil(share * samples) - 1) for share, enough in _ENOUGH_SAMPLES.items() if samples >= enough
    )


def carry_jitter(history: EchoHistory, rtts: Sequence[float]) -> float | None:
    """Go on with the interarrival jitter, with the difference of two round-trip times as D (RFC 3550, 6.4.1).

    The estimator needs some sixteen packets to settle, so it runs on from one run to the next.

    Args:
        history: of the target; brought up to date.
        rtts: seconds, those of one run.

    Returns:
        Seconds; None as long as there were fewer than two replies.
    """
    if not rtts:
        return None
    newest, jitter = history.newest_rtt, history.jitter
    history.newest_rtt = rtts[-1]
    if newest is None:
        if len(rtts) == 1:
            return None
        newest = rtts[0]
    for rtt in rtts:
        jitter = advance(jitter, newest, rtt)
        newest = rtt
    history.jitter = jitter
    return jitter
