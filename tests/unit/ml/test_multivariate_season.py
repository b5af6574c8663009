"""All fields of a test together know the hour, by the clock of the test's site."""

import copyreg
import io
import pickle
from typing import Any

import numpy as np
from benchmarks.multivariate import ZONE, simulate

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.expectations import Expectations
from streamswarm_core.point import Point
from streamswarm_ml.detectors.zones import Zones
from streamswarm_ml.multivariate.model import MultivariateModel, judged_fields
from streamswarm_ml.multivariate.season import Season
from streamswarm_ml.plans import Plans
from streamswarm_ml.windows import WINDOW_NS, Reading, Window

FIRST = 5_892_000
DAYS = 21


def observe(model: MultivariateModel, first: int, tests: list[np.ndarray]) -> list[Point]:
    """What is said of tests in Berlin, from a window on."""
    told: list[Point] = []
    for at in range(len(tests[0])):
        readings = tuple(
            Reading(
                "icmp",
                (("site", "berlin"), ("target", f"t{number}")),
                {"rtt_mean": rtt, "jitter": jitter, "loss": loss, "up": 1.0},
            )
            for number, (rtt, jitter, loss) in enumerate(one[at].tolist() for one in tests)
        )
        told += model.observe(Window((first + at) * WINDOW_NS, readings))
    return told


def test_a_model_learns_office_hours_by_the_clock_of_the_site_and_that_weekends_have_none() -> None:
    model = MultivariateModel(zones=Zones("UTC", {"berlin": ZONE}))
    tests = [simulate(seed, DAYS, None, offices=True)[0] for seed in range(3)]
    observe(model, FIRST, tests)
    rtt = judged_fields(CATALOGUE["icmp"]).index("rtt_mean")
    for test, values in zip(model._tests.values(), tests, strict=True):
        assert test.season is not None
        # Of the RTT, by Berlin's hours, where offices open from seven to nine and close from 16 to 18.
        monday, saturday = ([float(test.season.offset(at, 24 + day + at)[rtt]) for at in range(24)] for day in (96, 48))
        step = float(np.quantile(values[:, 0], 0.9) - np.quantile(values[:, 0], 0.1))
        assert min(monday[9:16]) - max(monday[:7]) > step / 2
        assert max(saturday[9:16]) - min(saturday[:7]) < step / 2


def test_a_test_whose_site_gets_another_time_zone_keeps_what_was_learned_of_its_hours() -> None:
    tests = [simulate(seed, DAYS, None, offices=True)[0] for seed in range(2)]
    moved, always = MultivariateModel(), MultivariateModel(zones=Zones("UTC", {"berlin": ZONE}))
    for model in (moved, always):
        observe(model, FIRST, [one[: 10 * 288] for one in tests])
    moved.zones = always.zones
    for model in (moved, always):
        # An hour is learned as a whole, which the change cuts in two.
        observe(model, FIRST + 10 * 288, [one[10 * 288 : 10 * 288 + 12] for one in tests])
    now, then = (
        [one.season.offset(hour, hour + 24) for one in model._tests.values() if one.season for hour in range(24)]
        for model in (moved, always)
    )
    assert np.allclose(now, then, rtol=0.2, atol=0.002)
    assert len(now) == 48


def test_what_the_control_plane_says_of_sites_is_the_models_clock_and_its_silence_changes_nothing() -> None:
    known = Zones("UTC", {"berlin": ZONE})
    assert Plans((), lambda: Expectations(time_zones={"pune": "Asia/Kolkata"})).zones(known).sites == {
        "pune": "Asia/Kolkata"
    }
    assert Plans((), Expectations, "Asia/Tokyo").zones(known) == Zones("Asia/Tokyo", known.sites)


def test_an_hour_that_varies_as_much_as_all_others_has_no_offset() -> None:
    source = np.random.default_rng(4)
    season, alike = Season(2), []
    for hour in range(24 * 28):
        at = hour % 24, hour % 168 + 24
        season.learn(*at, np.array([source.normal(), source.normal() + 10 * (hour % 24 == 2)]))
        if hour >= 24 * 7:
            alike.append(season.offset(*at)[0])
    assert np.std(alike) < 0.15
    assert season.offset(2, 26)[1] > 8


def test_values_that_are_missing_or_beyond_all_measure_leave_a_season_of_numbers() -> None:
    season = Season(2)
    for hour in range(60):
        season.learn(hour % 24, hour + 24, np.array([np.nan, 1e150 if hour == 30 else 1.0]))
    assert np.isfinite([season.offset(hour, hour + 24) for hour in range(24)]).all()


class _OfBefore(pickle.Pickler):
    """Pickles as the version did that knew no seasons."""

    def reducer_override(self, made: Any) -> Any:
        new = {"season", "zone", "zones"}
        if type(made).__module__ == MultivariateModel.__module__ and hasattr(made, "__slots__"):
            kept = {name: getattr(made, name) for name in type(made).__slots__ if name not in new}
            return copyreg.__newobj__, (type(made),), (None, kept)  # type: ignore[attr-defined]
        return NotImplemented


def test_a_version_of_before_seasons_goes_on_and_begins_to_learn_them() -> None:
    model = MultivariateModel()
    tests = [simulate(seed, 6, None)[0] for seed in range(2)]
    observe(model, FIRST, [one[: 4 * 288] for one in tests])
    file = io.BytesIO()
    _OfBefore(file).dump(model)
    again: MultivariateModel = pickle.loads(file.getvalue())  # noqa: S301 - just pickled
    told = observe(again, FIRST + 4 * 288, [one[4 * 288 :] for one in tests])
    assert len(told) == 2 * 2 * 288
    assert all(one.season is not None for one in again._tests.values())


def test_a_version_that_knew_fewer_fields_of_a_measurement_learns_that_one_anew() -> None:
    model = MultivariateModel()
    tests = [simulate(seed, 5, None)[0] for seed in range(2)]
    observe(model, FIRST, [one[: 4 * 288] for one in tests])
    kind = model._kinds["icmp"]
    kind.vectors, kind.shape = kind.vectors[:, :-2], None
    kind.refit()
    assert len(observe(model, FIRST + 4 * 288, [one[4 * 288 :] for one in tests])) < 288
    assert model.samples == 5 * 2 * 288
