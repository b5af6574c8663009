import random
from collections.abc import Set as AbstractSet

import numpy as np
import pytest
from benchmarks.ml.infrastructure import held_out, run
from sklearn.metrics import f1_score

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_ml.infrastructure.correlation import lagged_partial
from streamswarm_ml.infrastructure.model import InfrastructureModel, UnknownResultError, localise
from streamswarm_ml.infrastructure.places import METRICS, PLACES, Place
from streamswarm_ml.windows import WINDOW_NS, Reading, Window

SITES = {"a": "berlin", "b": "berlin", "c": "oslo", "d": "oslo"}


def window(
    index: int,
    slow: AbstractSet[tuple[str, str]] = frozenset(),
    *,
    busy: str = "",
    targets: str = "xyz",
) -> Window:
    """Four agents at two sites, three targets; some pairs are slow, one host may be busy."""
    source = random.Random(index)
    readings = []
    for agent, site in SITES.items():
        usage = 0.95 if agent == busy else 0.2 + source.uniform(0, 0.05)
        readings.append(Reading("host_cpu", (("agent", agent), ("site", site)), {"usage": usage}))
        for target in targets:
            rtt = (0.2 if (agent, target) in slow else 0.01) * source.uniform(1, 1.1)
            tags = (("agent", agent), ("site", site), ("target", target))
            readings.append(Reading("icmp", tags, {"up": 1.0, "rtt_mean": rtt, "loss": 0.0}))
    return Window(index * WINDOW_NS, tuple(readings))


def settled() -> InfrastructureModel:
    model = InfrastructureModel()
    for index in range(60):
        assert model.step(window(index)) == []
    return model


def test_a_target_that_all_sites_see_bad_is_at_fault_itself() -> None:
    findings = settled().step(window(60, {(agent, "x") for agent in SITES}))
    assert {finding.place for finding in findings} == {Place.REMOTE}
    assert localise(findings)[0][0] == (Place.REMOTE, "x")


def test_a_site_whose_agents_see_everything_bad_has_a_bad_uplink() -> None:
    findings = settled().step(window(60, {(agent, target) for agent in "ab" for target in "xyz"}))
    assert localise(findings)[0][0] == (Place.UPLINK, "berlin")


def test_one_agent_with_a_busy_host_explains_its_own_results_and_says_with_what() -> None:
    model = settled()
    slow = {("a", target) for target in "xyz"}
    points = model.observe(window(60, slow, busy="a"))
    assert {point.fields["place"] for point in points} == {"host"}
    assert float(points[0].fields["own"]) > 0.5
    assert "host_cpu.usage is 0.95" in str(points[0].fields["evidence"])
    assert localise(model.step(window(61, slow, busy="a")))[0][0] == (Place.HOST, "a")


def test_a_busy_host_is_not_blamed_for_what_everybody_sees() -> None:
    findings = settled().step(window(60, {(agent, "x") for agent in SITES}, busy="a"))
    assert localise(findings)[0][0] == (Place.REMOTE, "x")


def test_a_host_without_wifi_is_never_told_that_it_is_the_wifi() -> None:
    model = settled()
    finding = model.step(window(60, {("a", "x")}))[0]
    for _ in range(50):
        model.learn(finding, Place.WIFI, time_ns=60 * WINDOW_NS)
    finding = model.step(window(61, {("a", "x")}))[0]
    assert finding.chances[PLACES.index(Place.WIFI)] == 0
    assert sum(finding.chances) == pytest.approx(1)


def test_nothing_is_written_while_results_are_as_usual() -> None:
    assert settled().observe(window(60, busy="a")) == []


def test_a_label_is_learned_and_one_for_a_good_result_refused() -> None:
    model = settled()
    model.step(window(60, {("a", "x")}))
    tags = {"agent": "a", "site": "berlin", "target": "x"}
    model.label("icmp", tags, 60 * WINDOW_NS + 5, Place.WIFI)
    assert (model.samples, model.tally.count) == (1, 1)
    for wrong in ({**tags, "target": "y"}, {**tags, "agent": "zz"}):
        with pytest.raises(UnknownResultError, match="one day"):
            model.label("icmp", wrong, 60 * WINDOW_NS, Place.WIFI)


def test_what_load_explains_is_no_correlation() -> None:
    source = random.Random(2)
    load = [source.random() for _ in range(200)]
    cpu = [value + source.gauss(0, 0.1) for value in load]
    delay = [value + source.gauss(0, 0.1) for value in load]
    assert lagged_partial(cpu, delay, [0.0] * 200) > 0.8
    assert lagged_partial(cpu, delay, load) < 0.3


def test_an_effect_may_come_later_but_not_before_its_cause() -> None:
    source = random.Random(3)
    cause = [source.random() for _ in range(100)]
    nothing = [0.0] * 100
    assert lagged_partial(cause, [0.0, 0.0, *cause[:-2]], nothing) > 0.99
    assert lagged_partial([0.0, 0.0, *cause[:-2]], cause, nothing) < 0.4


def test_every_metric_named_is_in_the_catalogue_with_a_direction() -> None:
    for measurements in METRICS.values():
        for measurement, names in measurements.items():
            assert all(CATALOGUE[measurement][name].worse for name in names)


def test_agents_never_labelled_are_told_apart_better_than_by_the_plain_rule() -> None:
    scored = run(5)
    truth = np.array(scored.truth)
    assert all(held_out(agent) for agent in scored.agent)
    learned = f1_score(truth, np.array(scored.said), average="macro")
    assert learned > 0.75
    assert learned > f1_score(truth, np.array(scored.rule), average="macro") + 0.1
    assert np.mean([found for _, found, _ in scored.located]) > 0.7


def test_labels_of_chance_teach_no_places() -> None:
    scored = run(3, shuffled=True)
    assert len(set(scored.truth)) == len(PLACES)
    assert f1_score(np.array(scored.truth), np.array(scored.said), average="macro") < 0.75
