"""Detectors over the Numenta Anomaly Benchmark, or any folder of its shape: every one causal, in one pass.

    python -m benchmarks.nab PATH [--only NAME ...] [--splits 50]

PATH holds `data/…/*.csv` (timestamp, value) and `labels/combined_windows.json`, as a checkout of numenta/NAB does. Each
detector sees a value, scores it, then learns it; the first 15 % of a file (at most 750 points) is probation. One
threshold holds for all files and is the best there is for the profile, as NAB does it. The column "other half" says
what that hides: the threshold is chosen on a random half of each category and judged on the other, both ways; the mean
of --splits draws. A second table says more of StreamSwarm: intervals, categories left out, and alarms that need no
threshold.
"""

import argparse
import json
import math
import random
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from river import anomaly
from sklearn.ensemble import IsolationForest

from benchmarks.nab_scoring import PROFILES, Labelled, counted, judge
from benchmarks.nab_splits import STANDARD, estimate, of_halves
from streamswarm_ml.detectors import detect, detect_anomalies, threshold_for

Scores = NDArray[np.float64]
_WINDOW: Final = 1000
_REFIT: Final = 250


@dataclass(frozen=True)
class File:
    """One file of a corpus."""

    name: str
    times: NDArray[np.datetime64]
    numbers: Scores
    windows: list[tuple[int, int]]

    @property
    def category(self) -> str:
        """The folder that it is in."""
        return self.name.rpartition("/")[0]


def load(folder: Path) -> list[File]:
    """All files that have labels, sorted by name.

    Raises:
        SystemExit: the folder has another shape.
    """
    labels_path = folder / "labels" / "combined_windows.json"
    if not labels_path.is_file():
        raise SystemExit(f"error: {labels_path} is missing; give the folder of a NAB checkout")
    labels: dict[str, list[list[str]]] = json.loads(labels_path.read_text())
    return [
        _file(folder, name, windows) for name, windows in sorted(labels.items()) if (folder / "data" / name).is_file()
    ]


def _file(folder: Path, name: str, windows: list[list[str]]) -> File:
    frame = pd.read_csv(folder / "data" / name, parse_dates=["timestamp"])
    times = frame["timestamp"].to_numpy().astype("datetime64[ns]")
    spans = []
    for first, last in windows:
        inside = np.flatnonzero((times >= np.datetime64(first)) & (times <= np.datetime64(last)))
        spans.append((int(inside[0]), int(inside[-1])))
    return File(name, times, frame["value"].to_numpy(dtype=float), spans)


def streamswarm(file: File) -> Scores:
    return detect(file.numbers, file.times)


def windowed_gaussian(file: File) -> Scores:
    """NAB's own baseline: one minus the tail of a normal distribution over a sliding window."""
    window: deque[float] = deque(maxlen=6400)
    scores, total, squares = [], 0.0, 0.0
    for value in file.numbers.tolist():
        count = len(window)
        mean = total / count if count else value
        spread = math.sqrt(max(squares / count - mean * mean, 0.0)) if count else 0.0
        scores.append(1 - 0.5 * math.erfc(abs(value - mean) / (spread * math.sqrt(2))) if spread > 1e-12 else 0.0)
        if count == window.maxlen:
            oldest = window[0]
            total, squares = total - oldest, squares - oldest * oldest
        window.append(value)
        total, squares = total + value, squares + value * value
    return np.array(scores)


def rolling_z(file: File) -> Scores:
    return rolling_z_scores(file.numbers)


def rolling_z_scores(values: Scores, points: int = 100) -> Scores:
    """Distance from the mean of the last 100 values, in their standard deviations."""
    before = pd.Series(values).rolling(points, min_periods=10)
    spread = before.std().shift().to_numpy()
    apart = np.abs(values - before.mean().shift().to_numpy())
    return np.asarray(np.nan_to_num(apart / np.where(spread > 1e-12, spread, np.inf)))


def half_space_trees(file: File) -> Scores:
    """River's, with its defaults, which expect values of 0..1."""
    return _river(anomaly.HalfSpaceTrees(seed=1), file.numbers)


def _river(model: Any, values: Iterable[float]) -> Scores:
    scores = []
    for value in values:
        scores.append(float(model.score_one({"value": value})))
        model.learn_one({"value": value})
    return np.array(scores)


