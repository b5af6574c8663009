"""Jitter buffers of a receiver, played through afterwards on the delays that were measured.

A buffer plays each packet at a time of its own choosing after it was sent; one that hasn't come by then is lost to the
ear. Delays may contain an unknown constant, such as two clocks' difference: only their differences matter here.
"""

import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

_GAIN: Final = 1 / 16
_DEVIATIONS: Final = 4


@dataclass(frozen=True, slots=True)
class Playout:
    """What a buffer does to a stream.

    Attributes:
        late: numbers of the packets that came too late to be played.
        delay: seconds that it adds to the packets' mean delay, on average.
    """

    late: frozenset[int]
    delay: float


def play_fixed(delays: Mapping[int, float], depth: float) -> Playout:
    """A buffer that adds the same to the mean delay all the time: a packet that is later than that is late.

    Args:
        delays: seconds, by number of the packet.
        depth: seconds added.

    >>> play_fixed({0: 0.1, 1: 0.1, 2: 0.19, 3: 0.1}, 0.04)
    Playout(late=frozenset({2}), delay=0.04)
    """
    if not delays:
        return Playout(frozenset(), depth)
    point = statistics.fmean(delays.values()) + depth
    return Playout(frozenset(number for number, delay in delays.items() if delay > point), depth)


def play_adaptive(delays: Mapping[int, float], least: float, most: float) -> Playout:
    """A buffer that follows the path: it adds four times the running mean deviation, within bounds.

    The estimates are those of Ramjee and others, Adaptive playout mechanisms for packetized audio applications (1994),
    algorithm 1, with a gain of 1/16, so that a run of seconds is enough to settle. The playing point moves with each
    packet, as buffers do that stretch and squeeze speech.

    Args:
        delays: seconds, by number of the packet, in the order in which packets were sent.
        least: seconds that it adds at least.
        most: and at most.
    """
    if not delays:
        return Playout(frozenset(), least)
    mean, deviation = next(iter(delays.values())), 0.0
    late: set[int] = set()
    points: list[float] = []
    for number, delay in delays.items():
        point = mean + min(max(_DEVIATIONS * deviation, least), most)
        points.append(point)
        if delay > point:
            late.add(number)
        deviation += (abs(delay - mean) - deviation) * _GAIN
        mean += (delay - mean) * _GAIN
    return Playout(frozenset(late), statistics.fmean(points) - statistics.fmean(delays.values()))
