import itertools
import math
import random

import numpy as np
import pytest
from benchmarks.incidents import KINDS, series_of
from benchmarks.ml_series import LabelledSeries
from benchmarks.ml_vus import ranges_of

from streamswarm_ml.detectors import (
    Detector,
    Ending,
    StateDetector,
    StreamDetector,
    detect,
    detect_anomalies,
    detect_many,
    threshold_for,
)

SECOND = 10**9
MINUTE = 60 * SECOND


def feed(detector: Detector, values: list[float], start: int = 0) -> list[bool]:
    return [detector.update(value, (start + index) * MINUTE).flag for index, value in enumerate(values)]


def noise(count: int, *, mean: float = 20.0, spread: float = 1.0, seed: int = 1) -> list[float]:
    source = random.Random(seed)
    return [source.gauss(mean, spread) for _ in range(count)]


@pytest.mark.parametrize("value", [0.0, 1e-9, 42.0, -5e12])
def test_a_constant_series_is_never_flagged(value: float) -> None:
    assert not any(feed(StreamDetector(warmup=20), [value] * 2000))


def test_the_first_move_of_a_constant_series_is_flagged_at_once_if_it_was_seen_for_long() -> None:
    detector = StreamDetector(warmup=20)
    assert feed(detector, [*[0.0] * 2880, 1.0])[-1]


def test_the_first_move_of_a_young_constant_series_is_flagged_once_it_lasts() -> None:
    flags = feed(StreamDetector(warmup=20), [*[0.0] * 200, *[1.0] * 6])
    assert flags.index(True) == 205


def test_the_same_spike_is_less_of_a_surprise_the_younger_the_series_is() -> None:
    scores = [detect([*noise(count, seed=5), 32.0])[-1] for count in (300, 1440, 14_400)]
    assert scores == sorted(scores)
    assert scores[0] < threshold_for(1.0) < scores[-1]


def test_a_spike_far_out_is_flagged_and_one_incident_is_one_anomaly() -> None:
    detector = StreamDetector(warmup=100)
    flags = feed(detector, [*noise(500), *[60.0, 80.0, 70.0], *noise(100, seed=2)])
    assert not any(flags[:500])
    assert flags[500]
    openings = sum(now and not before for before, now in itertools.pairwise(flags))
    assert openings == 1
    assert not flags[-1]


def test_a_surprise_that_grows_is_told_when_it_begins_and_each_time_it_is_much_greater() -> None:
    growing = [26 + 2.0 * number for number in range(30)]
    scores = np.array(detect([*noise(3000, seed=6), *growing]))[3000:]
    told = scores[scores >= 0.5]
    assert 2 <= len(told) <= 8
    # A score of s is one of 1 / (2 s - 1) - 1 alarms a week; greater surprises are rarer in proportion.
    alarms = 1 / (2 * told - 1) - 1
    assert (alarms[:-1] / alarms[1:] > 1.5 - 1e-9).all()
    assert told[0] < told[-1]


def test_a_level_shift_is_flagged_once_and_then_becomes_normal() -> None:
    flags = feed(StreamDetector(warmup=100), [*noise(500), *noise(1000, mean=60.0, seed=3)])
    assert any(flags[500:510])
    assert not any(flags[800:])


def test_quiet_noise_gives_few_false_alarms() -> None:
    flags = feed(StreamDetector(warmup=100), noise(20_000, seed=4))
    openings = sum(now and not before for before, now in itertools.pairwise(flags))
    assert openings <= 2


def test_a_restored_state_detector_goes_on_exactly_where_the_saved_one_stopped() -> None:
    values = [float(value > 18) for value in noise(400)]
    whole, first = StateDetector(), StateDetector()
    expected = [whole.update(value, index * SECOND) for index, value in enumerate(values)]
    for index, value in enumerate(values[:200]):
        first.update(value, index * SECOND)
    second = StateDetector.restored(first.numbers)
    rest = [second.update(value, (200 + index) * SECOND) for index, value in enumerate(values[200:])]
    assert rest == expected[200:]


def test_a_target_that_goes_down_is_flagged_at_once_and_until_it_is_up_again() -> None:
    flags = feed(StateDetector(), [*[1.0] * 20, *[0.0] * 30, *[1.0] * 5])
    assert flags == [*[False] * 20, *[True] * 30, *[False] * 5]


def test_a_long_outage_of_a_target_that_was_long_up_does_not_make_itself_normal() -> None:
    detector = StateDetector()
    values = [*[1.0] * 6000, *[0.0] * 500]
    scores = [detector.update(value, index * SECOND).score for index, value in enumerate(values)]
    assert scores[-1] > 0.75


def test_a_target_that_was_never_up_is_no_anomaly() -> None:
    assert not any(feed(StateDetector(), [0.0] * 200))


