import math
from collections.abc import Sequence
from typing import Final

_TINY: Final = 1e-9
_LARGEST_LOSS: Final = 30.0


class Mixture:
    """A weighted mean of several predictions; those that erred less of late weigh more.

    The exponentially weighted average forecaster (Cesa-Bianchi and Lugosi, Prediction, Learning, and Games, chapter 2)
    on discounted absolute losses, relative to the best expert's, so that neither unit nor scale matter.

    Args:
        experts: number of predictions.
        sharpness: how much less weight an expert has that errs twice as much: exp(-sharpness).
        memory: weight of a loss after one more, 0..1.

    >>> mixture = Mixture(2)
    >>> for _ in range(100):
    ...     mixture.learn([1.0, 5.0], actual=1.0)
    >>> round(mixture.predict([1.0, 5.0]), 3)
    1.0
    """

    def __init__(self, experts: int, *, sharpness: float = 20.0, memory: float = 0.995) -> None:
        self._losses = [0.0] * experts
        self._sharpness = sharpness
        self._memory = memory

    @property
    def weights(self) -> list[float]:
        """What each expert counts for; they add up to 1."""
        best = min(self._losses)
        raw = [math.exp(-self._sharpness * (loss - best) / (best + _TINY)) for loss in self._losses]
        total = sum(raw)
        return [weight / total for weight in raw]

    def predict(self, predictions: Sequence[float]) -> float:
        """The mixture of the experts' predictions."""
        return sum(weight * value for weight, value in zip(self.weights, predictions, strict=True))

    def learn(self, predictions: Sequence[float], *, actual: float, scale: float = 1.0) -> None:
        """Learn what each expert should have said.

        Args:
            predictions: of the experts.
            actual: the truth.
            scale: what an ordinary loss is, so that times of different unrest compare, and one outlier decides nothing.
        """
        for index, value in enumerate(predictions):
            loss = min(abs(value - actual) / (scale + _TINY), _LARGEST_LOSS)
            self._losses[index] = self._memory * self._losses[index] + (1 - self._memory) * loss
