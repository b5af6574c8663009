"""QoS: 16 simulated paths with three classes, three weeks, scored on the second half against the hidden truth."""

from dataclasses import dataclass, field

import numpy as np

from benchmarks.ml.chance import LearnsByChance
from benchmarks.ml.figures import Figure, Judge, brier_skill, reliability
from benchmarks.ml.sim_qos import DAY, POLICIES, simulate, windows
from streamswarm_ml.qos.model import QosModel


@dataclass
class Scored:
    """What was said of the next window, and what was to come."""

    path: list[int] = field(default_factory=list)
    said: list[float] = field(default_factory=list)
    now: list[float] = field(default_factory=list)
    happened: list[float] = field(default_factory=list)
    hidden_now: list[float] = field(default_factory=list)


def run(paths: int, days: int, *, shuffled: bool = False, seed: int = 0) -> Scored:
    """Feed all paths in the order of time; `shuffled` gives examples an outcome of chance."""
    found = [simulate(number, days, seed=seed) for number in range(paths)]
    model, scored = QosModel(policies=POLICIES), Scored()
    if shuffled:
        model.classifier = LearnsByChance(0.1)
    everything = windows(found)
    for window in everything[:-1]:
        for reading, outlook in model.step(window):
            if window.index < days * DAY // 2:
                continue
            number = int(reading.tag("target").removeprefix("path"))
            hidden = found[number].breaches[reading.tag("dscp")]
            scored.path.append(number)
            scored.said.append(outlook.probability)
            scored.now.append(float(bool(outlook.compliance.breached)))
            scored.happened.append(float(hidden[window.index + 1]))
            scored.hidden_now.append(float(hidden[window.index]))
    return scored


def evaluate(paths: int = 16, days: int = 21) -> list[Figure]:
    """The table's lines."""
    scored = run(paths, days)
    said, now, happened = (np.array(column) for column in (scored.said, scored.now, scored.happened))
    rows = np.arange(len(said))
    rate = float(happened.mean())
    climatology = np.full(len(said), rate)
    changes = happened != np.array(scored.hidden_now)
    # "As now" at its best: what came after a breach and after none, known from the very windows that are scored.
    after = np.where(now > 0, happened[now > 0].mean(), happened[now == 0].mean())
    chance = run(max(paths // 3, 3), max(days // 2, 4), shuffled=True)
    came = np.array(chance.happened)
    by_chance = brier_skill(came, np.array(chance.said), np.full(len(came), came.mean()))(np.arange(len(came)))
    judge = Judge("qos", scored.path)
    judge.add(
        "Brier skill over climatology",
        brier_skill(happened, said, climatology),
        baseline=f"as now {brier_skill(happened, now, climatology)(rows):.3f}",
        goal="≥ 0.2",
        note=f"base rate {rate:.3f}, changes {changes.mean():.3f}; outcomes of chance in training: {by_chance:.3f}",
    )
    judge.add(
        "Brier skill over as now",
        brier_skill(happened, said, now),
        baseline="0",
        goal="> 0",
        note=f"over as now, calibrated in hindsight: {brier_skill(happened, said, after)(rows):.3f}",
    )
    judge.add(
        "Brier skill over climatology, while kept",
        brier_skill(happened, said, np.full(len(said), happened[now == 0].mean())),
        among=now == 0,
        baseline="climatology of these windows 0",
        goal="> 0",
        note="said→happened (windows): " + reliability(said, happened),
    )
    return judge.figures
