"""The classifier of a control run, which can learn nothing: what it is told has nothing to do with what happened."""

import numpy as np

from streamswarm_ml.failure.classifier import OnlineProbability
from streamswarm_ml.signals import Features


class LearnsByChance(OnlineProbability):
    """Learns every example with an outcome of chance.

    Args:
        share: how often it is told that it happened.
    """

    def __init__(self, share: float) -> None:
        super().__init__()
        self._share = share
        self._random = np.random.default_rng(5)

    def learn(self, features: Features, *, happened: bool) -> None:  # noqa: ARG002 - that is the point
        """Learn, but not what happened."""
        super().learn(features, happened=bool(self._random.random() < self._share))