def test_a_target_that_flaps_all_the_time_is_no_anomaly_for_long() -> None:
    flags = feed(StateDetector(), [1.0, 0.0] * 500)
    assert not any(flags[500:])


def test_a_level_shift_ends_as_a_new_normal_and_a_spike_as_an_incident() -> None:
    def endings(values: list[float]) -> list[Ending]:
        detector = StreamDetector()
        told = [detector.update(value, index * MINUTE) for index, value in enumerate(values)]
        return [one.ending for one in told if one.ending != Ending.NONE]

    assert endings([*noise(500), *noise(600, mean=60.0, seed=3)])[-1] == Ending.NEW_NORMAL
    assert endings([*noise(500), *[80.0] * 5, *noise(300, seed=2)]) == [Ending.INCIDENT]


def days(count: int, *, level: float = 0.0, seed: int = 1) -> list[float]:
    """A point a minute, with a day's curve."""
    curve = [30 + 10 * math.sin(minute % 1440 / 229) + level for minute in range(count * 1440)]
    return [value + one for value, one in zip(curve, noise(len(curve), mean=0.0, seed=seed), strict=True)]


def test_back_from_a_new_normal_the_old_level_is_normal_again_within_hours() -> None:
    values = [*days(4, seed=2), *days(2, level=50.0, seed=3), *days(1, seed=4)]
    flags = detect_anomalies(values).flag
    back = 6 * 1440
    assert flags[back : back + 10].any()
    assert not flags[back + 400 :].any()


def test_a_leak_is_no_new_normal_while_it_grows() -> None:
    detector, endings = StreamDetector(), []
    leak = [100 * minute / 400 for minute in range(400)]
    values = [*noise(3000), *[a + b for a, b in zip(leak, noise(400, seed=2), strict=True)]]
    for index, value in enumerate(values):
        endings.append(detector.update(value, index * MINUTE).ending)
    assert Ending.NEW_NORMAL not in endings
    assert detector.update(values[-1], len(values) * MINUTE).flag


@pytest.mark.parametrize("seed", range(4))
def test_a_leak_of_twelve_hours_is_no_new_normal_and_ends_as_an_incident(seed: int) -> None:
    leak = [80 * minute / 720 for minute in range(720)]
    values = [*noise(4000, seed=seed), *[a + b for a, b in zip(leak, noise(720, seed=seed + 9), strict=True)]]
    values += noise(300, seed=seed + 20)
    detector = StreamDetector()
    told = [detector.update(value, index * MINUTE).ending for index, value in enumerate(values)]
    assert Ending.NEW_NORMAL not in told
    assert Ending.INCIDENT in told[4720:4780]


def test_a_leak_that_stops_at_a_level_is_a_new_normal_some_hours_later() -> None:
    leak = [*[60 * minute / 400 for minute in range(400)], *[60.0] * 720]
    values = [*noise(4000, seed=3), *[a + b for a, b in zip(leak, noise(1120, seed=4), strict=True)]]
    detector = StreamDetector()
    told = [detector.update(value, index * MINUTE).ending for index, value in enumerate(values)]
    assert 4400 < told.index(Ending.NEW_NORMAL) < 5100


def test_after_a_new_normal_the_old_level_is_an_anomaly_too() -> None:
    opened = detect_anomalies([*noise(500), *noise(2000, mean=80.0, seed=3), *noise(50, mean=-60, seed=4)]).opened
    assert opened[500:510].any()
    assert opened[2500:].any()


