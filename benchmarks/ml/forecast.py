"""Forecasts on NAB-like files: `timestamp,value` with a header, below a folder. Prequential, no tuning by file."""

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.ml.figures import Figure, bootstrap, median_of
from streamswarm_ml.forecast.horizon import HorizonForecaster

DAY_SECONDS = 86_400


def read_series(folder: Path) -> Iterator[tuple[str, float, list[float]]]:
    """Name, seconds between values, and values of each file."""
    for path in sorted(folder.rglob("*.csv")):
        with path.open(newline="") as file:
            rows = [(row.get("timestamp"), row.get("value")) for row in csv.DictReader(file)]
        if not rows or None in rows[0]:
            continue
        times = [datetime.fromisoformat(str(stamp)).timestamp() for stamp, _ in rows]
        step = float(np.median(np.diff(times)))
        yield path.name, step, [float(str(value)) for _, value in rows]


def evaluate(folder: Path) -> list[Figure]:
    """Skill and coverage."""
    series = list(read_series(folder))
    if not series:
        raise SystemExit(f"{folder}: no file with the columns timestamp and value")
    figures = []
    for steps, goal in ((1, "≥ 0.12"), (12, "≥ 0.18")):
        skills, seasonal, coverage = [], [], []
        for _, step, values in series:
            forecaster = HorizonForecaster(steps=steps, period=max(round(DAY_SECONDS / step), steps))
            for index, value in enumerate(values):
                forecaster.update(index, value, time_ns=index)
            tally = forecaster.tally
            if tally.skill is not None and forecaster.coverage is not None:
                skills.append(tally.skill)
                seasonal.append(1 - tally.baseline_sums[1] / tally.baseline_sums[0])
                coverage.append(forecaster.coverage)
        names = list(range(len(skills)))
        name = f"{steps} step{'s' if steps > 1 else ''}"
        figures.append(
            Figure(
                "forecast",
                f"median skill, {name}",
                median(skills),
                *bootstrap(names, median_of(skills)),
                f"as now 0; seasonal naive {median(seasonal):+.3f}",
                goal,
                f"{len(skills)} files; better than as now on {sum(skill > 0 for skill in skills)}",
            )
        )
        inside = sum(0.88 <= share <= 0.92 for share in coverage)
        figures.append(
            Figure(
                "forecast",
                f"coverage of 90 % intervals, {name}",
                median(coverage),
                *bootstrap(names, median_of(coverage)),
                "0.900",
                "0.88 to 0.92",
                f"inside 0.88 to 0.92 on {inside} of {len(coverage)} files; {min(coverage):.3f} to {max(coverage):.3f}",
            )
        )
    return figures


def check(folder: Path) -> list[Figure]:
    """The same on values in an order of chance: the mean is the best forecast, so nothing may look foreseen beyond it.

    Against "as now" even the mean has a skill of about 0.29 on shuffled values (1 - 1/√2 for a normal distribution), so
    the figure is the skill over the running mean: it must not be above 0 by more than chance.
    """
    random = np.random.default_rng(3)
    skills = []
    for _, step, values in read_series(folder):
        forecaster = HorizonForecaster(steps=1, period=max(round(DAY_SECONDS / step), 1))
        mean, reference, model = 0.0, 0.0, 0.0
        said: float | None = None
        for index, value in enumerate(map(float, random.permutation(values))):
            if said is not None:
                model += abs(said - value)
                reference += abs(mean - value)
            mean += (value - mean) / (index + 1)
            said = forecaster.update(index, value, time_ns=index).value
        if reference > 0:
            skills.append(1 - model / reference)
    low, high = bootstrap(list(range(len(skills))), lambda rows: float(np.median(np.array(skills)[rows])))
    return [
        Figure(
            "forecast",
            "median skill over the mean, values shuffled",
            median(skills),
            low,
            high,
            "0",
            "≤ 0, but for skewed files",
            "a check for leaks",
        )
    ]
