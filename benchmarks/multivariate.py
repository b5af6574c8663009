"""All fields of a test together: the ML service's model, forests, and each field by itself.

    python -m benchmarks.multivariate [--tests 20] [--days 28] [--seeds 100] [--office-hours]

Five-minute windows of ICMP tests whose RTT, jitter and loss follow one hidden load (a day's curve and lasting noise);
with --office-hours that of offices in Berlin, whose edges are sharp and the same to some minutes each working day.
Labels are the injections: "all a little" moves every field by less than it moves on a busy evening, "apart" turns RTT
down while jitter goes up, "plain" doubles the RTT. Half of the tests stay healthy. Recall and false alarms are at one
threshold each: one alarm a test-week on the healthy tests (for the product: its default), an alarm resting an hour.
"""

import argparse
import time
from datetime import datetime, timedelta
from typing import Final
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from river.anomaly import HalfSpaceTrees
from sklearn.ensemble import IsolationForest

from benchmarks.ml_vus import ranges_of, vus_pr
from streamswarm_core.zones import UTC_NAME
from streamswarm_ml.detectors import detect_many, threshold_for
from streamswarm_ml.detectors.zones import Zones
from streamswarm_ml.multivariate.model import MultivariateModel
from streamswarm_ml.windows import WINDOW_NS, WINDOW_SECONDS, Reading, Window

Values = NDArray[np.float64]
Flags = NDArray[np.bool_]
ZONE: Final = "Europe/Berlin"
_SATURDAY: Final = 5
_DAY: Final = 86_400 // WINDOW_SECONDS
_FIRST: Final = 5_892_000
"""Window that the series begin with."""
_REST: Final = 12
_WARMUP_DAYS: Final = 7
_FIELDS: Final = ("rtt_mean", "jitter", "loss")
KINDS: Final = ("all a little", "apart", "plain")


def simulate(seed: int, days: int, kind: str | None, *, offices: bool = False) -> tuple[Values, Flags]:
    """Values [windows, fields], and which are in one of six incidents behind the first week."""
    source = np.random.default_rng(seed)
    count = days * _DAY
    noise = source.normal(0, 0.06, count)
    lasting = np.zeros(count)
    for at in range(1, count):
        lasting[at] = 0.9 * lasting[at - 1] + noise[at]
    if offices:
        usual = office_load(source, count)
    else:
        usual = 0.4 + 0.3 * np.cos(np.arange(count) / _DAY * 2 * np.pi - source.uniform(0, 6))
    load = np.clip(usual + lasting, 0, 1.5)
    labels = np.zeros(count, dtype=bool)
    extra = np.zeros((3, count))
    if kind is not None:
        room = (count - _WARMUP_DAYS * _DAY) // 6
        for number in range(6):
            length = int(source.integers(6, 25))
            begin = _WARMUP_DAYS * _DAY + number * room + int(source.integers(0, room - length))
            part = slice(begin, begin + length)
            labels[part] = True
            moved = {"all a little": (0.1, 0.8, 0.01), "apart": (-0.1, 1.0, 0.0), "plain": (1.0, 0.0, 0.0)}[kind]
            extra[:, part] += np.array(moved)[:, None]
    base = source.uniform(0.008, 0.08)
    rtt = base * (1 + 0.25 * load + extra[0] + source.normal(0, 0.01, count))
    jitter = base * 0.03 * (1 + load + extra[1]) * source.lognormal(0, 0.1, count)
    loss = source.binomial(50, np.clip(0.001 + 0.002 * load + extra[2], 0, 1)) / 50
    return np.stack([rtt, jitter, loss], axis=1), labels


