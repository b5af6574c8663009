"""Figures with their uncertainty: a bootstrap over groups (devices, agents, files), which hang together."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

Vector = NDArray[np.float64]
ROUNDS = 200


@dataclass(frozen=True)
class Figure:
    """One line of the table.

    Attributes:
        model: which.
        name: of the figure.
        value: as measured.
        low: 2.5th percentile of the bootstrap.
        high: 97.5th.
        baseline: of a trivial answer.
        goal: what it has to reach.
        note: base rate, or what the baseline is.
    """

    model: str
    name: str
    value: float
    low: float
    high: float
    baseline: str
    goal: str
    note: str = ""


Statistic = Callable[[NDArray[np.int64]], float]
"""A figure of the rows with these numbers."""


def bootstrap(groups: ArrayLike, statistic: Statistic) -> tuple[float, float]:
    """The 95 % interval of a statistic when groups are drawn anew."""
    random = np.random.default_rng(1)
    keys, inverse = np.unique(np.asarray(groups), return_inverse=True)
    rows = [np.flatnonzero(inverse == index) for index in range(len(keys))]
    drawn = []
    for _ in range(ROUNDS):
        chosen = np.concatenate([rows[index] for index in random.integers(0, len(keys), len(keys))])
        value = statistic(chosen)
        if np.isfinite(value):
            drawn.append(value)
    low, high = np.quantile(drawn, (0.025, 0.975))
    return float(low), float(high)


class Judge:
    """Collects a model's lines of the table.

    Args:
        model: its name.
        groups: for each row whose it is.
    """

    def __init__(self, model: str, groups: ArrayLike) -> None:
        self.figures: list[Figure] = []
        self._model = model
        self._groups = np.asarray(groups)

    def add(
        self,
        name: str,
        statistic: Statistic,
        *,
        among: NDArray[np.bool_] | None = None,
        baseline: str = "",
        goal: str = "",
        note: str = "",
    ) -> None:
        """Add a figure of all rows, or of those among which it is asked."""
        rows = np.arange(len(self._groups)) if among is None else np.flatnonzero(among)
        low, high = bootstrap(self._groups[rows], lambda chosen: statistic(rows[chosen]))
        self.figures.append(Figure(self._model, name, statistic(rows), low, high, baseline, goal, note))


def roc_auc(happened: Vector, score: Vector) -> Statistic:
    """Area under the ROC curve; NaN where only one outcome is among the rows."""
    return lambda rows: float(roc_auc_score(happened[rows], score[rows])) if np.ptp(happened[rows]) else np.nan


def pr_auc(happened: Vector, score: Vector) -> Statistic:
    """Average precision."""
    return lambda rows: float(average_precision_score(happened[rows], score[rows]))


def brier_skill(happened: Vector, said: Vector, reference: Vector) -> Statistic:
    """1 - Brier score / that of the reference."""
    return lambda rows: (
        1 - float(np.mean((said[rows] - happened[rows]) ** 2) / np.mean((reference[rows] - happened[rows]) ** 2))
    )


def mean_of(values: Vector) -> Statistic:
    """The mean."""
    return lambda rows: float(np.mean(values[rows]))


def median_of(values: Sequence[float]) -> Statistic:
    """The median."""
    known = np.array(values)
    return lambda rows: float(np.median(known[rows]))


def macro_f1(truth: NDArray[np.str_], said: NDArray[np.str_]) -> Statistic:
    """Mean over classes of F1."""
    return lambda rows: float(f1_score(truth[rows], said[rows], average="macro", zero_division=0))


def calibration_error(confidence: Vector, right: Vector, bins: int = 10) -> float:
    """Expected calibration error: mean gap between confidence and accuracy, over ten equal bins, weighted by size."""
    index = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = [
        (index == number).mean() * abs(confidence[index == number].mean() - right[index == number].mean())
        for number in range(bins)
        if (index == number).any()
    ]
    return float(sum(gaps))


def reliability(probability: Vector, happened: Vector) -> str:
    """The reliability curve in words: for each bin the mean forecast, the observed share, and how many."""
    edges = [0.0, 0.01, 0.05, 0.2, 0.5, 0.8, 1.01]
    parts = []
    for low, high in itertools.pairwise(edges):
        inside = (probability >= low) & (probability < high)
        if inside.any():
            parts.append(f"{probability[inside].mean():.3f}→{happened[inside].mean():.3f} ({inside.sum()})")
    return ", ".join(parts)
