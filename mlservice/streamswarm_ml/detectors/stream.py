"""The detector for one series, one value after the other; `kernel.py` tells where the formulas come from."""

import math
from functools import reduce
from operator import add
from typing import Final

import numpy as np

from streamswarm_ml.detectors import parameters as p
from streamswarm_ml.detectors.base import FEATURES, VIEWS, Baseline, Ending, Verdict
from streamswarm_ml.detectors.drift import PageHinkley
from streamswarm_ml.detectors.kernel import HOUR_NS, LOG_FLOOR, NEVER, NOTHING, SAME, SHORTEST, TINY, VARIATION_FLOOR
from streamswarm_ml.detectors.layout import CENTRES, DAY_HOURS, HIGH, HOURS, LOW, OF_SEASON, SPREADS, WEEK_HOURS, Row

_GREATEST: Final = p.GREATEST_VALUE

_NUMBERS: Final = (
    (Row.COUNT, "_count", int),
    (Row.ADAPTED, "_adapted", float),
    (Row.INTERVAL, "_interval", float),
    (Row.RAW_COUNT, "_raw_count", int),
    (Row.RAW, "_raw", float),
    (Row.IS_COUNTER, "_is_counter", bool),
    (Row.FELL, "_fell", bool),
    (Row.RISES, "_rises", int),
    (Row.FALLS, "_falls", int),
    (Row.RATE, "_rate", float),
    (Row.PREVIOUS, "_previous", float),
    (Row.LEAST_STEP, "_least_step", float),
    (Row.LOCATION, "_location", float),
    (Row.SCALE, "_scale", float),
    (Row.SHORT_MEAN, "_short_mean", float),
    (Row.LONG_MEAN, "_long_mean", float),
    (Row.SHORT_LEVEL, "_short_level", float),
    (Row.LONG_LEVEL, "_long_level", float),
    (Row.SHORT_RESIDUAL, "_short_residual", float),
    (Row.LONG_RESIDUAL, "_long_residual", float),
    (Row.RESIDUAL_SIZE, "_residual_size", float),
    (Row.SHORT_STEP, "_short_step", float),
    (Row.LONG_STEP, "_long_step", float),
    (Row.NOVELTY, "_novelty", float),
    (Row.USUAL_NOVELTY, "_usual_novelty", float),
    (Row.PEAK, "_peak", float),
    (Row.REST, "_rest", int),
    (Row.LASTING, "_lasting", float),
    (Row.RECENT_DEVIATION, "_late", float),
    (Row.OPEN, "_open", int),
    (Row.QUIET, "_quiet", int),
    (Row.STEADY, "_steady", int),
    (Row.BEFORE, "_before", float),
)
_DRIFT: Final = slice(Row.DRIFT_COUNT, Row.DRIFT_DOWN_GREATEST + 1)


def _asinh(value: float) -> float:
    """Numpy's, not `math`'s, whose last digit can differ: one series is judged here or in the bank, as is quicker."""
    return float(np.arcsinh(value))


def _log(value: float) -> float:
    return float(np.log(value))


