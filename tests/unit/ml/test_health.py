import numpy as np
import pytest
from benchmarks.ml.figures import calibration_error
from benchmarks.ml.health import run
from sklearn.metrics import f1_score

from streamswarm_core.thresholds import Comparison, Threshold
from streamswarm_ml.health.model import HealthModel, UnknownWindowError
from streamswarm_ml.health.rule import Limits, State
from streamswarm_ml.labelled import LabelledClassifier
from streamswarm_ml.windows import WINDOW_NS, Reading, Window

TAGS = (("agent", "a"), ("target", "gw"), ("test", "t"))
SERIES = ("icmp", TAGS)


def window(index: int, **values: float) -> Window:
    return Window(index * WINDOW_NS, (Reading("icmp", TAGS, {"up": 1.0, **values}),))


@pytest.mark.parametrize(
    ("values", "state"),
    [
        ({"rtt_mean": 0.01, "loss": 0.0}, State.OK),
        ({"loss": 0.0}, State.OK),
        ({"rtt_mean": 0.2, "loss": 0.0}, State.DEGRADED),
        ({"rtt_mean": 0.01, "loss": 0.05}, State.DEGRADED),
        ({"rtt_mean": 0.2, "loss": 0.5}, State.BAD),
        ({"loss": 0.0, "up": 0.0}, State.BAD),
    ],
)
def test_the_rule_says_the_worst_of_its_limits(values: dict[str, float], state: State) -> None:
    assert Limits().verdict(Reading("icmp", TAGS, {"up": 1.0, **values})) is state


RTT = Threshold(field="rtt_mean", warn=0.01, bad=0.02)
LOSS = Threshold(field="loss", bad=0.9)
UP = Threshold(field="up", comparison=Comparison.BELOW, warn=0.99)


@pytest.mark.parametrize(
    ("own", "values", "state"),
    [
        ((RTT,), {"rtt_mean": 0.015}, State.DEGRADED),
        ((RTT,), {"rtt_mean": 0.03}, State.BAD),
        ((Threshold(field="rtt_mean", warn=5.0),), {"rtt_mean": 1.0}, State.OK),
        ((Threshold(field="rtt_mean", warn=0.5),), {"rtt_mean": 1.0}, State.DEGRADED),
        ((RTT,), {"rtt_mean": 0.005, "loss": 0.05}, State.DEGRADED),
        ((LOSS,), {"rtt_mean": 0.01, "loss": 0.5}, State.OK),
        ((LOSS, RTT), {"rtt_mean": 0.015, "loss": 0.5}, State.DEGRADED),
        ((UP,), {"up": 0.5, "loss": 0.0}, State.DEGRADED),
        ((Threshold(field="duration", bad=2.0),), {"duration": 3.0}, State.BAD),
        ((RTT,), {"loss": 0.0}, State.OK),
    ],
)
def test_a_tests_own_threshold_goes_before_the_limits_of_the_settings_for_its_field(
    own: tuple[Threshold, ...], values: dict[str, float], state: State
) -> None:
    assert Limits().verdict(Reading("icmp", TAGS, {"up": 1.0, **values}, own)) is state


def test_what_a_test_without_packets_loses_is_held_against_its_own_limit_for_up() -> None:
    mostly_down = Reading("dns", TAGS, {"up": 0.3, "lookup": 0.01}, (UP,))
    assert Limits().verdict(mostly_down) is State.DEGRADED


def test_without_labels_it_is_the_threshold_rule() -> None:
    model = HealthModel()
    points = [model.observe(window(0, rtt_mean=rtt, loss=0.0))[0] for rtt in (0.01, 0.2, 0.9)]
    assert [point.fields["state"] for point in points] == ["ok", "degraded", "bad"]
    assert [point.fields["rule"] for point in points] == ["ok", "degraded", "bad"]


def test_false_alarms_that_operators_report_are_learned() -> None:
    model = HealthModel()
    for index in range(100):
        model.observe(window(index, rtt_mean=0.2 + index % 5 / 1000, loss=0.0))
        model.label(SERIES, index * WINDOW_NS, State.OK)
    point = model.observe(window(100, rtt_mean=0.202, loss=0.0))[0]
    assert (point.fields["state"], point.fields["rule"]) == ("ok", "degraded")
    assert model.tally.skill is not None
    assert model.tally.skill > 0
    assert point.fields["learned"] == 100


@pytest.mark.parametrize("time_ns", [-WINDOW_NS, 500 * WINDOW_NS])
def test_a_label_for_what_was_never_seen_is_refused(time_ns: int) -> None:
    model = HealthModel()
    model.observe(window(0, rtt_mean=0.01))
    with pytest.raises(UnknownWindowError, match="one day"):
        model.label(SERIES, time_ns, State.BAD)
    with pytest.raises(UnknownWindowError):
        model.label(("dns", TAGS), 0, State.BAD)


def test_a_label_of_yesterday_is_too_old() -> None:
    model = HealthModel()
    for index in range(300):
        model.observe(window(index, rtt_mean=0.01))
    model.label(SERIES, 20 * WINDOW_NS, State.OK)
    with pytest.raises(UnknownWindowError):
        model.label(SERIES, 5 * WINDOW_NS, State.OK)


def test_chances_add_up_to_one() -> None:
    model = LabelledClassifier(tuple(State))
    for index in range(50):
        model.learn({"x": float(index % 3)}, State.OK, [State.OK, State.DEGRADED, State.BAD][index % 3])
        assert sum(model.chances({"x": 1.0}, State.BAD)) == pytest.approx(1)


def test_it_beats_the_rule_and_its_confidence_is_what_it_is_worth() -> None:
    scored = run(16, 12)
    truth, said = np.array(scored.truth), np.array(scored.said)
    learned = f1_score(truth, said, average="macro")
    assert learned > 0.75
    assert learned > f1_score(truth, np.array(scored.rule), average="macro") + 0.1
    assert calibration_error(np.array(scored.chances).max(axis=1), (truth == said).astype(float)) < 0.05


def test_labels_of_chance_teach_nothing() -> None:
    scored = run(6, 8, shuffled=True)
    assert f1_score(np.array(scored.truth), np.array(scored.said), average="macro") < 0.45
