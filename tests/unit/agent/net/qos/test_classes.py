"""Statistics of pairs, and policies."""

import random

import pytest

from streamswarm_agent.net.qos.classes import ClassRun, loss_difference, rtt_difference
from streamswarm_agent.net.qos.compliance import Measured, judge_policy
from streamswarm_agent.net.qos.echoes import Request
from streamswarm_core.dscp import DSCP_NAMES, dscp_name, parse_dscp
from streamswarm_core.probespecs import ClassPolicy


def run_of(*rtts: float | None, dscp: int = 46) -> ClassRun:
    return ClassRun(
        dscp, [Request(dscp << 2, 100, 0, None if rtt is None else round(rtt * 1e9)) for rtt in rtts], wait=1.0
    )


def test_a_reply_after_the_wait_is_lost() -> None:
    run = run_of(0.01, 1.5, None)
    assert run.outcomes == [0.01, None, None]
    assert run.loss == pytest.approx(2 / 3)


def test_pairs_cancel_what_differs_between_rounds() -> None:
    chance = random.Random(1)
    network = [chance.uniform(0.01, 0.2) for _ in range(40)]
    mine = run_of(*(rtt + 0.005 + chance.gauss(0, 0.0005) for rtt in network))
    difference = rtt_difference(mine, run_of(*network, dscp=0))
    assert difference is not None
    assert difference.value == pytest.approx(0.005, abs=0.0005)
    assert difference.low is not None
    assert difference.high is not None
    assert 0.0045 < difference.low < difference.value < difference.high < 0.0055


def test_the_interval_of_the_median_holds_as_often_as_it_says() -> None:
    chance = random.Random(2)
    held = 0
    for _ in range(400):
        mine = run_of(*(0.1 + chance.expovariate(1) / 100 for _ in range(21)))
        found = rtt_difference(mine, run_of(*(0.1 for _ in range(21)), dscp=0))
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low <= 0.0069315 <= found.high  # ln 2 of the mean
    assert held / 400 >= 0.93


def test_too_few_pairs_have_no_interval_and_none_no_difference() -> None:
    few = rtt_difference(run_of(0.01, 0.02), run_of(0.01, 0.01, dscp=0))
    assert few is not None
    assert few.value == pytest.approx(0.005)
    assert few.error is None
    assert rtt_difference(run_of(None, 0.02), run_of(0.01, None, dscp=0)) is None


def test_no_loss_at_all_is_not_certainty() -> None:
    found = loss_difference(run_of(*[0.01] * 20), run_of(*[0.01] * 20, dscp=0))
    assert found.value == 0
    assert found.error == pytest.approx(0.0891, abs=0.0001)


def test_much_more_loss_is_told_from_chance() -> None:
    found = loss_difference(run_of(*[None] * 15, *[0.01] * 5), run_of(*[0.01] * 20, dscp=0))
    assert found.value == 0.75
    assert found.low is not None
    assert found.low > 0.4


@pytest.mark.parametrize(
    ("policy", "measured", "kept", "words"),
    [
        ({}, Measured(loss=1.0), True, ()),
        ({"max_rtt": 0.1}, Measured(loss=0.0, rtt=0.1), True, ()),
        ({"max_rtt": 0.1}, Measured(loss=0.0, rtt=0.123), False, ("round-trip time 123.000 ms exceeds 100.000 ms",)),
        ({"max_jitter": 0.01}, Measured(loss=0.0, jitter=0.02), False, ("jitter 20.000 ms exceeds 10.000 ms",)),
        ({"max_loss": 0.0}, Measured(loss=0.05), False, ("loss 5.0 % exceeds 0.0 %",)),
        ({"max_rtt": 0.1}, Measured(loss=1.0), None, ()),
        ({"max_rtt": 0.1, "max_loss": 0.5}, Measured(loss=1.0), False, ("loss 100.0 % exceeds 50.0 %",)),
        ({"keep_marking": True}, Measured(loss=0.0, arrived_dscp=46), True, ()),
        ({"keep_marking": True}, Measured(loss=0.0, arrived_dscp=0), False, ("EF arrives as BE",)),
        ({"keep_marking": True}, Measured(loss=0.0), None, ()),
    ],
)
def test_a_policy_is_kept_broken_or_cannot_be_told(
    policy: dict[str, float], measured: Measured, kept: bool | None, words: tuple[str, ...]
) -> None:
    judged = judge_policy(ClassPolicy.model_validate(policy), measured, 46)
    assert (judged.kept, judged.violations) == (kept, words)


def test_names_and_numbers_of_classes_are_the_same() -> None:
    assert all(parse_dscp(dscp_name(value)) == value for value in range(64))
    assert (DSCP_NAMES["AF11"], DSCP_NAMES["AF43"], DSCP_NAMES["CS6"]) == (10, 38, 48)
    for wrong in ("64", "-1", "AF44", ""):
        with pytest.raises(ValueError, match="is no DSCP: a number from 0 to 63 or one of BE"):
            parse_dscp(wrong)
