"""Policers and shapers told from what became of packet trains.

Both let a burst through and then a rate, a token bucket (RFC 2697), so what gets through after time t is at most
burst + rate·t. A policer drops the rest at once: loss beyond a rate while no delay grows (Flach et al., "An
Internet-Wide Analysis of Traffic Policing", SIGCOMM 2016, from which the interval between first and last loss comes). A
shaper queues it: delay grows with each packet, and the replies come spread to the rate (Dovrolis et al., "Packet
dispersion techniques and a capacity-estimation methodology", ToN 2004; level shifts by shapers: Kanuparthy and
Dovrolis, "ShaperProbe", IMC 2011). A slow link with a queue is a shaper without a burst and can't be told from one. A
queue shorter than 3 ms, or than the path's own changes of delay, is not noticed, and its losses look like a policer's.
"""

import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

LimitKind = Literal["policer", "shaper"]

LEAST_CONFIDENCE: Final = 0.75
"""Below it, nothing is reported."""

_LEAST_QUEUE: Final = 0.003
_TIMES_NOISE: Final = 5
_LEAST_LOST: Final = 3
_LEAST_POINTS: Final = 8
_CLEARLY_SLOWER: Final = 0.95
_MOST_STRAY: Final = 0.04
"""Mean distance from a straight line, as a share of what came; heaps of a tenth of a train stray further."""
_SEARCH_STEPS: Final = 16
_SEARCH_WIDTHS: Final = (2.0, 1.1)
"""Factors up and down within which the rate is looked for, first coarsely and then finely."""


@dataclass(frozen=True, slots=True)
class Car:
    """One packet of a train.

    Attributes:
        sent: seconds, on any clock.
        received: when the reply came, on the same clock; None if lost.
        size: bytes, IP header included.
    """

    sent: float
    received: float | None
    size: int


@dataclass(frozen=True, slots=True)
class Train:
    """Packets sent at an even rate.

    Attributes:
        cars: in the order they were sent.
    """

    cars: Sequence[Car]

    @property
    def offered(self) -> float:
        """Bits per second at which it really was sent; 0 for fewer than two packets."""
        return _rate([(car.sent, car.size) for car in self.cars])

    @property
    def delivered(self) -> float:
        """Bits per second at which replies came; 0 for fewer than two."""
        return _rate(sorted((car.received, car.size) for car in self.cars if car.received is not None))

    @property
    def loss(self) -> float:
        """Share lost, of a train that has cars."""
        return sum(car.received is None for car in self.cars) / len(self.cars)

    @property
    def delays(self) -> list[float]:
        """Round-trip times of what arrived, seconds."""
        return [car.received - car.sent for car in self.cars if car.received is not None]


@dataclass(frozen=True, slots=True)
class TokenBucket:
    """What limits one train.

    Attributes:
        kind: whether the excess is dropped or queued.
        rate: bits per second.
        burst: bytes.
    """

    kind: LimitKind
    rate: float
    burst: float


@dataclass(frozen=True, slots=True)
class Limit:
    """What limits a class.

    Attributes:
        bucket: rate and burst.
        confidence: 0..1.
    """

    bucket: TokenBucket
    confidence: float


@dataclass(frozen=True, slots=True)
class Quiet:
    """The path's delay without load.

    Attributes:
        base: its least, seconds.
        noise: the median of what is added to it, seconds.
    """

    base: float
    noise: float

    @classmethod
    def of(cls, delays: Sequence[float]) -> "Quiet":
        """Learn it from a slow train, which must have had replies."""
        base = min(delays)
        return cls(base, statistics.median(delays) - base)

    @property
    def queue(self) -> float:
        """The least wait that counts as a queue, seconds."""
        return max(_LEAST_QUEUE, _TIMES_NOISE * self.noise)


