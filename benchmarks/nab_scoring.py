"""The score of the Numenta Anomaly Benchmark, written from its paper.

Lavin and Ahmad, "Evaluating Real-Time Anomaly Detection Algorithms – the Numenta Anomaly Benchmark", ICMLA 2015. Within
a labelled window the earliest alarm counts, the more the earlier it is; each alarm outside costs, the more the further
it is behind the last window; a window without an alarm costs a miss. The beginning of each series is probation, where
nothing counts. One threshold holds for a whole corpus: the one that gives it the best score.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

_PROBATION_SHARE: Final = 0.15
_PROBATION_POINTS: Final = 5000
_FAR_BEHIND: Final = 3.0


@dataclass(frozen=True, slots=True)
class Profile:
    """What an alarm, a false alarm and a miss are worth."""

    name: str
    hit: float
    false_alarm: float
    miss: float


PROFILES: Final = (
    Profile("standard", 1.0, 0.11, 1.0),
    Profile("low FP", 1.0, 0.22, 1.0),
    Profile("low FN", 1.0, 0.11, 2.0),
)


@dataclass(frozen=True, slots=True)
class Labelled:
    """One scored series.

    Attributes:
        scores: float64 [points].
        windows: first and last index of each labelled window, both included, in order.
    """

    scores: NDArray[np.float64]
    windows: Sequence[tuple[int, int]]


def probation(points: int) -> int:
    """How many points at the beginning of a series do not count."""
    return int(_PROBATION_SHARE * min(points, _PROBATION_POINTS))


def sigmoid(position: NDArray[np.float64]) -> NDArray[np.float64]:
    """What an alarm is worth: 0.987 at a window's left edge (-1), 0 at its right edge (0), -1 from 3 on."""
    behind = 2 / (1 + np.exp(5 * np.minimum(position, _FAR_BEHIND))) - 1
    return np.where(position >= _FAR_BEHIND, -1.0, behind)


def worths(one: Labelled) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """What an alarm at each point is worth before weights, and the number of the window it is in, or -1."""
    count = len(one.scores)
    index = np.arange(count)
    worth = np.full(count, -1.0)
    window_of = np.full(count, -1)
    best = float(sigmoid(np.array([-1.0]))[0])
    for number, (first, last) in enumerate(one.windows):
        width = last - first + 1
        behind = (index[last + 1 :] - last) / max(width - 1, 1)
        worth[last + 1 :] = sigmoid(behind)
        window_of[first : last + 1] = number
    for first, last in one.windows:
        position = -(last - index[first : last + 1] + 1) / (last - first + 1)
        worth[first : last + 1] = sigmoid(position) / best
    return worth, window_of


@dataclass(frozen=True, slots=True)
class Judged:
    """The best score of a profile (100 is perfect, 0 is silence) and the threshold that gives it."""

    score: float
    threshold: float


def judge(corpus: Sequence[Labelled], profile: Profile, threshold: float | None = None) -> Judged:
    """Score a corpus with one threshold.

    Args:
        corpus: the scored series.
        profile: the weights.
        threshold: an alarm is a score of at least this; None for the best one.

    Raises:
        ValueError: the corpus has no labelled window.
    """
    scores, gains, windows = _flatten(corpus, profile)
    if not windows:
        raise ValueError("the corpus has no labelled window outside the probation")
    order = np.argsort(-scores, kind="stable")
    raw = np.cumsum(gains[order]) - profile.miss * windows
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    at, values = scores[order][ends], raw[ends]
    silence = -profile.miss * windows
    if threshold is None:
        best = int(np.argmax(values))
        chosen, value = (float(at[best]), values[best]) if values[best] > silence else (np.inf, silence)
    else:
        chosen, alarms = threshold, np.flatnonzero(at >= threshold)
        value = values[alarms[-1]] if len(alarms) else silence
    perfect = profile.hit * windows
    return Judged(float(100 * (value - silence) / (perfect - silence)), chosen)


def _flatten(corpus: Sequence[Labelled], profile: Profile) -> tuple[NDArray[np.float64], NDArray[np.float64], int]:
    """All points that count: their scores, what each adds to the score when the threshold falls to it, the windows."""
    scores, gains, windows = [], [], 0
    for one in corpus:
        worth, window_of = worths(one)
        first = probation(len(one.scores))
        counted = np.arange(first, len(one.scores))
        gain = np.where(window_of < 0, worth * profile.false_alarm, 0.0)[counted]
        for number in np.unique(window_of[counted][window_of[counted] >= 0]):
            inside = np.flatnonzero(window_of[counted] == number)
            # The worth falls within a window: an alarm adds what it is worth above those found with higher scores.
            order = inside[np.argsort(-one.scores[counted][inside], kind="stable")]
            best = np.maximum.accumulate(worth[counted][order] * profile.hit)
            gain[order] = np.diff(best, prepend=-profile.miss)
            windows += 1
        scores.append(one.scores[counted])
        gains.append(gain)
    return np.concatenate(scores), np.concatenate(gains), windows
