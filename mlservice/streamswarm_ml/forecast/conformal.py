import math
from typing import Final

_SCALE_WEIGHT: Final = 0.02
_NARROWEST: Final = 1e-3
_WIDEST: Final = 1e4


class AdaptiveInterval:
    """An interval around a prediction that holds the truth as often as it says, whatever the errors' distribution.

    Adaptive conformal inference in the form of quantile tracking: Gibbs and Candès, "Adaptive conformal inference under
    distribution shift" (2021); Angelopoulos, Candès and Tibshirani, "Conformal PID control for time series prediction"
    (2023), its proportional part. Each side has a bound, in units of the mean absolute error of late; a miss
    multiplies it by exp(step * (1 - miss)), a hit by exp(-step * miss), so as long as the bounds stay finite the share
    of misses on either side tends to `miss`, half of 1 - coverage.

    Args:
        coverage: share of truths inside, 0..1.
        step: how fast the bounds move.

    >>> interval = AdaptiveInterval(coverage=0.9)
    >>> for index in range(2000):
    ...     low, high = interval.around(0.0)
    ...     interval.learn(0.0, (index * 37 % 101 - 50) / 50, low=low, high=high)
    >>> -1.1 < low < -0.75 and 0.75 < high < 1.1
    True
    """

    def __init__(self, *, coverage: float = 0.9, step: float = 0.05) -> None:
        self._miss = (1 - coverage) / 2
        self._step = step
        self._seen = 0
        self._scale = 0.0
        self._above = 2.5
        self._below = 2.5

    def around(self, predicted: float) -> tuple[float, float]:
        """Lower and upper end for a prediction."""
        return predicted - self._below * self._scale, predicted + self._above * self._scale

    def learn(self, predicted: float, actual: float, *, low: float, high: float) -> None:
        """Learn how far a prediction was off.

        Args:
            predicted: what was said.
            actual: what came.
            low: the end that was given with the prediction: between the two others may have been learned.
            high: the other end.
        """
        self._above = self._moved(self._above, missed=actual > high)
        self._below = self._moved(self._below, missed=actual < low)
        self._seen += 1
        self._scale += max(_SCALE_WEIGHT, 1 / self._seen) * (abs(actual - predicted) - self._scale)

    def _moved(self, bound: float, *, missed: bool) -> float:
        factor = math.exp(self._step * (float(missed) - self._miss))
        return min(max(bound * factor, _NARROWEST), _WIDEST)
