"""What several echo requests came to, and the statistics of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.net.jitter import advance

_ENOUGH_SAMPLES: Final = {0.5: 3, 0.9: 10, 0.95: 20, 0.99: 100}
"""Percentiles and from how many samples on they say more than the maximum does: 1 / (1 - p), and three for a median."""

_FEWEST_SAMPLES: Final = min(_ENOUGH_SAMPLES.values())


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

    @property
    def mean(self) -> float | None:
        """Arithmetic mean of the round-trip times, seconds."""
        received = self.received
        if len(received) == 1:
            return received[0]
        return math.fsum(received) / len(received) if received else None

    @property
    def stddev(self) -> float | None:
        """Population standard deviation of the round-trip times, seconds."""
        if len(self.received) == 1:
            return 0.0
        mean = self.mean
        if mean is None:
            return None
        return math.sqrt(math.fsum((rtt - mean) ** 2 for rtt in self.received) / len(self.received))

    @property
    def percentiles(self) -> dict[str, float]:
        """By field name, seconds: nearest rank, which is a time that was measured; only where the samples suffice."""
        if len(self.received) < _FEWEST_SAMPLES:
            return {}
        ordered = sorted(self.received)
        return {
            f"rtt_p{share * 100:.0f}": ordered[math.ceil(share * len(ordered)) - 1]
            for share, enough in _ENOUGH_SAMPLES.items()
            if len(ordered) >= enough
        }


def advance_jitter(history: EchoHistory, rtt: float) -> float | None:
    """As `carry_jitter`, for a run's only reply; None, and nothing is changed, if it is the first of all."""
    before = history.newest_rtt
    if before is None:
        return None
    history.newest_rtt = rtt
    history.jitter = advance(history.jitter, before, rtt)
    return history.jitter


def carry_jitter(history: EchoHistory, rtts: Sequence[float]) -> float | None:
    """Go on with the interarrival jitter, with the difference of two round-trip times as D (RFC 3550, 6.4.1).

    The estimator needs some sixteen packets to settle, so it runs on from one run to the next.

    Args:
        history: of the target; brought up to date.
        rtts: seconds, those of one run.

    Returns:
        Seconds; None as long as there were fewer than two replies.
    """
    for rtt in rtts:
        if history.newest_rtt is not None:
            history.jitter = advance(history.jitter, history.newest_rtt, rtt)
        elif len(rtts) == 1:
            history.newest_rtt = rtt
            return None
        history.newest_rtt = rtt
    return history.jitter if rtts else None
