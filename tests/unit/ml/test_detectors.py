import itertools
import math
import pickle
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_ml.detectors import Detector, Ensemble, RangeNovelty, StateDetector

SECOND = 10**9


def feed(detector: Detector, values: list[float], start: int = 0) -> list[bool]:
    return [detector.update(value, (start + index) * SECOND).flag for index, value in enumerate(values)]


def noise(count: int, *, mean: float = 20.0, spread: float = 1.0, seed: int = 1) -> list[float]:
    source = random.Random(seed)
    return [source.gauss(mean, spread) for _ in range(count)]


@pytest.mark.parametrize("value", [0.0, 1e-9, 42.0, -5e12])
def test_a_constant_series_is_never_flagged(value: float) -> None:
    assert not any(feed(Ensemble(warmup=20), [value] * 2000))


def test_the_first_move_of_a_constant_series_is_flagged() -> None:
    detector = Ensemble(warmup=20)
    assert feed(detector, [*[0.0] * 200, 1.0])[-1]


def test_a_spike_far_out_is_flagged_and_one_incident_is_one_anomaly() -> None:
    detector = Ensemble(warmup=100)
    flags = feed(detector, [*noise(500), *[60.0, 80.0, 70.0], *noise(100, seed=2)])
    assert not any(flags[:500])
    assert flags[500]
    openings = sum(now and not before for before, now in itertools.pairwise(flags))
    assert openings == 1
    assert not flags[-1]


def test_a_level_shift_is_flagged_once_and_then_becomes_normal() -> None:
    flags = feed(Ensemble(warmup=100), [*noise(500), *noise(1000, mean=60.0, seed=3)])
    assert any(flags[500:510])
    assert not any(flags[700:])


def test_quiet_noise_gives_few_false_alarms() -> None:
    flags = feed(Ensemble(warmup=100), noise(20_000, seed=4))
    openings = sum(now and not before for before, now in itertools.pairwise(flags))
    assert openings <= 2


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False, width=32), max_size=200))
def test_scores_stay_between_zero_and_one_whatever_comes(values: list[float]) -> None:
    detector = Ensemble(warmup=10)
    for index, value in enumerate(values):
        verdict = detector.update(value, index * SECOND)
        assert 0 <= verdict.score <= 1
        assert math.isfinite(verdict.expected)


@pytest.mark.parametrize("make", [Ensemble, StateDetector])
def test_a_restored_detector_goes_on_exactly_where_the_saved_one_stopped(make: type[Ensemble | StateDetector]) -> None:
    values = [float(value > 20) for value in noise(400)] if make is StateDetector else noise(400)
    whole = make()
    expected = [whole.update(value, index * SECOND) for index, value in enumerate(values)]
    first = make()
    for index, value in enumerate(values[:200]):
        first.update(value, index * SECOND)
    second = pickle.loads(pickle.dumps(first))  # noqa: S301 - just pickled
    rest = [second.update(value, (200 + index) * SECOND) for index, value in enumerate(values[200:])]
    assert rest == expected[200:]


def test_a_target_that_goes_down_is_flagged_at_once_and_until_it_is_up_again() -> None:
    flags = feed(StateDetector(), [*[1.0] * 20, *[0.0] * 30, *[1.0] * 5])
    assert flags == [*[False] * 20, *[True] * 30, *[False] * 5]


def test_a_target_that_was_never_up_is_no_anomaly() -> None:
    assert not any(feed(StateDetector(), [0.0] * 200))


def test_a_target_that_flaps_all_the_time_is_no_anomaly_for_long() -> None:
    flags = feed(StateDetector(), [1.0, 0.0] * 500)
    assert not any(flags[500:])


def test_range_novelty_forgets_slowly() -> None:
    detector = RangeNovelty(decay=0.01)
    for index, value in enumerate([*noise(200), 100.0, *noise(2000, seed=5)]):
        detector.learn(value, index * SECOND)
    assert detector.score(100.0, 3000 * SECOND) > 1
