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


@dataclass(frozen=True, slots=True)
class Counted:
    """The points of one series, or of several, that count under a profile.

    Attributes:
        scores: float64 [points].
        gains: what each adds to the sum of the worths when the threshold falls to its score, float64 [points].
        windows: labelled windows outside the probation.
    """

    scores: NDArray[np.float64]
    gains: NDArray[np.float64]
    windows: int


def judge(corpus: Sequence[Labelled], profile: Profile, threshold: float | None = None) -> Judged:
    """Score a corpus with one threshold.

    Args:
        corpus: the scored series.
        profile: the weights.
        threshold: an alarm is a score of at least this; None for the best one.

    Raises:
        ValueError: the corpus has no labelled window.
    """
    return judge_counted([counted(one, profile) for one in corpus], profile, threshold)


def judge_counted(corpus: Sequence[Counted], profile: Profile, threshold: float | None = None) -> Judged:
    """As `judge`, of series that were counted under the same profile.

    Raises:
        ValueError: as `judge`.
    """
    windows = sum(one.windows for one in corpus)
    if not windows:
        raise ValueError("the corpus has no labelled window outside the probation")
    scores = np.concatenate([one.scores for one in corpus])
    gains = np.concatenate([one.gains for one in corpus])
    chosen = _best(scores, gains) if threshold is None else threshold
    # From silence, 0, to perfection, 100: what alarms gain, of what hits and no misses would.
    gained = float(gains[scores >= chosen].sum())
    return Judged(100 * gained / ((profile.hit + profile.miss) * windows), chosen)


def _best(scores: NDArray[np.float64], gains: NDArray[np.float64]) -> float:
    """The threshold that gains most; infinite if silence is better than any."""
    order = np.argsort(-scores, kind="stable")
    ends = np.append(np.flatnonzero(np.diff(scores[order])), len(order) - 1)
    sums = np.cumsum(gains[order])[ends]
    best = int(np.argmax(sums))
    return float(scores[order][ends[best]]) if sums[best] > 0 else np.inf


def counted(one: Labelled, profile: Profile) -> Counted:
    """What each point of a series outside the probation would add as an alarm."""
    worth, window_of = worths(one)
    first = probation(len(one.scores))
    scores, worth, window_of = one.scores[first:], worth[first:], window_of[first:]
    gains = np.where(window_of < 0, worth * profile.false_alarm, 0.0)
    numbers = np.unique(window_of[window_of >= 0])
    for number in numbers:
        inside = np.flatnonzero(window_of == number)
        # The worth falls within a window: an alarm adds what it is worth above those found with higher scores.
        order = inside[np.argsort(-scores[inside], kind="stable")]
        best = np.maximum.accumulate(worth[order] * profile.hit)
        gains[order] = np.diff(best, prepend=-profile.miss)
    return Counted(scores, gains, len(numbers))
