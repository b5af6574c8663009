"""What a change of the clocks does to series with office hours, by the clock that their hours are counted by.

    python -m benchmarks.office_hours [--series 12] [--seeds 70000] [--step 300]

Healthy series of made-up sites in Berlin: a level at night and at weekends, another one in office hours, whose edges
are sharp and the same to some minutes each day. Every anomaly that opens is a false one.
"""

import argparse
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from streamswarm_ml.detectors import detect_many

ZONE: Final = "Europe/Berlin"
CHANGES: Final = {"summer time ends": datetime(2026, 10, 25), "… begins": datetime(2026, 3, 29)}  # noqa: DTZ001 - local
LEARNED: Final = timedelta(weeks=6)
COUNTED: Final = timedelta(weeks=2)


@dataclass(frozen=True, slots=True)
class Opened:
    """False anomalies of all series.

    Attributes:
        before: in the two weeks before the clocks are set.
        after: in the two weeks after.
    """

    before: int
    after: int


def office_hours(
    seed: int, first: datetime, last: datetime, step: int
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Values and seconds of a series between two moments of Berlin's wall clock, a point every `step` seconds."""
    source = np.random.default_rng(seed)
    zone = ZoneInfo(ZONE)
    start, stop = (int(moment.replace(tzinfo=zone).timestamp()) for moment in (first, last))
    seconds = np.arange(start, stop, step, dtype=np.int64)
    quiet, busy = source.uniform(5, 20), source.uniform(40, 80)
    opens, closes = source.integers(7, 10), source.integers(16, 19)
    values = np.full(len(seconds), quiet)
    day = first
    while day < last:
        if day.weekday() < 5:
            edges = [(day + timedelta(hours=int(hour))).replace(tzinfo=zone).timestamp() for hour in (opens, closes)]
            begin, end = np.array(edges) + source.normal(0, 120, 2)
            values[(seconds >= begin) & (seconds < end)] = busy
        day += timedelta(days=1)
    return values * source.lognormal(0, 0.05, len(seconds)), seconds


def opened(zone: str, change: datetime, *, series: int, seeds: int, step: int) -> Opened:
    """False anomalies around a change of the clocks, with hours counted by those of a zone."""
    made = [office_hours(seeds + number, change - LEARNED, change + COUNTED, step) for number in range(series)]
    split = change.replace(tzinfo=ZoneInfo(ZONE)).timestamp()
    before = after = 0
    for detection, (_, seconds) in zip(detect_many(made, time_zone=zone), made, strict=True):
        at = seconds[detection.opened]
        before += int(((at >= split - COUNTED.total_seconds()) & (at < split)).sum())
        after += int((at >= split).sum())
    return Opened(before, after)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--series", type=int, default=12)
    arguments.add_argument("--seeds", type=int, default=70_000, help="what the numbers of the series begin with")
    arguments.add_argument("--step", type=int, default=300, help="seconds between two points")
    options = arguments.parse_args()
    print("| clocks | hours counted in | false anomalies, two weeks before | two weeks after |")
    print("| --- " * 4 + "|")
    for name, change in CHANGES.items():
        for zone in ("UTC", ZONE):
            found = opened(zone, change, series=options.series, seeds=options.seeds, step=options.step)
            print(f"| {name} | {zone} | {found.before} | {found.after} |", flush=True)


if __name__ == "__main__":
    main()
