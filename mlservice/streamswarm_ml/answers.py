"""What a store answers, as a batch for the detectors."""

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from streamswarm_core.reader import Series
from streamswarm_core.reader.series import Value
from streamswarm_ml.maintenance import Maintenance
from streamswarm_ml.watched import Batch, SeriesKey
from streamswarm_ml.windows import Tags

Numbering = Callable[[SeriesKey], int | None]
"""A series' number; None for one that isn't watched."""


def batch_of(measurement: str, answer: Sequence[Series], maintenance: Maintenance, number_of: Numbering) -> Batch:
    """The numbers of an answer, without those of times that are not judged.

    Args:
        measurement: its name.
        answer: a column of times, in nanoseconds, and one for each field.
        maintenance: when what is not judged.
        number_of: gives a field's series its number.
    """
    numbers: list[int] = []
    counts: list[int] = []
    values: list[NDArray[np.float64]] = [np.zeros(0)]
    times: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    for series in answer:
        if not series.rows:
            continue
        tags = tags_of(series)
        moments, *columns = zip(*series.rows, strict=True)
        all_times = np.array(moments, dtype=np.int64)
        planned = maintenance.of(series.tags.get("agent", ""), series.tags.get("test", "")).hold(all_times)
        for name, column in zip(series.columns[1:], columns, strict=True):
            found = _numbers(column)
            good = np.isfinite(found) & ~planned
            number = number_of((measurement, tags, name)) if good.any() else None
            if number is not None:
                numbers.append(number)
                counts.append(int(good.sum()))
                times.append(all_times[good])
                values.append(found[good])
    which = np.repeat(np.array(numbers, dtype=np.int64), counts)
    return Batch(which, np.concatenate(values), np.concatenate(times))


def tags_of(series: Series) -> Tags:
    """Its tags without empty ones, as series are known by."""
    return tuple(sorted((key, value) for key, value in series.tags.items() if value))


def _numbers(column: tuple[Value, ...]) -> NDArray[np.float64]:
    """Where there is no number, NaN."""
    try:
        return np.array(column, dtype=np.float64)
    except (TypeError, ValueError):
        return np.array([one if isinstance(one, int | float) else np.nan for one in column], dtype=np.float64)
