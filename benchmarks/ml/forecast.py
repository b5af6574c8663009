"""Forecasts on NAB-like files: `timestamp,value` with a header, below a folder. Prequential, no tuning by file."""

import csv
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.ml.figures import Figure, bootstrap
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


def evaluate(folder: Path, *, shuffled: bool = False) -> list[Figure]:
    """Skill and coverage; `shuffled` puts the values in an order of chance."""
    series = list(read_series(folder))
    if not series:
        raise SystemExit(f"{folder}: no file with the columns timestamp and value")
    figures = []
    random = np.random.default_rng(3)
    for steps, goal in ((1, "≥ 0.12"), (12, "≥ 0.18")):
        skills, seasonal, coverage = [], [], []
        for _, step, values in series:
            forecaster = HorizonForecaster(steps=steps, period=max(round(DAY_SECONDS / step), steps))
            for index, value in enumerate(random.permutation(values) if shuffled else values):
                forecaster.update(index, float(value), time_ns=index)
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
                *bootstrap(names, lambda rows, skills=skills: float(np.median(np.array(skills)[rows]))),  # type: ignore[misc]
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
                *bootstrap(names, lambda rows, shares=coverage: float(np.median(np.array(shares)[rows]))),  # type: ignore[misc]
                "0.900",
                "0.88 to 0.92",
                f"inside 0.88 to 0.92 on {inside} of {len(coverage)} files; {min(coverage):.3f} to {max(coverage):.3f}",
            )
        )
    return figures
