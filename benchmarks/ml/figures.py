"""Figures with their uncertainty: a bootstrap over groups (devices, agents, files), which hang together."""

import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

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


def bootstrap(groups: Sequence[object], statistic: Callable[[NDArray[np.int64]], float]) -> tuple[float, float]:
    """The 95 % interval of a statistic of row numbers, when groups are drawn anew."""
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
