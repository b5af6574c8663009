"""How far each hour of the day, and of the week, usually lies from the level of a test's fields.

The level is left to whoever asks: what is kept of each hour is a mean, and what is told is how far that is from the
mean of all hours. So a level that moved takes its season along. A mean of few days is believed by as much as hours are
seen to differ more from each other than the same hour from day to day: empirical Bayes, after Efron and Morris,
"Stein's estimation rule and its competitors", Journal of the American Statistical Association 68, 1973.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamswarm_ml.detectors.kernel import HOUR_NS, hours_of
from streamswarm_ml.detectors.layout import DAY_HOURS, HOURS
from streamswarm_ml.detectors.zones import ahead_ns, turned

Vector = NDArray[np.float64]

_DAYS: Final = slice(0, DAY_HOURS)
_WEEKS: Final = slice(DAY_HOURS, HOURS)
_KEEP: Final = (0.97, 0.9)
"""What the mean of an hour of the day, and of the week, keeps at its next one: a month, and ten weeks."""
_NOISE_WEIGHT: Final = 0.02
_TINY: Final = 1e-30
_GREATEST: Final = 1e30
"""More counts as this, which a float of 32 bits can add up."""


class Hours:
    """Which hour of the day and of the week it is, by the clocks of zones."""

    def __init__(self, time_ns: int) -> None:
        self._time_ns = np.array([time_ns])
        self._known: dict[str, tuple[int, int]] = {}

    def ahead(self, zone: str) -> float:
        """How many hours a zone's clock is ahead of UTC."""
        return float(ahead_ns(zone, self._time_ns)[0]) / HOUR_NS

    def by(self, zone: str) -> tuple[int, int]:
        """As `hours_of` counts them."""
        known = self._known.get(zone)
        if known is None:
            day, week = hours_of(self._time_ns + ahead_ns(zone, self._time_ns))
            known = self._known[zone] = int(day[0]), int(week[0])
        return known


class Season:
    """The season of one test's fields.

    An hour counts once it is over: else the first windows of an incident would explain the next ones.

    Args:
        fields: how many.

    >>> season = Season(1)
    >>> for hour in range(72):
    ...     season.learn(hour % 24, hour + 24, np.array([9.0 if hour % 24 == 8 else 1.0]))
    >>> season.offset(8, 8 + 96).round(1).tolist(), season.offset(9, 9 + 96).round(1).tolist()
    ([7.7], [-0.3])
    """

    __slots__ = ("_noise", "_now", "_now_hours", "_now_seen", "_offset", "_seen", "_sums", "_told", "_weights")

    def __init__(self, fields: int) -> None:
        self._sums = np.zeros((fields, HOURS), dtype=np.float32)
        self._weights = np.zeros((fields, HOURS), dtype=np.float32)
        self._noise = np.zeros((2, fields))
        self._seen = np.zeros((2, fields))
        self._now, self._now_seen = np.zeros(fields), np.zeros(fields)
        self._now_hours = (-1, -1)
        self._told, self._offset = (-1, -1), np.zeros(fields)

    @property
    def fields(self) -> int:
        """How many there are."""
        return len(self._sums)

    def offset(self, day: int, week: int) -> Vector:
        """How far each field usually is from its level at these hours."""
        if self._told != (day, week):
            self._told, self._offset = (day, week), self._offset_of(day, week)
        return self._offset

    def learn(self, day: int, week: int, values: Vector) -> None:
        """Take in one window; NaN is no value."""
        if (day, week) != self._now_hours:
            self._fold()
            self._now_hours = (day, week)
        seen = np.isfinite(values)
        self._now += np.where(seen, np.clip(values, -_GREATEST, _GREATEST), 0.0)
        self._now_seen += seen

    def turn(self, hours: float) -> None:
        """Move what is known of each hour: the clock shows so many hours more than before."""
        self._fold()
        self._now_hours = self._told = (-1, -1)
        by = np.full(len(self._sums), hours)
        for part in (_DAYS, _WEEKS):
            for learned in (self._sums, self._weights):
                learned[:, part] = turned(learned[:, part].astype(np.float64), by)

    def _offset_of(self, day: int, week: int) -> Vector:
        means = self._sums.astype(np.float64) / np.maximum(self._weights, 1e-9)
        known = self._weights > 0
        days, known_days = means[:, _DAYS], known[:, _DAYS]
        level = days.mean(axis=1, where=known_days) if known_days.any(axis=1).all() else np.zeros(len(days))
        apart = np.where(known_days, days - level[:, None], 0.0)
        apart_weeks = np.where(known[:, _WEEKS], means[:, _WEEKS] - np.tile(days, 7), 0.0)
        noise = self._noise / np.maximum(self._seen, 1)
        # Until an hour of the week came twice, it is taken to vary as hours of the day do.
        noise[1] = np.where(self._seen[1] > 0, noise[1], noise[0])
        found = self._believed(apart, _DAYS, noise[0])[:, day] * apart[:, day]
        at = week - DAY_HOURS
        own = self._believed(apart_weeks, _WEEKS, noise[1])[:, at]
        return np.asarray(found + own * np.where(known[:, week], means[:, week] - level - found, 0.0))

    def _believed(self, apart: Vector, part: slice, noise: Vector) -> Vector:
        """The share, 0..1, of each hour's mean that is believed."""
        weights = self._weights[:, part]
        known = np.maximum((weights > 0).sum(axis=1), 1)
        of_noise = noise[:, None] / np.maximum(weights, 0.1)
        between = (apart**2).sum(axis=1) / known - (of_noise * (weights > 0)).sum(axis=1) / known
        between = np.maximum(between, 0.0)[:, None]
        return np.asarray(np.where(weights > 0, between / (between + of_noise + _TINY), 0.0))

    def _fold(self) -> None:
        """Add the hour that is over to what is known."""
        seen = self._now_seen > 0
        if seen.any():
            mean = self._now[seen] / self._now_seen[seen]
            for of, hour in enumerate(self._now_hours):
                self._take_in(of, hour, seen, mean)
        self._now[:] = 0.0
        self._now_seen[:] = 0.0
        self._told = (-1, -1)

    def _take_in(self, of: int, hour: int, seen: NDArray[np.bool_], mean: Vector) -> None:
        sums, weights = self._sums[seen, hour], self._weights[seen, hour]
        again = weights > 0
        before = sums / np.maximum(weights, 1e-9)
        surprise = (mean - before) ** 2 / (1 + 1 / np.maximum(weights, 1e-9))
        keep = 1 - _NOISE_WEIGHT
        counts, noise = self._seen[of, seen], self._noise[of, seen]
        self._noise[of, seen] = np.where(again, noise * keep + surprise, noise)
        self._seen[of, seen] = np.where(again, counts * keep + 1, counts)
        self._sums[seen, hour] = sums * _KEEP[of] + mean
        self._weights[seen, hour] = weights * _KEEP[of] + 1