def isolation_forest(file: File) -> Scores:
    """scikit-learn's, over the last 1,000 values, fitted anew every 250."""
    values, scores = file.numbers.reshape(-1, 1), np.zeros(len(file.numbers))
    for first in range(100, len(values), _REFIT):
        model = IsolationForest(n_estimators=50, random_state=1).fit(values[max(0, first - _WINDOW) : first])
        scores[first : first + _REFIT] = -model.score_samples(values[first : first + _REFIT])
    return scores


def at_random(file: File) -> Scores:
    source = random.Random(file.name)
    return np.array([source.random() for _ in file.numbers])


def silence(file: File) -> Scores:
    return np.zeros(len(file.numbers))


DETECTORS: Final[dict[str, Callable[[File], Scores]]] = {
    "StreamSwarm": streamswarm,
    "windowed Gaussian": windowed_gaussian,
    "HalfSpaceTrees, defaults": half_space_trees,
    "rolling z-score": rolling_z,
    "IsolationForest": isolation_forest,
    "random": at_random,
    "null": silence,
}


def rested(scores: Scores, points: int = 80) -> Scores:
    """A score only where it beats the `points` before it: what that habit alone is worth to a baseline."""
    kept = np.zeros_like(scores)
    before = pd.Series(scores).rolling(points, min_periods=1).max().shift(fill_value=0.0).to_numpy()
    kept[100:] = np.where(scores > before, scores, 0.0)[100:]
    return kept


def compare(corpus: list[File], chosen: dict[str, Callable[[File], Scores]], splits: int) -> None:
    """Print a row for each detector."""
    points = sum(len(file.numbers) for file in corpus)
    windows = sum(len(file.windows) for file in corpus)
    print(f"{len(corpus)} files, {points:,} points, {windows} labelled windows\n")
    print("| detector | standard | low FP | low FN | threshold | other half | points/s |")
    print("| --- " * 7 + "|")
    for name, detector in chosen.items():
        begun = time.process_time()
        scored = [detector(file) for file in corpus]
        rate = points / max(time.process_time() - begun, 1e-9)
        report(name, corpus, scored, splits, f"{rate:,.0f}")
        if name not in {"StreamSwarm", "random", "null"}:
            report("… with a rest", corpus, [rested(one) for one in scored], splits, "")


def report(name: str, corpus: list[File], scored: list[Scores], splits: int, rate: str) -> None:
    labelled = _labelled(corpus, scored)
    best = [judge(labelled, profile) for profile in PROFILES]
    columns = [f"{one.score:.1f}" for one in best] + [f"{best[0].threshold:.3f}"]
    halved = of_halves([counted(one, STANDARD) for one in labelled], [file.category for file in corpus], splits)
    print(f"| {name} | {' | '.join(columns)} | {np.mean(halved):.1f} | {rate} |", flush=True)


def report_ours(corpus: list[File], splits: int) -> None:
    """Print what the threshold does to StreamSwarm's score, and what the service would have told without one chosen."""
    found = [detect_anomalies(file.numbers, file.times) for file in corpus]
    default = threshold_for(1.0)
    fixed = {
        "a score of 0.5, from which a value begins an incident": [one.score >= 0.5 for one in found],
        f"a score of {default}, the service's default": [one.score >= default for one in found],
        "where the service opens an anomaly": [one.opened for one in found],
    }
    estimate(
        _labelled(corpus, [one.score for one in found]),
        [file.category for file in corpus],
        splits,
        {name: _labelled(corpus, [one.astype(float) for one in alarms]) for name, alarms in fixed.items()},
    )


def _labelled(corpus: list[File], scored: list[Scores]) -> list[Labelled]:
    return [Labelled(scores, file.windows) for scores, file in zip(scored, corpus, strict=True)]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("path", type=Path, help="folder with data/ and labels/combined_windows.json")
    arguments.add_argument("--only", nargs="+", choices=list(DETECTORS), default=list(DETECTORS), metavar="NAME")
    arguments.add_argument("--splits", type=int, default=50, help="how often the files are halved at random")
    options = arguments.parse_args()
    corpus = load(options.path)
    if sum(len(file.windows) for file in corpus) == 0:
        raise SystemExit(f"error: {options.path} has no labelled window")
    compare(corpus, {name: DETECTORS[name] for name in options.only}, options.splits)
    if "StreamSwarm" in options.only:
        report_ours(corpus, options.splits)


if __name__ == "__main__":
    main()
