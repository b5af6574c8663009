"""Answers as pandas DataFrames, for services that have pandas; nothing else in core imports this module."""

import math
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd

from streamswarm_core.reader.protocol import Reader
from streamswarm_core.reader.select import Aggregate, Condition, Select
from streamswarm_core.reader.series import Series


def window_means(
    reader: Reader,
    measurement: str,
    fields: Sequence[str],
    *,
    start_ns: int,
    stop_ns: int,
    every_ns: int,
    where: Sequence[Condition] = (),
    tags: Sequence[str] = ("*",),
) -> pd.DataFrame:
    """Means of windows that begin at multiples of `every_ns` since the epoch and hold [begin, begin + every_ns).

    Args:
        reader: any reader.
        measurement: where from.
        fields: numeric fields.
        start_ns: earliest time, included, nanoseconds since the epoch; it cuts the first window.
        stop_ns: latest time, excluded; it cuts the last window.
        every_ns: window length, nanoseconds; whole milliseconds for PromQL.
        where: which series.
        tags: points that agree in these are one series; ("*",) for all tags.

    Returns:
        One row for each series and each window with a point: `time` (beginning of the window, UTC), the tags, the
        fields as float64. A window without points has no row; a field without values in it is NaN.

    Raises:
        Unavailable: the store can't be reached; the message names its URL.
        Refused: the store doesn't take the question.
    """
    statement = Select(
        measurement,
        [Aggregate("mean", field) for field in fields],
        start_ns=start_ns,
        stop_ns=stop_ns,
        where=where,
        every_ns=every_ns,
        group_by=tags,
    )
    return to_frame(reader.select(statement), fields, tags)


def rows(
    reader: Reader,
    measurement: str,
    fields: Sequence[str],
    *,
    start_ns: int,
    stop_ns: int,
    where: Sequence[Condition] = (),
    tags: Sequence[str] = ("*",),
) -> pd.DataFrame:
    """The points of [start_ns, stop_ns) as they are stored; arguments, shape and errors as of `window_means`."""
    statement = Select(measurement, fields, start_ns=start_ns, stop_ns=stop_ns, where=where, group_by=tags)
    return to_frame(reader.select(statement), fields, tags)


def latest(
    reader: Reader,
    measurement: str,
    fields: Sequence[str],
    *,
    start_ns: int,
    stop_ns: int | None = None,
    where: Sequence[Condition] = (),
    tags: Sequence[str] = ("*",),
) -> pd.DataFrame:
    """The newest point of each series in [start_ns, stop_ns), or since start_ns; otherwise as `window_means`."""
    statement = Select(
        measurement,
        fields,
        start_ns=start_ns,
        stop_ns=stop_ns,
        where=where,
        group_by=tags,
        descending=True,
        limit=1,
    )
    return to_frame(reader.select(statement), fields, tags)


def to_frame(answer: Iterable[Series], fields: Sequence[str], tags: Sequence[str] = ("*",)) -> pd.DataFrame:
    """Series as one long frame, sorted by tags and time.

    Args:
        answer: of a statement with these fields.
        fields: columns to take; a field that no row holds a number of is NaN.
        tags: columns to take; for ("*",) those that any series has, sorted.

    Returns:
        Columns `time` (datetime64[ns, UTC]), the tags (pandas' str, "" where missing) and the fields (float64).
    """
    series = list(answer)
    if "*" in tags:
        tags = sorted({key for one in series for key, value in one.tags.items() if value})
    parts = [_part(one, fields, tags) for one in series if one.rows]
    if not parts:
        parts = [_part(Series("", {}, ("time",), []), fields, tags)]
    frame = pd.concat(parts, ignore_index=True).astype(dict.fromkeys(tags, str))
    return frame.sort_values([*tags, "time"], kind="stable", ignore_index=True)


def _part(series: Series, fields: Sequence[str], tags: Sequence[str]) -> pd.DataFrame:
    times = np.array(series.column("time"), dtype="int64")
    columns: dict[str, object] = {"time": pd.to_datetime(times, unit="ns", utc=True)}
    columns |= {tag: np.full(len(times), series.tags.get(tag, ""), dtype=object) for tag in tags}
    for field in fields:
        values = series.column(field) if field in series.columns else [None] * len(times)
        numbers = [value if isinstance(value, int | float) else math.nan for value in values]
        columns[field] = np.array(numbers, dtype="float64")
    return pd.DataFrame(columns)
