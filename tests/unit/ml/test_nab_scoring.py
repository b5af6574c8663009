"""The scorer against what NAB's paper and its own tests say."""

import numpy as np
import pytest
from benchmarks.ml_vus import range_pr, softened, vus_pr
from benchmarks.nab_scoring import PROFILES, Labelled, Profile, judge, probation, sigmoid, worths

STANDARD = PROFILES[0]
WINDOWS = [(300, 339), (700, 759)]


def alarms(*places: int, count: int = 1000) -> Labelled:
    scores = np.zeros(count)
    scores[list(places)] = 1.0
    return Labelled(scores, WINDOWS)


@pytest.mark.parametrize("profile", PROFILES, ids=lambda one: one.name)
def test_alarms_at_the_left_edges_are_perfect_and_silence_is_zero(profile: Profile) -> None:
    assert judge([alarms(300, 700)], profile).score == pytest.approx(100)
    assert judge([alarms()], profile, threshold=0.5).score == 0


def test_the_sigmoid_has_the_published_values() -> None:
    found = sigmoid(np.array([-1.0, -0.5, 0.0, 1.0, 3.0, 9.0]))
    assert found == pytest.approx([0.98661, 0.84828, 0.0, -0.98661, -1.0, -1.0], abs=1e-5)


def test_the_example_of_nabs_own_tests_scores_as_there() -> None:
    """Two windows of five; two alarms in the first, one three points behind it; weights all 1: -0.9540."""
    one = Labelled(np.zeros(100), [(40, 44), (70, 74)])
    one.scores[[40, 41, 47]] = 1.0
    worth, window_of = worths(one)
    found = worth[40] + worth[47] - 1.0
    assert window_of[[40, 47, 70]].tolist() == [0, -1, 1]
    assert found == pytest.approx(-0.9540, abs=1e-4)
    score = judge([one], Profile("all one", 1.0, 1.0, 1.0), threshold=0.5).score
    assert score == pytest.approx(100 * (-0.9540 + 2) / 4, abs=0.01)


def test_the_earliest_alarm_of_a_window_counts_and_an_earlier_one_is_worth_more() -> None:
    def score(*places: int) -> float:
        return judge([alarms(*places)], STANDARD, threshold=0.5).score

    assert score(300) == score(300, 310, 339) > score(310) > score(335) > 0
    assert score(338, 310) == score(310)


def test_a_false_alarm_costs_the_more_the_further_it_is_behind_a_window_and_more_in_the_low_fp_profile() -> None:
    near, far = (judge([alarms(300, place)], STANDARD, threshold=0.5).score for place in (342, 600))
    assert 50 > near > far
    assert judge([alarms(300, 600)], PROFILES[1], threshold=0.5).score < far


def test_nothing_counts_in_probation() -> None:
    assert probation(1000) == 150
    assert probation(100_000) == 750
    assert judge([alarms(10, 149, 300, 700)], STANDARD, threshold=0.5).score == pytest.approx(100)
    assert judge([alarms(150, 300, 700)], STANDARD, threshold=0.5).score < 100


def test_the_chosen_threshold_is_the_best_of_all() -> None:
    source = np.random.default_rng(4)
    corpus = [Labelled(np.round(source.random(1000), 2), WINDOWS) for _ in range(3)]
    best = judge(corpus, STANDARD)
    tried = [judge(corpus, STANDARD, threshold=step / 100).score for step in range(101)]
    assert best.score == pytest.approx(max(0.0, *tried))


def test_a_corpus_without_windows_is_refused() -> None:
    with pytest.raises(ValueError, match="no labelled window"):
        judge([Labelled(np.zeros(100), [])], STANDARD)


LABELS = np.zeros(1000, dtype=bool)
LABELS[200:230] = LABELS[600:640] = True


def test_vus_pr_of_the_labels_is_high_and_of_noise_near_the_base_rate() -> None:
    # Not one: with a slope, part of what counts as positive is beside the label.
    assert vus_pr(LABELS, LABELS.astype(float), widest=0) == 1.0
    assert vus_pr(LABELS, LABELS.astype(float)) > 0.7
    noise = np.random.default_rng(1).random(1000)
    assert vus_pr(LABELS, noise) < 0.25


def test_range_pr_forgives_a_detection_that_is_a_little_early_when_the_slope_is_wide() -> None:
    early = np.roll(LABELS, -25).astype(float)
    assert range_pr(LABELS, early, 40) > range_pr(LABELS, early, 0)


def test_range_pr_counts_ranges_that_were_found_at_all() -> None:
    both, one = np.zeros(1000), np.zeros(1000)
    both[[200, 201, 600, 601]] = 1.0
    one[[200, 201, 202, 203]] = 1.0
    assert range_pr(LABELS, both, 0) > range_pr(LABELS, one, 0)


def test_the_slope_is_that_of_the_paper() -> None:
    soft = softened(LABELS, 10)
    assert soft[200] == 1
    assert soft[199] == pytest.approx(np.sqrt(1 - 1 / 10))
    assert soft[195] == pytest.approx(np.sqrt(1 - 5 / 10))
    assert soft[194] == 0
    assert soft[230:235] == pytest.approx(soft[195:200][::-1])


def test_vus_pr_needs_a_label() -> None:
    with pytest.raises(ValueError, match="no point is labelled"):
        vus_pr(np.zeros(5, dtype=bool), np.zeros(5))
