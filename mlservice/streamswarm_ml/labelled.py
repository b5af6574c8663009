"""A classifier for what operators say, which begins as the rule that was there before."""

import math
import random
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any, Final

from streamswarm_ml.libraries import linear_model, optim, preprocessing
from streamswarm_ml.signals import Features

_LEAST_CHANCE: Final = 1e-3
_PRIOR_LABELS: Final = 10.0
_PRIOR_TRUST: Final = 0.8
_MEMORY: Final = 0.99
_SHARPNESS: Final = 60.0
_INTERCEPT: Final = "(constant)"
_REMEMBERED: Final = 3000
_REPLAYS: Final = 30


class RuleMeaning:
    """How often each class was the operators' when the rule said this or that.

    Counts with a prior of ten labels that agree with the rule, so it begins as the rule itself and is as calibrated as
    a rule can be: the baseline that the classifier has to beat.

    Args:
        classes: all there are.

    >>> [round(chance, 2) for chance in RuleMeaning(("ok", "degraded", "bad")).chances("ok")]
    [0.8, 0.1, 0.1]
    """

    def __init__(self, classes: Sequence[str]) -> None:
        other = _PRIOR_LABELS * (1 - _PRIOR_TRUST) / (len(classes) - 1)
        self._classes = tuple(classes)
        self._counts = {
            said: [_PRIOR_LABELS * _PRIOR_TRUST if said == name else other for name in classes] for said in classes
        }

    def chances(self, said: str) -> list[float]:
        """Probabilities of the classes, given what the rule said."""
        total = sum(self._counts[said])
        return [count / total for count in self._counts[said]]

    def learn(self, said: str, label: str) -> None:
        """Learn what an operator said."""
        self._counts[said][self._classes.index(label)] += 1


class LabelledClassifier:
    """The chances of each class: a rule's at first, what operators said more and more.

    Two experts, each scored on a label before it learns it: what the rule's verdict has meant so far (`RuleMeaning`),
    and River's `SoftmaxRegression` on standardised features. They are mixed by the exponential of their discounted log
    losses, that is, by how well each would have foretold the labels of late (Vovk, "Aggregating strategies", 1990).
    Labels are few, so each is learned together with thirty earlier ones, drawn at random (experience replay).
    The regression's answer is tempered: its logits are multiplied by a number learned on line, so that its confidence
    is what it is worth (Guo et al., "On calibration of modern neural networks", 2017).

    Args:
        classes: all there are.

    >>> model = LabelledClassifier(("ok", "degraded", "bad"))
    >>> model.chances({"latency": 0.0}, "bad") == model.rule.chances("bad")
    True
    """

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes: Final = tuple(classes)
        self.rule: Final = RuleMeaning(classes)
        self.samples = 0
        self._scaler: Any = preprocessing.StandardScaler()
        self._softmax: Any = linear_model.SoftmaxRegression(optimizer=optim.AdaGrad(0.5), l2=1e-5)
        self._losses = [0.0, 0.0]
        self._temper = 1.0
        self._past: deque[tuple[Features, str]] = deque(maxlen=_REMEMBERED)
        self._random = random.Random(1)  # noqa: S311 - which labels are learned again

    def chances(self, features: Features, said: str) -> list[float]:
        """Probabilities of the classes.

        Args:
            features: of the series' recent past.
            said: the rule's verdict.
        """
        by_rule = self.rule.chances(said)
        if not self.samples:
            return by_rule
        weight = self.weight
        learned = self._learned(features)
        return [weight * mine + (1 - weight) * rule for mine, rule in zip(learned, by_rule, strict=True)]

    @property
    def weight(self) -> float:
        """How much the learned part counts, 0..1."""
        if not self.samples:
            return 0.0
        known = 1 - _MEMORY**self.samples
        lead = _SHARPNESS * (self._losses[0] - self._losses[1]) * known
        # A prior for the rule: twenty labels' worth.
        return 1 / (1 + math.exp(max(-30.0, min(30.0, 3.0 * math.exp(-self.samples / 20) - lead))))

    def contributions(self, features: Features, label: str) -> Mapping[str, float]:
        """How much each feature moved the logit of a class against the mean of the others."""
        scaled = self._scaled(features)
        weights = self._softmax.weights
        own = weights.get(label, {})
        others = [weights.get(other, {}) for other in self.classes if other != label]
        return {
            name: value * (own.get(name, 0.0) - sum(other.get(name, 0.0) for other in others) / len(others))
            for name, value in scaled.items()
            if name != _INTERCEPT
        }

    def losses(self, features: Features, said: str, label: str) -> tuple[float, float]:
        """Log losses on a label that isn't learned yet: of the chances that are given, and of the rule's alone."""
        index = self.classes.index(label)
        return _log_loss(self.chances(features, said)[index]), _log_loss(self.rule.chances(said)[index])

    def learn(self, features: Features, said: str, label: str) -> None:
        """Learn an operator's label of a window."""
        index = self.classes.index(label)
        learned = self._learned(features) if self.samples else [1 / len(self.classes)] * len(self.classes)
        for expert, chances in enumerate((self.rule.chances(said), learned)):
            self._losses[expert] = _MEMORY * self._losses[expert] + (1 - _MEMORY) * _log_loss(chances[index])
        self._learn_temper(features, index, learned)
        self.samples += 1
        self.rule.learn(said, label)
        self._scaler.learn_one(features)
        self._past.append((features, label))
        self._softmax.learn_one(self._scaled(features), label)
        for before, then in self._random.choices(self._past, k=_REPLAYS):
            self._softmax.learn_one(self._scaled(before), then)

    def _learn_temper(self, features: Features, index: int, learned: Sequence[float]) -> None:
        logits = self._logits(features)
        slope = logits[index] - sum(chance * logit for chance, logit in zip(learned, logits, strict=True))
        size = 1 + sum(logit * logit for logit in logits)
        self._temper = min(max(self._temper + 0.05 * slope / size, 0.3), 3.0)

    def _logits(self, features: Features) -> list[float]:
        given = self._softmax.predict_proba_one(self._scaled(features))
        chances = [max(float(given.get(state, 0.0)), _LEAST_CHANCE) for state in self.classes]
        return [math.log(chance) for chance in chances]

    def _scaled(self, features: Features) -> Features:
        # River's softmax has no intercept.
        return {**self._scaler.transform_one(features), _INTERCEPT: 1.0}

    def _learned(self, features: Features) -> list[float]:
        raised = [math.exp(self._temper * logit) for logit in self._logits(features)]
        return [value / sum(raised) for value in raised]


def _log_loss(chance: float) -> float:
    return -math.log(max(chance, _LEAST_CHANCE))
