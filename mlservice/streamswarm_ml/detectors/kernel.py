"""The detector's formulas on columns of states, one column a series; `stream.py` has them for one series.

Robust means and spreads: a value moves a mean by at most three spreads, so that one outlier does not become the norm.
Drift: Page, "Continuous inspection schemes", Biometrika 41, 1954, with the running mean of Hinkley, 1971.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from streamswarm_ml.detectors import parameters as p
from streamswarm_ml.detectors.base import Baseline, Ending
from streamswarm_ml.detectors.layout import (
    CENTRES,
    DAY_HOURS,
    FIRST_RESET,
    HIGH,
    LOW,
    OF_SEASON,
    RESIDUAL_SPREAD,
    SPREADS,
    VALUE_CENTRE,
    VALUE_SPREAD,
    WEEK_HOURS,
    Row,
)

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Flags = NDArray[np.bool_]
Codes = NDArray[np.int8]

HOUR_NS: Final = 3600 * 10**9
TINY: Final = 1e-9
NEVER: Final = 1e12
SHORTEST: Final = 1e-3
"""Seconds that two points of a counter are apart at least."""
SAME: Final = 1e-6
"""Share of a value within which another is the same but for how it was rounded."""
NOTHING: Final = 0.01
"""Share of a level that counts as no spread."""
VARIATION_FLOOR: Final = 0.02
LOG_FLOOR: Final = 0.2


def rates(state: Floats, values: Floats, times_ns: Integers, last_ns: Integers) -> Floats:
    """Follow intervals, rises and falls; the values, or the rates of those series that are counters."""
    seen = state[Row.RAW_COUNT] > 0
    seconds = np.where(seen, (times_ns - last_ns) / 1e9, 0.0)
    interval = state[Row.INTERVAL]
    bounded = np.where(interval > 0, np.minimum(seconds, 3 * interval), seconds)
    weight = np.maximum(1 / np.maximum(state[Row.RAW_COUNT], 1), 0.02)
    state[Row.INTERVAL] = np.where(seen, interval + weight * (bounded - interval), 0.0)
    step = np.where(seen, values - state[Row.RAW], 0.0)
    counted = state[Row.IS_COUNTER] > 0
    state[Row.RISES] += step > 0
    state[Row.FALLS] += step < 0
    state[Row.FELL] = np.where((step < 0) & ~counted, 1.0, state[Row.FELL])
    rate = np.where(step >= 0, step / np.maximum(seconds, SHORTEST), state[Row.RATE])
    state[Row.RATE] = np.where(counted, rate, state[Row.RATE])
    state[Row.RAW_COUNT] += 1
    state[Row.RAW] = values
    return np.where(counted, rate, values)


def in_own_unit(
    state: Floats, values: Floats, value: Floats, expected: Floats, times_ns: Integers, last_ns: Integers
) -> Floats:
    """What the series itself was expected to say: of a counter, where its expected rate would have brought it.

    Args:
        state: of the series, float64 [WIDTH, series]; the others are [series].
        values: what came.
        value: the same, or the rate of a counter.
        expected: of `value`.
        times_ns: when.
        last_ns: when the values before came.
    """
    seconds = np.maximum((times_ns - last_ns) / 1e9, SHORTEST)
    return np.where(state[Row.IS_COUNTER] > 0, values + (expected - value) * seconds, expected)


def forgetting(state: Floats) -> Floats:
    """What is forgotten at this point, by the time between points."""
    interval = state[Row.INTERVAL]
    return p.FORGET * np.where(interval > 0, np.minimum(1.0, interval / p.FORGET_SECONDS), 1.0)


def baseline_of(
    state: Floats, value: Floats, day: tuple[Floats, Floats], week: tuple[Floats, Floats]
) -> tuple[Floats, Codes]:
    """What was expected, and by what: sums and weights of the hour of the day and of the week, else the recent mean."""
    first = state[Row.COUNT] == 0
    state[Row.LOCATION] = np.where(first, value, state[Row.LOCATION])
    state[Row.PREVIOUS] = np.where(first, value, state[Row.PREVIOUS])
    by_week, by_day = week[1] >= p.WEEK_LEAST, day[1] >= p.DAY_LEAST
    expected = np.where(by_day, day[0] / np.maximum(day[1], 1.0), state[Row.LOCATION])
    expected = np.where(by_week, week[0] / np.maximum(week[1], 1.0), expected)
    code = np.where(by_week, Baseline.HOUR_OF_WEEK, np.where(by_day, Baseline.HOUR_OF_DAY, Baseline.RECENT))
    return expected, code.astype(np.int8)


def novelty(state: Floats, value: Floats, expected: Floats, warmup: int) -> tuple[Floats, Codes]:
    """How far the views are outside what they have shown, where that begins an incident, else 0; the foremost view."""
    count, location = state[Row.COUNT], state[Row.LOCATION]
    level = np.abs(location) * NOTHING
    step, least_step = np.abs(value - state[Row.PREVIOUS]), state[Row.LEAST_STEP]
    smaller = (step > SAME * np.abs(value)) & ((least_step == 0) | (step < least_step))
    least_step = state[Row.LEAST_STEP] = np.where(smaller, step, least_step)
    scale = np.where(state[Row.SCALE] > 0, state[Row.SCALE], np.where(level > 0, level, 1.0))
    scale = np.maximum(scale, p.STEP_SHARE * least_step)
    stabilised = np.arcsinh((value - location) / scale)
    weight = 1 / (count + 1)
    short = np.maximum(weight, p.SHORT)
    state[Row.SHORT_MEAN] += short * (stabilised - state[Row.SHORT_MEAN])
    state[Row.LONG_MEAN] += np.maximum(weight, p.LONG) * (stabilised - state[Row.LONG_MEAN])
    state[Row.SHORT_LEVEL] += short * (value - state[Row.SHORT_LEVEL])
    state[Row.LONG_LEVEL] += np.maximum(weight, p.FAST) * (value - state[Row.LONG_LEVEL])
    trend = state[Row.SHORT_LEVEL] - state[Row.LONG_LEVEL]
    views = np.stack([value - expected, state[Row.SHORT_MEAN], state[Row.LONG_MEAN], trend, value])
    least = np.maximum(scale, level)
    ones = np.ones_like(least)
    least = np.stack([least, ones, ones, least, least])
    low, high = state[LOW], state[HIGH]
    width = high - low
    outside = np.maximum(np.maximum(low - views, views - high), 0.0) / np.maximum(width, least)
    outside[:, count == 0] = 0.0
    shrink = forgetting(state) * width
    first = count == 0
    state[LOW] = np.where(first, views, np.minimum(low + shrink, views))
    state[HIGH] = np.where(first, views, np.maximum(high - shrink, views))
    squared = outside * outside
    new = np.sqrt(squared[0] + squared[1] + squared[2] + squared[3] + squared[4])
    gathered = state[Row.NOVELTY] = state[Row.NOVELTY] * p.LEAK + new
    above = _rested(state, gathered)
    begins = above & (count >= warmup)
    usual = state[Row.USUAL_NOVELTY]
    age = np.maximum(count * state[Row.INTERVAL], 1.0)
    believed = p.USUAL_NOVELTY / (p.USUAL_NOVELTY + usual) * age / (age + p.YOUNG_SECONDS)
    told = np.where(begins, gathered * believed, 0.0)
    taken = np.minimum(gathered, 3 * usual + p.USUAL_NOVELTY)
    state[Row.USUAL_NOVELTY] = np.where(begins, usual + p.USUAL_WEIGHT * (taken - usual), usual)
    return told, np.argmax(outside, axis=0).astype(np.int8)


def _rested(state: Floats, level: Floats) -> Flags:
    """Where a level is well above the last peak, which holds for a while."""
    rested = state[Row.REST] == 0
    held = np.where(rested, 0.0, state[Row.PEAK])
    left = np.where(rested, 0.0, state[Row.REST] - 1)
    above = level > p.GREATER * held
    state[Row.PEAK] = np.where(above, level, held)
    state[Row.REST] = np.where(above, float(p.REST), left)
    return np.asarray(above)


def deviation(state: Floats, value: Floats, expected: Floats, warmup: int) -> tuple[Floats, Codes, Flags]:
    """The greatest deviation of a feature from its slow mean, now and of late; that feature; what lasts.

    Deviations are in mean absolute deviations.
    """
    count = state[Row.COUNT]
    residual = value - expected
    step = np.abs(value - state[Row.PREVIOUS])
    state[Row.PREVIOUS] = value
    weight = 1 / (count + 1)
    for row, least, seen in (
        (Row.SHORT_RESIDUAL, p.SHORT, residual),
        (Row.LONG_RESIDUAL, p.LONG, residual),
        (Row.RESIDUAL_SIZE, p.LONG_VARIATION, np.abs(residual)),
        (Row.SHORT_STEP, p.SHORT_VARIATION, step),
        (Row.LONG_STEP, p.LONG_VARIATION, step),
    ):
        state[row] += np.maximum(weight, least) * (seen - state[row])
    first = count == 0
    state[VALUE_CENTRE] = np.where(first, value, state[VALUE_CENTRE])
    floor = TINY + NOTHING * np.abs(state[VALUE_CENTRE])
    still = VARIATION_FLOOR * np.maximum(state[VALUE_SPREAD], floor)
    sizes = np.log(np.stack([state[Row.RESIDUAL_SIZE], state[Row.SHORT_STEP], state[Row.LONG_STEP]]) + still)
    features = np.vstack([np.stack([residual, state[Row.SHORT_RESIDUAL], state[Row.LONG_RESIDUAL]]), sizes, value])
    state[CENTRES] = np.where(first, features, state[CENTRES])
    # Slices are views, and what was learned with this value must not count in what is said of it.
    centre, spread = state[CENTRES].copy(), state[SPREADS].copy()
    unit = p.UNIT_SHARE * state[Row.LEAST_STEP]
    steps = np.maximum(floor, unit)
    smooth = [np.maximum(floor, unit * share) for share in (p.SHORT, p.LONG)]
    floors = np.vstack([np.stack([steps, *smooth]), np.full((3, len(value)), LOG_FLOOR), steps])
    size = np.abs(features - centre)
    deviations = size / np.maximum(spread, floors)
    _learn_features(state, features, centre, spread)
    residual_spread, value_spread = np.maximum(spread[0], floor), np.maximum(spread[-1], floor)
    location = state[Row.LOCATION]

    def away(level: Floats) -> Floats:
        slow = np.abs(level - centre[-1]) / value_spread
        return np.asarray(np.maximum(np.abs(level - location) / residual_spread, p.SLOW_COUNTS * slow))

    now = away(value)
    deviations[OF_SEASON] = np.minimum(deviations[OF_SEASON], np.maximum(now, away(state[Row.SHORT_LEVEL])))
    foremost = np.argmax(deviations, axis=0)
    greatest = np.take_along_axis(deviations, foremost[None, :], axis=0)[0]
    judged = count >= warmup
    more = np.clip(np.minimum(size[0] / residual_spread, now) - p.LASTING_FROM, 0.0, p.LASTING_MOST)
    before = state[Row.LASTING].copy()
    lasting = state[Row.LASTING] = np.where(judged, before * p.LASTING_KEEP + more, 0.0)
    crossed = (lasting >= p.LASTING_LIMIT) & (before < p.LASTING_LIMIT)
    late = state[Row.RECENT_DEVIATION]
    late = p.RECENT_KEEP * late + (1 - p.RECENT_KEEP) * np.minimum(greatest, p.RECENT_MOST)
    late = state[Row.RECENT_DEVIATION] = np.where(judged, late, 0.0)
    return np.where(judged, (greatest + late) / 2, 0.0), foremost.astype(np.int8), np.asarray(crossed)


def _learn_features(state: Floats, features: Floats, centre: Floats, spread: Floats) -> None:
    """Take features into their slow means and spreads."""
    adapted, apart = state[Row.ADAPTED], features - centre
    weight = np.maximum(1 / (adapted + 1), p.SLOW * forgetting(state))
    bounded = (adapted > 30) & (spread > 0)
    limit = np.where(bounded, 3 * spread, np.inf)
    state[CENTRES] = centre + weight * np.clip(apart, -limit, limit)
    state[SPREADS] = spread + weight * (np.minimum(np.abs(apart), 2 * limit) - spread)


def learn(state: Floats, value: Floats) -> None:
    """Take the value into the fast mean and spread."""
    adapted, scale = state[Row.ADAPTED], state[Row.SCALE]
    weight = np.maximum(1 / (adapted + 1), p.FAST)
    apart = value - state[Row.LOCATION]
    bounded = (adapted > 10) & (scale > 0)
    limit = np.where(bounded, 3 * scale, np.inf)
    state[Row.LOCATION] += weight * np.clip(apart, -limit, limit)
    state[Row.SCALE] = scale + weight * (np.minimum(np.abs(apart), limit * (5 / 3)) - scale)
    state[Row.COUNT] += 1
    state[Row.ADAPTED] += 1


def from_before(state: Floats, baseline: Codes, day_weight: Floats, week_weight: Floats) -> Flags:
    """Where the baseline is a season's mean that knew its hour before the open anomaly began."""
    since = np.minimum(state[Row.OPEN], 3600 / np.maximum(state[Row.INTERVAL], 1e-3))
    by_week = (baseline == Baseline.HOUR_OF_WEEK) & (week_weight - since >= p.WEEK_LEAST)
    by_day = (baseline == Baseline.HOUR_OF_DAY) & (day_weight - since >= p.DAY_LEAST)
    return np.asarray(by_week | by_day)


