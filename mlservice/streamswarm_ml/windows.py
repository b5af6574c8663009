"""What the models learn from: means of five minutes, of every series of the probes and of the agents' hosts."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from streamswarm_core.catalogue import CATALOGUE, Kind, Measurement
from streamswarm_core.catalogue.common import UP
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.reader import Aggregate, Reader, Select
from streamswarm_core.thresholds import Threshold

WINDOW_SECONDS: Final = 300
WINDOW_NS: Final = WINDOW_SECONDS * NANOSECONDS

Tags = tuple[tuple[str, str], ...]
"""Sorted; without empty ones."""
Thresholds = tuple[Threshold, ...]


@dataclass(frozen=True, slots=True)
class Reading:
    """The means of one series in one window.

    Attributes:
        measurement: its name.
        tags: of the series.
        values: mean of each numeric field that has one, in the catalogue's unit.
        thresholds: the test's own, of this measurement.
    """

    measurement: str
    tags: Tags
    values: Mapping[str, float]
    thresholds: Thresholds = ()

    def tag(self, key: str) -> str:
        """A tag's value; empty if it has none."""
        return next((value for name, value in self.tags if name == key), "")


@dataclass(frozen=True, slots=True)
class Window:
    """Five minutes of everything.

    Attributes:
        start_ns: a multiple of five minutes since the epoch, nanoseconds.
        readings: of the series that have points in it.
    """

    start_ns: int
    readings: tuple[Reading, ...]

    @property
    def index(self) -> int:
        """Number of the window since the epoch."""
        return self.start_ns // WINDOW_NS


def learned_measurements() -> tuple[Measurement, ...]:
    """The measurements that models read: what probes and hosts write, not what the ML service itself does."""
    return tuple(found for found in CATALOGUE.values() if "test" in found.tags and not found.open_tags)


def learned_fields(measurement: Measurement) -> list[str]:
    """The numeric fields of which one direction is bad, and `received` and `sent` of interfaces."""
    return [
        declared.name
        for declared in measurement.fields
        if declared.kind is not Kind.STRING and (declared.worse is not None or declared.feature)
    ]


def is_probe(measurement: Measurement) -> bool:
    """Whether it is the summary of a probe's run: it says whether the target is up."""
    return UP.name in measurement and "target" in measurement.tags


def read_windows(reader: Reader, start_ns: int, stop_ns: int) -> Iterator[Window]:
    """The windows of [start_ns, stop_ns) that have points, in the order of time.

    Args:
        reader: of the store.
        start_ns: a multiple of five minutes since the epoch, nanoseconds.
        stop_ns: likewise.

    Raises:
        Unavailable, Refused: as of the reader.
    """
    found: dict[int, list[Reading]] = {}
    stored = set(reader.measurements())
    for measurement in learned_measurements():
        names = learned_fields(measurement)
        if measurement.name not in stored or not names:
            continue
        statement = Select(
            measurement.name,
            [Aggregate("mean", name) for name in names],
            start_ns=start_ns,
            stop_ns=stop_ns,
            every_ns=WINDOW_NS,
            group_by=("*",),
        )
        for series in reader.select(statement):
            tags = tuple(sorted((key, value) for key, value in series.tags.items() if value))
            for time_ns, *row in series.rows:
                values = {
                    name: float(value)
                    for name, value in zip(series.columns[1:], row, strict=True)
                    if isinstance(value, int | float)
                }
                if values:
                    found.setdefault(int(time_ns or 0), []).append(Reading(measurement.name, tags, values))
    for time_ns in sorted(found):
        yield Window(time_ns, tuple(found[time_ns]))
