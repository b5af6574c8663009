"""Windows in which nothing is judged and nothing is learned."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np
from numpy.typing import NDArray


def window_ns(text: str) -> tuple[int, int]:
    """First and last instant of a window, nanoseconds since the epoch.

    Raises:
        ValueError: it isn't two times with offsets, the earlier first, with a slash between.

    >>> window_ns("2026-01-05T22:00Z/2026-01-06T02:00Z")
    (1767650400000000000, 1767664800000000000)
    """
    first, slash, last = text.partition("/")
    try:
        begin, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    except ValueError:
        begin = end = datetime.min  # noqa: DTZ901 - refused below
    if not slash or begin.tzinfo is None or end.tzinfo is None or begin >= end:
        raise ValueError(f"{text!r} is no window; write one as 2026-01-05T22:00Z/2026-01-06T02:00Z")
    return int(begin.timestamp()) * 10**9, int(end.timestamp()) * 10**9


def in_maintenance(times_ns: NDArray[np.int64], windows: Sequence[str]) -> NDArray[np.bool_]:
    """Which times are in any of the windows."""
    inside = np.zeros(len(times_ns), dtype=bool)
    for begin, end in map(window_ns, windows):
        inside |= (times_ns >= begin) & (times_ns < end)
    return inside
