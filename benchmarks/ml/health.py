"""Health classes: 40 simulated targets, two weeks; operators label one window in 30, one label in 20 is wrong."""

from dataclasses import dataclass, field

import numpy as np

from benchmarks.ml.figures import Figure, Judge, calibration_error, macro_f1, mean_of
from benchmarks.ml.sim_health import DAY, simulate
from streamswarm_ml.health.model import HealthModel
from streamswarm_ml.health.rule import STATES, State
from streamswarm_ml.windows import WINDOW_NS

LABELLED, WRONG, DELAY = 1 / 30, 1 / 20, 24


@dataclass
class Scored:
    """The second half: hidden state, what was said, what the rule said."""

    device: list[int] = field(default_factory=list)
    truth: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    rule: list[str] = field(default_factory=list)
    chances: list[list[float]] = field(default_factory=list)
    rule_chances: list[list[float]] = field(default_factory=list)


def run(devices: int, days: int, *, shuffled: bool = False, without_rule: bool = False, seed: int = 0) -> Scored:
    """Feed all targets in the order of time.

    Args:
        devices: how many.
        days: how long.
        shuffled: labels are states of chance.
        without_rule: the classifier always hears that the rule says ok.
        seed: of the simulation.
    """
    random = np.random.default_rng(11)
    found = [simulate(number, days, seed=seed) for number in range(devices)]
    model, scored = HealthModel(), Scored()
    labels: dict[int, list[tuple[int, State]]] = {}
    for window in range(days * DAY):
        for number, label in labels.pop(window, []):
            reading = found[number].readings[window - DELAY]
            if reading is not None:
                model.label((reading.measurement, reading.tags), (window - DELAY) * WINDOW_NS, label)
        for number, device in enumerate(found):
            reading = device.readings[window]
            if reading is None:
                continue
            judged = model.step(reading, window)
            if random.random() < LABELLED:
                chance = shuffled or random.random() < WRONG
                label = STATES[random.integers(3)] if chance else device.states[window]
                labels.setdefault(window + DELAY, []).append((number, label))
            if window >= days * DAY // 2:
                chances = model.classifier.chances(judged.features, State.OK) if without_rule else judged.chances
                scored.device.append(number)
                scored.truth.append(device.states[window])
                scored.said.append(STATES[int(np.argmax(chances))])
                scored.rule.append(judged.rule)
                scored.chances.append(chances)
                scored.rule_chances.append(model.classifier.rule.chances(judged.rule))
    return scored


def evaluate(devices: int = 40, days: int = 14) -> list[Figure]:
    """The table's lines."""
    scored = run(devices, days)
    truth, said, rule = (np.array(column, dtype=str) for column in (scored.truth, scored.said, scored.rule))
    chances, rule_chances = np.array(scored.chances), np.array(scored.rule_chances)
    confidence, right = chances.max(axis=1), (said == truth).astype(float)
    place = np.array([STATES.index(State(state)) for state in scored.truth])
    rows = np.arange(len(truth))
    loss, rule_loss = -np.log(chances[rows, place]), -np.log(rule_chances[rows, place])
    shares = "/".join(f"{np.mean(truth == state):.2f}" for state in STATES)
    majority = macro_f1(truth, np.full(len(truth), "ok"))(rows)
    chance = run(10, days, shuffled=True)
    by_chance = macro_f1(np.array(chance.truth), np.array(chance.said))(np.arange(len(chance.truth)))
    hidden = run(10, days, without_rule=True)
    without = macro_f1(np.array(hidden.truth), np.array(hidden.said))(np.arange(len(hidden.truth)))
    judge = Judge("health", scored.device)
    judge.add(
        "macro-F1",
        macro_f1(truth, said),
        baseline=f"rule {macro_f1(truth, rule)(rows):.3f}, always ok {majority:.3f}",
        goal="≥ 0.85",
        note=f"ok/degraded/bad {shares}; 10 targets: rule hidden {without:.3f}, labels of chance {by_chance:.3f}",
    )
    judge.add(
        "ECE",
        lambda chosen: calibration_error(confidence[chosen], right[chosen]),
        baseline=f"rule {calibration_error(rule_chances.max(axis=1), (rule == truth).astype(float)):.3f}",
        goal="≤ 0.05",
    )
    judge.add("log loss", mean_of(loss), baseline=f"rule {rule_loss.mean():.3f}", goal="below the rule's")
    return judge.figures
