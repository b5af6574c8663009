"""By which clock the hours of a series are counted: that of its site's time zone."""

import logging
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.zones import UTC_NAME, find_zone

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

_EVER: Final = int(np.iinfo(np.int64).min)
_WEEK: Final = 7 * 86_400
_END: Final = 4_102_444_800
"""The year 2100, seconds: no clock is set afterwards, nor before 1970."""


@dataclass(frozen=True, slots=True)
class Zones:
    """The time zones of all series, IANA names.

    Attributes:
        default: of series without a site, and of sites that aren't named.
        sites: by the tag `site`.
    """

    default: str = UTC_NAME
    sites: Mapping[str, str] = field(default_factory=dict)

    def of(self, tags: Sequence[tuple[str, str]]) -> str:
        """The zone of a series.

        >>> Zones("UTC", {"berlin": "Europe/Berlin"}).of([("agent", "a"), ("site", "berlin")])
        'Europe/Berlin'
        """
        return self.sites.get(dict(tags).get("site", ""), self.default)


def local_ns(times_ns: Integers, zones: Sequence[str], numbers: NDArray[np.int16]) -> Integers:
    """The same moments by the clocks of their zones, as if those showed UTC.

    Args:
        times_ns: nanoseconds since the epoch.
        zones: names.
        numbers: of the zone of each moment, places in `zones`.

    >>> local_ns(np.array([0, 0]), ["UTC", "Europe/Berlin"], np.array([1, 0], dtype=np.int16)) // 10**9
    array([3600,    0])
    """
    local = times_ns.copy()
    order = np.argsort(numbers, kind="stable")
    for part in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
        if len(part):
            local[part] += ahead_ns(zones[int(numbers[part[0]])], times_ns[part])
    return local


def ahead_ns(zone: str, times_ns: Integers) -> Integers:
    """How far a zone's clock is ahead of UTC at each moment, nanoseconds; nothing where the zone isn't known here."""
    begins, ahead = _settings_of(zone)
    return ahead[np.searchsorted(begins, times_ns, side="right") - 1]


def turned(learned: Floats, hours: Floats) -> Floats:
    """What was learned of the hours of a day or week, by a clock that shows so many more than the one before.

    Half an hour, as some zones differ by, leaves half of what an hour has learned to each of two.

    Args:
        learned: sums or weights, float64 [series, hours].
        hours: float64 [series].

    >>> turned(np.array([[4.0, 0.0, 0.0], [4.0, 0.0, 0.0]]), np.array([1.0, -0.5]))
    array([[0., 4., 0.],
           [2., 0., 2.]])
    """
    whole = np.floor(hours)
    share = (hours - whole)[:, None]
    places = (np.arange(learned.shape[1]) - whole[:, None].astype(np.int64)) % learned.shape[1]
    later = np.take_along_axis(learned, places - 1, axis=1)
    return np.asarray((1 - share) * np.take_along_axis(learned, places, axis=1) + share * later)


@cache
def _settings_of(zone: str) -> tuple[Integers, Integers]:
    """From when on a zone's clock is how far ahead of UTC, both nanoseconds, the oldest first.

    `zoneinfo` doesn't tell when clocks are set, and asking it at every point would cost more than judging the point.
    """
    if zone == UTC_NAME:
        return np.array([_EVER]), np.array([0])
    try:
        clock = find_zone(zone)
    except ValueError as error:
        log.error("%s; until it can be, its hours are counted in UTC", error)  # noqa: TRY400 - the message says it all
        return _settings_of(UTC_NAME)

    def ahead_at(second: int) -> timedelta:
        return datetime.fromtimestamp(second, clock).utcoffset() or timedelta()

    begins, ahead = [_EVER], [ahead_at(0)]
    for second in range(0, _END, _WEEK):
        while ahead_at(second + _WEEK) != ahead[-1]:
            week = range(second, second + _WEEK + 1)
            first = week[bisect_left(week, True, key=lambda one: ahead_at(one) != ahead[-1])]  # noqa: FBT003
            begins.append(first * NANOSECONDS)
            ahead.append(ahead_at(first))
    return np.array(begins), np.array([round(one.total_seconds()) * NANOSECONDS for one in ahead])
