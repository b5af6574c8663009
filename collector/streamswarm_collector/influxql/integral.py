"""integral(): the area under a field, by the trapezoidal rule.

As in InfluxDB, the part between the last point of a window and the first of a later one belongs to the earlier window
up to its end, with a value interpolated there, and to the later one from then on.
"""

from collections.abc import Iterable, Mapping
from itertools import groupby
from typing import Any

from streamswarm_collector.influxql.windows import Windows


def integrals(
    points: Iterable[tuple[int, int, Any]], windows: Windows | None, unit: float, start: int
) -> Mapping[tuple[int, int], float]:
    """Areas by group and begin of window.

    Args:
        points: group, time in nanoseconds and value, ordered by group and time.
        windows: None for one area for each group; its time is the epoch, or the begin of the range for integers.
        unit: nanoseconds that count as one.
        start: begin of the range in nanoseconds.
    """
    areas: dict[tuple[int, int], float] = {}
    for group, own in groupby(points, key=lambda point: point[0]):
        before: tuple[int, Any] | None = None
        window, area, whole = 0, 0.0, False
        for _, time, value in own:
            target, whole = value, isinstance(value, int)
            if before is None:
                window = windows.floor(time) if windows else 0
            else:
                end = windows.next(window) if windows else None
                if end is not None and time >= end:
                    if before[0] != end:
                        at_end = before[1] + (value - before[1]) * (end - before[0]) / (time - before[0])
                        area += 0.5 * (at_end + before[1]) * (end - before[0]) / unit
                        # Between integers InfluxDB goes on with the older value, and to the interpolated one.
                        before, target = ((end, before[1]), at_end) if whole else ((end, at_end), value)
                    areas[group, window] = area
                    window, area = windows.floor(time) if windows else 0, 0.0
                area += 0.5 * (target + before[1]) * (time - before[0]) / unit
            before = (time, value)
        if windows is None:
            areas[group, start if whole else 0] = area
        elif before is not None and before[0] != window:
            areas[group, window] = area
    return areas
