from itertools import pairwise

import pytest

from streamswarm_ml.prequential import Tally


def test_skill_is_against_the_first_baseline_and_means_are_shown_for_all() -> None:
    tally = Tally("Brier score", ("climatology", "as now"))
    tally.add(0.1, (0.2, 0.4), time_ns=0)
    tally.add(0.2, (0.4, 0.0), time_ns=1)
    report = tally.report()
    assert report["skill"] == pytest.approx(0.5)
    assert report["baselines"] == {"climatology": pytest.approx(0.3), "as now": pytest.approx(0.2)}


def test_nothing_scored_is_no_skill_and_no_mean() -> None:
    report = Tally("log loss", ("rule",)).report()
    assert (report["skill"], report["model"], report["baselines"]) == (None, None, {"rule": None})


def test_a_baseline_that_never_errs_gives_no_skill() -> None:
    tally = Tally("mean absolute error", ("as now",))
    tally.add(0.0, (0.0,), time_ns=0)
    assert tally.skill is None


def test_the_record_over_time_stays_small_and_reaches_back_to_the_beginning() -> None:
    tally = Tally("mean absolute error", ("as now",))
    for index in range(100_000):
        tally.add(0.5 if index > 50_000 else 1.0, (1.0,), time_ns=index)
    over_time = tally.report()["over_time"]
    assert 100 <= len(over_time) <= 200
    assert over_time[0]["examples"] < 5000
    gaps = {later["examples"] - earlier["examples"] for earlier, later in pairwise(over_time)}
    assert max(gaps) <= 2 * min(gaps)  # evenly over all of the time: no part of it was dropped
    assert over_time[0]["skill"] == pytest.approx(0.0)
    assert over_time[-1]["skill"] == pytest.approx(0.5)
