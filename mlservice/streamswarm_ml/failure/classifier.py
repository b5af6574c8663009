"""A probability learned on line, and what moved it."""

import math
from collections.abc import Mapping
from typing import Any, Final

from river import linear_model, optim, preprocessing

from streamswarm_ml.signals import Features

_LARGEST_LOGIT: Final = 12.0
_RATE: Final = 0.05


class OnlineProbability:
    """Logistic regression by stochastic gradient descent on the log loss, whose answer is then calibrated.

    River's `LogisticRegression` on standardised features, with AdaGrad (Duchi, Hazan and Singer, 2011). Its logit goes
    through Platt scaling, slope and offset, learned on line from predictions made before their example was learned
    (Platt, "Probabilistic outputs for support vector machines", 1999).

    >>> model = OnlineProbability()
    >>> for index in range(2000):
    ...     model.learn({"x": float(index % 4)}, happened=index % 4 == 3)
    >>> model.probability({"x": 3.0}) > 0.9 > 0.1 > model.probability({"x": 0.0})
    True
    """

    def __init__(self, *, rate: float = 0.1, penalty: float = 1e-5) -> None:
        self.samples = 0
        self.positives = 0
        self._scaler: Any = preprocessing.StandardScaler()
        self._linear: Any = linear_model.LogisticRegression(
            optimizer=optim.AdaGrad(rate), l2=penalty, intercept_lr=0.01
        )
        self._slope = 1.0
        self._offset = 0.0

    @property
    def base_rate(self) -> float:
        """How often it happened so far, with Laplace's correction: the naive forecast."""
        return (self.positives + 1) / (self.samples + 2)

    def probability(self, features: Features) -> float:
        """How likely it is; the base rate until both outcomes were seen."""
        if not self.positives or self.positives == self.samples:
            return self.base_rate
        return _logistic(self._slope * self._logit(features) + self._offset)

    def contributions(self, features: Features) -> Mapping[str, float]:
        """How much each feature moved the logit away from that of a mean example."""
        scaled = self._scaler.transform_one(features)
        return {name: self._slope * self._linear.weights.get(name, 0.0) * value for name, value in scaled.items()}

    def learn(self, features: Features, *, happened: bool) -> None:
        """Learn one example."""
        self.samples += 1
        self.positives += happened
        logit = self._logit(features)
        if self.positives:
            error = _logistic(self._slope * logit + self._offset) - happened
            rate = _RATE / math.sqrt(1 + self.samples / 100)
            self._slope = min(max(self._slope - rate * error * logit / (1 + logit * logit), 0.2), 3.0)
            self._offset -= rate * error
        self._scaler.learn_one(features)
        self._linear.learn_one(self._scaler.transform_one(features), happened)

    def _logit(self, features: Features) -> float:
        probability = self._linear.predict_proba_one(self._scaler.transform_one(features))[True]
        probability = min(max(probability, 1e-9), 1 - 1e-9)
        return max(-_LARGEST_LOGIT, min(_LARGEST_LOGIT, math.log(probability / (1 - probability))))


def _logistic(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))