def test_an_hour_of_the_day_that_is_always_high_is_normal_once_seen() -> None:
    source = random.Random(2)
    values = [100 + source.gauss(0, 2) + 80 * (index // 12 % 24 == 3) for index in range(12 * 288)]
    times = np.arange(len(values)) * 300.0
    assert not detect_anomalies(values, times).opened[5 * 288 :].any()
    noon = 10 * 288 + 144
    values[noon : noon + 12] = [300 + source.gauss(0, 2) for _ in range(12)]
    assert detect_anomalies(values, times).opened[noon : noon + 5].any()


def counted(count: int = 1500) -> list[float]:
    source = random.Random(5)
    return list(itertools.accumulate(1000 + source.gauss(0, 30) for _ in range(count)))


def test_a_counter_is_judged_by_its_rate_and_its_reset_is_no_anomaly() -> None:
    values = counted()
    reset = [*values[:900], *counted(600)]
    assert not detect_anomalies(values).opened.any()
    assert not detect_anomalies(reset).opened.any()
    stalled = [*values[:900], *[values[900]] * 50]
    assert detect_anomalies(stalled).opened[900:].any()


@pytest.mark.parametrize("several", [1, 9])
def test_what_a_counter_is_expected_to_say_is_where_its_usual_rate_leads(several: int) -> None:
    values = counted(400)
    found = detect_many([(values, None)] * several)[-1]
    # A thousand more with each value, however many there were: not the rate, which is 17 a second.
    assert found.expected[-1] - values[-2] == pytest.approx(1000, rel=0.05)
    assert detect_anomalies(values).expected[-1] == found.expected[-1]


def test_gaps_are_no_anomalies() -> None:
    values = np.array(noise(1500))
    times = np.arange(1500) * 60.0 + (np.arange(1500) > 700) * 86_400 * 3
    assert not detect_anomalies(values, times).opened.any()


def test_values_that_are_no_numbers_and_old_or_repeated_times_are_neither_judged_nor_learned() -> None:
    values, times = np.array(noise(600)), np.arange(600) * 60.0
    dirty, moments = np.insert(values, [200, 300, 400], [np.nan, np.inf, 9999.0]), np.insert(times, 200, times[200])
    moments = np.insert(moments, [301, 401], [times[300], times[10]])
    expected, found = detect(values, times), detect(dirty, moments)
    extra = [200, 301, 402]
    assert (found[extra] == 0).all()
    assert np.array_equal(np.delete(found, extra), expected)


def test_a_clock_that_jumps_ahead_does_not_disturb_what_follows() -> None:
    values, times = np.array(noise(900)), np.arange(900) * 60.0
    times[500:] += 10 * 365 * 86_400
    assert not detect_anomalies(values, times).opened.any()


def test_values_and_times_of_different_lengths_are_refused() -> None:
    with pytest.raises(ValueError, match="give two lists as long"):
        detect([1.0, 2.0], [1.0])


def test_fewer_false_alarms_to_put_up_with_means_a_higher_threshold() -> None:
    assert threshold_for(0.1) > threshold_for(1.0) > threshold_for(5.0) > 0.5


def test_an_incident_that_its_hour_has_learned_is_not_told_again_on_the_next_days() -> None:
    values = np.array(noise(6 * 1440, mean=0.003, spread=0.0001, seed=7))
    outage = slice(2 * 1440 + 600, 2 * 1440 + 630)
    values[outage] = 5.0
    opened = np.flatnonzero(detect_anomalies(values).opened)
    assert [place for place in opened if outage.start <= place < outage.stop]
    assert [place for place in opened if place >= outage.stop + 60] == []


def test_rare_single_losses_are_no_anomalies_and_a_burst_of_them_is() -> None:
    source = np.random.default_rng(3)
    opened = 0
    for _ in range(6):
        lost = source.binomial(10, 0.001, 7 * 1440) / 10
        lost[6 * 1440 : 6 * 1440 + 10] = 0.5
        found = np.flatnonzero(detect_anomalies(lost).opened)
        assert ((found >= 6 * 1440) & (found < 6 * 1440 + 10)).any()
        opened += int((found < 6 * 1440).sum())
    assert opened <= 6


@pytest.mark.parametrize("factor", [0.3, 5.0])
def test_an_anomaly_closes_when_it_is_over_though_the_hour_of_the_day_is_another(factor: float) -> None:
    times = np.arange(14 * 288) * 300.0
    busy = np.clip(np.cos((times / 3600 - 20) / 24 * 2 * np.pi), 0, None)
    values = 20 * (1 + 0.5 * busy) + np.random.default_rng(5).normal(0, 0.2, len(times))
    first, last = 12 * 288 + 150, 12 * 288 + 216
    values[first:last] *= factor
    found = detect_anomalies(values, times)
    assert found.opened.sum() == 1
    assert found.flag[first + 5 : last].all()
    assert not found.flag[last + 12 :].any()


def _with(kind: str, seed: int) -> LabelledSeries:
    chosen = next(one for one in KINDS if one.name == kind)
    return series_of(chosen, chosen.family, seed, days=14)


@pytest.mark.parametrize("seed", [312, 323])
def test_a_leak_days_after_another_is_told_too(seed: int) -> None:
    series = _with("slow leak", seed)
    opened = detect_anomalies(series.values, series.times_ns.astype("datetime64[ns]")).opened
    assert [bool(opened[first : last + 1].any()) for first, last in ranges_of(series.labels)] == [True, True, True]


@pytest.mark.parametrize(("kind", "seed"), [("latency step", 302), ("loss burst", 301)])
def test_of_ten_points_elsewhere_hardly_one_scores_as_high_as_most_of_an_incident(kind: str, seed: int) -> None:
    series = _with(kind, seed)
    scores = detect(series.values, series.times_ns.astype("datetime64[ns]"))
    beside = ~series.labels
    for _, last in ranges_of(series.labels):
        beside[last + 1 : last + 121] = False
    as_high = scores >= np.median(scores[series.labels])
    assert (as_high & beside).sum() < 0.1 * (as_high & series.labels).sum()