def follow(state: Floats, begins: Flags, value: Floats, expected: Floats, known_before: Flags) -> tuple[Flags, Codes]:
    """Open and close anomalies; where one opened, and how one ended.

    Args:
        state: of the series, float64 [WIDTH, series]; the others are [series].
        begins: whether an incident begins.
        value: what came.
        expected: the baseline.
        known_before: where the baseline owes nothing to the open anomaly, see `from_before`.
    """
    opened = begins & (state[Row.OPEN] == 0)
    for row in (Row.QUIET, Row.STEADY):
        state[row] = np.where(opened, 0.0, state[row])
    state[Row.BEFORE] = np.where(opened, expected, state[Row.BEFORE])
    is_open = opened | (state[Row.OPEN] > 0)
    state[Row.OPEN] += is_open
    floor = TINY + NOTHING * np.abs(state[VALUE_CENTRE])
    spread = np.maximum(state[RESIDUAL_SPREAD], floor)
    deviations = (value - expected) / spread
    quiet = np.where((np.abs(deviations) < p.QUIET_DEVIATION) & ~begins, state[Row.QUIET] + 1, 0.0)
    state[Row.QUIET] = np.where(is_open, quiet, 0.0)
    _watch_drift(state, opened, np.arcsinh((value - state[Row.BEFORE]) / spread))
    back = np.abs(value - state[Row.BEFORE]) / spread < p.QUIET_DEVIATION
    quietened = state[Row.QUIET] >= p.QUIET_POINTS
    ended = is_open & quietened & (back | known_before)
    level, now = np.sinh(state[Row.DRIFT_MEAN]), (state[Row.SHORT_LEVEL] - state[Row.BEFORE]) / spread
    trend = np.abs(state[Row.SHORT_LEVEL] - state[Row.LONG_LEVEL]) / spread
    reached = np.abs(now - level) <= np.maximum(p.REACHED_SHARE * np.abs(level), p.REACHED_LEAST)
    reached &= trend <= np.maximum(p.REACHED_TREND * np.abs(now), p.REACHED_LEAST)
    steady = is_open & ~ended & (state[Row.STEADY] >= p.SETTLED_POINTS)
    settled = steady & reached
    state[Row.STEADY] = np.where(steady & ~reached, float(p.SETTLED_POINTS - p.ASKED_AGAIN), state[Row.STEADY])
    state[Row.OPEN] = np.where(ended | settled, 0.0, state[Row.OPEN])
    ending = np.where(ended, Ending.INCIDENT, np.where(settled, Ending.NEW_NORMAL, Ending.NONE))
    return np.asarray(opened), ending.astype(np.int8)


