"""Forecasts of everything that probes measure: an hour, a day and a week ahead."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.model import COUNT, RATIO, SCORE, SECONDS, Unit
from streamswarm_core.catalogue.predictions import FORECAST
from streamswarm_core.point import Point
from streamswarm_ml.explain.contributions import leading_text
from streamswarm_ml.forecast.horizon import Forecast, HorizonForecaster
from streamswarm_ml.forecast.prospect import History
from streamswarm_ml.prequential import Tally
from streamswarm_ml.windows import WINDOW_NS, Reading, Tags, Window, is_probe

SeriesKey = tuple[str, Tags, str]
_LEAST_LEARNED: Final = 24


@dataclass(frozen=True, slots=True)
class Horizon:
    """How far ahead, and in what steps.

    Attributes:
        name: the tag's value.
        windows: five-minute windows in a step: a step's value is their mean.
        steps: how many steps ahead.
        period: steps of a season.
    """

    name: str
    windows: int
    steps: int
    period: int


HORIZONS: Final = (
    Horizon("1h", windows=1, steps=12, period=288),
    Horizon("24h", windows=12, steps=24, period=24),
    Horizon("7d", windows=72, steps=28, period=28),
)


@dataclass(slots=True)
class _Line:
    """One series at one horizon: the step that is being filled, and the forecaster of full steps."""

    forecaster: HorizonForecaster
    step: int
    total: float = 0.0
    count: int = 0


@dataclass(slots=True)
class ForecastModel:
    """Prequential forecasts with 90 % intervals, one forecaster a series and horizon.

    Attributes:
        samples: steps scored and learned.
        history: hourly means of what was seen, for tests that don't exist yet.
    """

    samples: int = 0
    history: History = field(default_factory=History)
    _lines: dict[tuple[SeriesKey, str], _Line] = field(default_factory=dict)
    _tallies: dict[str, Tally] = field(
        default_factory=lambda: {
            horizon.name: Tally(
                "absolute error over the series' mean change", ("as now", "same time one period before")
            )
            for horizon in HORIZONS
        }
    )

    def observe(self, window: Window) -> list[Point]:
        """Score what was forecast for this window, learn it, and forecast anew where a step is full."""
        points: list[Point] = []
        for reading in window.readings:
            measurement = CATALOGUE[reading.measurement]
            if not is_probe(measurement):
                continue
            for declared in measurement.features:
                value = reading.values.get(declared.name)
                if value is None or not math.isfinite(value):
                    continue
                self.history.add(reading, declared.name, window.index, value)
                points.extend(self._forecasts(reading, declared.name, declared.unit, window, value))
        return points

    def forget(self, before: int) -> None:
        """Drop what is kept of series that have had no point since a window."""
        self.history.forget(before)
        windows = {horizon.name: horizon.windows for horizon in HORIZONS}
        self._lines = {key: line for key, line in self._lines.items() if (line.step + 1) * windows[key[1]] > before}

    def report(self) -> Mapping[str, Any]:
        """Figures by horizon, JSON-ready."""
        found: dict[str, Any] = {}
        for horizon in HORIZONS:
            tallies = [
                line.forecaster
                for (_, name), line in self._lines.items()
                if name == horizon.name and line.forecaster.tally.count >= _LEAST_LEARNED
            ]
            skills = sorted(one.tally.skill for one in tallies if one.tally.skill is not None)
            scored = sum(one.tally.count for one in tallies)
            found[horizon.name] = {
                **self._tallies[horizon.name].report(),
                "series": len(tallies),
                "median_skill": skills[len(skills) // 2] if skills else None,
                "coverage": sum(one.covered for one in tallies) / scored if scored else None,
            }
        return found

    def _forecasts(self, reading: Reading, name: str, unit: Unit, window: Window, value: float) -> Iterator[Point]:
        for horizon in HORIZONS:
            key = ((reading.measurement, reading.tags, name), horizon.name)
            step = window.index // horizon.windows
            line = self._lines.get(key)
            if line is None:
                made = HorizonForecaster(steps=horizon.steps, period=horizon.period)
                line = self._lines[key] = _Line(made, step)
            if step != line.step:
                yield from self._close(line, horizon, reading, name, unit)
                line.step, line.total, line.count = step, 0.0, 0
            line.total += value
            line.count += 1

    def _close(self, line: _Line, horizon: Horizon, reading: Reading, name: str, unit: Unit) -> Iterator[Point]:
        step_ns = horizon.windows * WINDOW_NS
        mean = line.total / line.count
        tally, time_ns = line.forecaster.tally, (line.step + 1) * step_ns
        before = tally.count, tally.model_sum, tuple(tally.baseline_sums)
        forecast = line.forecaster.update(line.step, mean, time_ns=time_ns)
        self.samples += tally.count - before[0]
        unrest = line.forecaster.unrest
        if tally.count > before[0] and unrest > 0:
            naive = tuple((now - then) / unrest for now, then in zip(tally.baseline_sums, before[2], strict=True))
            self._tallies[horizon.name].add((tally.model_sum - before[1]) / unrest, naive, time_ns=time_ns)
        if forecast.learned >= _LEAST_LEARNED:
            yield self._point(line, forecast, horizon, reading, name, unit)

    @staticmethod
    def _point(line: _Line, forecast: Forecast, horizon: Horizon, reading: Reading, name: str, unit: Unit) -> Point:
        low, high = bounds_of(unit)
        tags = {**dict(reading.tags), "measurement": reading.measurement, "field": name, "horizon": horizon.name}
        return FORECAST.point(
            tags,
            time_ns=forecast.index * horizon.windows * WINDOW_NS,
            value=min(max(forecast.value, low), high),
            low=min(max(forecast.low, low), high),
            high=min(max(forecast.high, low), high),
            baseline=forecast.naive,
            learned=forecast.learned,
            skill=line.forecaster.tally.skill,
            coverage=line.forecaster.coverage,
            because=leading_text(line.forecaster.contributions()),
        )


def bounds_of(unit: Unit) -> tuple[float, float]:
    """What a value of this unit can be at all.

    >>> bounds_of(RATIO), bounds_of(SECONDS)
    ((0.0, 1.0), (0.0, inf))
    """
    if unit in {RATIO, SCORE}:
        return 0.0, 1.0
    return (0.0, math.inf) if unit in {SECONDS, COUNT} else (-math.inf, math.inf)
