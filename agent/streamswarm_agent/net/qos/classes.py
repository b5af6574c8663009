"""Classes of traffic compared over the same moments of the same path.

In each round every class sends one request, in an order of chance, so a request of one class and that of best effort
meet the same queues and can be compared as a pair. What differs between rounds then cancels out.
"""

import asyncio
import math
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streamswarm_agent.net.jitter import interarrival_jitter
from streamswarm_agent.net.qos.echoes import Exchange, Request

_Z_95: Final = 1.959964
_LEAST_PAIRS: Final = 6
"""With fewer, no pair of them is a 95 % confidence interval of the median."""
_TICK: Final = 0.02


@dataclass(frozen=True, slots=True)
class Difference:
    """An estimate and the ends of its 95 % confidence interval; None where there are too few pairs for one."""

    value: float
    low: float | None
    high: float | None

    @property
    def error(self) -> float | None:
        """How far the interval reaches from the estimate, on its longer side."""
        return None if self.low is None or self.high is None else max(self.value - self.low, self.high - self.value)


@dataclass(frozen=True, slots=True)
class ClassRun:
    """The requests of one class, in the order of the rounds.

    Attributes:
        dscp: the class.
        requests: one a round.
        wait: seconds after which a reply counts as lost.
    """

    dscp: int
    requests: Sequence[Request]
    wait: float

    @property
    def outcomes(self) -> list[float | None]:
        """Round-trip times in seconds, None where lost."""
        return [None if request.rtt is None or request.rtt > self.wait else request.rtt for request in self.requests]

    @property
    def rtts(self) -> list[float]:
        """Round-trip times of what was answered in time, seconds."""
        return [rtt for rtt in self.outcomes if rtt is not None]

    @property
    def loss(self) -> float:
        """Share without an answer in time."""
        return 1 - len(self.rtts) / len(self.requests)

    @property
    def jitter(self) -> float | None:
        """Interarrival jitter, seconds, with the difference of round-trip times as D (RFC 3550, 6.4.1)."""
        return interarrival_jitter(self.rtts)

    @property
    def reply_dscp(self) -> int | None:
        """The DSCP that most replies came with."""
        seen = [request.reply_tos >> 2 for request in self.requests if request.reply_tos is not None]
        return statistics.mode(seen) if seen else None

    @property
    def refusal(self) -> str | None:
        """Why there was no reply, if somebody said so."""
        return next((request.refusal for request in self.requests if request.refusal), None)


async def compare(
    exchange: Exchange, dscps: Sequence[int], *, count: int, spacing: float, wait: float, size: int
) -> list[ClassRun]:
    """Send `count` rounds, and wait for the replies.

    Raises:
        ProbeFault: requests can't be sent.
    """
    requests: dict[int, list[Request]] = {dscp: [] for dscp in dscps}
    begun = time.monotonic()
    for number in range(count):
        for place, dscp in enumerate(random.sample(dscps, len(dscps))):
            due = begun + spacing * (number + place / len(dscps))
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            requests[dscp].append(exchange.send(dscp << 2, size))
    await settle([one for of_class in requests.values() for one in of_class], wait)
    exchange.forget()
    return [ClassRun(dscp, tuple(of_class), wait) for dscp, of_class in requests.items()]


async def settle(requests: Sequence[Request], wait: float) -> None:
    """Wait until all are answered or refused, or the last has had its time."""
    deadline = time.monotonic() + wait
    while time.monotonic() < deadline and any(one.received_ns is None and one.refusal is None for one in requests):  # noqa: ASYNC110 - some wake-ups cost less than an event a packet
        await asyncio.sleep(_TICK)


def rtt_difference(one: ClassRun, other: ClassRun) -> Difference | None:
    """How much slower one class is than another, seconds; None if no round has both.

    The median, because a few late packets say little of the class; its interval are two order statistics, which holds
    whatever the distribution (Conover, Practical Nonparametric Statistics, section 3.2).
    """
    pairs = zip(one.outcomes, other.outcomes, strict=True)
    differences = sorted(mine - its for mine, its in pairs if mine is not None and its is not None)
    if not differences:
        return None
    if len(differences) < _LEAST_PAIRS:
        return Difference(statistics.median(differences), None, None)
    place = _order_statistic(len(differences))
    return Difference(statistics.median(differences), differences[place], differences[-1 - place])


def _order_statistic(count: int) -> int:
    """The largest k for which at most 2.5 % of samples have the median below their k-th smallest, counted from 0.

    >>> _order_statistic(6), _order_statistic(20), _order_statistic(100)
    (0, 5, 39)
    """
    below, place = 0.5**count, 0
    while below <= 0.025:
        place += 1
        below += math.comb(count, place) * 0.5**count
    return place - 1


def loss_difference(one: ClassRun, other: ClassRun) -> Difference:
    """How much more one class loses than another, -1..1.

    The interval is that of Agresti and Min for matched pairs (Statistics in Medicine 24, 2005): half a pair is added to
    each of the four outcomes, so that no loss at all doesn't look like certainty.
    """
    pairs = list(zip(one.outcomes, other.outcomes, strict=True))
    mine = sum(of_one is None and of_other is not None for of_one, of_other in pairs)
    its = sum(of_one is not None and of_other is None for of_one, of_other in pairs)
    total = len(pairs) + 2
    centre = (mine - its) / total
    half = _Z_95 * math.sqrt((mine + its + 1) - (mine - its) ** 2 / total) / total
    return Difference((mine - its) / len(pairs), max(-1.0, centre - half), min(1.0, centre + half))
