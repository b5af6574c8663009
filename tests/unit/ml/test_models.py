import pickle
from collections.abc import Callable

import pytest

from streamswarm_ml.models import MODELS, Model
from streamswarm_ml.windows import WINDOW_NS, Reading, Window


def window(index: int, *targets: str) -> Window:
    readings = [
        Reading(name, (("agent", f"of {target}"), ("dscp", "EF"), ("target", target)), {"rtt_mean": 0.01, "loss": 0.0})
        for target in targets
        for name in ("icmp", "qos_class")
    ]
    return Window(index * WINDOW_NS, tuple(readings))


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_series_that_is_gone_is_forgotten_and_the_others_are_not(make: Callable[[], Model]) -> None:
    both, one = make(), make()
    for index in range(100):
        both.observe(window(index, "stays", "goes") if index < 50 else window(index, "stays"))
        one.observe(window(index, "stays"))
    before = len(pickle.dumps(both))
    both.forget(80)
    assert b"goes" not in pickle.dumps(both)
    assert b"stays" in pickle.dumps(both)
    assert len(pickle.dumps(both)) < before
    assert len(pickle.dumps(both)) < 1.2 * len(pickle.dumps(one))


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_is_the_same_after_it_was_saved_and_loaded(make: Callable[[], Model]) -> None:
    whole, halves = make(), make()
    for index in range(120):
        assert whole.observe(window(index, "a", "b")) == halves.observe(window(index, "a", "b"))
        if index == 60:
            halves = pickle.loads(pickle.dumps(halves))  # noqa: S301 - just pickled


@pytest.mark.parametrize("make", MODELS.values(), ids=MODELS)
def test_a_model_that_has_seen_nothing_has_a_report(make: Callable[[], Model]) -> None:
    model = make()
    assert model.samples == 0
    assert model.report()
    assert model.observe(Window(0, ())) == []
