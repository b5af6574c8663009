import math
from typing import Final

from river import anomaly, stats

from streamswarm_ml.detectors.base import Verdict
from streamswarm_ml.detectors.range_novelty import RangeNovelty

_CLOSE_SHARE: Final = 0.5
_QUIET_POINTS: Final = 5
_HALF_SCORE_NOVELTY: Final = 0.5
_HALF_SCORE_DEVIATIONS: Final = 4.0


class Ensemble:
    """Range novelty and River's standard absolute deviation, together: both must find a value unusual.

    The score is the geometric mean of the two, each mapped to 0..1. An anomaly opens when the score reaches the
    threshold after the warm-up, and stays open until the score was below half the threshold for five values, so that
    one incident is one anomaly.

    Args:
        threshold: score from which an anomaly opens.
        warmup: values before anything can be flagged.

    >>> detector = Ensemble(threshold=0.6, warmup=50)
    >>> flags = [detector.update(20 + i % 3, i * 10**9).flag for i in range(300)]
    >>> any(flags), detector.update(400.0, 300 * 10**9).flag
    (False, True)
    """

    name: Final = "ensemble"

    def __init__(self, threshold: float = 0.6, warmup: int = 100) -> None:
        self._threshold = threshold
        self._warmup = warmup
        self._novelty = RangeNovelty()
        self._deviation = anomaly.StandardAbsoluteDeviation(sub_stat=stats.Mean())
        self._least = math.inf
        self._greatest = -math.inf
        self._seen = 0
        self._open = False
        self._quiet = 0

    def update(self, value: float, time_ns: int) -> Verdict:
        """Score a value, then learn it."""
        expected = self._novelty.expected if self._seen else value
        score = self._score(value, time_ns) if self._seen >= self._warmup else 0.0
        self._follow(score)
        self._novelty.learn(value, time_ns)
        self._deviation.learn_one(None, value)  # type: ignore[no-untyped-call]
        self._least, self._greatest = min(self._least, value), max(self._greatest, value)
        self._seen += 1
        return Verdict(score, self._threshold, self._open, expected)

    def _score(self, value: float, time_ns: int) -> float:
        novelty = self._novelty.score(value, time_ns)
        if self._least == self._greatest:
            # A series that never moved has no deviation to measure by: its first move is new, and nothing else is.
            return _saturate(novelty, _HALF_SCORE_NOVELTY)
        deviations = float(self._deviation.score_one(None, value))  # type: ignore[no-untyped-call]
        if not math.isfinite(deviations):
            return 0.0
        return math.sqrt(_saturate(novelty, _HALF_SCORE_NOVELTY) * _saturate(deviations, _HALF_SCORE_DEVIATIONS))

    def _follow(self, score: float) -> None:
        if score >= self._threshold:
            self._open = True
            self._quiet = 0
        elif self._open and score < self._threshold * _CLOSE_SHARE:
            self._quiet += 1
            if self._quiet >= _QUIET_POINTS:
                self._open = False


def _saturate(value: float, half: float) -> float:
    """Map 0.. to 0..1, `half` to one half."""
    value = abs(value)
    return value / (value + half)
