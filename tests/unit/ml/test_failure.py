import random

import numpy as np
import pytest
from benchmarks.ml.failure import run
from sklearn.metrics import roc_auc_score

from streamswarm_core.thresholds import Threshold
from streamswarm_ml.failure.classifier import OnlineProbability
from streamswarm_ml.failure.model import HORIZON, FailureModel, Objective
from streamswarm_ml.windows import WINDOW_NS, Reading, Window

TAGS = (("agent", "a"), ("target", "gw"), ("test", "t"))
GOOD = {"up": 1.0, "rtt_mean": 0.01, "loss": 0.0}
DOWN = {"up": 0.0, "loss": 1.0}


def window(index: int, values: dict[str, float]) -> Window:
    return Window(index * WINDOW_NS, (Reading("icmp", TAGS, values),))


def test_a_window_is_learned_once_its_hour_is_over_and_not_before() -> None:
    model = FailureModel()
    for index in range(HORIZON + 1):
        model.observe(window(index, GOOD))
    assert model.samples == 0
    model.observe(window(HORIZON + 1, GOOD))
    assert (model.samples, model.classifier.positives) == (1, 0)


def test_all_windows_of_the_hour_before_a_failure_are_learned_as_such_the_moment_it_fails() -> None:
    model = FailureModel()
    for index in range(30):
        model.observe(window(index, GOOD))
    model.observe(window(30, DOWN))
    assert (model.samples, model.classifier.positives) == (30, HORIZON)


@pytest.mark.parametrize(
    ("own", "values", "broken"),
    [
        ((), GOOD, False),
        ((), DOWN, True),
        ((Threshold(field="rtt_mean", warn=0.001, bad=0.005),), GOOD, True),
        ((Threshold(field="rtt_mean", warn=0.001, bad=0.05),), GOOD, False),
        ((Threshold(field="loss", bad=0.9),), GOOD | {"loss": 0.5}, False),
        ((Threshold(field="loss", warn=0.9),), GOOD | {"loss": 0.5}, True),
        ((Threshold(field="loss", bad=0.9),), DOWN, True),
    ],
)
def test_an_objective_is_broken_by_what_is_bad_for_the_test_and_else_by_the_settings(
    own: tuple[Threshold, ...], values: dict[str, float], *, broken: bool
) -> None:
    assert Objective().broken(Reading("icmp", TAGS, values, own)) is broken


def test_a_limit_of_a_tests_own_decides_what_is_learned_as_a_failure() -> None:
    model, own = FailureModel(), (Threshold(field="rtt_mean", bad=0.02),)
    for index in range(30):
        model.observe(window(index, GOOD))
    model.observe(Window(30 * WINDOW_NS, (Reading("icmp", TAGS, GOOD | {"rtt_mean": 0.03}, own),)))
    assert model.classifier.positives == HORIZON


def test_a_target_that_is_down_already_gets_no_prediction_and_is_no_example() -> None:
    model = FailureModel()
    assert [model.observe(window(index, DOWN)) for index in range(40)] == [[]] * 40
    assert model.samples == 0


def test_a_failure_after_a_gap_longer_than_the_hour_was_not_ahead() -> None:
    model = FailureModel()
    model.observe(window(0, GOOD))
    model.observe(window(HORIZON + 5, DOWN))
    assert (model.samples, model.classifier.positives) == (1, 0)


def test_nothing_is_said_until_enough_failures_were_seen() -> None:
    model = FailureModel()
    assert not any(model.observe(window(index, GOOD)) for index in range(1000))


def test_announced_failures_are_foreseen_and_the_others_are_not() -> None:
    scored = run(12, 14)
    said, ahead = np.array(scored.probability), np.array(scored.ahead)
    assert roc_auc_score(ahead[ahead != 2] == 1, said[ahead != 2]) > 0.85
    assert abs(roc_auc_score(ahead[ahead != 1] == 2, said[ahead != 1]) - 0.5) < 0.15
    assert np.median([lead for _, lead in scored.leads]) >= 15
    assert abs(said.mean() - (ahead > 0).mean()) < 0.01


def test_outcomes_of_chance_teach_nothing() -> None:
    scored = run(8, 10, shuffled=True)
    ahead = np.array(scored.ahead)
    assert roc_auc_score(ahead == 1, scored.probability) < 0.65


def test_a_probability_is_as_often_right_as_it_says() -> None:
    source, model, said = random.Random(3), OnlineProbability(), []
    for _ in range(12_000):
        x = source.uniform(-3, 1)
        happened = source.random() < 0.1 * np.exp(x)
        said.append((model.probability({"x": x}), happened))
        model.learn({"x": x}, happened=happened)
    late = np.array(said[4000:])
    for low, high in ((0, 0.03), (0.03, 0.1), (0.1, 1)):
        inside = (late[:, 0] >= low) & (late[:, 0] < high)
        assert late[inside, 0].mean() == pytest.approx(late[inside, 1].mean(), rel=0.35)


def test_the_feature_that_matters_contributes_most() -> None:
    source, model = random.Random(4), OnlineProbability()
    for _ in range(3000):
        features = {"matters": source.gauss(0, 1), "does not": source.gauss(0, 1)}
        model.learn(features, happened=features["matters"] > 1)
    found = model.contributions({"matters": 2.0, "does not": 2.0})
    assert found["matters"] > 5 * abs(found["does not"])
