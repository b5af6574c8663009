"""Failure prediction: 30 simulated targets, three weeks; learned from the first 60 % of each, scored on the rest."""

from dataclasses import dataclass, field

import numpy as np
from sklearn.metrics import roc_auc_score

from benchmarks.ml.chance import LearnsByChance
from benchmarks.ml.figures import Figure, Judge, brier_skill, pr_auc, reliability, roc_auc
from benchmarks.ml.sim_failure import Fault, simulate
from streamswarm_ml.failure.model import ALERT, HORIZON, FailureModel

MINUTES_A_WINDOW = 5


@dataclass
class Scored:
    """What was said for each window of the second part, and what was injected."""

    device: list[int] = field(default_factory=list)
    window: list[int] = field(default_factory=list)
    probability: list[float] = field(default_factory=list)
    now: list[float] = field(default_factory=list)
    base_rate: list[float] = field(default_factory=list)
    ahead: list[int] = field(default_factory=list)
    """0: nothing within the hour; 1: an announced failure; 2: one that nothing announces."""
    leads: list[tuple[int, float]] = field(default_factory=list)


def coming(faults: list[Fault], window: int) -> int:
    """Whether a fault begins within the hour after this window; -1 while one lasts."""
    for fault in faults:
        if fault.start <= window < fault.stop:
            return -1
        if window < fault.start <= window + HORIZON:
            return 1 if fault.announced else 2
    return 0


def run(devices: int, days: int, *, shuffled: bool = False, seed: int = 0) -> Scored:
    """Feed all targets in the order of time; `shuffled` gives every example the outcome of another."""
    found = [simulate(number, days, seed=seed) for number in range(devices)]
    model = FailureModel()
    if shuffled:
        model.classifier = LearnsByChance(0.03)
    scored = Scored()
    windows, split = days * 288, int(days * 288 * 0.6)
    alerts: dict[int, set[int]] = {number: set() for number in range(devices)}
    for window in range(windows):
        for number, device in enumerate(found):
            reading = device.readings[window]
            example = model.step(reading, window) if reading else None
            if example is None or window < split:
                continue
            if example.probability >= ALERT:
                alerts[number].add(window)
            ahead = coming(device.faults, window)
            if ahead >= 0 and window < windows - HORIZON:
                scored.device.append(number)
                scored.window.append(window)
                scored.probability.append(example.probability)
                scored.base_rate.append(example.base_rate)
                scored.now.append(max(example.features["latency now"] / 3, example.features["loss now"] * 5))
                scored.ahead.append(ahead)
    for number, device in enumerate(found):
        for fault in device.faults:
            if fault.announced and fault.start >= split + HORIZON:
                first = next((w for w in range(fault.start - HORIZON, fault.start) if w in alerts[number]), fault.start)
                scored.leads.append((number, (fault.start - first) * float(MINUTES_A_WINDOW)))
    return scored


def evaluate(devices: int = 30, days: int = 21) -> list[Figure]:
    """The table's lines."""
    scored = run(devices, days)
    said, now, base = np.array(scored.probability), np.array(scored.now), np.array(scored.base_rate)
    ahead = np.array(scored.ahead)
    happens = (ahead > 0).astype(float)
    announced, unannounced = ahead != 2, ahead != 1
    rate, announced_rate = float(happens.mean()), float(happens[announced].mean())
    judge = Judge("failure", scored.device)
    for name, among, base_rate in (("all", None, rate), ("announced", announced, announced_rate)):
        rows = np.arange(len(said)) if among is None else np.flatnonzero(among)
        trivial = pr_auc(happens, now)(rows)
        judge.add(
            f"PR-AUC, {name}",
            pr_auc(happens, said),
            among=among,
            baseline=f"as now {trivial:.3f}",
            goal=f"≥ {5 * base_rate:.3f}",
            note=f"base rate {base_rate:.4f}",
        )
    trivial = roc_auc(happens, now)(np.flatnonzero(announced))
    chance = run(max(devices // 3, 4), days, shuffled=True)
    by_chance = roc_auc_score(np.array(chance.ahead) == 1, chance.probability)
    judge.add(
        "ROC-AUC, announced",
        roc_auc(happens, said),
        among=announced,
        baseline=f"as now {trivial:.3f}",
        goal="≥ 0.85",
        note=f"outcomes of chance in training: {by_chance:.3f}",
    )
    judge.add("ROC-AUC, unannounced", roc_auc(happens, said), among=unannounced, baseline="0.5", goal="near 0.5")
    judge.add(
        "Brier skill",
        brier_skill(happens, said, base),
        baseline="base rate 0",
        goal="> 0",
        note="said→happened (windows): " + reliability(said, happens),
    )
    leads = np.array([lead for _, lead in scored.leads])
    right = np.mean(happens[said >= ALERT])
    times = Judge("failure", [number for number, _ in scored.leads])
    times.add(
        "median lead, announced, min",
        lambda rows: float(np.median(leads[rows])),
        baseline="0",
        goal="≥ 15",
        note=f"{len(leads)} failures, {100 * np.mean(leads > 0):.0f} % foreseen; {100 * right:.0f} % of alerts right",
    )
    return [*judge.figures, *times.figures]
