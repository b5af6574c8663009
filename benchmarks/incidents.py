"""Detectors on network incidents injected into healthy series: what they find, how soon, how often they cry wolf.

    python -m benchmarks.incidents [--series 40] [--days 14] [--seeds 0]

Every series is a test's: RTT with a day's curve and heavy tails, loss that is mostly zero, throughput, or DNS time. The
labels are the injections. Each detector gets one threshold, the one that makes one false alarm a series-week on other
healthy series of the same kinds (StreamSwarm: its default). An alarm opens an anomaly, which alarms again only after
30 quiet points; it is true if it falls into an incident or the ten points behind it. Intervals are 95 %, from 500
bootstrap samples of whole series.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.ensemble import IsolationForest

from benchmarks.ml_series import FAMILIES, START, LabelledSeries, telemetry
from benchmarks.ml_vus import ranges_of, vus_pr
from streamswarm_ml.detectors import detect_many, threshold_for

Scores = NDArray[np.float64]
STEP: Final = 60
WEEK: Final = 604_800
_GRACE: Final = 10
_QUIET: Final = 30
_SAMPLES: Final = 500


@dataclass(frozen=True)
class Kind:
    """One kind of incident: of which series, how long in points, and what it does to a stretch of it."""

    name: str
    family: str
    least: int
    most: int
    apply: Callable[[Scores, np.random.Generator], Scores]


def rtt(seconds: Scores, source: np.random.Generator) -> Scores:
    base = source.uniform(0.008, 0.08)
    hours = seconds / 3600
    busy = np.clip(np.cos((hours - source.uniform(17, 22)) / 24 * 2 * np.pi), 0, None)
    jitter = source.lognormal(0, 0.6, len(seconds)) * base * 0.03
    tail = (source.random(len(seconds)) < 0.002) * source.pareto(2.5, len(seconds)) * base * 0.5
    return np.asarray(base * (1 + 0.25 * busy) + jitter + tail)


def loss(seconds: Scores, source: np.random.Generator) -> Scores:
    """Of ten packets a run."""
    return source.binomial(10, source.uniform(0.0002, 0.002), len(seconds)) / 10


def throughput(seconds: Scores, source: np.random.Generator) -> Scores:
    rate = source.uniform(2e7, 9e8)
    hours = seconds / 3600
    busy = np.clip(np.cos((hours - 20) / 24 * 2 * np.pi), 0, None)
    return np.asarray(rate * (1 - 0.2 * busy) * (1 - np.abs(source.normal(0, 0.03, len(seconds)))))


def dns(seconds: Scores, source: np.random.Generator) -> Scores:
    """Answers from the cache, and those that are not."""
    cached = source.uniform(0.001, 0.004)
    miss = source.random(len(seconds)) < 0.1
    return np.asarray(
        cached * source.lognormal(0, 0.2, len(seconds)) + miss * source.lognormal(-3.5, 0.5, len(seconds))
    )


SERIES: Final[dict[str, Callable[[Scores, np.random.Generator], Scores]]] = {
    "rtt": rtt,
    "loss": loss,
    "throughput": throughput,
    "dns": dns,
}


def _wifi(values: Scores, source: np.random.Generator) -> Scores:
    hit = source.random(len(values)) < 0.4
    return np.asarray(values * np.where(hit, source.uniform(2, 8, len(values)), 1.0))


def _flapping(values: Scores, source: np.random.Generator) -> Scores:
    up = np.arange(len(values)) // int(source.integers(2, 6)) % 2 == 0
    return np.asarray(np.where(up, values, np.median(values) * source.uniform(1.8, 3)))


KINDS: Final = (
    Kind("loss burst", "loss", 3, 30, lambda v, s: np.clip(v + s.binomial(10, s.uniform(0.2, 0.7), len(v)) / 10, 0, 1)),
    Kind("latency step", "rtt", 20, 240, lambda v, s: v + np.median(v) * s.uniform(0.5, 2.0)),
    Kind("slow leak", "rtt", 240, 720, lambda v, s: v + np.median(v) * s.uniform(0.8, 2.0) * np.linspace(0, 1, len(v))),
    Kind("route change", "rtt", 1440, 2880, lambda v, s: v + np.median(v) * s.uniform(0.4, 1.5)),
    Kind("DNS failure", "dns", 5, 60, lambda v, s: np.where(s.random(len(v)) < 0.8, 5.0, v)),
    Kind("WiFi interference", "rtt", 30, 180, _wifi),
    Kind("congestion", "throughput", 60, 240, lambda v, s: v * (1 - s.uniform(0.4, 0.8) * np.hanning(len(v)))),
    Kind("flapping", "rtt", 30, 120, _flapping),
)


def series_of(kind: Kind | None, family: str, seed: int, days: float) -> LabelledSeries:
    """A series with three incidents of a kind behind its first three days; without, a healthy one."""
    source = np.random.default_rng([seed, *family.encode(), *(kind.name.encode() if kind else b"")])
    count = int(days * 86_400 / STEP)
    seconds = START + np.arange(count, dtype=np.float64) * STEP
    values, labels = SERIES[family](seconds, source), np.zeros(count, dtype=bool)
    if kind is not None:
        first = 3 * 86_400 // STEP
        room = (count - first) // 3
        for number in range(3):
            length = int(source.integers(kind.least, kind.most + 1))
            begin = first + number * room + int(source.integers(0, max(room - length, 1)))
            values[begin : begin + length] = kind.apply(values[begin : begin + length], source)
            labels[begin : begin + length] = True
    kept = source.random(count) > 0.002
    return LabelledSeries(family, values[kept], (seconds[kept] * 1e9).astype(np.int64), labels[kept])


def streamswarm(several: list[LabelledSeries]) -> list[Scores]:
    """Scores; where an anomaly opens though the score is below the threshold, the threshold."""
    found = detect_many([(one.values, one.times_ns.astype("datetime64[ns]")) for one in several])  # noqa: PD011
    return [np.where(one.opened, np.maximum(one.score, threshold_for(1.0)), one.score) for one in found]


def rolling_z(several: list[LabelledSeries]) -> list[Scores]:
    """Distance from the mean of the last hundred values, in their standard deviations."""
    scores = []
    for one in several:
        before = pd.Series(one.values).rolling(100, min_periods=30)
        spread = before.std().shift().to_numpy()
        apart = np.abs(one.values - before.mean().shift().to_numpy())  # noqa: PD011
        scores.append(np.nan_to_num(apart / np.where(spread > 1e-12, spread, np.inf)))
    return scores


def isolation_forest(several: list[LabelledSeries]) -> list[Scores]:
    """Windows of eight values, fitted on the first three days of each series."""
    scores = []
    for one in several:
        windows = np.lib.stride_tricks.sliding_window_view(one.values, 8)
        model = IsolationForest(n_estimators=50, random_state=1).fit(windows[: 3 * 86_400 // STEP])
        scores.append(np.concatenate([np.zeros(7), -model.score_samples(windows)]))
    return scores


DETECTORS: Final = {"StreamSwarm": streamswarm, "rolling z-score": rolling_z, "IsolationForest": isolation_forest}


def alarms(scores: Scores, threshold: float) -> NDArray[np.int64]:
    """Where alarms begin: at the threshold, after 30 points below it."""
    above = np.flatnonzero(scores >= threshold)
    return above[np.diff(above, prepend=-_QUIET - 1) > _QUIET]


def calibrated(healthy: list[Scores], weeks: float) -> float:
    """The least threshold with at most one alarm a series-week."""
    pooled = np.concatenate(healthy)
    candidates = np.unique(np.quantile(pooled, 1 - np.geomspace(1e-6, 0.05, 60)))
    for threshold in candidates.tolist():
        if sum(len(alarms(scores, threshold)) for scores in healthy) <= weeks:
            return float(threshold)
    return float(pooled.max())


@dataclass(frozen=True)
class Outcome:
    """One series: incidents, those found, true and false alarms, points until each was found, weeks outside them."""

    incidents: int
    found: int
    true: int
    false: int
    delays: tuple[int, ...]
    weeks: float


def outcome(one: LabelledSeries, scores: Scores, threshold: float) -> Outcome:
    begun = alarms(scores, threshold)
    near = np.zeros(len(scores), dtype=bool)
    delays = []
    for first, last in ranges_of(one.labels):
        near[first : last + 1 + _GRACE] = True
        hits = begun[(begun >= first) & (begun <= last + _GRACE)]
        if len(hits):
            delays.append(int(hits[0]) - first)
    true = int(near[begun].sum())
    weeks = float((~near).sum()) * STEP / WEEK
    return Outcome(len(ranges_of(one.labels)), len(delays), true, len(begun) - true, tuple(delays), weeks)


def figures(outcomes: list[Outcome]) -> dict[str, float]:
    """Recall, precision, median delay in points, false alarms a series-week."""
    true, false = sum(one.true for one in outcomes), sum(one.false for one in outcomes)
    delays = [delay for one in outcomes for delay in one.delays]
    return {
        "recall": sum(one.found for one in outcomes) / max(sum(one.incidents for one in outcomes), 1),
        "precision": true / (true + false) if true + false else float("nan"),
        "delay": float(np.median(delays)) if delays else float("nan"),
        "false alarms": false / sum(one.weeks for one in outcomes),
    }


def with_intervals(outcomes: list[Outcome]) -> list[str]:
    source = np.random.default_rng(7)
    samples = [
        figures([outcomes[at] for at in source.integers(0, len(outcomes), len(outcomes))]) for _ in range(_SAMPLES)
    ]
    cells = []
    for name, value in figures(outcomes).items():
        values = np.array([one[name] for one in samples])
        values = values[np.isfinite(values)]
        if not len(values):
            cells.append("–")
            continue
        low, high = np.quantile(values, [0.025, 0.975])
        digits = 0 if name == "delay" else 2
        cells.append(f"{value:.{digits}f} ({low:.{digits}f}–{high:.{digits}f})")
    return cells


def compare(count: int, days: float, begin: int) -> None:
    healthy = [series_of(None, family, 1000 + seed, days) for family in SERIES for seed in range(count // 2)]
    weeks = len(healthy) * days / 7
    thresholds = {"StreamSwarm": threshold_for(1.0)}
    for name, detector in DETECTORS.items():
        if name not in thresholds:
            thresholds[name] = calibrated(detector(healthy), weeks)
    others = [series_of(None, family, begin + 2000 + seed, days) for family in SERIES for seed in range(count // 2)]
    print("Healthy series: alarms a series-week\n\n| detector | " + " | ".join(SERIES) + " | all |")
    print("| --- " * (len(SERIES) + 2) + "|")
    for name, detector in DETECTORS.items():
        outcomes = [outcome(one, s, thresholds[name]) for one, s in zip(others, detector(others), strict=True)]
        cells = [
            with_intervals([o for o, one in zip(outcomes, others, strict=True) if one.family == f])[3] for f in SERIES
        ]
        print(f"| {name} | {' | '.join(cells)} | {with_intervals(outcomes)[3]} |", flush=True)
    print("\n| incident | detector | recall | precision | delay, points | false alarms a series-week | VUS-PR |")
    print("| --- " * 7 + "|")
    for kind in KINDS:
        several = [series_of(kind, kind.family, begin + seed, days) for seed in range(count)]
        for name, detector in DETECTORS.items():
            scored = detector(several)
            outcomes = [outcome(one, s, thresholds[name]) for one, s in zip(several, scored, strict=True)]
            volume = float(np.mean([vus_pr(one.labels, s) for one, s in zip(several, scored, strict=True)]))
            print(f"| {kind.name} | {name} | {' | '.join(with_intervals(outcomes))} | {volume:.2f} |", flush=True)


def compare_telemetry(count: int, begin: int) -> None:
    """VUS-PR on the made-up telemetry of servers and routers."""
    print("\nTelemetry, mean VUS-PR\n\n| detector | " + " | ".join(FAMILIES) + " | all |")
    print("| --- " * (len(FAMILIES) + 2) + "|")
    several = [telemetry(family, begin + 500 + seed) for family in FAMILIES for seed in range(count)]
    for name, detector in DETECTORS.items():
        volumes = pd.Series([vus_pr(one.labels, s) for one, s in zip(several, detector(several), strict=True)])
        means = volumes.groupby([one.family for one in several]).mean()
        cells = [f"{means[family]:.2f}" for family in FAMILIES]
        print(f"| {name} | {' | '.join(cells)} | {volumes.mean():.2f} |", flush=True)
    print(f"| base rate | {' | '.join(['–'] * len(FAMILIES))} | {np.mean([s.labels.mean() for s in several]):.2f} |")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--series", type=int, default=40, help="of each kind of incident")
    arguments.add_argument("--days", type=float, default=14)
    arguments.add_argument("--seeds", type=int, default=0, help="what the numbers of the series begin with")
    options = arguments.parse_args()
    compare(options.series, options.days, options.seeds)
    compare_telemetry(max(options.series // 4, 2), options.seeds)


if __name__ == "__main__":
    main()
