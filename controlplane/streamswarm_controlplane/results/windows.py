"""How long the windows of a history are."""

from typing import Final

from streamswarm_controlplane.problems import ApiError
from streamswarm_controlplane.results.times import TimeRange, rfc3339
from streamswarm_core.clock import NANOSECONDS

MOST_WINDOWS: Final = 5_000
"""Windows a series, in one answer."""

_MINUTE, _HOUR, _DAY = 60, 3600, 86_400
_STEPS: Final = (
    *(1, 2, 5, 10, 15, 20, 30, _MINUTE, 2 * _MINUTE, 3 * _MINUTE, 5 * _MINUTE, 10 * _MINUTE, 15 * _MINUTE),
    *(20 * _MINUTE, 30 * _MINUTE, _HOUR, 2 * _HOUR, 3 * _HOUR, 4 * _HOUR, 6 * _HOUR, 8 * _HOUR, 12 * _HOUR),
    *(_DAY, 2 * _DAY, 7 * _DAY, 14 * _DAY, 28 * _DAY, 91 * _DAY, 182 * _DAY, 364 * _DAY),
)
"""Seconds that people can count in."""


def count_windows(span: TimeRange, every_ns: int) -> int:
    """How many windows the range touches; they begin at multiples of their length since the epoch.

    >>> count_windows(TimeRange(5, 32), 10), count_windows(TimeRange(10, 20), 10)
    (4, 1)
    """
    return (span.stop_ns - 1) // every_ns - span.start_ns // every_ns + 1


def fitting_window(span: TimeRange, points: int, interval: float) -> int:
    """The shortest round window, in nanoseconds, of which the range has at most `points`.

    It is no shorter than two of the test's intervals: else a run that comes a moment late leaves a hole in a line that
    has none.
    """
    shortest = 2 * interval
    for seconds in _STEPS:
        if seconds >= shortest and count_windows(span, seconds * NANOSECONDS) <= points:
            return seconds * NANOSECONDS
    length = max(_STEPS[-1], int(shortest))
    while count_windows(span, length * NANOSECONDS) > points:
        length *= 2
    return length * NANOSECONDS


def refuse_too_many(span: TimeRange, every_ns: int) -> None:
    """Refuse windows that are too short for the range.

    Raises:
        ApiError: 422; it says which window would do.
    """
    count = count_windows(span, every_ns)
    if count > MOST_WINDOWS:
        enough = fitting_window(span, MOST_WINDOWS, 0) // NANOSECONDS
        raise ApiError(
            422,
            f"query.every: {every_ns / NANOSECONDS:g}s makes {count} windows from {rfc3339(span.start_ns)} to "
            f"{rfc3339(span.stop_ns)}; at most {MOST_WINDOWS} are answered: take {enough}s or longer, a shorter range, "
            "or the export",
            field="query.every",
        )
