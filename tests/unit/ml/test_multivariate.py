import pickle
from pathlib import Path

import httpx
import numpy as np
import pytest
from benchmarks.multivariate import simulate

from streamswarm_core.point import Point
from streamswarm_core.reader import TokenFile
from streamswarm_ml.access import Gatekeeper
from streamswarm_ml.detectors import threshold_for
from streamswarm_ml.multivariate.calibration import WINDOWS_A_WEEK, Calibration
from streamswarm_ml.multivariate.model import MultivariateModel
from streamswarm_ml.plans import Plans
from streamswarm_ml.service import ModelService
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.windows import WINDOW_NS, Reading, Window

DAYS = 10


def window(index: int, *tests: tuple[float, float, float]) -> Window:
    readings = [
        Reading("icmp", (("target", f"t{at}"),), {"rtt_mean": rtt, "jitter": jitter, "loss": loss, "up": 1.0})
        for at, (rtt, jitter, loss) in enumerate(tests)
    ]
    return Window(index * WINDOW_NS, tuple(readings))


def healthy() -> list[np.ndarray]:
    """Two tests, a day longer than what is learned."""
    return [simulate(seed, DAYS + 1, None)[0] for seed in (1, 2)]


@pytest.fixture(scope="module")
def trained() -> bytes:
    """A model that has seen two healthy tests for ten days."""
    model = MultivariateModel()
    series = healthy()
    for index in range(DAYS * 288):
        model.observe(window(index, *(tuple(one[index].tolist()) for one in series)))
    return pickle.dumps(model)


def go_on(trained: bytes, change: np.ndarray, windows: int) -> list[Point]:
    """What is said of the first test when its values are multiplied by `change`, then are healthy again."""
    model: MultivariateModel = pickle.loads(trained)  # noqa: S301 - just pickled
    series = [one[DAYS * 288 :] for one in healthy()]
    told: list[Point] = []
    for index in range(120):
        values = [one[index].copy() for one in series]
        if index < windows:
            values[0] = values[0] * change
        points = model.observe(window(DAYS * 288 + index, *(tuple(one.tolist()) for one in values)))
        told += [point for point in points if point.tags["target"] == "t0"]
    return told


def test_fields_that_part_are_one_anomaly_that_opens_names_them_and_closes(trained: bytes) -> None:
    told = go_on(trained, np.array([0.8, 3.0, 1.0]), 10)
    events = [point.fields for point in told if "event" in point.fields]
    assert [fields["event"] for fields in events] == ["open", "close"]
    assert str(events[0]["view"]).startswith("jitter")
    assert events[1]["kind"] == "incident"
    # Whoever looks meanwhile is told, too, which fields it is.
    assert all("view" in point.fields for point in told if point.fields["flag"])
    assert {(point.tags["detector"], point.tags["field"]) for point in told} == {("multivariate", "all")}
    assert all(0 <= float(point.fields["score"]) <= 1 for point in told)
    assert told[0].fields["flag"] == 1


def test_a_test_that_stays_where_it_went_ends_as_a_new_normal(trained: bytes) -> None:
    model: MultivariateModel = pickle.loads(trained)  # noqa: S301 - just pickled
    told: list[Point] = []
    for index in range(400):
        told += model.observe(window(DAYS * 288 + index, (0.9 + 0.001 * (index % 3), 0.0001, 0.0)))
    assert [point.fields["kind"] for point in told if "kind" in point.fields][:1] == ["new normal"]
    assert model.report()["open"] == 0


def test_nothing_is_said_before_enough_was_seen() -> None:
    model = MultivariateModel()
    assert [model.observe(window(index, (0.01, 0.001, 0.0))) for index in range(200)] == [[]] * 200


def test_a_measurement_of_one_field_and_those_of_hosts_are_passed_over() -> None:
    model = MultivariateModel()
    readings = (
        Reading("host_cpu", (("agent", "a"),), {"usage": 0.5}),
        Reading("qos_class", (("target", "x"),), {"rtt_mean": 0.1, "loss": 0.0}),
    )
    assert model.observe(Window(0, readings)) == []
    assert model.samples == 0


def test_the_calibrated_score_is_reached_as_often_as_it_says() -> None:
    source = np.random.default_rng(5)
    known = Calibration()
    for raw in source.exponential(1.0, 20_000).tolist():
        known.learn(raw)
    scores = np.array([known.score(raw) for raw in source.exponential(1.0, 20 * WINDOWS_A_WEEK).tolist()])
    assert 0.5 < (scores >= 0.75).sum() / 20 < 2
    ordered = [known.score(raw) for raw in np.linspace(0, 30, 300).tolist()]
    assert ordered == sorted(ordered)


@pytest.mark.parametrize("false_alarms", [0.2, 3.0])
def test_the_service_puts_up_with_as_many_false_alarms_of_a_test_as_of_a_series(
    tmp_path: Path, false_alarms: float
) -> None:
    settings = MlSettings(data=tmp_path, false_alarms=false_alarms)
    with httpx.Client() as client:
        gatekeeper = Gatekeeper("http://127.0.0.1:1", TokenFile(settings.token_path), tmp_path / "keys.json", client)
        service = ModelService(settings, Plans(), gatekeeper)
        try:
            model = service.operations.model("multivariate")
        finally:
            service.close()
    assert isinstance(model, MultivariateModel)
    assert model.threshold == threshold_for(false_alarms)
