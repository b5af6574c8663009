from typing import Final

import numpy as np
from numpy.typing import NDArray

_LARGEST_VARIANCE: Final = 1000.0

Vector = NDArray[np.float64]


class RecursiveLeastSquares:
    """Linear regression learned one example at a time, with a slow forgetting of old ones.

    Haykin, Adaptive Filter Theory, chapter 10 (exponentially weighted RLS). Two guards make it last for months: errors
    are clipped, so that one outlier doesn't turn the weights over (Huber's psi), and the covariance is bounded, because
    forgetting lets it grow without limit where the input doesn't vary.

    Args:
        size: number of inputs.
        forgetting: weight of an example after one more, 0..1.
        largest_error: errors are clipped to this, in the target's unit.

    >>> model = RecursiveLeastSquares(1)
    >>> for _ in range(50):
    ...     model.learn(np.array([2.0]), 6.0)
    >>> round(model.predict(np.array([1.0])), 1)
    3.0
    """

    def __init__(self, size: int, *, forgetting: float = 0.9998, largest_error: float = 8.0) -> None:
        self.weights: Vector = np.zeros(size)
        self._covariance: NDArray[np.float64] = np.eye(size)
        self._forgetting = forgetting
        self._largest_error = largest_error

    def predict(self, inputs: Vector) -> float:
        """The target expected for these inputs."""
        return float(self.weights @ inputs)

    def learn(self, inputs: Vector, target: float) -> None:
        """Learn one example of finite numbers."""
        error = target - self.predict(inputs)
        error = max(-self._largest_error, min(self._largest_error, error))
        direction = self._covariance @ inputs
        gain = direction / (self._forgetting + float(inputs @ direction))
        self.weights += gain * error
        covariance = (self._covariance - np.outer(gain, direction)) / self._forgetting
        mean_variance = float(np.trace(covariance)) / len(inputs)
        if mean_variance > _LARGEST_VARIANCE:
            covariance *= _LARGEST_VARIANCE / mean_variance
        self._covariance = covariance
