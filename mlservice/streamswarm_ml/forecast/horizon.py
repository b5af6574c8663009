"""A forecast of one series, a fixed number of steps ahead."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from streamswarm_ml.forecast.conformal import AdaptiveInterval
from streamswarm_ml.forecast.mixture import Mixture
from streamswarm_ml.forecast.rls import RecursiveLeastSquares, Vector
from streamswarm_ml.prequential import Tally

_LAGS: Final = 6
_AVERAGES: Final = (0.3, 0.1, 0.03)
_LARGEST_INPUT: Final = 30.0
_BIAS: Final = 0.1
_UNREST_SAMPLES: Final = 1000
_LARGEST_CHANGE: Final = 30.0
_SETTLED: Final = 30
INPUTS: Final = (
    *(f"value {lag} step{'s' if lag > 1 else ''} ago" for lag in range(1, _LAGS + 1)),
    *(f"mean of about {round(1 / weight)} steps" for weight in _AVERAGES),
    "same time one period before",
    "constant",
)
EXPERTS: Final = ("as now", *INPUTS[_LAGS : _LAGS + len(_AVERAGES)], "regression", "same time one period before")


@dataclass(frozen=True, slots=True)
class Forecast:
    """What a series is expected to be.

    Attributes:
        index: the step it is for.
        value: the prediction.
        low: lower end of the 90 % interval.
        high: upper end.
        naive: the last value seen: what a forecast has to beat.
        seasonal: the value one period before, where there is one, else the last.
        learned: examples that the forecaster had learned from.
    """

    index: int
    value: float
    low: float
    high: float
    naive: float
    seasonal: float
    learned: int


@dataclass(slots=True)
class _Pending:
    forecast: Forecast
    inputs: Vector
    experts: list[float]
    base: float
    unrest: float


class HorizonForecaster:
    """Predicts a series `steps` ahead, directly: the example for step t is learned when t + steps has come.

    A mixture of the last value, two exponential means, the value one period before, and a regression of the change on
    all of these and the last values, each divided by the series' mean absolute change. Nothing from after t is used.

    Args:
        steps: how far ahead.
        period: steps of a season, such as a day.

    >>> forecaster = HorizonForecaster(steps=1, period=4)
    >>> for index in range(200):
    ...     forecast = forecaster.update(index, [1.0, 5.0, 2.0, 8.0][index % 4], time_ns=index)
    >>> round(forecast.value)
    1
    """

    def __init__(self, *, steps: int, period: int) -> None:
        self.steps: Final = steps
        self.period: Final = period
        self.tally: Final = Tally("mean absolute error", ("as now", "same time one period before"))
        self.covered = 0
        self._regression = RecursiveLeastSquares(len(INPUTS))
        self._mixture = Mixture(len(EXPERTS))
        self._interval = AdaptiveInterval()
        self._pending: deque[_Pending] = deque()
        self._recent: deque[float] = deque(maxlen=_LAGS + 1)
        self._season: deque[tuple[int, float]] = deque()
        self._averages: list[float] = []
        self._unrest = 0.0
        self._changes = 0
        self._last: _Pending | None = None

    @property
    def coverage(self) -> float | None:
        """Share of the truths that lay in their interval; None before the first."""
        return self.covered / self.tally.count if self.tally.count else None

    @property
    def unrest(self) -> float:
        """Mean absolute change from step to step, outliers bounded: what an error is measured by across series."""
        return self._unrest

    def update(self, index: int, value: float, *, time_ns: int) -> Forecast:
        """Score and learn what was predicted for this step, then predict.

        Args:
            index: number of the step, larger than that before; steps may be missing.
            value: finite.
            time_ns: for the record of how the forecaster did over time.
        """
        self._remember(index, value)
        self._test_and_train(index, value, time_ns)
        self._last = self._predict(index, value)
        self._pending.append(self._last)
        return self._last.forecast

    def contributions(self) -> Mapping[str, float]:
        """How much each input moved the newest prediction away from the last value, in the series' unit."""
        if self._last is None:
            return {}
        weights = self._mixture.weights
        moved = {name: weights[i] * (self._last.experts[i] - self._last.base) for i, name in enumerate(EXPERTS)}
        share = weights[EXPERTS.index("regression")] * self._last.unrest
        del moved["regression"], moved["as now"]
        for name, part in zip(INPUTS, self._regression.weights * self._last.inputs, strict=True):
            moved[name] = moved.get(name, 0.0) + share * float(part)
        return moved

    def _test_and_train(self, index: int, value: float, time_ns: int) -> None:
        while self._pending and self._pending[0].forecast.index < index:
            self._pending.popleft()
        if not self._pending or self._pending[0].forecast.index != index:
            return
        past = self._pending.popleft()
        forecast = past.forecast
        naive = (abs(forecast.naive - value), abs(forecast.seasonal - value))
        self.tally.add(abs(forecast.value - value), naive, time_ns=time_ns)
        self.covered += forecast.low <= value <= forecast.high
        self._interval.learn(forecast.value, value, low=forecast.low, high=forecast.high)
        if past.unrest > 0:
            self._regression.learn(past.inputs, (value - past.base) / past.unrest)
            self._mixture.learn(past.experts, actual=value, scale=self._unrest)

    def _remember(self, index: int, value: float) -> None:
        # What an outlier adds to the memories is bounded: a timeout of minutes must not be the scale of milliseconds.
        most = _LARGEST_CHANGE * self._unrest if self._changes >= _SETTLED else math.inf
        if self._recent:
            self._changes = min(self._changes + 1, _UNREST_SAMPLES)
            self._unrest += (min(abs(value - self._recent[0]), most) - self._unrest) / self._changes
        self._recent.appendleft(value)
        self._averages = [
            mean + weight * max(-most, min(most, value - mean))
            for weight, mean in zip(_AVERAGES, self._averages or [value] * len(_AVERAGES), strict=True)
        ]
        self._season.append((index, value))
        while self._season[0][0] < index + self.steps - self.period:
            self._season.popleft()

    def _predict(self, index: int, value: float) -> _Pending:
        first, before = self._season[0]
        seasonal = before if first == index + self.steps - self.period else value
        lags = [*self._recent][1:]
        lags += [lags[-1] if lags else value] * (_LAGS - len(lags))
        inputs = np.zeros(len(INPUTS))
        if self._unrest > 0:
            inputs[:-1] = (np.array([*lags, *self._averages, seasonal]) - value) / self._unrest
            inputs[-1] = _BIAS
            np.clip(inputs, -_LARGEST_INPUT, _LARGEST_INPUT, out=inputs)
        regression = value + self._regression.predict(inputs) * self._unrest
        experts = [value, *self._averages, regression, seasonal]
        predicted = self._mixture.predict(experts)
        low, high = self._interval.around(predicted)
        forecast = Forecast(index + self.steps, predicted, low, high, value, seasonal, self.tally.count)
        return _Pending(forecast, inputs, experts, value, self._unrest)
