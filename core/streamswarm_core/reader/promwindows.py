"""Windows of InfluxQL's `GROUP BY time()`, asked for in PromQL.

InfluxQL's windows begin at multiples of their length since the epoch and hold [start, start+w); the first and the last
are cut off where the statement's range begins and ends. A PromQL range selector looks back from the moment of
evaluation and holds (t-w, t] or, in Prometheus before 3.0, [t-w, t]
(https://prometheus.io/docs/prometheus/3.0/migration/, "Range selectors and lookback exclude samples coinciding with the
left boundary"). These stores count whole milliseconds, so with t one millisecond before the window's end

    (t-w, t]      is exactly [start, start+w)
    [t-(w-1), t]  is exactly [start, start+w) where the left end is included

and nothing is lost or counted twice. `offset 1ms` says "one millisecond before".
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

MILLISECOND: Final = 1_000_000
MOST_STEPS: Final = 10_000
"""Prometheus answers at most 11,000 steps a series."""


@dataclass(frozen=True, slots=True)
class Span:
    """Windows of one length, one behind the other; times in milliseconds since the epoch.

    Attributes:
        first: beginning of the first window.
        length: of each window.
        count: how many windows.
        label: beginning of the uncut window that the first one is part of; what its row's time says.
    """

    first: int
    length: int
    count: int
    label: int

    @property
    def end(self) -> int:
        """End of the first window, excluded."""
        return self.first + self.length


def split(start: int, stop: int, every: int) -> Iterator[Span]:
    """The windows of `every` milliseconds that [start, stop) touches: a cut one, whole ones, a cut one.

    >>> list(split(5, 32, 10))
    [Span(first=5, length=5, count=1, label=0), Span(first=10, length=10, count=2, label=10), \
Span(first=30, length=2, count=1, label=30)]
    >>> list(split(12, 15, 10)), list(split(20, 20, 10))
    ([Span(first=12, length=3, count=1, label=10)], [])
    """
    if start >= stop:
        return
    if start % every:
        end = min(start - start % every + every, stop)
        yield Span(start, end - start, 1, start - start % every)
        start = end
    while (whole := (stop - start) // every) > 0:
        count = min(whole, MOST_STEPS)
        yield Span(start, every, count, start)
        start += count * every
    if start < stop:
        yield Span(start, stop - start, 1, start)


def range_selector(selector: str, length: int, *, closed: bool, ahead: int = 0) -> str:
    """The samples of the `length` milliseconds before the moment of evaluation, that moment excluded.

    Args:
        selector: which series.
        length: milliseconds.
        closed: whether the store's ranges include their left end.
        ahead: evaluate as if it were this many milliseconds later.

    >>> range_selector("{a='b'}", 60000, closed=False), range_selector("x", 60000, closed=True, ahead=5001)
    ("{a='b'}[60000ms] offset 1ms", 'x[59999ms] offset -5000ms')
    """
    return f"{selector}[{length - closed}ms] offset {1 - ahead}ms"


def single_window(selector: str, span: Span, *, closed: bool) -> str:
    """The samples of a span's only window, to be evaluated at its end.

    PromQL has no range shorter than a millisecond. Where the left end is included that would be two of them, and the
    samples of a single one are told by their timestamp.

    >>> single_window("x", Span(60000, 1, 1, 60000), closed=True)
    '(x and timestamp(x) == 60.000)[1ms:1ms] offset 1ms'
    """
    if closed and span.length == 1:
        time = f"{span.first // 1000}.{span.first % 1000:03d}"
        return f"({selector} and timestamp({selector}) == {time})[1ms:1ms] offset 1ms"
    return range_selector(selector, span.length, closed=closed)


def ceil_ms(nanoseconds: int) -> int:
    """The first whole millisecond at or after a time: points at whole milliseconds compare as with the time itself.

    >>> ceil_ms(1_000_000), ceil_ms(1_000_001)
    (1, 2)
    """
    return -(-nanoseconds // MILLISECOND)