def find_bucket(train: Train, quiet: Quiet) -> TokenBucket | None:
    """What limited a train; None if nothing did, or if it shows in too few packets."""
    delays = train.delays
    if len(delays) < _LEAST_POINTS:
        return None
    late_half = delays[len(delays) // 2 :]
    if statistics.median(late_half) - quiet.base > quiet.queue:
        bucket = _shaper(train, quiet)
        if bucket is not None:
            return bucket
    return _policer(train)


def suspect_policer(train: Train) -> TokenBucket | None:
    """A first guess from losses that are too few to fit anything to: the train got so much through after the first."""
    lost = [place for place, car in enumerate(train.cars) if car.received is None]
    if len(lost) < _LEAST_LOST:
        return None
    first, last = train.cars[lost[0]], train.cars[-1]
    before = sum(car.size for car in train.cars[: lost[0]])
    after = sum(car.size for car in train.cars[lost[0] :] if car.received is not None)
    if last.sent <= first.sent:
        return None
    return TokenBucket("policer", max(after, first.size) * 8 / (last.sent - first.sent), max(before, first.size))


def judge(fast: TokenBucket | None, faster: TokenBucket | None, slow: Train) -> Limit | None:
    """Put together what two trains above a supposed rate and one below it say.

    A limit shows the same rate to any train above it, and nothing to one below it. Loss by chance doesn't: what gets
    through it grows with what is offered. So the confidence is the smaller of the two rates over the larger, less the
    share of the slow train that was lost.
    """
    if fast is None or faster is None or fast.kind != faster.kind:
        return None
    agreement = min(fast.rate, faster.rate) / max(fast.rate, faster.rate)
    confidence = agreement * (1 - slow.loss)
    if confidence < LEAST_CONFIDENCE:
        return None
    rate = (fast.rate + faster.rate) / 2
    return Limit(TokenBucket(fast.kind, rate, max(fast.burst, faster.burst)), confidence)


def _policer(train: Train) -> TokenBucket | None:
    """Find the bucket that would have let through what got through, from when each packet was really sent.

    A line through what got through (Flach et al.) is where the search begins. It is not the end, because a sender that
    had to wait for the processor leaves pauses in which a bucket fills up.
    """
    lost = [place for place, car in enumerate(train.cars) if car.received is None]
    if len(lost) < _LEAST_LOST:
        return None
    start, through, points = train.cars[0].sent, 0, []
    for place, car in enumerate(train.cars[: lost[-1]]):
        if car.received is not None:
            through += car.size
            if place > lost[0]:
                points.append((car.sent - start, through))
    line = _fit("policer", points, train)
    if line is None:
        return None
    rate = line.rate
    for width in _SEARCH_WIDTHS:
        tried = [rate * width ** (step / _SEARCH_STEPS) for step in range(-_SEARCH_STEPS, _SEARCH_STEPS + 1)]
        rate = min(tried, key=lambda one: _misfit(train, one, lost[0]))
    if rate >= train.offered * _CLEARLY_SLOWER:
        return None
    return TokenBucket("policer", rate, _burst(train, rate, lost[0]))


def _burst(train: Train, rate: float, first_lost: int) -> float:
    """What the bucket held at first, if the first packet that it had no tokens for is the first that was lost."""
    passed = sum(car.size for car in train.cars[:first_lost])
    lost = train.cars[first_lost]
    return max(float(lost.size), passed + lost.size / 2 - rate / 8 * (lost.sent - train.cars[0].sent))


def _misfit(train: Train, rate: float, first_lost: int) -> float:
    """Bytes by which what a bucket lets through differs from what got through, added up over the train."""
    burst = tokens = _burst(train, rate, first_lost)
    last, difference, total = train.cars[0].sent, 0, 0.0
    for car in train.cars:
        tokens = min(burst, tokens + (car.sent - last) * rate / 8)
        last = car.sent
        if tokens >= car.size:
            tokens -= car.size
            difference += car.size
        if car.received is not None:
            difference -= car.size
        total += abs(difference)
    return total


def _shaper(train: Train, quiet: Quiet) -> TokenBucket | None:
    """Fit it to what came while there was a queue; time counts from when the first packet came without one."""
    arrived = sorted(
        (car.received, car.size, car.received - car.sent) for car in train.cars if car.received is not None
    )
    start, through = train.cars[0].sent + quiet.base, 0
    busy: list[list[tuple[float, int]]] = [[]]
    for received, size, delay in arrived:
        through += size
        if delay - quiet.base > quiet.queue / 2:
            busy[-1].append((received - start, through))
        elif busy[-1]:
            busy.append([])
    longest = max(busy, key=len)
    bucket = _fit("shaper", longest, train)
    if bucket is None or not _is_even(longest, bucket):
        return None
    return bucket


def _is_even(points: Sequence[tuple[float, int]], bucket: TokenBucket) -> bool:
    """Whether packets left one after the other at the rate; delay that varies by itself lets them go in heaps."""
    offsets = [through - bucket.rate / 8 * when for when, through in points]
    middle = statistics.median(offsets)
    stray = statistics.fmean(abs(offset - middle) for offset in offsets)
    return stray <= _MOST_STRAY * (points[-1][1] - points[0][1])


def _fit(kind: LimitKind, points: Sequence[tuple[float, int]], train: Train) -> TokenBucket | None:
    """A straight line: its slope is the rate, where it begins the burst; None if the train was no faster."""
    if len(points) < _LEAST_POINTS or points[0][0] == points[-1][0]:
        return None
    slope, intercept = statistics.linear_regression(*zip(*points, strict=True))
    if not 0 < slope * 8 < train.offered * _CLEARLY_SLOWER:
        return None
    return TokenBucket(kind, slope * 8, max(float(train.cars[0].size), intercept))


def _rate(passed: Sequence[tuple[float, int]]) -> float:
    """Bits per second of packets that passed at some times; the first only starts the clock."""
    if len(passed) < 2 or passed[-1][0] <= passed[0][0]:
        return 0.0
    return sum(size for _, size in passed[1:]) * 8 / (passed[-1][0] - passed[0][0])
