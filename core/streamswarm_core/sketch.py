"""A distribution of durations as counts in fixed buckets: what many runs measured can be added up.

Percentiles can't be averaged; counts can be summed, by any store: InfluxQL with `sum()`, PromQL with `sum(rate())`. The
buckets grow by a constant ratio, so that a quantile read from them has a bounded *relative* error, whatever the scale:
the idea of Masson, Rim and Lee, "DDSketch: a fast and fully-mergeable quantile sketch with relative-error guarantees",
PVLDB 12(12), 2019. Theirs are powers of a number; these bounds are the preferred numbers R10 (ISO 3), ten a decade,
because people ask how much took longer than 20 or 50 ms, and round bounds answer that exactly.
"""

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Self

_R10: Final = (1000, 1250, 1600, 2000, 2500, 3150, 4000, 5000, 6300, 8000)
_DECADES: Final = 6

BOUNDS_NS: Final = (
    *(step * 10 ** (decade + 1) for decade in range(_DECADES) for step in _R10),
    1000 * 10 ** (_DECADES + 1),
)
"""Upper bounds of the buckets, nanoseconds, inclusive: 10 µs to 10 s. One more bucket takes what is longer."""

RELATIVE_ERROR: Final = max((high - low) / (high + low) for low, high in itertools.pairwise(BOUNDS_NS))
"""At most this far from the exact quantile, relative to it, between 10 µs and 10 s: 0.123."""


def _bound_name(nanoseconds: int) -> str:
    """A bound as a whole number of the largest unit that has one.

    >>> _bound_name(31_500), _bound_name(315_000), _bound_name(10_000_000_000)
    ('31500ns', '315us', '10s')
    """
    for unit, size in (("s", 10**9), ("ms", 10**6), ("us", 10**3)):
        if nanoseconds % size == 0:
            return f"{nanoseconds // size}{unit}"
    return f"{nanoseconds}ns"


BUCKET_FIELDS: Final = (*(f"to_{_bound_name(bound)}" for bound in BOUNDS_NS), "to_inf")
"""The field that holds each bucket's count; counts are of the bucket alone, not of all below it."""

COUNT_FIELD: Final = "count"
SUM_FIELD: Final = "sum"

_INDEX: Final = {name: index for index, name in enumerate(BUCKET_FIELDS)}


@dataclass(frozen=True, slots=True)
class Quantile:
    """A quantile, in seconds, with what is known for certain.

    Attributes:
        value: the estimate; between 10 µs and 10 s within RELATIVE_ERROR of the exact one.
        low: the exact one is larger (or 0),
        high: and at most this; infinite beyond 10 s.
    """

    value: float
    low: float
    high: float


@dataclass(slots=True)
class Sketch:
    """Counts of durations by bucket, and their sum.

    Attributes:
        buckets: counts by index into BUCKET_FIELDS; empty buckets are not kept.
        total: the sum of the durations, seconds.
    """

    buckets: dict[int, int] = field(default_factory=dict)
    total: float = 0.0

    @classmethod
    def of(cls, durations: Iterable[float]) -> Self:
        """Make one of durations in seconds."""
        buckets: dict[int, int] = {}
        total = 0.0
        for seconds in durations:
            index = bisect_left(BOUNDS_NS, round(seconds * 1e9))
            buckets[index] = buckets.get(index, 0) + 1
            total += seconds
        return cls(buckets, total)

    @property
    def count(self) -> int:
        """How many durations there were."""
        return sum(self.buckets.values())

    @property
    def mean(self) -> float | None:
        """Their mean, seconds, exact; None without any."""
        return self.total / self.count if self.buckets else None

    def add(self, seconds: float) -> None:
        """Count one; a bound belongs to the bucket that ends there, to the nanosecond.

        >>> Sketch.of([0.0125, 0.012500001, 11]).to_fields()
        {'sum': 11.025000001, 'count': 3, 'to_12500us': 1, 'to_16ms': 1, 'to_inf': 1}
        """
        index = bisect_left(BOUNDS_NS, round(seconds * 1e9))
        self.buckets[index] = self.buckets.get(index, 0) + 1
        self.total += seconds

    def merge(self, other: "Sketch") -> "Sketch":
        """Both together; neither is changed."""
        both = dict(self.buckets)
        for index, count in other.buckets.items():
            both[index] = both.get(index, 0) + count
        return Sketch(both, self.total + other.total)

    def quantile(self, share: float) -> Quantile | None:
        """The duration that this share of all doesn't exceed (nearest rank); None without any.

        >>> Sketch.of([0.010, 0.011, 0.012, 0.5]).quantile(0.5)
        Quantile(value=0.011111111111111112, low=0.01, high=0.0125)
        """
        rank = max(1, math.ceil(share * self.count))
        seen = 0
        for index in sorted(self.buckets):
            seen += self.buckets[index]
            if seen >= rank:
                return _within(index)
        return None

    def cumulative(self, *, step: int = 1) -> Iterator[tuple[float, int]]:
        """Bounds in seconds, each with how many durations don't exceed it, as Prometheus wants them; infinity last.

        Args:
            step: leave out all but every so-manieth bound.
        """
        below = 0
        for index, bound in enumerate((*BOUNDS_NS, math.inf)):
            below += self.buckets.get(index, 0)
            if index % step == 0 or bound == math.inf:
                yield bound / 1e9, below

    def to_fields(self) -> dict[str, float | int]:
        """As fields of a point: the sum, the count, and the buckets that are not empty."""
        buckets = {BUCKET_FIELDS[index]: count for index, count in sorted(self.buckets.items())}
        return {SUM_FIELD: self.total, COUNT_FIELD: self.count, **buckets}

    @classmethod
    def from_fields(cls, fields: Mapping[str, object]) -> Self:
        """Read what `to_fields` wrote, or what a store summed of it; fields that are none of these are passed over."""
        buckets = {
            _INDEX[name]: int(count)
            for name, count in fields.items()
            if name in _INDEX and isinstance(count, int | float) and count > 0
        }
        total = fields.get(SUM_FIELD)
        return cls(buckets, float(total) if isinstance(total, int | float) else 0.0)


def _within(index: int) -> Quantile:
    if index == len(BOUNDS_NS):
        return Quantile(BOUNDS_NS[-1] / 1e9, BOUNDS_NS[-1] / 1e9, math.inf)
    low, high = (BOUNDS_NS[index - 1] if index else 0), BOUNDS_NS[index]
    # The value whose relative distance to both ends is the same (DDSketch, section 2.1); half of the first bucket.
    value = 2 * low * high / (low + high) if low else high / 2
    return Quantile(value / 1e9, low / 1e9, high / 1e9)
