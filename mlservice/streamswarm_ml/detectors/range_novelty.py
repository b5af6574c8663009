import math
from typing import Final

_SECONDS_A_DAY: Final = 86_400
_HOURS: Final = 24


class DecayingRange:
    """The range of values seen, which shrinks slowly towards what comes now.

    Args:
        decay: share of its width by which each end moves inwards at each value.
    """

    __slots__ = ("_decay", "_high", "_low")

    def __init__(self, decay: float) -> None:
        self._decay = decay
        self._low = math.inf
        self._high = -math.inf

    def novelty(self, value: float, least_width: float) -> float:
        """How far the value is outside, in widths of the range (of at least `least_width`); 0 within."""
        if self._low > self._high:
            return 0.0
        outside = max(self._low - value, value - self._high, 0.0)
        return outside / max(self._high - self._low, least_width)

    def learn(self, value: float) -> None:
        """Take the value in."""
        width = self._high - self._low
        if width > 0 and math.isfinite(width):
            self._low += self._decay * width
            self._high -= self._decay * width
        self._low = min(self._low, value)
        self._high = max(self._high, value)


class RangeNovelty:
    """Distance of a value outside what five views of its series have shown so far.

    The views are the value itself; a fast and a slow exponentially weighted mean of its variance-stabilised form (the
    inverse hyperbolic sine of a robust z); the smoothed residual from the mean of its hour of the day; and the smoothed
    absolute first difference. Each keeps a slowly decaying range. A score says how new a value is, not how probable.

    Time and memory are constant for each value: some sixty numbers a series.

    Args:
        decay: how fast ranges forget.

    >>> detector = RangeNovelty()
    >>> for second in range(200):
    ...     score = detector.score(10 + second % 5, second * 10**9)
    ...     detector.learn(10 + second % 5, second * 10**9)
    >>> score < 0.05, detector.score(500, 200 * 10**9) > 1
    (True, True)
    """

    def __init__(self, decay: float = 0.0005) -> None:
        self._count = 0
        self._location = 0.0
        self._spread = 0.0
        self._fast = 0.0
        self._slow = 0.0
        self._residual = 0.0
        self._difference = 0.0
        self._previous: float | None = None
        self._hour_sums = [0.0] * _HOURS
        self._hour_weights = [0.0] * _HOURS
        self._ranges = tuple(DecayingRange(decay) for _ in range(5))

    @property
    def expected(self) -> float:
        """The robust running mean."""
        return self._location

    def score(self, value: float, time_ns: int) -> float:
        """The greatest distance outside a view's range, in widths of that range; 0 if every view is within."""
        if self._count < 2:
            return 0.0
        views, widths = self._views(value, time_ns)
        return max(kept.novelty(view, width) for kept, view, width in zip(self._ranges, views, widths, strict=True))

    def learn(self, value: float, time_ns: int) -> None:
        """Take the value in."""
        if self._count == 0:
            self._location = value
        views, _ = self._views(value, time_ns)
        for kept, view in zip(self._ranges, views, strict=True):
            kept.learn(view)
        _, self._fast, self._slow, self._residual, self._difference = views
        hour = _hour_of(time_ns)
        self._hour_sums[hour] = self._hour_sums[hour] * 0.999 + value
        self._hour_weights[hour] = self._hour_weights[hour] * 0.999 + 1
        self._count += 1
        weight = max(1 / self._count, 0.01)
        # A value far out moves the location by at most three spreads: one outlier must not become the norm.
        step = value - self._location
        limit = 3 * self._spread if self._count > 10 and self._spread > 0 else abs(step)
        self._location += weight * max(-limit, min(limit, step))
        self._spread += weight * (min(abs(step), 5 * self._spread if self._count > 10 else abs(step)) - self._spread)
        self._previous = value

    def _views(self, value: float, time_ns: int) -> tuple[tuple[float, ...], tuple[float, ...]]:
        """The five views as they would be with this value, and the least width that each range counts with."""
        scale = self._spread or abs(self._location) * 0.01 or 1.0
        stabilised = math.asinh((value - self._location) / scale)
        fast = self._fast + 0.3 * (stabilised - self._fast)
        slow = self._slow + 0.03 * (stabilised - self._slow)
        hour = _hour_of(time_ns)
        weight = self._hour_weights[hour]
        usual = self._hour_sums[hour] / weight if weight >= 20 else self._location
        residual = self._residual + 0.2 * (value - usual - self._residual)
        step = 0.0 if self._previous is None else abs(value - self._previous)
        difference = self._difference + 0.2 * (step - self._difference)
        least = max(scale, abs(self._location) * 0.01)
        return (value, fast, slow, residual, difference), (least, 1.0, 1.0, least, least)


def _hour_of(time_ns: int) -> int:
    return int(time_ns // 1_000_000_000 % _SECONDS_A_DAY // 3600)
