"""Whether a target is ok, degraded or bad, as its operators would say."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.predictions import HEALTH
from streamswarm_core.point import Point
from streamswarm_ml.explain.contributions import leading_text
from streamswarm_ml.health.rule import STATES, Limits, State
from streamswarm_ml.labelled import LabelledClassifier
from streamswarm_ml.prequential import Tally
from streamswarm_ml.signals import Features, SeriesSignals, signals_of
from streamswarm_ml.windows import WINDOW_NS, Reading, Tags, Window, is_probe

_LABELS_REACH_BACK: Final = 288

SeriesKey = tuple[str, Tags]


class UnknownWindowError(LookupError):
    """A label for a window that isn't remembered: too old, or without data."""


@dataclass(frozen=True, slots=True)
class Judged:
    """What is thought of one window.

    Attributes:
        features: what it was judged by.
        rule: what the thresholds say.
        chances: of ok, degraded and bad.
    """

    features: Features
    rule: State
    chances: list[float]

    @property
    def state(self) -> State:
        """The likeliest."""
        return STATES[self.chances.index(max(self.chances))]


@dataclass(slots=True)
class _Target:
    signals: SeriesSignals = field(default_factory=SeriesSignals)
    past: deque[tuple[int, NDArray[np.float32], State]] = field(
        default_factory=lambda: deque(maxlen=_LABELS_REACH_BACK)
    )


@dataclass(slots=True)
class HealthModel:
    """One classifier for all targets; labels of the last day can be learned.

    Attributes:
        limits: the thresholds that it starts from.
        classifier: what has been learned.
        tally: log loss on the labels, each before it was learned, beside the threshold rule's.
    """

    limits: Limits = field(default_factory=Limits)
    classifier: LabelledClassifier = field(default_factory=lambda: LabelledClassifier(STATES))
    tally: Tally = field(default_factory=lambda: Tally("log loss", ("threshold rule",)))
    _targets: dict[SeriesKey, _Target] = field(default_factory=dict)
    _names: tuple[str, ...] = ()

    @property
    def samples(self) -> int:
        """Labels learned."""
        return self.classifier.samples

    def observe(self, window: Window) -> list[Point]:
        """Judge every target of the window."""
        return [
            self._point(reading, window, self.step(reading, window.index))
            for reading in window.readings
            if is_probe(CATALOGUE[reading.measurement])
        ]

    def step(self, reading: Reading, window: int) -> Judged:
        """Judge one series' window, and remember it for a label."""
        target = self._targets.setdefault((reading.measurement, reading.tags), _Target())
        signals = signals_of(reading)
        features = target.signals.update(window, signals)
        self._names = self._names or tuple(features)
        said = self.limits.verdict(reading)
        target.past.append((window, np.fromiter(features.values(), np.float32), said))
        return Judged(features, said, self.classifier.chances(features, said))

    def label(self, series: SeriesKey, time_ns: int, state: State | None) -> None:
        """Learn what an operator says of a series at a time of the last day.

        Args:
            series: measurement and tags.
            time_ns: a moment of the window.
            state: how it was; None for an acknowledgement: what the rule said, but not ok.

        Raises:
            UnknownWindowError: nothing is remembered of it.
        """
        index = time_ns // WINDOW_NS
        target = self._targets.get(series)
        found = next((past for past in (target.past if target else ()) if past[0] == index), None)
        if found is None:
            raise UnknownWindowError("nothing is remembered of this series at that time; labels reach back one day")
        _, values, said = found
        if state is None:
            state = State.DEGRADED if said is State.OK else said
        features = dict(zip(self._names, map(float, values), strict=True))
        mine, rule = self.classifier.losses(features, said, state)
        self.tally.add(mine, (rule,), time_ns=time_ns)
        self.classifier.learn(features, said, state)

    def forget(self, before: int) -> None:
        """Drop what is kept of series that have had no point since a window."""
        self._targets = {key: one for key, one in self._targets.items() if one.signals.window >= before}

    def report(self) -> Mapping[str, Any]:
        """Figures, JSON-ready."""
        return {"labels": self.samples, "learned_weight": self.classifier.weight, **self.tally.report()}

    def _point(self, reading: Reading, window: Window, judged: Judged) -> Point:
        learned = bool(self.classifier.samples)
        because = self.classifier.contributions(judged.features, judged.state) if learned else {}
        return HEALTH.point(
            {**dict(reading.tags), "measurement": reading.measurement},
            time_ns=window.start_ns,
            state=judged.state.value,
            **{state.value: chance for state, chance in zip(STATES, judged.chances, strict=True)},
            rule=judged.rule.value,
            learned=self.samples,
            skill=self.tally.skill,
            because=leading_text(because),
        )
