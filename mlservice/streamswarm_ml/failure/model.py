"""How likely it is that a target breaks its objective within the hour."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.common import UP
from streamswarm_core.catalogue.predictions import FAILURE_RISK
from streamswarm_core.point import Point
from streamswarm_ml.explain.contributions import leading_text
from streamswarm_ml.failure.classifier import OnlineProbability
from streamswarm_ml.own_limits import BAD, has_limit, own_rank
from streamswarm_ml.prequential import Tally
from streamswarm_ml.signals import Features, SeriesSignals, latency_field, loss_field, signals_of
from streamswarm_ml.windows import WINDOW_NS, Reading, Tags, Window, is_probe

HORIZON: Final = 12
"""Windows of five minutes: an hour."""
ALERT: Final = 0.25
"""Probability from which somebody should look: at worst three of four times in vain."""
_LEAST_LEARNED: Final = 500
_LEAST_FAILURES: Final = 10


@dataclass(frozen=True, slots=True)
class Objective:
    """When a window counts as broken.

    Attributes:
        down: share of runs that failed.
        loss: share of requests lost.
        latency: seconds; None where it doesn't matter.
    """

    down: float = 0.5
    loss: float = 0.25
    latency: float | None = None

    def broken(self, reading: Reading) -> bool:
        """Whether the objective was broken in this window.

        A field that the test has a limit of its own for, `bad` of a threshold, is held against that one only.
        """
        signals = signals_of(reading)
        plain = (
            (latency_field(reading), signals.latency, self.latency),
            (loss_field(reading), signals.loss, self.loss),
            (UP.name, signals.down, self.down),
        )
        return own_rank(reading) == BAD or any(
            value is not None and limit is not None and value >= limit
            for name, value, limit in plain
            if not has_limit(reading, name, bad=True)
        )


@dataclass(slots=True)
class _Example:
    window: int
    features: Features
    probability: float
    base_rate: float


@dataclass(slots=True)
class _Target:
    signals: SeriesSignals = field(default_factory=SeriesSignals)
    waiting: deque[_Example] = field(default_factory=deque)


@dataclass(slots=True)
class FailureModel:
    """One classifier for all targets, learned from what happened within the hour after each window.

    A window is an example once the outcome is known: as soon as the target failed, or an hour later. Windows in which
    it has failed already are none.

    Attributes:
        objective: when a window counts as broken.
        classifier: gives the probability.
        tally: Brier score beside that of the base rate.
    """

    objective: Objective = field(default_factory=Objective)
    classifier: OnlineProbability = field(default_factory=OnlineProbability)
    tally: Tally = field(default_factory=lambda: Tally("Brier score", ("base rate",)))
    _targets: dict[tuple[str, Tags], _Target] = field(default_factory=dict)

    @property
    def samples(self) -> int:
        """Examples learned."""
        return self.classifier.samples

    def observe(self, window: Window) -> list[Point]:
        """Learn what is now known to have happened, and say what is to be expected."""
        points = []
        for reading in window.readings:
            if is_probe(CATALOGUE[reading.measurement]):
                example = self.step(reading, window.index)
                if example is not None and self.ready:
                    points.append(self._point(reading, window, example))
        return points

    @property
    def ready(self) -> bool:
        """Whether it has seen enough to be worth hearing."""
        return self.samples >= _LEAST_LEARNED and self.classifier.positives >= _LEAST_FAILURES

    def forget(self, before: int) -> None:
        """Drop what is kept of series that have had no point since a window."""
        self._targets = {key: one for key, one in self._targets.items() if one.signals.window >= before}

    def report(self) -> Mapping[str, Any]:
        """Figures, JSON-ready."""
        return {"within": "1h", "failures": self.classifier.positives, **self.tally.report()}

    def step(self, reading: Reading, window: int) -> _Example | None:
        """Take one series' window; None while the target has failed."""
        target = self._targets.setdefault((reading.measurement, reading.tags), _Target())
        signals = signals_of(reading)
        features = target.signals.update(window, signals)
        broken = self.objective.broken(reading)
        self._learn(target, window, broken=broken)
        if broken:
            return None
        example = _Example(window, features, self.classifier.probability(features), self.classifier.base_rate)
        target.waiting.append(example)
        return example

    def _learn(self, target: _Target, window: int, *, broken: bool) -> None:
        while target.waiting and (broken or target.waiting[0].window < window - HORIZON):
            example = target.waiting.popleft()
            happened = broken and window - example.window <= HORIZON
            losses = (example.probability - happened) ** 2, ((example.base_rate - happened) ** 2,)
            self.tally.add(*losses, time_ns=window * WINDOW_NS)
            self.classifier.learn(example.features, happened=happened)

    def _point(self, reading: Reading, window: Window, example: _Example) -> Point:
        return FAILURE_RISK.point(
            {**dict(reading.tags), "measurement": reading.measurement},
            time_ns=window.start_ns,
            probability=example.probability,
            baseline=example.base_rate,
            alert=int(example.probability >= ALERT),
            learned=self.samples,
            skill=self.tally.skill,
            because=leading_text(self.classifier.contributions(example.features)),
        )