class StreamDetector:
    """Scores one series.

    Args:
        threshold: score from which an anomaly opens.
        warmup: values before anything is judged.

    >>> detector = StreamDetector()
    >>> flags = [detector.update(20 + i % 3, i * 10**10).flag for i in range(300)]
    >>> any(flags), detector.update(400.0, 300 * 10**10).flag
    (False, True)
    """

    name: Final = "stream"

    def __init__(self, threshold: float = 0.75, warmup: int = p.WARMUP) -> None:
        self._threshold = threshold
        self._warmup = warmup
        self._interval = 0.0
        self._raw_count, self._raw, self._last_ns = 0, 0.0, 0
        self._is_counter = self._fell = False
        self._rises = self._falls = 0
        self._start_afresh()

    def _start_afresh(self) -> None:
        self._count = 0
        self._adapted = 0.0
        self._rate = self._previous = self._least_step = 0.0
        self._location = self._scale = 0.0
        self._short_mean = self._long_mean = self._short_level = self._long_level = 0.0
        self._short_residual = self._long_residual = self._residual_size = self._short_step = self._long_step = 0.0
        self._sums, self._weights = [0.0] * HOURS, [0.0] * HOURS
        self._low, self._high = [0.0] * len(VIEWS), [0.0] * len(VIEWS)
        self._centres, self._spreads = [0.0] * len(FEATURES), [0.0] * len(FEATURES)
        self._novelty = self._usual_novelty = 0.0
        self._peak, self._rest, self._lasting, self._late = 0.0, 0, 0.0, 0.0
        self._open, self._quiet, self._steady, self._before = 0, 0, 0, 0.0
        self._drift = PageHinkley()

    def dump(self) -> tuple[list[float], int, list[float], list[float]]:
        """The state as the bank keeps it: a column, the last time, the season's sums and weights."""
        column = [float(getattr(self, name)) for _, name, _ in _NUMBERS] + list(self._drift.numbers)
        column += [*self._low, *self._high, *self._centres, *self._spreads]
        return column, self._last_ns, self._sums, self._weights

    def load(self, column: list[float], last_ns: int, sums: list[float], weights: list[float]) -> None:
        """Go on where `dump` was asked."""
        for row, name, kind in _NUMBERS:
            setattr(self, name, kind(column[row]))
        self._drift.restore(column[_DRIFT])
        self._low, self._high = column[LOW], column[HIGH]
        self._centres, self._spreads = column[CENTRES], column[SPREADS]
        self._last_ns, self._sums, self._weights = last_ns, sums, weights

    def update(self, value: float, time_ns: int, local_ns: int | None = None) -> Verdict:
        """Score a finite value, then learn it; its hour is that of `local_ns`, a local clock's, if there is one."""
        raw, seconds = max(-_GREATEST, min(_GREATEST, value)), max((time_ns - self._last_ns) / 1e9, SHORTEST)
        value = self._rate_of(raw, time_ns)
        hours = (time_ns if local_ns is None else local_ns) // HOUR_NS
        day, week = hours % DAY_HOURS, hours % WEEK_HOURS + DAY_HOURS
        expected, baseline = self._expect(value, day, week)
        known_before = self._from_before(baseline, self._weights[day], self._weights[week])
        begins, view = self._begins(value, expected)
        deviated, feature, lasting = self._deviate(value, expected)
        self._learn(value, expected, day, week)
        score = score_of(begins, deviated)
        opened, ending = self._follow(score >= self._threshold or lasting, value, expected, known_before)
        verdict = Verdict(
            score,
            self._threshold,
            self._open > 0,
            raw + (expected - value) * seconds if self._is_counter else expected,
            opened,
            ending,
            view if score >= 0.5 else feature + len(VIEWS),
            baseline,
        )
        if self._raw_count % p.COUNTER_POINTS == 0:
            self._decide_counter()
        return verdict

    def _rate_of(self, value: float, time_ns: int) -> float:
        """The value, or the rate if the series is a counter."""
        rate = self._rate
        if self._raw_count:
            seconds = (time_ns - self._last_ns) / 1e9
            bounded = min(seconds, 3 * self._interval) if self._interval > 0 else seconds
            self._interval += max(1 / self._raw_count, 0.02) * (bounded - self._interval)
            step = value - self._raw
            self._rises += step > 0
            self._falls += step < 0
            self._fell = self._fell or (step < 0 and not self._is_counter)
            rate = step / max(seconds, SHORTEST) if step >= 0 else self._rate
        self._raw_count, self._raw, self._last_ns = self._raw_count + 1, value, time_ns
        if not self._is_counter:
            return value
        self._rate = rate
        return rate

    def _decide_counter(self) -> None:
        becomes = not self._is_counter and not self._fell and self._rises > p.COUNTER_POINTS / 2
        ceases = self._is_counter and self._falls >= p.COUNTER_FALLS
        self._rises = self._falls = 0
        if becomes or ceases:
            self._is_counter = becomes
            self._fell = self._fell or ceases
            self._start_afresh()

    def _forgetting(self) -> float:
        return p.FORGET * (min(1.0, self._interval / p.FORGET_SECONDS) if self._interval > 0 else 1.0)

    def _expect(self, value: float, day: int, week: int) -> tuple[float, Baseline]:
        if self._count == 0:
            self._location = self._previous = value
        if self._weights[week] >= p.WEEK_LEAST:
            return self._sums[week] / self._weights[week], Baseline.HOUR_OF_WEEK
        if self._weights[day] >= p.DAY_LEAST:
            return self._sums[day] / self._weights[day], Baseline.HOUR_OF_DAY
        return self._location, Baseline.RECENT

    def _begins(self, value: float, expected: float) -> tuple[float, int]:
        """How far the views are outside what they have shown, where that begins an incident; the foremost."""
        level = abs(self._location) * NOTHING
        step = abs(value - self._previous)
        if step > SAME * abs(value) and (self._least_step == 0 or step < self._least_step):
            self._least_step = step
        scale = self._scale if self._scale > 0 else (level if level > 0 else 1.0)
        scale = max(scale, p.STEP_SHARE * self._least_step)
        stabilised = _asinh((value - self._location) / scale)
        weight = 1 / (self._count + 1)
        short = max(weight, p.SHORT)
        self._short_mean += short * (stabilised - self._short_mean)
        self._long_mean += max(weight, p.LONG) * (stabilised - self._long_mean)
        self._short_level += short * (value - self._short_level)
        self._long_level += max(weight, p.FAST) * (value - self._long_level)
        trend = self._short_level - self._long_level
        views = (value - expected, self._short_mean, self._long_mean, trend, value)
        least = max(scale, level)
        outside = [
            self._stretch(number, view, least if number in {0, 3, 4} else 1.0) for number, view in enumerate(views)
        ]
        # Not sum(), whose last bit is another from Python 3.12 on: a bank of many series says the same as this.
        self._novelty = self._novelty * p.LEAK + math.sqrt(reduce(add, (one * one for one in outside)))
        begins = 0.0
        if self._rested(self._novelty) and self._count >= self._warmup:
            usual = self._usual_novelty
            age = max(self._count * self._interval, 1.0)
            believed = p.USUAL_NOVELTY / (p.USUAL_NOVELTY + usual) * age / (age + p.YOUNG_SECONDS)
            begins = self._novelty * believed
            self._usual_novelty += p.USUAL_WEIGHT * (min(self._novelty, 3 * usual + p.USUAL_NOVELTY) - usual)
        return begins, outside.index(max(outside))

    def _rested(self, level: float) -> bool:
        """Whether the level is well above the last peak, which holds for a while."""
        if self._rest == 0:
            self._peak = 0.0
        else:
            self._rest -= 1
        if level <= p.GREATER * self._peak:
            return False
        self._peak, self._rest = level, p.REST
        return True

    def _stretch(self, number: int, view: float, least: float) -> float:
        """How far a view is outside its range, in widths; the range takes it in."""
        low, high = self._low[number], self._high[number]
        if self._count == 0:
            self._low[number] = self._high[number] = view
            return 0.0
        width = high - low
        shrink = self._forgetting() * width
        self._low[number], self._high[number] = min(low + shrink, view), max(high - shrink, view)
        return max(low - view, view - high, 0.0) / max(width, least)

    def _deviate(self, value: float, expected: float) -> tuple[float, int, bool]:
        """The greatest deviation of a feature, now and of late; that feature; whether it has now lasted."""
        residual, step = value - expected, abs(value - self._previous)
        self._previous = value
        weight = 1 / (self._count + 1)
        self._short_residual += max(weight, p.SHORT) * (residual - self._short_residual)
        self._long_residual += max(weight, p.LONG) * (residual - self._long_residual)
        self._residual_size += max(weight, p.LONG_VARIATION) * (abs(residual) - self._residual_size)
        self._short_step += max(weight, p.SHORT_VARIATION) * (step - self._short_step)
        self._long_step += max(weight, p.LONG_VARIATION) * (step - self._long_step)
        if self._count == 0:
            self._centres[-1] = value
        floor = TINY + NOTHING * abs(self._centres[-1])
        still = VARIATION_FLOOR * max(self._spreads[-1], floor)
        sizes = (_log(size + still) for size in (self._residual_size, self._short_step, self._long_step))
        features = (residual, self._short_residual, self._long_residual, *sizes, value)
        unit = p.UNIT_SHARE * self._least_step
        steps = max(floor, unit)
        floors = (steps, max(floor, unit * p.SHORT), max(floor, unit * p.LONG), LOG_FLOOR, LOG_FLOOR, LOG_FLOOR, steps)
        weight = max(1 / (self._adapted + 1), p.SLOW * self._forgetting())
        centre, spread = self._centres[-1], max(self._spreads[-1], floor)
        residual_spread = max(self._spreads[0], floor)
        from_season = abs(residual - (self._centres[0] if self._count else residual)) / residual_spread
        deviations = [
            self._apart(number, feature, least, weight)
            for number, (feature, least) in enumerate(zip(features, floors, strict=True))
        ]

        def away(level: float) -> float:
            return max(abs(level - self._location) / residual_spread, p.SLOW_COUNTS * (abs(level - centre) / spread))

        now = away(value)
        most = max(now, away(self._short_level))
        deviations[OF_SEASON] = [min(one, most) for one in deviations[OF_SEASON]]
        greatest = max(deviations)
        foremost = deviations.index(greatest)
        if self._count < self._warmup:
            self._lasting = self._late = 0.0
            return 0.0, foremost, False
        before = self._lasting
        more = max(0.0, min(p.LASTING_MOST, min(from_season, now) - p.LASTING_FROM))
        self._lasting = before * p.LASTING_KEEP + more
        crossed = before < p.LASTING_LIMIT <= self._lasting
        self._late = p.RECENT_KEEP * self._late + (1 - p.RECENT_KEEP) * min(greatest, p.RECENT_MOST)
        return (greatest + self._late) / 2, foremost, crossed

    def _apart(self, number: int, feature: float, floor: float, weight: float) -> float:
        """How far a feature is from its slow mean, in mean absolute deviations; the mean takes it in."""
        if self._count == 0:
            self._centres[number] = feature
        centre, spread = self._centres[number], self._spreads[number]
        apart = feature - centre
        limit = 3 * spread if self._adapted > 30 and spread > 0 else math.inf
        self._centres[number] = centre + weight * max(-limit, min(limit, apart))
        self._spreads[number] = spread + weight * (min(abs(apart), 2 * limit) - spread)
        return abs(apart) / max(spread, floor)

    def _learn(self, value: float, expected: float, day: int, week: int) -> None:
        spreads = p.SEASON_LIMIT_OPEN if self._open else p.SEASON_LIMIT
        limit = spreads * self._scale if self._adapted > 30 and self._scale > 0 else math.inf
        learned = max(expected - limit, min(expected + limit, value))
        for hour in (day, week):
            self._sums[hour] = self._sums[hour] * p.SEASON_KEEP + learned
            self._weights[hour] = self._weights[hour] * p.SEASON_KEEP + 1
        weight = max(1 / (self._adapted + 1), p.FAST)
        apart = value - self._location
        limit = 3 * self._scale if self._adapted > 10 and self._scale > 0 else math.inf
        self._location += weight * max(-limit, min(limit, apart))
        self._scale += weight * (min(abs(apart), limit * (5 / 3)) - self._scale)
        self._count += 1
        self._adapted += 1

    def _from_before(self, baseline: Baseline, day_weight: float, week_weight: float) -> bool:
        """Whether the baseline is a season's mean that knew its hour before the open anomaly began."""
        since = min(self._open, 3600 / max(self._interval, 1e-3))
        if baseline is Baseline.HOUR_OF_WEEK:
            return week_weight - since >= p.WEEK_LEAST
        return baseline is Baseline.HOUR_OF_DAY and day_weight - since >= p.DAY_LEAST

    def _follow(
        self,
        begins: bool,  # noqa: FBT001 - private
        value: float,
        expected: float,
        known_before: bool,  # noqa: FBT001
    ) -> tuple[bool, Ending]:
        opened = begins and not self._open
        if opened:
            self._quiet, self._steady, self._before = 0, 0, expected
            self._drift.restart()
        if opened or self._open:
            self._open += 1
        floor = TINY + NOTHING * abs(self._centres[-1])
        spread = max(self._spreads[0], floor)
        deviations = (value - expected) / spread
        changed = self._drift.changed(_asinh((value - self._before) / spread))
        self._steady = 0 if changed else self._steady + 1
        if not self._open:
            return False, Ending.NONE
        self._quiet = self._quiet + 1 if abs(deviations) < p.QUIET_DEVIATION and not begins else 0
        back = abs(value - self._before) / spread < p.QUIET_DEVIATION
        if self._quiet >= p.QUIET_POINTS and (back or known_before):
            self._open = 0
            return opened, Ending.INCIDENT
        if self._steady < p.SETTLED_POINTS:
            return opened, Ending.NONE
        level, now = float(np.sinh(self._drift.mean)), (self._short_level - self._before) / spread
        trend = abs(self._short_level - self._long_level) / spread
        moves = trend > max(p.REACHED_TREND * abs(now), p.REACHED_LEAST)
        if moves or abs(now - level) > max(p.REACHED_SHARE * abs(level), p.REACHED_LEAST):
            self._steady = p.SETTLED_POINTS - p.ASKED_AGAIN
            return opened, Ending.NONE
        self._open = 0
        self._adapted = p.RESTARTED_POINTS
        self._sums, self._weights = [0.0] * HOURS, [0.0] * HOURS
        return opened, Ending.NEW_NORMAL


def score_of(begins: float, deviated: float) -> float:
    """From 0.5 what begins an incident, by how often a week a healthy series would; below by how far it is out."""
    alarms = p.ONCE_A_WEEK / max(begins, TINY) if begins > 0 else NEVER
    if alarms < p.MOST_ALARMS:
        return 0.5 + 0.5 / (1 + alarms)
    return 0.5 * deviated / (deviated + p.HALF_DEVIATION)
