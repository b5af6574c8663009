"""Windows in which nothing is judged and nothing is learned: those of the settings, and the control plane's."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamswarm_core.clock import from_ns, to_ns
from streamswarm_core.expectations import PlannedWindow


def planned_window(text: str) -> PlannedWindow:
    """A window as settings write it; it is about everything.

    Raises:
        ValueError: it isn't two times with offsets, the earlier first, with a slash between.

    >>> planned_window("2026-01-05T22:00Z/2026-01-06T02:00Z").ends_at.isoformat()
    '2026-01-06T02:00:00+00:00'
    """
    first, slash, last = text.partition("/")
    try:
        begin, end = datetime.fromisoformat(first), datetime.fromisoformat(last)
    except ValueError:
        begin = end = datetime.min  # noqa: DTZ901 - refused below
    if not slash or begin.tzinfo is None or end.tzinfo is None or begin >= end:
        raise ValueError(f"{text!r} is no window; write one as 2026-01-05T22:00Z/2026-01-06T02:00Z")
    return PlannedWindow(starts_at=begin, ends_at=end)


class Spans:
    """Stretches of time that neither touch nor overlap, for quick answers.

    Args:
        pairs: first instant and the instant after the last one of each, nanoseconds since the epoch.

    >>> spans = Spans([(10, 20), (15, 30)])
    >>> spans.hold(np.array([9, 10, 29, 30])).tolist(), spans.touch(30, 40), spans.touch(0, 11)
    ([False, True, True, False], False, True)
    """

    def __init__(self, pairs: Iterable[tuple[int, int]]) -> None:
        merged: list[tuple[int, int]] = []
        for begin, end in sorted(pairs):
            if merged and begin <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((begin, end))
        self._begins = np.array([begin for begin, _ in merged], dtype=np.int64)
        self._ends = np.array([end for _, end in merged], dtype=np.int64)

    def __bool__(self) -> bool:
        return len(self._begins) > 0

    def hold(self, times_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which times are in one of them."""
        if not self:
            return np.zeros(len(times_ns), dtype=bool)
        at = np.searchsorted(self._begins, times_ns, side="right") - 1
        return np.asarray((at >= 0) & (times_ns < self._ends[at]))

    def touch(self, begin_ns: int, end_ns: int) -> bool:
        """Whether one of them reaches into [begin, end)."""
        at = int(np.searchsorted(self._begins, end_ns, side="left")) - 1
        return at >= 0 and int(self._ends[at]) > begin_ns


NEVER: Final = Spans([])


class Maintenance:
    """The maintenance of one stretch of time.

    Args:
        windows: all that there are.
        begin_ns: nanoseconds since the epoch.
        end_ns: nanoseconds since the epoch; not part of it.
    """

    def __init__(self, windows: Sequence[PlannedWindow], begin_ns: int, end_ns: int) -> None:
        begin, end = from_ns(begin_ns), from_ns(end_ns)
        spans = [(one, [(to_ns(a), to_ns(b)) for a, b in one.spans(begin, end)]) for one in windows]
        self._windows = [(one, pairs) for one, pairs in spans if pairs]
        self._found: dict[tuple[str, str], Spans] = {}

    def of(self, agent: str, test: str) -> Spans:
        """When what an agent measures for a test is maintained; tags that a series doesn't have are empty."""
        if not self._windows:
            return NEVER
        known = self._found.get((agent, test))
        if known is None:
            pairs = [pair for window, found in self._windows if window.covers(agent, test) for pair in found]
            known = self._found[agent, test] = Spans(pairs)
        return known
