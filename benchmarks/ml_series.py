"""Made-up telemetry with labels that come from what was done to it, for benchmarks of detectors.

Each family has a healthy form (day and week, heavy tails, spikes that belong to it, counters that wrap, gaps) and each
fault changes a stretch of it. Detectors never see which. Seeded: the same number gives the same series.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]
Times = NDArray[np.int64]
Labels = NDArray[np.bool_]

START: Final = 1_767_571_200
"""Monday, 5 January 2026, 00:00 UTC, seconds."""
_DAY: Final = 86_400


@dataclass(frozen=True, slots=True)
class LabelledSeries:
    """One series.

    Attributes:
        family: what it imitates.
        values: NaN never; a missing point is not there.
        times_ns: nanoseconds since the epoch.
        labels: whether the point is in a fault.
    """

    family: str
    values: Values
    times_ns: Times
    labels: Labels


def _clock(count: int, step: float) -> Values:
    return START + np.arange(count, dtype=np.float64) * step


def _daily(seconds: Values, source: np.random.Generator, weekend: float = 0.6) -> Values:
    """A day's curve, 0..1, with a peak at an hour of its own, lower at weekends."""
    peak = source.uniform(9, 21)
    hours = seconds / 3600
    curve = 0.5 + 0.35 * np.cos((hours - peak) / 24 * 2 * np.pi) + 0.15 * np.cos((hours - peak - 3) / 12 * 2 * np.pi)
    weekday = (seconds // _DAY - START // _DAY) % 7
    return np.asarray(curve * np.where(weekday >= 5, weekend, 1.0))


def cpu(seconds: Values, source: np.random.Generator) -> Values:
    load = 0.1 + 0.5 * _daily(seconds, source) + source.normal(0, 0.03, len(seconds))
    jobs = (seconds % 3600 < 120) * source.uniform(0.1, 0.3)
    return np.asarray(np.clip(load + jobs, 0, 1))


def requests(seconds: Values, source: np.random.Generator) -> Values:
    return source.poisson(20 + source.uniform(100, 1000) * _daily(seconds, source)).astype(float)


def latency(seconds: Values, source: np.random.Generator) -> Values:
    base = source.uniform(0.005, 0.1)
    queueing = base * 0.3 * np.clip(_daily(seconds, source), 0, None)
    noise = source.lognormal(0, 0.5, len(seconds)) * base * 0.05
    tail = (source.random(len(seconds)) < 0.003) * source.pareto(2.0, len(seconds)) * base
    return np.asarray(base + queueing + noise + tail)


def queue(seconds: Values, source: np.random.Generator) -> Values:
    bursts = (source.random(len(seconds)) < 0.02) * source.exponential(5, len(seconds))
    return np.round(bursts)


def counter(seconds: Values, source: np.random.Generator) -> Values:
    rate = source.uniform(1e4, 1e6) * (0.1 + _daily(seconds, source)) * source.lognormal(0, 0.2, len(seconds))
    return np.asarray(np.cumsum(np.round(rate * np.median(np.diff(seconds)))) % 2.0**40)


def memory(seconds: Values, source: np.random.Generator) -> Values:
    period = source.uniform(2, 9) * 3600
    return np.asarray(40 + 20 * (seconds % period) / period + source.normal(0, 0.3, len(seconds)))


def state(seconds: Values, source: np.random.Generator) -> Values:
    return np.full(len(seconds), float(source.integers(1, 5)))


FAMILIES: Final[dict[str, Callable[[Values, np.random.Generator], Values]]] = {
    one.__name__: one for one in (cpu, requests, latency, queue, counter, memory, state)
}


def _fault(name: str, values: Values, source: np.random.Generator, usual: float, spread: float) -> Values:
    """A stretch as the fault leaves it."""
    count = len(values)
    size = spread * source.uniform(4, 10)
    match name:
        case "spikes":
            return np.asarray(values + size * 2 * (source.random(count) < 0.3))
        case "shift":
            return np.asarray(values + size * source.choice([-1.0, 1.0]))
        case "drop":
            return np.asarray(values * 0.02)
        case "noise":
            return np.asarray(values + source.normal(0, size * 0.6, count))
        case "stuck":
            return np.full(count, values[0])
        case "drift":
            return np.asarray(values + size * np.linspace(0, 1.5, count))
        case _:
            raise ValueError(f"no fault {name!r}; there are {', '.join(FAULTS)} (usual {usual})")


FAULTS: Final = ("spikes", "shift", "drop", "noise", "stuck", "drift")


def telemetry(family: str, seed: int, *, days: float = 10, step: float = 60, faults: int = 5) -> LabelledSeries:
    """A series with faults in its second half and after, a few gaps, and some points missing.

    Args:
        family: a key of FAMILIES.
        seed: of everything.
        days: length.
        step: seconds between points.
        faults: how many, of 10 to 180 points each; 0 for a healthy series.
    """
    source = np.random.default_rng([seed, *family.encode()])
    count = int(days * _DAY / step)
    seconds = _clock(count, step)
    level = FAMILIES[family](seconds, source)
    labels = np.zeros(count, dtype=bool)
    counted = family == "counter"
    values = np.diff(level, prepend=level[0]) if counted else level
    spread = float(np.std(np.diff(values))) or float(abs(np.median(values))) * 0.1 or 1.0
    usual = float(np.median(values))
    values = values.copy()
    places = np.sort(source.choice(np.arange(count // 4, count - 400, 400), faults, replace=False))
    for place in map(int, places):
        length = int(source.integers(10, 180))
        part = slice(place, place + length)
        values[part] = _fault(str(source.choice(FAULTS)), values[part], source, usual, spread)
        labels[part] = True
    if counted:
        values = np.cumsum(np.clip(values, 0, None)) % 2.0**40
    kept = source.random(count) > 0.002
    for _ in range(2):
        gap = int(source.integers(0, count - 200))
        kept[gap : gap + int(source.integers(20, 200))] = False
    times = (seconds * 1e9).astype(np.int64)
    return LabelledSeries(family, values[kept], times[kept], labels[kept])
