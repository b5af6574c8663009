"""Client infrastructure: 24 simulated agents; labels come from 16 of them, scored are the other 8."""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np

from benchmarks.ml.figures import Figure, Judge, macro_f1, mean_of
from benchmarks.ml.sim_infrastructure import AGENTS_A_SITE, SITES, Fault, harms, simulate
from streamswarm_ml.infrastructure.model import Finding, InfrastructureModel, localise, plain_rule
from streamswarm_ml.infrastructure.places import PLACES

LABELLED = 1 / 8


@dataclass
class Scored:
    """Bad results of the agents held out, in the second half, that one injected fault explains."""

    agent: list[str] = field(default_factory=list)
    truth: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=list)
    rule: list[str] = field(default_factory=list)
    located: list[tuple[str, bool, bool]] = field(default_factory=list)
    """For each fault: its name, whether it came first, and whether the plain rule's vote did."""


def held_out(agent: str) -> bool:
    """Whether an agent is never labelled: one of three, of every site and kind of link."""
    return int(agent.removeprefix("agent")) % 3 == 0


def explained_by(faults: list[Fault], finding: Finding, window: int) -> Fault | None:
    """The one fault that harmed a result; None if it was none, or several."""
    agent, target = finding.reading.tag("agent"), finding.reading.tag("target")
    found = [fault for fault in faults if harms(fault, agent, target, window)]
    return found[0] if len({fault.place for fault in found}) == 1 else None


def run(days: int, *, shuffled: bool = False, without_rule: bool = False, seed: int = 0) -> Scored:
    """Feed the network in the order of time; `shuffled` labels with places of chance, `without_rule` hides the rule."""
    windows, faults = simulate(days, seed=seed)
    random = np.random.default_rng(13)
    model, scored = InfrastructureModel(), Scored()
    votes: dict[Fault, list[Finding]] = {}
    half = len(windows) // 2
    for window in windows:
        near = [fault for fault in faults if fault.start <= window.index < fault.stop + fault.lag]
        for finding in model.step(window):
            fault = explained_by(near, finding, window.index)
            agent = finding.reading.tag("agent")
            if fault is None:
                continue
            if not held_out(agent):
                if random.random() < LABELLED:
                    place = PLACES[random.integers(len(PLACES))] if shuffled else fault.place
                    model.learn(finding, place, time_ns=window.start_ns)
            elif window.index >= half:
                said = finding.place
                if without_rule:
                    chances = model.classifier.chances(finding.features, PLACES[0])
                    said = PLACES[int(np.argmax(chances))]
                scored.agent.append(agent)
                scored.truth.append(fault.place)
                scored.said.append(said)
                scored.rule.append(plain_rule(finding.features))
                votes.setdefault(fault, []).append(finding)
    for fault, findings in votes.items():
        first = localise(findings)[0][0]
        by_rule = Counter(finding.entity(finding.rule) for finding in findings).most_common(1)[0][0]
        truth = (fault.place, fault.name)
        scored.located.append((fault.name, first == truth, by_rule == truth))
    return scored


def evaluate(days: int = 14) -> list[Figure]:
    """The table's lines."""
    scored = run(days)
    truth, said, rule = (np.array(column, dtype=str) for column in (scored.truth, scored.said, scored.rule))
    rows = np.arange(len(truth))
    counts = Counter(scored.truth)
    most = counts.most_common(1)[0][0]
    chance, hidden = run(max(days // 2, 2), shuffled=True), run(max(days // 2, 2), without_rule=True)
    by_chance = macro_f1(np.array(chance.truth), np.array(chance.said))(np.arange(len(chance.truth)))
    without = macro_f1(np.array(hidden.truth), np.array(hidden.said))(np.arange(len(hidden.truth)))
    shares = ", ".join(f"{place} {counts[place] / len(truth):.2f}" for place in PLACES)
    judge = Judge("infrastructure", scored.agent)
    judge.add(
        "macro-F1, agents held out",
        macro_f1(truth, said),
        baseline=f"plain rule {macro_f1(truth, rule)(rows):.3f}, "
        f"always {most} {macro_f1(truth, np.full(len(truth), most))(rows):.3f}",
        goal="≥ 0.8",
        note=f"{shares}; half as many days: rule hidden {without:.3f}, labels of chance {by_chance:.3f}",
    )
    located = Judge("infrastructure", [name for name, _, _ in scored.located])
    first = np.array([found for _, found, _ in scored.located], dtype=float)
    by_rule = np.mean([found for _, _, found in scored.located])
    located.add(
        "top-1 localisation of faults",
        mean_of(first),
        baseline=f"plain rule {by_rule:.3f}, chance {1 / (3 * SITES * AGENTS_A_SITE + SITES + 8):.3f}",
        goal="≥ 0.7, then ≥ 0.9",
        note=f"{len(first)} faults that agents held out saw",
    )
    return [*judge.figures, *located.figures]
