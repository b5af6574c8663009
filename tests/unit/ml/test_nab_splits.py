"""Thresholds chosen on some files and judged on others."""

import numpy as np
import pytest
from benchmarks.nab_scoring import Counted, Labelled, counted, judge, judge_counted
from benchmarks.nab_splits import STANDARD, bootstrap, halves, left_out, of_halves, spread_of

CATEGORIES = ["a"] * 5 + ["b"] * 4


def file(hit: float, noise: float) -> Counted:
    """A window found at its left edge with one score, and a false alarm with another."""
    scores = np.zeros(1000)
    scores[300], scores[600] = hit, noise
    return counted(Labelled(scores, [(300, 339)]), STANDARD)


def test_of_each_category_half_the_files_are_in_each_half_and_chance_has_the_odd_one() -> None:
    source = np.random.default_rng(1)
    drawn = [halves(CATEGORIES, source) for _ in range(50)]
    assert {int(one[:5].sum()) for one in drawn} == {2, 3}
    assert {int(one[5:].sum()) for one in drawn} == {2}
    assert len({one.tobytes() for one in drawn}) > 20


def test_a_detector_that_separates_alike_everywhere_loses_nothing_on_other_files() -> None:
    files = [file(0.9, 0.1)] * 9
    assert of_halves(files, CATEGORIES, 5) == pytest.approx([100.0] * 10)
    together, alone = left_out(files, CATEGORIES)
    assert together == pytest.approx(100)
    assert alone == pytest.approx({"a": 100, "b": 100})


def test_a_threshold_that_suits_one_category_only_costs_the_other() -> None:
    files = [file(0.9, 0.8)] * 5 + [file(0.7, 0.1)] * 4
    together, alone = left_out(files, CATEGORIES)
    assert alone["b"] == 0  # chosen on a: 0.9
    assert alone["a"] < 100  # chosen on b: 0.7, so 0.8 is a false alarm
    assert together < judge_counted(files, STANDARD).score


def test_a_category_without_windows_counts_by_its_false_alarms_only() -> None:
    healthy = counted(Labelled(np.array([*[0.0] * 500, 0.9, *[0.0] * 499]), []), STANDARD)
    together, alone = left_out([*[file(0.9, 0.1)] * 9, healthy], [*CATEGORIES, "healthy"])
    assert set(alone) == {"a", "b"}
    assert together == pytest.approx(100 - 100 * STANDARD.false_alarm / (2 * 9))


def test_the_bootstrap_is_centred_on_the_score_and_wider_the_more_the_files_differ() -> None:
    files = [file(0.9, 0.1)] * 5 + [file(0.0, 0.1)] * 2 + [file(0.9, 0.1)] * 2
    drawn = bootstrap(files, CATEGORIES)
    assert drawn.low < judge_counted(files, STANDARD).score < 100
    assert drawn.high == pytest.approx(100)
    alike = bootstrap([file(0.9, 0.1)] * 9, CATEGORIES, 0.5)
    assert (alike.low, alike.high) == pytest.approx((100, 100))


def test_counting_first_gives_the_same_score() -> None:
    source = np.random.default_rng(4)
    corpus = [Labelled(source.random(1000), [(300, 339), (700, 759)]) for _ in range(3)]
    files = [counted(one, STANDARD) for one in corpus]
    assert judge_counted(files, STANDARD) == judge(corpus, STANDARD)
    assert judge_counted(files, STANDARD, 0.99) == judge(corpus, STANDARD, 0.99)


def test_a_spread_holds_the_middle_95_percent() -> None:
    found = spread_of([float(value) for value in range(1001)])
    assert (found.mean, found.low, found.high) == (500, 25, 975)
