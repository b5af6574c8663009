"""Time as StreamSwarm counts it: UTC, aware, nanoseconds since the epoch on the wire."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Final

NANOSECONDS: Final = 1_000_000_000
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Clock = Callable[[], int]
"""A source of wall-clock time in nanoseconds since the epoch; tests pass their own."""


def now_ns() -> int:
    """Nanoseconds since the Unix epoch, UTC."""
    return time.time_ns()


def now() -> datetime:
    """The current time, UTC and aware."""
    return datetime.now(UTC)


def to_ns(moment: datetime) -> int:
    """Turn an aware datetime into nanoseconds since the epoch, exactly.

    Raises:
        ValueError: the datetime is naive; nobody can know which zone was meant.

    >>> to_ns(datetime(2024, 1, 1, tzinfo=UTC))
    1704067200000000000
    """
    if moment.tzinfo is None:
        raise ValueError("naive datetime: add a time zone, such as datetime.UTC")
    return (moment - EPOCH) // timedelta(microseconds=1) * 1000


def from_ns(nanoseconds: int) -> datetime:
    """Turn nanoseconds since the epoch into an aware UTC datetime (microsecond resolution).

    >>> from_ns(1704067200000000000).isoformat()
    '2024-01-01T00:00:00+00:00'
    """
    return EPOCH + timedelta(microseconds=nanoseconds // 1000)
