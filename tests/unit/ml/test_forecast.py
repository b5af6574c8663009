import math
import random

import pytest

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_ml.forecast.conformal import AdaptiveInterval
from streamswarm_ml.forecast.horizon import HorizonForecaster
from streamswarm_ml.forecast.mixture import Mixture
from streamswarm_ml.forecast.model import HORIZONS, ForecastModel
from streamswarm_ml.forecast.prospect import LEAST_HOURS
from streamswarm_ml.windows import WINDOW_NS, Reading, Window

DAY = 288


def daily(count: int, *, noise: float = 1.0, seed: int = 1) -> list[float]:
    """A daily wave with autocorrelated noise."""
    source, drift, values = random.Random(seed), 0.0, []
    for index in range(count):
        drift = 0.8 * drift + source.gauss(0, noise)
        values.append(50 + 10 * math.sin(2 * math.pi * index / DAY) + drift)
    return values


def run(values: list[float], *, steps: int) -> HorizonForecaster:
    forecaster = HorizonForecaster(steps=steps, period=DAY)
    for index, value in enumerate(values):
        forecaster.update(index, value, time_ns=index)
    return forecaster


@pytest.mark.parametrize(("steps", "least"), [(1, 0.01), (12, 0.2)])
def test_it_beats_both_naive_forecasts_where_there_is_something_to_learn(steps: int, least: float) -> None:
    tally = run(daily(3000), steps=steps).tally
    assert tally.skill is not None
    assert tally.skill > least
    assert tally.model_sum < min(tally.baseline_sums)


def test_it_claims_little_where_nothing_can_be_foreseen_but_the_last_value() -> None:
    source, level, walk = random.Random(5), 0.0, []
    for _ in range(3000):
        level += source.gauss(0, 1)
        walk.append(level)
    skill = run(walk, steps=1).tally.skill
    assert skill is not None
    assert -0.05 < skill < 0.02


@pytest.mark.parametrize("steps", [1, 12])
def test_nine_of_ten_values_lie_in_their_interval_also_when_the_noise_changes(steps: int) -> None:
    values = [*daily(2000), *daily(2000, noise=5.0, seed=2), *daily(2000, noise=0.3, seed=3)]
    coverage = run(values, steps=steps).coverage
    assert coverage is not None
    assert 0.88 <= coverage <= 0.92


def test_what_comes_later_changes_no_forecast_made_before() -> None:
    values = daily(600)
    first, second = HorizonForecaster(steps=12, period=DAY), HorizonForecaster(steps=12, period=DAY)
    before = [first.update(i, v, time_ns=i) for i, v in enumerate(values)]
    again = [second.update(i, v, time_ns=i) for i, v in enumerate([*values[:400], *([1e6] * 200)])]
    assert before[:400] == again[:400]
    assert before[400] != again[400]


def test_missing_steps_are_neither_scored_nor_learned() -> None:
    forecaster = HorizonForecaster(steps=1, period=DAY)
    for index in (0, 1, 2, 10, 11, 20):
        forecaster.update(index, 1.0, time_ns=index)
    assert forecaster.tally.count == 3


def test_a_constant_series_is_forecast_without_an_error() -> None:
    forecaster = run([3.0] * 300, steps=1)
    assert forecaster.tally.model_sum == 0
    assert forecaster.tally.skill is None
    assert forecaster.coverage == 1


def test_one_absurd_value_does_not_spoil_what_was_learned() -> None:
    values = daily(3000)
    clean = run(values, steps=1).tally
    forecaster = HorizonForecaster(steps=1, period=DAY)
    for index, value in enumerate(values):
        forecaster.update(index, 1e9 if index == 1500 else value, time_ns=index)
        if index == 1800:
            before = forecaster.tally.model_sum
    late = forecaster.tally.model_sum - before
    assert late / 1199 < 1.5 * clean.model_sum / clean.count


def test_contributions_add_up_to_the_distance_from_the_last_value() -> None:
    forecaster = HorizonForecaster(steps=12, period=DAY)
    for index, value in enumerate(daily(800)):
        forecast = forecaster.update(index, value, time_ns=index)
    assert sum(forecaster.contributions().values()) == pytest.approx(forecast.value - forecast.naive)


def test_a_mixture_turns_to_whoever_is_right_of_late() -> None:
    mixture = Mixture(2)
    for _ in range(1000):
        mixture.learn([1.0, 5.0], actual=1.0)
    assert mixture.weights[0] > 0.9
    for _ in range(400):
        mixture.learn([1.0, 5.0], actual=5.0)
    assert mixture.weights[1] > 0.9