def _watch_drift(state: Floats, restarted: Flags, size: Floats) -> None:
    """Page–Hinkley in both directions; STEADY counts the points since it last found a change."""
    rows = (Row.DRIFT_MEAN, Row.DRIFT_UP, Row.DRIFT_UP_LEAST, Row.DRIFT_DOWN, Row.DRIFT_DOWN_GREATEST, Row.DRIFT_COUNT)
    for row in rows:
        state[row] = np.where(restarted, 0.0, state[row])
    state[Row.DRIFT_COUNT] += 1
    state[Row.DRIFT_MEAN] += (size - state[Row.DRIFT_MEAN]) / state[Row.DRIFT_COUNT]
    apart = size - state[Row.DRIFT_MEAN]
    up = state[Row.DRIFT_UP] = state[Row.DRIFT_UP] + (apart - p.DRIFT_ALLOWANCE)
    down = state[Row.DRIFT_DOWN] = state[Row.DRIFT_DOWN] + (apart + p.DRIFT_ALLOWANCE)
    least = state[Row.DRIFT_UP_LEAST] = np.minimum(state[Row.DRIFT_UP_LEAST], up)
    greatest = state[Row.DRIFT_DOWN_GREATEST] = np.maximum(state[Row.DRIFT_DOWN_GREATEST], down)
    changed = (up - least > p.DRIFT_LIMIT) | (greatest - down > p.DRIFT_LIMIT)
    state[Row.STEADY] = np.where(changed, 0.0, state[Row.STEADY] + 1)
    for row in rows:
        state[row] = np.where(changed, 0.0, state[row])


