"""The detector over series that are there already, with the same scores as point by point: each is of its past only."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from streamswarm_core.zones import UTC_NAME
from streamswarm_ml.detectors import parameters as p
from streamswarm_ml.detectors.bank import Bank
from streamswarm_ml.detectors.base import threshold_for
from streamswarm_ml.detectors.stream import StreamDetector
from streamswarm_ml.detectors.zones import ahead_ns

_DEFAULT_STEP_NS = 60 * 10**9


@dataclass(frozen=True, slots=True)
class Detection:
    """One judged series; arrays of the length of its values.

    Attributes:
        score: as in `Verdict`; 0 where there was nothing to judge.
        flag: whether the series is in an anomaly.
        opened: whether an anomaly begins.
        expected: what was expected, in the series' unit; NaN where nothing was judged.
    """

    score: NDArray[np.float64]
    flag: NDArray[np.bool_]
    opened: NDArray[np.bool_]
    expected: NDArray[np.float64]


def detect(values: ArrayLike, times: ArrayLike | None = None) -> NDArray[np.float64]:
    """Score each value of a series by the values before it; one pass, nothing of the future.

    Args:
        values: any length; NaN and infinities get the score 0 and are not learned.
        times: datetime64, or numbers in seconds since the epoch; a point a minute if there are none. Points that are
            not newer than one before them get the score 0 and are not learned.

    Returns:
        Scores 0..1; from 0.5 on a value begins an incident. `threshold_for(1.0)` is what a healthy series reaches once
        a week.

    Raises:
        ValueError: values and times differ in length, or have more than one dimension.

    >>> scores = detect([1.0, 1.1, 0.9, 1.0] * 100 + [9.0])
    >>> bool(scores[-1] > threshold_for(1.0)), bool((scores[:-1] < 0.5).all())
    (True, True)
    """
    return detect_anomalies(values, times).score


def detect_anomalies(
    values: ArrayLike,
    times: ArrayLike | None = None,
    *,
    false_alarms: float = 1.0,
    warmup: int = p.WARMUP,
    time_zone: str = UTC_NAME,
) -> Detection:
    """As `detect`, with anomalies: those that a healthy series would show `false_alarms` times a week.

    Args:
        values: as for `detect`.
        times: as for `detect`; UTC.
        false_alarms: what is put up with.
        warmup: values before anything is judged.
        time_zone: IANA name of the clock by which hours of the day and of the week are counted.

    Raises:
        ValueError: as `detect`.
    """
    numbers, times_ns = _checked(values, times)
    detector = StreamDetector(threshold_for(false_alarms), warmup)
    found = _nothing(len(numbers))
    local_ns = times_ns + ahead_ns(time_zone, times_ns)
    for index in np.flatnonzero(_judged(numbers, times_ns)).tolist():
        verdict = detector.update(float(numbers[index]), int(times_ns[index]), int(local_ns[index]))
        found.score[index], found.expected[index] = verdict.score, verdict.expected
        found.flag[index], found.opened[index] = verdict.flag, verdict.opened
    return found


def detect_many(
    series: Sequence[tuple[ArrayLike, ArrayLike | None]],
    *,
    false_alarms: float = 1.0,
    warmup: int = p.WARMUP,
    time_zone: str = UTC_NAME,
) -> list[Detection]:
    """`detect_anomalies` of many series, much faster: they are judged side by side.

    Raises:
        ValueError: as `detect`.
    """
    bank = Bank(threshold_for(false_alarms), warmup)
    bank.add(len(series))
    found, rows, numbers, instants, places = [], [], [], [], []
    for row, (values, times) in enumerate(series):
        one, times_ns = _checked(values, times)
        judged = np.flatnonzero(_judged(one, times_ns))
        found.append(_nothing(len(one)))
        rows.append(np.full(len(judged), row))
        numbers.append(one[judged])
        instants.append(times_ns[judged])
        places.append(judged)
    if not found:
        return found
    times_ns = np.concatenate(instants)
    told = bank.judge(np.concatenate(rows), np.concatenate(numbers), times_ns, times_ns + ahead_ns(time_zone, times_ns))
    first = 0
    for detection, judged in zip(found, places, strict=True):
        part = slice(first, first + len(judged))
        detection.score[judged], detection.expected[judged] = told.score[part], told.expected[part]
        detection.flag[judged], detection.opened[judged] = told.flag[part], told.opened[part]
        first = part.stop
    return found


def _nothing(count: int) -> Detection:
    """What is said of so many values before any was judged."""
    return Detection(np.zeros(count), np.zeros(count, dtype=bool), np.zeros(count, dtype=bool), np.full(count, np.nan))


def _checked(values: ArrayLike, times: ArrayLike | None) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    numbers = np.asarray(values, dtype=np.float64)
    if times is None:
        times_ns = np.arange(numbers.size, dtype=np.int64) * _DEFAULT_STEP_NS
    else:
        instants = np.asarray(times)
        if np.issubdtype(instants.dtype, np.datetime64):
            times_ns = instants.astype("datetime64[ns]").astype(np.int64)
        else:
            times_ns = np.round(instants.astype(np.float64) * 1e9).astype(np.int64)
    if numbers.ndim != 1 or times_ns.shape != numbers.shape:
        raise ValueError(f"values have the shape {numbers.shape} and times {times_ns.shape}; give two lists as long")
    return numbers, times_ns


def _judged(numbers: NDArray[np.float64], times_ns: NDArray[np.int64]) -> NDArray[np.bool_]:
    """What is finite and newer than everything before it."""
    finite = np.isfinite(numbers)
    newest = np.maximum.accumulate(np.where(finite, times_ns, np.iinfo(np.int64).min))
    newer = np.ones(len(numbers), dtype=bool)
    newer[1:] = times_ns[1:] > newest[:-1]
    return np.asarray(finite & newer)
