"""Makes a score of any scale say how often a healthy test would show it."""

from collections import deque
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from streamswarm_ml.detectors import threshold_for
from streamswarm_ml.detectors.parameters import MOST_ALARMS

WINDOWS_A_WEEK: Final = 2016
_KEPT: Final = 4096
_LEAST: Final = 200
_TAIL: Final = 0.02
_RENEWED: Final = 64


def _recent() -> deque[float]:
    return deque(maxlen=_KEPT)


@dataclass(slots=True)
class Calibration:
    """Keeps recent scores; beyond the highest 2 % their excess is taken to be exponential.

    Balkema and de Haan, "Residual life time at great age", Annals of Probability 2, 1974; Pickands, "Statistical
    inference using extreme order statistics", Annals of Statistics 3, 1975: of the limits of such excesses, the one
    without a shape, which a bounded score only stays below.

    >>> known = Calibration()
    >>> for number in range(2000):
    ...     known.learn(number % 100 / 100)
    >>> known.score(0.5) < 0.5, known.score(2.0) > 0.9
    (True, True)
    """

    _scores: deque[float] = field(default_factory=_recent)
    _since: int = 0
    _begin: float = 0.0
    _excess: float = 0.0

    @property
    def ready(self) -> bool:
        """Whether enough was seen to say anything."""
        return len(self._scores) >= _LEAST

    def learn(self, raw: float) -> None:
        """Take a score in."""
        self._scores.append(raw)
        self._since += 1
        if self.ready and (self._since >= _RENEWED or self._excess == 0):
            self._since = 0
            known = np.fromiter(self._scores, float)
            self._begin = float(np.quantile(known, 1 - _TAIL))
            beyond = known[known > self._begin]
            self._excess = max(float(beyond.mean() - self._begin) if len(beyond) else 0.0, 1e-9)

    def score(self, raw: float) -> float:
        """0..1 with the meaning of `Verdict.score`; 0 before it is ready."""
        if not self.ready:
            return 0.0
        if raw <= self._begin:
            return 0.25 * max(raw, 0.0) / self._begin if self._begin > 0 else 0.0
        alarms = WINDOWS_A_WEEK * _TAIL * float(np.exp(-(raw - self._begin) / self._excess))
        if alarms < MOST_ALARMS:
            return threshold_for(alarms)
        return 0.5 - 0.25 * alarms / (WINDOWS_A_WEEK * _TAIL)
