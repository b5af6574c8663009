"""One direction of a stream: what was lost, in which bursts, and how delay varied."""

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

_GAIN = 1 / 16


@dataclass(frozen=True, slots=True)
class Leg:
    """What became of the packets that entered one direction.

    Attributes:
        entered: numbers of the packets that entered it, in the order in which they were sent.
        lost: numbers of those that never came out.
        delays: seconds by number, for those whose delay is known; an unknown constant may be in all of them.
    """

    entered: Sequence[int]
    lost: frozenset[int]
    delays: Mapping[int, float] = field(default_factory=dict)

    @property
    def loss(self) -> float:
        """Share of the packets that were lost, 0..1."""
        return len(self.lost) / len(self.entered) if self.entered else 0.0

    def gaps(self, late: Collection[int] = ()) -> list[int]:
        """Lengths, in packets, of the gaps that the ear gets: what is lost or late, one after the other."""
        missing = [number in self.lost or number in late for number in self.entered]
        return [len(list(run)) for gone, run in itertools.groupby(missing) if gone]

    @property
    def jitters(self) -> list[float]:
        """The running estimate of interarrival jitter after each packet but the first, seconds (RFC 3550, 6.4.1)."""
        return running_jitter(list(self.delays.values()))


def running_jitter(delays: Sequence[float]) -> list[float]:
    """RFC 3550's estimate after each of these delays but the first.

    >>> running_jitter([0.0, 0.016, 0.016])
    [0.001, 0.0009375]
    """
    jitter, course = 0.0, []
    for before, after in itertools.pairwise(delays):
        jitter += (abs(after - before) - jitter) * _GAIN
        course.append(jitter)
    return course


def burst_ratio(gaps: Sequence[int], packets: int) -> float | None:
    """BurstR of G.107: the mean length of the gaps over that of as many losses at random.

    Losses that don't depend on each other, of probability p, come in gaps of 1/(1 − p) packets on average.

    Args:
        gaps: lengths of the gaps.
        packets: of the whole stream.

    Returns:
        None without a gap, and where nothing came through at all.

    >>> burst_ratio([1, 1], 10), burst_ratio([4], 100), burst_ratio([], 10)
    (0.8, 3.84, None)
    """
    gone = sum(gaps)
    if not gaps or gone >= packets:
        return None
    return gone / len(gaps) * (1 - gone / packets)