def office_load(source: np.random.Generator, count: int) -> Values:
    """Load of a working week by Berlin's clock; an edge is within some minutes of its hour, and a window has both."""
    zone = ZoneInfo(ZONE)
    opens, closes = int(source.integers(7, 10)), int(source.integers(16, 19))
    first = datetime.fromtimestamp(_FIRST * WINDOW_SECONDS, zone).replace(hour=0, minute=0, second=0)
    load = np.full(count, 0.15)
    for number in range(-1, count // _DAY + 2):
        day = first + timedelta(days=number)
        if day.weekday() >= _SATURDAY:
            continue
        edges = np.array([day.replace(hour=opens).timestamp(), day.replace(hour=closes).timestamp()])
        begin, end = (edges + source.normal(0, 120, 2)) / WINDOW_SECONDS - _FIRST
        open_share = np.clip(np.minimum(np.arange(1, count + 1), end) - np.maximum(np.arange(count), begin), 0, 1)
        load += 0.7 * open_share
    return load


def product(tests: list[Values], zone: str) -> tuple[list[Values], list[Values]]:
    """Scores of the service's model, and the vectors' stand-in for the others: scaled fields."""
    model, scores = MultivariateModel(zones=Zones(zone)), [np.zeros(len(one)) for one in tests]
    for at in range(len(tests[0])):
        readings = tuple(
            Reading("icmp", (("target", f"t{n}"),), {**dict(zip(_FIELDS, one[at].tolist(), strict=True)), "up": 1.0})
            for n, one in enumerate(tests)
        )
        for point in model.observe(Window((_FIRST + at) * WINDOW_NS, readings)):
            scores[int(str(point.tags["target"])[1:])][at] = float(point.fields["score"])
    return scores, [_scaled(one) for one in tests]


def _scaled(values: Values) -> Values:
    """Each field by its first week, then bounded to 0..1."""
    known = values[: _WARMUP_DAYS * _DAY]
    apart = (values - known.mean(axis=0)) / np.maximum(known.std(axis=0), 1e-9)
    return np.asarray(0.5 + np.clip(apart, -8, 8) / 16)


def half_space_trees(scaled: list[Values]) -> list[Values]:
    """River's, one for all tests, as ours is; scored, then learned."""
    model = HalfSpaceTrees(n_trees=25, height=8, window_size=1000, seed=1)
    scores = [np.zeros(len(one)) for one in scaled]
    for at in range(len(scaled[0])):
        for score, one in zip(scores, scaled, strict=True):
            example = dict(zip(_FIELDS, one[at].tolist(), strict=True))
            score[at] = model.score_one(example)
            model.learn_one(example)
    return scores


def isolation_forest(scaled: list[Values]) -> list[Values]:
    """scikit-learn's, one for all tests, fitted anew every day on the two weeks before."""
    scores = [np.zeros(len(one)) for one in scaled]
    for first in range(_DAY, len(scaled[0]), _DAY):
        known = np.concatenate([one[max(0, first - 14 * _DAY) : first] for one in scaled])
        model = IsolationForest(n_estimators=50, random_state=1).fit(known)
        for score, one in zip(scores, scaled, strict=True):
            score[first : first + _DAY] = -model.score_samples(one[first : first + _DAY])
    return scores


def farthest(scaled: list[Values]) -> list[Values]:
    """The trivial one: the field that is farthest out."""
    return [np.abs(one - 0.5).max(axis=1) for one in scaled]


def each_field(tests: list[Values], zone: str) -> list[Values]:
    """The univariate detector on every field; the greatest score."""
    times = (np.arange(len(tests[0])) + _FIRST) * float(WINDOW_SECONDS)
    found = detect_many([(one[:, column], times) for one in tests for column in range(len(_FIELDS))], time_zone=zone)
    scores = [np.where(one.opened, np.maximum(one.score, threshold_for(1.0)), one.score) for one in found]
    return [np.max(scores[at : at + 3], axis=0) for at in range(0, len(scores), 3)]


def _alarms(scores: Values, threshold: float) -> NDArray[np.int64]:
    above = np.flatnonzero(scores >= threshold)
    above = above[above >= _WARMUP_DAYS * _DAY]
    return above[np.diff(above, prepend=-_REST - 1) > _REST]


def report(name: str, scores: list[Values], labels: list[Flags], kinds: list[str | None], *, fixed: bool) -> None:
    """Print a row."""
    healthy = [one for one, kind in zip(scores, kinds, strict=True) if kind is None]
    weeks = len(healthy) * (len(scores[0]) / _DAY - _WARMUP_DAYS) / 7
    threshold = threshold_for(1.0)
    if not fixed:
        candidates = np.unique(np.quantile(np.concatenate(healthy), 1 - np.geomspace(1e-5, 0.05, 80)))
        threshold = next((t for t in candidates.tolist() if sum(len(_alarms(s, t)) for s in healthy) <= weeks), 1.0)
    cells = [f"{sum(len(_alarms(one, threshold)) for one in healthy) / weeks:.2f}"]
    for wanted in KINDS:
        found, true, told, volumes = [], 0, 0, []
        for one, label, kind in zip(scores, labels, kinds, strict=True):
            if kind != wanted:
                continue
            begun = _alarms(one, threshold)
            near = np.convolve(label, np.ones(4))[: len(label)] > 0
            true, told = true + int(near[begun].sum()), told + len(begun)
            found += [bool(((begun >= a) & (begun <= b + 3)).any()) for a, b in ranges_of(label)]
            volumes.append(vus_pr(label, one, 24))
        cells.append(f"{np.mean(found):.2f} / {true / max(told, 1):.2f} / {np.mean(volumes):.2f}")
    print(f"| {name} | {' | '.join(cells)} |", flush=True)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--tests", type=int, default=20, help="half of them healthy")
    arguments.add_argument("--days", type=int, default=28)
    arguments.add_argument("--seeds", type=int, default=100, help="what the numbers of the tests begin with")
    arguments.add_argument("--office-hours", action="store_true", help="load of offices in Berlin, with sharp edges")
    options = arguments.parse_args()
    kinds: list[str | None] = [KINDS[n // 2 % 3] if n % 2 else None for n in range(options.tests)]
    zone = ZONE if options.office_hours else UTC_NAME
    made = [
        simulate(options.seeds + n, options.days, kind, offices=options.office_hours) for n, kind in enumerate(kinds)
    ]
    tests, labels = [one for one, _ in made], [label for _, label in made]
    begun = time.process_time()
    scores, scaled = product(tests, zone)
    cost = (time.process_time() - begun) / (len(tests) * len(tests[0]))
    print("| detector | healthy: alarms a test-week | " + " | ".join(KINDS) + " |\n" + "| --- " * 5 + "|")
    report("StreamSwarm, together", scores, labels, kinds, fixed=True)
    begun = time.process_time()
    trees = half_space_trees(scaled)
    trees_cost = (time.process_time() - begun) / (len(tests) * len(tests[0]))
    report("HalfSpaceTrees", trees, labels, kinds, fixed=False)
    report("IsolationForest", isolation_forest(scaled), labels, kinds, fixed=False)
    report("StreamSwarm, each field", each_field(tests, zone), labels, kinds, fixed=True)
    report("the farthest field", farthest(scaled), labels, kinds, fixed=False)
    print(
        f"\nRecall / precision / VUS-PR. A test's window: {cost * 1e6:.0f} µs, HalfSpaceTrees {trees_cost * 1e6:.0f}."
    )


if __name__ == "__main__":
    main()