def seasonal(state: Floats, value: Floats, expected: Floats) -> Floats:
    """What the season's means learn: the value, but an outlier only so far that it can't spoil its hour for weeks."""
    spreads = np.where(state[Row.OPEN] > 0, p.SEASON_LIMIT_OPEN, p.SEASON_LIMIT)
    limit = np.where(state[Row.ADAPTED] > 30, spreads * state[Row.SCALE], np.inf)
    limit = np.where(state[Row.SCALE] > 0, limit, np.inf)
    return np.clip(value, expected - limit, expected + limit)


def settle(state: Floats, settled: Flags) -> None:
    """Let the means of a new normal move at once."""
    state[Row.ADAPTED] = np.where(settled, p.RESTARTED_POINTS, state[Row.ADAPTED])


def switch_counters(state: Floats) -> Flags:
    """Decide which series are counters; where that changed, the state began afresh."""
    decided = np.fmod(state[Row.RAW_COUNT], p.COUNTER_POINTS) == 0
    is_counter = state[Row.IS_COUNTER] > 0
    becomes = decided & ~is_counter & (state[Row.FELL] == 0) & (state[Row.RISES] > p.COUNTER_POINTS / 2)
    ceases = decided & is_counter & (state[Row.FALLS] >= p.COUNTER_FALLS)
    changed = becomes | ceases
    state[Row.IS_COUNTER] = np.where(becomes, 1.0, np.where(ceases, 0.0, state[Row.IS_COUNTER]))
    state[Row.FELL] = np.where(ceases, 1.0, state[Row.FELL])
    for row in (Row.RISES, Row.FALLS):
        state[row] = np.where(decided, 0.0, state[row])
    if changed.any():
        raw = state[Row.RAW].copy()
        state[: Row.INTERVAL, changed] = 0.0
        state[FIRST_RESET:, changed] = 0.0
        state[Row.RAW] = raw
    return np.asarray(changed)


def hours_of(local_ns: Integers) -> tuple[Integers, Integers]:
    """Which of the season's means: the hour of the day, and of the week behind them."""
    hours = local_ns // HOUR_NS
    return hours % DAY_HOURS, hours % WEEK_HOURS + DAY_HOURS


def score_of(begins: Floats, deviated: Floats) -> Floats:
    """From 0.5 what begins an incident, by how often a week a healthy series would; below by how far it is out."""
    alarms = np.where(begins > 0, p.ONCE_A_WEEK / np.maximum(begins, TINY), NEVER)
    out = 0.5 * deviated / (deviated + p.HALF_DEVIATION)
    return np.where(alarms < p.MOST_ALARMS, 0.5 + 0.5 / (1 + alarms), out)
