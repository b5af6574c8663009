"""Whether classes of traffic get what their policy says, and whether they will in the next window."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_core.catalogue.predictions import QOS_RISK
from streamswarm_core.catalogue.qos import QOS_CLASS
from streamswarm_core.point import Point
from streamswarm_ml.explain.contributions import leading_text
from streamswarm_ml.failure.classifier import OnlineProbability
from streamswarm_ml.prequential import Tally
from streamswarm_ml.qos.compliance import DEFAULT_POLICIES, Compliance, Policy, judge
from streamswarm_ml.signals import Features
from streamswarm_ml.windows import Reading, Tags, Window

_SLOTS: Final = 48
_WINDOWS_A_SLOT: Final = 6
_FAST: Final = 0.4
_SLOW: Final = 0.05
_SLOT_WEIGHT: Final = 0.1
_LEAST_LEARNED: Final = 100
_LARGEST: Final = 4.0


@dataclass(slots=True)
class _Class:
    """What is remembered of one class of one test."""

    window: int = 0
    seen: int = 0
    breaches: int = 0
    fast: dict[str, float] = field(default_factory=dict)
    slow: dict[str, float] = field(default_factory=dict)
    slots: list[float] = field(default_factory=lambda: [0.0] * _SLOTS)
    waiting: tuple[Features, float, float, bool] | None = None


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is said of one class after one window.

    Attributes:
        compliance: of this window.
        probability: of a breach in the next window with data.
        base_rate: how often the class was in breach so far: climatology.
        features: what it was judged by.
    """

    compliance: Compliance
    probability: float
    base_rate: float
    features: Features


@dataclass(slots=True)
class QosModel:
    """One classifier for all classes: how near each promise is to its limit, how it moves, what the time of day does.

    Attributes:
        policies: by DSCP name; a test's own policy, which the probe checks, goes first.
        classifier: gives the probability.
        tally: Brier score beside climatology and "as now".
    """

    policies: Mapping[str, Policy] = field(default_factory=lambda: dict(DEFAULT_POLICIES))
    classifier: OnlineProbability = field(default_factory=OnlineProbability)
    tally: Tally = field(default_factory=lambda: Tally("Brier score", ("climatology", "as now")))
    _classes: dict[Tags, _Class] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Examples learned."""
        return self.classifier.samples

    def observe(self, window: Window) -> list[Point]:
        """Learn whether what was foretold came, and foretell the next window."""
        points = []
        for reading, outlook in self.step(window):
            points.append(self._point(reading, window, outlook))
        return points

    def step(self, window: Window) -> list[tuple[Reading, Outlook]]:
        """The same as outlooks."""
        classes = [reading for reading in window.readings if reading.measurement == QOS_CLASS.name]
        judged = [(one, judge(one.values, self.policies.get(one.tag("dscp"), Policy()))) for one in classes]
        pressure: dict[tuple[str, str], float] = {}
        for reading, compliance in judged:
            key = (reading.tag("agent"), reading.tag("target"))
            nearest = max(compliance.nearness.values(), default=0.0)
            pressure[key] = max(pressure.get(key, 0.0), nearest)
        return [
            (reading, self._outlook(reading, compliance, window, pressure[reading.tag("agent"), reading.tag("target")]))
            for reading, compliance in judged
            if compliance.breached is not None
        ]

    def forget(self, before: int) -> None:
        """Drop what is kept of series that have had no point since a window."""
        self._classes = {tags: one for tags, one in self._classes.items() if one.window >= before}

    def report(self) -> Mapping[str, Any]:
        """Figures, JSON-ready."""
        return {"breaches": self.classifier.positives, **self.tally.report()}

    def _outlook(self, reading: Reading, compliance: Compliance, window: Window, pressure: float) -> Outlook:
        known = self._classes.setdefault(reading.tags, _Class())
        breached = bool(compliance.breached)
        if known.waiting is not None:
            features, probability, base_rate, before = known.waiting
            losses = (probability - breached) ** 2, ((base_rate - breached) ** 2, float(before != breached))
            self.tally.add(*losses, time_ns=window.start_ns)
            self.classifier.learn(features, happened=breached)
        slot, coming = (index // _WINDOWS_A_SLOT % _SLOTS for index in (window.index, window.index + 1))
        known.window = window.index
        known.seen += 1
        known.breaches += breached
        base_rate = (known.breaches + 1) / (known.seen + 2)
        known.slots[slot] += _SLOT_WEIGHT * (breached - known.slots[slot])
        features = _features(known, compliance, coming, pressure, base_rate)
        probability = self.classifier.probability(features)
        known.waiting = (features, probability, base_rate, breached)
        return Outlook(compliance, probability, base_rate, features)

    def _point(self, reading: Reading, window: Window, outlook: Outlook) -> Point:
        learned = self.samples >= _LEAST_LEARNED
        return QOS_RISK.point(
            dict(reading.tags),
            time_ns=window.start_ns,
            probability=outlook.probability if learned else None,
            baseline=outlook.base_rate,
            compliant=int(not outlook.compliance.breached),
            evidence=outlook.compliance.evidence or None,
            learned=self.samples,
            skill=self.tally.skill,
            because=leading_text(self.classifier.contributions(outlook.features)) if learned else None,
        )


def _features(known: _Class, compliance: Compliance, coming: int, pressure: float, base_rate: float) -> Features:
    features: Features = {}
    for name in ("rtt_mean", "jitter", "loss"):
        # Logarithms: twice the limit is as far from it as half of it.
        near = max(-_LARGEST, min(_LARGEST, math.log2(compliance.nearness.get(name, 0.0) + 2**-_LARGEST)))
        fast = known.fast.get(name, near)
        slow = known.slow.get(name, near)
        known.fast[name] = fast = fast + _FAST * (near - fast)
        known.slow[name] = slow = slow + _SLOW * (near - slow)
        features |= {f"{name} near its limit": near, f"{name}, of late": fast, f"{name}, usually": slow}
        features[f"{name}, trend"] = near - fast
        features[f"{name} beyond its limit"] = max(fast, 0.0)
    broken = float(bool(compliance.breached))
    known.fast["breach"] = known.fast.get("breach", broken) * (1 - _FAST) + _FAST * broken
    return features | {
        "in breach": broken,
        "in breach of late": known.fast["breach"],
        "in breach usually": math.log(base_rate / (1 - base_rate)),
        "in breach at the next window's time of day": known.slots[coming],
        "worst class of the path": math.log2(min(pressure, 16.0) + 2**-_LARGEST),
    }
