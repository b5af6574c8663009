"""What a detector's score on NAB is worth on other files: the threshold chosen on some files, judged on others.

Files that share a category (their folder) are alike, so halves are drawn within each category, and whole categories are
left out as well. None of this undoes that a detector was built with these files in view: where its structure was chosen
on them, files that nobody has seen can only do worse.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from benchmarks.nab_scoring import PROFILES, Counted, Labelled, counted, judge_counted

STANDARD: Final = PROFILES[0]
_SEED: Final = 7
_SAMPLES: Final = 500


@dataclass(frozen=True, slots=True)
class Spread:
    """Scores of repeated draws: their mean and the range of their middle 95 %."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.mean:.1f} | {self.low:.1f} to {self.high:.1f}"


def spread_of(values: Sequence[float]) -> Spread:
    low, high = np.quantile(values, [0.025, 0.975])
    return Spread(float(np.mean(values)), float(low), float(high))


def halves(categories: Sequence[str], source: np.random.Generator) -> NDArray[np.bool_]:
    """Which files are in the first half: of each category half of them, and which half gets the odd one is chance."""
    names, first = np.array(categories), np.zeros(len(categories), dtype=bool)
    for category in sorted(set(categories)):
        files = source.permutation(np.flatnonzero(names == category))
        first[files[int(source.integers(2)) :: 2]] = True
    return first


def of_halves(files: Sequence[Counted], categories: Sequence[str], repeats: int) -> list[float]:
    """Scores of halves with the threshold that was best for the other half; two for each repeat."""
    source, scores = np.random.default_rng(_SEED), []
    for _ in range(repeats):
        first = halves(categories, source)
        for here in (first, ~first):
            threshold = judge_counted(_of(files, here), STANDARD).threshold
            scores.append(judge_counted(_of(files, ~here), STANDARD, threshold).score)
    return scores


def left_out(files: Sequence[Counted], categories: Sequence[str]) -> tuple[float, dict[str, float]]:
    """The score of all files, each judged with the threshold that was best without its category; and of each category.

    A category without a window has no score of its own, but its false alarms are in that of all.
    """
    names, moved, alone = np.array(categories), [], {}
    for category in sorted(set(categories)):
        part = _of(files, names == category)
        threshold = judge_counted(_of(files, names != category), STANDARD).threshold
        if sum(one.windows for one in part):
            alone[category] = judge_counted(part, STANDARD, threshold).score
        # Alarms become ones, so that one threshold can judge what was found with several.
        moved += [Counted((one.scores >= threshold).astype(float), one.gains, one.windows) for one in part]
    return judge_counted(moved, STANDARD, 1.0).score, alone


def bootstrap(files: Sequence[Counted], categories: Sequence[str], threshold: float | None = None) -> Spread:
    """The score of files drawn with replacement within their categories; the threshold is the best for each draw."""
    names, source, scores = np.array(categories), np.random.default_rng(_SEED), []
    for _ in range(_SAMPLES):
        drawn: list[Counted] = []
        for category in sorted(set(categories)):
            places = np.flatnonzero(names == category)
            drawn += [files[at] for at in source.choice(places, len(places))]
        if sum(one.windows for one in drawn):
            scores.append(judge_counted(drawn, STANDARD, threshold).score)
    return spread_of(scores)


def estimate(
    labelled: Sequence[Labelled], categories: Sequence[str], repeats: int, fixed: dict[str, list[Labelled]]
) -> None:
    """Print how the score depends on where the threshold comes from.

    Args:
        labelled: the scored files.
        categories: of each file.
        repeats: how many times the files are halved.
        fixed: alarms that need no threshold, by how they come about; 1 where there is one.
    """
    files = [counted(one, STANDARD) for one in labelled]
    best, drawn = judge_counted(files, STANDARD), bootstrap(files, categories)
    print("\n| threshold | standard | 95 % |\n| --- | --- | --- |")
    print(
        f"| the best for these files, {best.threshold:.3f} | {best.score:.1f} | {drawn.low:.1f} to {drawn.high:.1f} |"
    )
    split = spread_of(of_halves(files, categories, repeats))
    row = f"the best for the other half, {repeats} random halves both ways"
    print(f"| {row} | {split} |")
    together, alone = left_out(files, categories)
    print(f"| the best for the other categories | {together:.1f} | |")
    for category, score in alone.items():
        print(f"| … {category} alone | {score:.1f} | |")
    for name, alarms in fixed.items():
        chosen = [counted(one, STANDARD) for one in alarms]
        drawn = bootstrap(chosen, categories, 1.0)
        score = judge_counted(chosen, STANDARD, 1.0).score
        print(f"| none chosen: {name} | {score:.1f} | {drawn.low:.1f} to {drawn.high:.1f} |")


def _of(files: Sequence[Counted], chosen: NDArray[np.bool_]) -> list[Counted]:
    return [one for one, taken in zip(files, chosen, strict=True) if taken]
