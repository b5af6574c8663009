"""VUS-PR of our detector beside IsolationForest and a rolling z-score, over a folder of labelled series.

    python -m benchmarks.vus PATH [--widest 100]
    python -m benchmarks.vus --simulated 8

PATH holds CSV files, at any depth: any number of value columns, a column `label` (or `is_anomaly`, `anomaly`; else the
last one) of 0 and 1, perhaps a column `timestamp`; or it has NAB's shape. A folder is a collection. The measure is in
`ml_vus.py`. Ours, the z-score and the causal forest see a value, score it, then learn it; each signal of a file is
judged alone, and a point's score is that of its worst signal. The forests take windows of eight points of all signals
together: one over the last 1,000 points, fitted anew every 250, and one fitted on the whole file, future and incidents
included, as benchmarks of detectors usually do. Chance is the share of labelled points. Intervals are 95 %, from 1,000
bootstrap samples of files. Files without a labelled point, or with nothing else, are left out.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from benchmarks.incidents import KINDS, series_of
from benchmarks.labelled_csv import LabelledFile, load_folder
from benchmarks.ml_series import FAMILIES, LabelledSeries, telemetry
from benchmarks.ml_vus import vus_pr
from benchmarks.nab import rolling_z_scores
from streamswarm_ml.detectors import detect_many

Scores = NDArray[np.float64]
_EMBEDDED: Final = 8
_WINDOW: Final = 1000
_REFIT: Final = 250
_SAMPLES: Final = 1000


def streamswarm(file: LabelledFile) -> Scores:
    found = detect_many([(column, file.times) for column in file.values.T])
    return np.asarray(np.max([one.score for one in found], axis=0))


def rolling_z(file: LabelledFile) -> Scores:
    """Over the last hundred values."""
    return np.asarray(np.max([rolling_z_scores(column) for column in _filled(file).T], axis=0))


def causal_forest(file: LabelledFile) -> Scores:
    windows, scores = _windows(file), np.zeros(len(file.labels))
    for first in range(100, len(windows), _REFIT):
        model = IsolationForest(n_estimators=50, random_state=1).fit(windows[max(0, first - _WINDOW) : first])
        scores[first : first + _REFIT] = -model.score_samples(windows[first : first + _REFIT])
    return scores


def whole_file_forest(file: LabelledFile) -> Scores:
    windows = _windows(file)
    return np.asarray(-IsolationForest(n_estimators=100, random_state=1).fit(windows).score_samples(windows))


DETECTORS: Final[dict[str, Callable[[LabelledFile], Scores]]] = {
    "StreamSwarm": streamswarm,
    "rolling z-score": rolling_z,
    "IsolationForest": causal_forest,
    "IsolationForest, whole file": whole_file_forest,
}


def _filled(file: LabelledFile) -> Scores:
    """The last value where there is none; before the first, that one."""
    values = file.values.copy()
    for column in values.T:
        known = np.flatnonzero(np.isfinite(column))
        if len(known) and len(known) < len(column):
            at = np.maximum(np.searchsorted(known, np.arange(len(column)), side="right") - 1, 0)
            column[:] = column[known[at]]
    return np.nan_to_num(values)


def _windows(file: LabelledFile) -> Scores:
    """Each point with the seven before it, float64 [points, 8 × signals]; before the first value it is that."""
    values = _filled(file)
    padded = np.vstack([np.repeat(values[:1], _EMBEDDED - 1, axis=0), values])
    return np.lib.stride_tricks.sliding_window_view(padded, _EMBEDDED, axis=0).reshape(len(values), -1)


def simulated(count: int) -> list[LabelledFile]:
    """The series of `benchmarks/incidents.py` and of `benchmarks/ml_series.py`, seeds of their own."""
    made = [
        (f"incidents/{kind.name}", series_of(kind, kind.family, 8000 + n, 14)) for kind in KINDS for n in range(count)
    ]
    made += [(f"telemetry/{family}", telemetry(family, 8000 + n)) for family in FAMILIES for n in range(count)]
    return [_of_series(f"{name} {number}", one) for number, (name, one) in enumerate(made)]


def _of_series(name: str, one: LabelledSeries) -> LabelledFile:
    values = one.values[:, None]
    return LabelledFile(name, values, one.times_ns.astype("datetime64[ns]"), one.labels)


def compare(files: list[LabelledFile], widest: int) -> None:
    """Print a row for each collection and detector."""
    judged = [one for one in files if one.labels.any() and not one.labels.all()]
    print(f"{len(judged)} files of {len(files)}, {sum(len(one.labels) for one in judged):,} points\n")
    if not judged:
        raise SystemExit("error: no file has both labelled and other points")
    volumes: dict[str, Scores] = {"chance": np.array([one.labels.mean() for one in judged])}
    seconds: dict[str, float] = {}
    for name, detector in DETECTORS.items():
        begun = time.process_time()
        scored = [detector(one) for one in judged]
        seconds[name] = time.process_time() - begun
        volumes[name] = np.array([vus_pr(one.labels, s, widest) for one, s in zip(judged, scored, strict=True)])
    names = np.array([one.collection for one in judged])
    print("| collection | files | " + " | ".join(volumes) + " |")
    print("| --- " * (len(volumes) + 2) + "|")
    for collection in sorted(set(names)):
        _row(collection, names == collection, volumes)
    everything = np.ones(len(judged), dtype=bool)
    if len(set(names)) > 1:
        _row("all", everything, volumes)
    print("\nours less theirs, mean over files; share of files on which ours is higher")
    for name, theirs in volumes.items():
        if name != "StreamSwarm":
            apart = volumes["StreamSwarm"] - theirs
            print(f"- {name}: {_interval(apart)}; {(apart > 0).mean():.0%}".replace("%", " %"))
    print("\nCPU s: " + ", ".join(f"{name} {spent:.1f}" for name, spent in seconds.items()))


def _row(collection: str, chosen: NDArray[np.bool_], volumes: dict[str, Scores]) -> None:
    cells = [
        f"{values[chosen].mean():.2f}" if name == "chance" else _interval(values[chosen])
        for name, values in volumes.items()
    ]
    print(f"| {collection} | {chosen.sum()} | {' | '.join(cells)} |", flush=True)


def _interval(values: Scores) -> str:
    source = np.random.default_rng(7)
    means = values[source.integers(0, len(values), (_SAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, [0.025, 0.975])
    return f"{values.mean():.2f} ({low:.2f} to {high:.2f})"


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("path", type=Path, nargs="?", help="folder of labelled files")
    arguments.add_argument("--simulated", type=int, metavar="COUNT", help="so many made-up series of each kind instead")
    arguments.add_argument("--widest", type=int, default=100, help="points by which labels are softened at most")
    options = arguments.parse_args()
    if (options.path is None) == (options.simulated is None):
        arguments.error("give either a folder or --simulated COUNT")
    try:
        files = simulated(options.simulated) if options.path is None else load_folder(options.path)
    except (ValueError, FileNotFoundError) as error:
        raise SystemExit(f"error: {error}") from None
    compare(files, options.widest)


if __name__ == "__main__":
    main()
