import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streamswarm_core.probespecs import SPECS
from streamswarm_core.thresholds import (
    Comparison,
    Objective,
    Sample,
    Threshold,
    UnknownField,
    Verdict,
    judge,
    resolve,
)

ICMP = SPECS["icmp"]


def at_times(*values: float, step: float = 10.0, end: float = 1000.0) -> list[Sample]:
    """Samples of which the last is at `end`."""
    return [Sample(end - step * back, value) for back, value in enumerate(reversed(values))]


def verdict(threshold: Threshold, samples: list[Sample], at: float = 1000.0) -> Verdict:
    return judge(ICMP, [threshold], {"icmp.rtt_mean": samples}, at=at).verdict


def test_one_slow_answer_is_no_incident_but_half_of_a_window_is() -> None:
    threshold = Threshold(field="rtt_mean", warn=0.1, bad=0.5, window=60, share=0.5)
    assert verdict(threshold, at_times(0.01, 0.01, 0.9, 0.01)) is Verdict.OK
    assert verdict(threshold, at_times(0.01, 0.2, 0.9, 0.01)) is Verdict.DEGRADED
    assert verdict(threshold, at_times(0.01, 0.6, 0.9, 0.01)) is Verdict.BAD


def test_a_finding_says_field_limit_worst_value_share_and_unit() -> None:
    threshold = Threshold(field="rtt_mean", bad=0.1, window=60)
    (finding,) = judge(ICMP, [threshold], {"icmp.rtt_mean": at_times(0.2, 0.3)}, at=1000).findings
    assert (finding.measurement, finding.field, finding.limit, finding.worst) == ("icmp", "rtt_mean", 0.1, 0.3)
    assert finding.message == "rtt_mean is above 100 ms in 2 of 2 values within 1 min; worst 300.000 ms"


@pytest.mark.parametrize(
    ("threshold", "values", "said"),
    [
        ({"field": "up", "comparison": "<", "bad": 1}, (0, 1, 0), "up is no in 2 of 3 values within 5 min"),
        ({"field": "up", "comparison": "<=", "bad": 0, "window": 0}, (1, 0), "up is no"),
        ({"field": "loss", "bad": 0.0002}, (0.0004,), "loss is 0.04 %, which is above 0.02 %"),
        (
            {"field": "loss", "comparison": ">=", "bad": 1},
            (1, 1),
            "loss is at least 100 % in 2 of 2 values within 5 min; worst 100.0 %",
        ),
        ({"field": "rtt_mean", "bad": 0.05, "window": 0}, (0.01, 0.07), "rtt_mean is 70.000 ms, which is above 50 ms"),
        (
            {"field": "received", "comparison": "<", "bad": 3},
            (4, 2, 1),
            "received is below 3 in 2 of 3 values within 5 min; worst 1",
        ),
    ],
)
def test_what_is_beyond_a_limit_is_said_as_a_person_says_it(
    threshold: dict[str, object], values: tuple[float, ...], said: str
) -> None:
    limit = Threshold.model_validate(threshold)
    samples = {f"icmp.{limit.field}": at_times(*values)}
    assert [one.message for one in judge(ICMP, [limit], samples, at=1000).findings] == [said]


def test_where_less_is_worse_the_least_value_is_the_worst() -> None:
    threshold = Threshold(field="rtt_mean", comparison=Comparison.BELOW, bad=0.5, window=60)
    (finding,) = judge(ICMP, [threshold], {"icmp.rtt_mean": at_times(0.2, 0.3)}, at=1000).findings
    assert finding.worst == 0.2


def test_a_window_does_not_hold_the_value_at_its_very_beginning() -> None:
    threshold = Threshold(field="rtt_mean", bad=0.1, window=60, share=1)
    assert verdict(threshold, [Sample(940.0, 0.01), Sample(1000.0, 0.2)]) is Verdict.BAD
    assert verdict(threshold, [Sample(940.1, 0.01), Sample(1000.0, 0.2)]) is Verdict.OK


