"""Scores a series from a file, for those who want to see what the detector says of data of their own."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from streamswarm_core.errors import ConfigError
from streamswarm_core.zones import UTC_NAME, check_zone
from streamswarm_ml.detectors import detect_anomalies


@dataclass(frozen=True, slots=True)
class ScoredFile:
    """What the detector says of a file.

    Attributes:
        csv: the two columns, and score, anomaly (0 or 1) and expected.
        left_out: for a person, which values have no score; "" if all have one.
    """

    csv: str
    left_out: str


def score_csv(path: Path, *, false_alarms: float = 1.0, time_zone: str = UTC_NAME) -> ScoredFile:
    """Score a CSV file with the columns `timestamp` (or `time`) and `value`.

    Args:
        path: the file; times are ISO 8601, or seconds since the epoch.
        false_alarms: anomalies of a healthy series in a week that are put up with.
        time_zone: IANA name of the clock by which hours of the day and of the week are counted.

    Raises:
        ConfigError: the file can't be read or lacks a column, or there is no such time zone.
    """
    try:
        check_zone(time_zone)
    except ValueError as error:
        raise ConfigError(str(error)) from None
    try:
        frame = pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: {error}") from None
    time_column = next((name for name in ("timestamp", "time") if name in frame), None)
    if time_column is None or "value" not in frame:
        raise ConfigError(f"{path} has the columns {', '.join(map(str, frame))}; it needs timestamp and value")
    stamps = frame[time_column]
    try:
        values = pd.to_numeric(frame["value"], errors="coerce").to_numpy(dtype=float)
        times = stamps.to_numpy() if pd.api.types.is_numeric_dtype(stamps) else _instants(stamps)
    except ValueError as error:
        raise ConfigError(f"{path}: {error}; times are ISO 8601 or seconds since the epoch") from None
    found = detect_anomalies(values, times, false_alarms=false_alarms, time_zone=time_zone)
    told = frame[[time_column, "value"]].assign(
        score=found.score.round(6), anomaly=found.flag.astype(int), expected=found.expected
    )
    return ScoredFile(str(told.to_csv(index=False)), _left_out(values, times))


def _left_out(values: NDArray[np.float64], times: NDArray[Any]) -> str:
    """A file in the wrong order would look like one in which nothing is unusual."""
    numbers = np.isfinite(values)
    ordered = times[numbers]
    late = int((ordered[1:] <= np.maximum.accumulate(ordered)[:-1]).sum()) if len(ordered) else 0
    text = len(values) - int(numbers.sum())
    reasons = [f"{text} are no finite numbers"] * (text > 0)
    reasons += [f"{late} are not later than one before them (one series a file, sorted by time)"] * (late > 0)
    return f"{text + late} of {len(values)} values have no score: {', '.join(reasons)}" if reasons else ""


def _instants(stamps: "pd.Series[str]") -> NDArray[np.datetime64]:
    aware = pd.to_datetime(stamps, utc=True, format="ISO8601")
    return aware.dt.tz_localize(None).to_numpy(dtype="datetime64[ns]")