def test_an_interval_around_skewed_errors_is_skewed() -> None:
    source, interval = random.Random(7), AdaptiveInterval()
    for _ in range(3000):
        low, high = interval.around(0.0)
        interval.learn(0.0, source.expovariate(1.0), low=low, high=high)
    low, high = interval.around(0.0)
    assert high > 4 * -low


def icmp(
    index: int, rtt: float, *, loss: float = 0.0, target: str = "gw", agent: str = "a", site: str = "berlin"
) -> Window:
    tags = (("agent", agent), ("site", site), ("target", target), ("test", "t"))
    return Window(index * WINDOW_NS, (Reading("icmp", tags, {"rtt_mean": rtt, "loss": loss}),))


def test_points_are_of_the_time_that_is_forecast_and_within_what_the_unit_allows() -> None:
    model, points, source = ForecastModel(), [], random.Random(5)
    for index, value in enumerate(daily(3 * DAY, noise=30.0)):
        points += model.observe(icmp(index, abs(value) / 1000, loss=source.uniform(0.7, 1.0)))
    assert {point.tags["horizon"] for point in points} >= {"1h", "24h"}
    for point in points:
        assert 0 <= float(point.fields["low"]) <= float(point.fields["value"]) <= float(point.fields["high"])
    assert max(float(point.fields["high"]) for point in points if point.tags["field"] == "loss") == 1
    newest = max(point.time_ns or 0 for point in points if point.tags["horizon"] == "1h")
    assert newest == (3 * DAY - 2 + 12) * WINDOW_NS
    report = model.report()
    assert set(report) == {horizon.name for horizon in HORIZONS}
    assert report["1h"]["examples"] > 800


def test_every_watched_field_of_a_probe_is_forecast_and_nothing_of_the_host() -> None:
    model = ForecastModel()
    readings = tuple(
        Reading(name, (("agent", "a"), ("target", "x")), {field.name: 0.5 for field in CATALOGUE[name].features})
        for name in ("dns", "http", "host_cpu")
    )
    points = [point for index in range(60) for point in model.observe(Window(index * WINDOW_NS, readings))]
    seen = {(point.tags["measurement"], point.tags["field"]) for point in points}
    assert seen == {(name, field.name) for name in ("dns", "http") for field in CATALOGUE[name].features}


def grown(hours: int, *places: tuple[str, str, str, float]) -> ForecastModel:
    model = ForecastModel()
    for index in range(hours * 12 + 1):
        for agent, site, target, rtt in places:
            model.observe(icmp(index, rtt, agent=agent, site=site, target=target))
    return model


def test_a_new_test_is_foretold_from_the_closest_likeness() -> None:
    model = grown(30, ("a", "berlin", "gw", 0.010), ("b", "berlin", "gw", 0.012), ("c", "oslo", "gw", 0.050))
    found = model.history.prospect("icmp", "rtt_mean", site="berlin", agent="a", target="gw")
    assert (found.enough, found.series) == (True, 1)
    assert found.median == pytest.approx(0.010)
    found = model.history.prospect("icmp", "rtt_mean", site="berlin", agent="new", target="gw")
    assert (found.series, "same site and target" in found.reason) == (2, True)
    found = model.history.prospect("icmp", "rtt_mean", site="paris", target="gw")
    assert found.series == 3
    assert found.high == pytest.approx(0.050, rel=0.1)


@pytest.mark.parametrize(
    "asked",
    [
        {"site": "oslo", "target": "new"},
        {"site": "paris", "target": "x"},
        {"site": "paris", "target": "gw"},  # one other site says little of what this one would see
        {"site": "berlin", "target": "new"},  # and one other target as little
        {},
    ],
)
def test_where_nothing_is_like_it_the_answer_says_so(asked: dict[str, str]) -> None:
    found = grown(30, ("a", "berlin", "gw", 0.010)).history.prospect("icmp", "rtt_mean", **asked)
    assert not found.enough
    assert found.median is None
    assert "not enough data" in found.reason


def test_less_than_a_day_is_not_enough() -> None:
    found = grown(LEAST_HOURS - 1, ("a", "berlin", "gw", 0.010)).history.prospect(
        "icmp", "rtt_mean", site="berlin", agent="a", target="gw"
    )
    assert not found.enough
    assert f"{LEAST_HOURS - 1} hours" in found.reason