def test_no_value_in_the_window_is_unknown_and_never_ok() -> None:
    threshold = Threshold(field="rtt_mean", bad=0.1, window=60)
    assert verdict(threshold, []) is Verdict.UNKNOWN
    assert verdict(threshold, at_times(0.01, end=930)) is Verdict.UNKNOWN
    assert verdict(threshold, at_times(0.01, end=1030)) is Verdict.UNKNOWN


def test_a_window_of_zero_looks_at_the_newest_value_alone() -> None:
    threshold = Threshold(field="rtt_mean", bad=0.1, window=0)
    assert verdict(threshold, at_times(0.01, 0.2)) is Verdict.BAD
    assert verdict(threshold, at_times(0.2, 0.01)) is Verdict.OK
    assert verdict(threshold, list(reversed(at_times(0.2, 0.01)))) is Verdict.OK


def test_the_worst_finding_decides_and_all_are_named() -> None:
    limits = [
        Threshold(field="rtt_mean", warn=0.1),
        Threshold(field="loss", bad=0.5),
        Threshold(field="up", bad=1, comparison="<"),
    ]
    samples = {"icmp.rtt_mean": at_times(0.2), "icmp.loss": at_times(0.9)}
    judged = judge(ICMP, limits, samples, at=1000)
    assert judged.verdict is Verdict.BAD
    assert [one.verdict for one in judged.findings] == [Verdict.DEGRADED, Verdict.BAD, Verdict.UNKNOWN]


@pytest.mark.parametrize(
    ("comparison", "value", "beyond"),
    [(">", 0.1, False), (">=", 0.1, True), ("<", 0.1, False), ("<=", 0.1, True), (">", 0.2, True), ("<", 0.05, True)],
)
def test_a_value_at_the_limit_is_beyond_it_only_if_the_comparison_says_so(
    comparison: str, value: float, beyond: bool
) -> None:
    threshold = Threshold.model_validate({"field": "rtt_mean", "comparison": comparison, "bad": 0.1})
    assert (verdict(threshold, at_times(value)) is Verdict.BAD) == beyond


@given(st.lists(st.floats(0, 1), min_size=1, max_size=30), st.floats(0.01, 1), st.floats(0.05, 0.95))
def test_the_verdict_is_the_share_counted_by_hand(values: list[float], share: float, limit: float) -> None:
    threshold = Threshold(field="rtt_mean", bad=limit, window=86_400, share=share)
    crossed = sum(1 for value in values if value > limit) / len(values)
    assert (verdict(threshold, at_times(*values, step=1)) is Verdict.BAD) == (crossed >= share)


@pytest.mark.parametrize(
    ("limits", "said"),
    [
        ({}, "needs a limit"),
        ({"warn": 2, "bad": 1}, "warn has to be below bad"),
        ({"warn": 1, "bad": 2, "comparison": "<"}, "warn has to be above bad"),
        ({"bad": 1, "share": 0}, "greater than 0"),
        ({"bad": float("nan")}, "finite"),
        ({"bad": 1, "colour": "red"}, "Extra inputs"),
    ],
)
def test_limits_that_make_no_sense_are_refused(limits: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        Threshold.model_validate({"field": "rtt_mean", **limits})


@pytest.mark.parametrize(
    ("threshold", "part", "said"),
    [
        (Threshold(field="colour", bad=1), "field", "no number 'colour'; it has up, duration"),
        (Threshold(field="error", bad=1), "field", "no number 'error'"),
        (Threshold(measurement="http", field="up", bad=1), "measurement", "doesn't write 'http'; it writes icmp"),
        (Threshold(field="loss", bad=5), "bad", "5 % is 0.05"),
    ],
)
def test_a_threshold_has_to_fit_the_catalogue_and_its_units(threshold: Threshold, part: str, said: str) -> None:
    with pytest.raises(UnknownField, match=said) as refused:
        resolve(ICMP, threshold)
    assert refused.value.name == part


def test_an_objective_leaves_some_time_to_be_down() -> None:
    with pytest.raises(ValidationError):
        Objective(target=1)
