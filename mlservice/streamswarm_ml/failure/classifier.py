"""A probability learned on line, and what moved it."""

import math
from collections.abc import Mapping
from typing import Any, Final

from streamswarm_ml.libraries import linear_model, optim, preprocessing
from streamswarm_ml.signals import Features

_LARGEST_LOGIT: Final = 12.0
_FORGETTING: Final = 0.9998
_PRIOR: Final = 5.0


class PlattScaling:
    """Slope and offset of a logit, so that what is said comes true as often as it says.

    Platt, "Probabilistic outputs for support vector machines" (1999), learned on line by Newton steps on the log loss
    with the discounted sum of the Hessians; slope 1 and offset 0 weigh as much as five coin tosses.

    >>> platt = PlattScaling()
    >>> for index in range(2000):
    ...     platt.learn(3.0, happened=index % 4 > 0)
    ...     platt.learn(-3.0, happened=index % 4 == 0)
    >>> round(platt.probability(3.0), 2), round(platt.probability(-3.0), 2)
    (0.75, 0.25)
    """

    def __init__(self) -> None:
        self.slope = 1.0
        self.offset = 0.0
        self._hessian = [_PRIOR, 0.0, _PRIOR]

    def probability(self, logit: float) -> float:
        """The calibrated probability."""
        return _logistic(self.slope * logit + self.offset)

    def learn(self, logit: float, *, happened: bool) -> None:
        """Learn what came of a prediction that was made without knowing it."""
        said = self.probability(logit)
        weight = max(said * (1 - said), 1e-4)
        a, b, c = (_FORGETTING * part for part in self._hessian)
        a, b, c = a + weight * logit * logit, b + weight * logit, c + weight
        self._hessian = [a, b, c]
        determinant = a * c - b * b
        if determinant <= 0:
            return
        error = said - happened
        self.slope = min(max(self.slope - error * (c * logit - b) / determinant, 0.2), 3.0)
        self.offset -= error * (a - b * logit) / determinant


class OnlineProbability:
    """Logistic regression by stochastic gradient descent on the log loss, whose answer is then calibrated.

    River's `LogisticRegression` on standardised features, with AdaGrad (Duchi, Hazan and Singer, 2011). Its logit goes
    through Platt scaling, slope and offset, learned on line from predictions made before their example was learned
    (`PlattScaling`).

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
        self._platt = PlattScaling()

    @property
    def base_rate(self) -> float:
        """How often it happened so far, with Laplace's correction: the naive forecast."""
        return (self.positives + 1) / (self.samples + 2)

    def probability(self, features: Features) -> float:
        """How likely it is; the base rate until both outcomes were seen."""
        if not self.positives or self.positives == self.samples:
            return self.base_rate
        return self._platt.probability(self._logit(features))

    def contributions(self, features: Features) -> Mapping[str, float]:
        """How much each feature moved the logit away from that of a mean example."""
        scaled = self._scaler.transform_one(features)
        return {name: self._platt.slope * self._linear.weights.get(name, 0.0) * value for name, value in scaled.items()}

    def learn(self, features: Features, *, happened: bool) -> None:
        """Learn one example."""
        self.samples += 1
        self.positives += happened
        self._platt.learn(self._logit(features), happened=happened)
        self._scaler.learn_one(features)
        self._linear.learn_one(self._scaler.transform_one(features), happened)

    def _logit(self, features: Features) -> float:
        probability = self._linear.predict_proba_one(self._scaler.transform_one(features))[True]
        probability = min(max(probability, 1e-9), 1 - 1e-9)
        return max(-_LARGEST_LOGIT, min(_LARGEST_LOGIT, math.log(probability / (1 - probability))))


def _logistic(logit: float) -> float:
    return 1 / (1 + math.exp(-max(-50.0, min(50.0, logit))))
