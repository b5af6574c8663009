import numpy as np
import pytest
from benchmarks.ml.qos import run

from streamswarm_ml.qos.compliance import Policy, judge
from streamswarm_ml.qos.model import QosModel
from streamswarm_ml.windows import WINDOW_NS, Reading, Window

POLICY = Policy(max_rtt=0.1, max_jitter=0.02, max_loss=0.01)


def window(index: int, dscp: str = "EF", **values: float) -> Window:
    tags = (("agent", "a"), ("dscp", dscp), ("target", "x"), ("test", "q"))
    return Window(index * WINDOW_NS, (Reading("qos_class", tags, values),))


@pytest.mark.parametrize(
    ("values", "breached", "evidence"),
    [
        ({"rtt_mean": 0.05, "jitter": 0.01, "loss": 0.0}, False, ""),
        ({"rtt_mean": 0.25, "jitter": 0.01, "loss": 0.0}, True, "rtt_mean 0.25 is above 0.1"),
        ({"rtt_mean": 0.25, "loss": 0.5}, True, "rtt_mean 0.25 is above 0.1, loss 0.5 is above 0.01"),
        ({"rtt_mean": 0.05, "compliant": 0.25}, True, "the probe says so in 75 % of its runs"),
        ({"rtt_mean": 0.25, "compliant": 1.0}, False, ""),
        ({}, None, ""),
    ],
)
def test_a_class_is_held_against_its_policy_and_the_evidence_names_the_values(
    values: dict[str, float], breached: bool | None, evidence: str
) -> None:
    found = judge(values, POLICY)
    assert (found.breached, found.evidence) == (breached, evidence)


def test_a_promise_of_no_loss_at_all_is_broken_by_any() -> None:
    assert judge({"loss": 0.0}, Policy(max_loss=0.0)).breached is False
    assert judge({"loss": 0.001}, Policy(max_loss=0.0)).breached is True


def test_a_class_without_a_policy_gets_no_verdict() -> None:
    assert QosModel().observe(window(0, "CS1", rtt_mean=9.0)) == []


def test_points_say_what_is_broken_now_and_are_silent_on_the_future_until_something_is_learned() -> None:
    point = QosModel().observe(window(0, rtt_mean=0.9, loss=0.0))[0]
    assert point.fields["compliant"] == 0
    assert point.fields["evidence"] == "rtt_mean 0.9 is above 0.3"
    assert "probability" not in point.fields


def test_a_breach_that_comes_every_day_at_the_same_hour_is_foreseen() -> None:
    model = QosModel(policies={"EF": POLICY})
    before: list[float] = []
    calm: list[float] = []
    for index in range(20 * 288):
        hour = index // 12 % 24
        point = model.observe(window(index, rtt_mean=0.2 if hour == 9 else 0.05, jitter=0.01, loss=0.0))[0]
        if index > 15 * 288 and hour != 9:
            (before if index // 12 % 24 == 8 and index % 12 == 11 else calm).append(float(point.fields["probability"]))
    assert np.mean(before) > 10 * np.mean(calm)


def test_the_next_window_is_foretold_better_than_by_climatology_and_as_now() -> None:
    scored = run(4, 10)
    said, now, happened = (np.array(column) for column in (scored.said, scored.now, scored.happened))
    brier = np.mean((said - happened) ** 2)
    assert brier < 0.8 * np.mean((happened.mean() - happened) ** 2)
    assert brier < np.mean((now - happened) ** 2)


def test_outcomes_of_chance_teach_nothing() -> None:
    scored = run(3, 4, shuffled=True)
    said, happened = np.array(scored.said), np.array(scored.happened)
    assert np.mean((said - happened) ** 2) > 0.95 * np.mean((happened.mean() - happened) ** 2)
