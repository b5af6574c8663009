from collections.abc import Sequence

from streamswarm_ml.detectors import parameters as p


class PageHinkley:
    """Has the mean of a series changed, up or down?

    Page, "Continuous inspection schemes", Biometrika 41, 1954, with the running mean of Hinkley, 1971; a test holds
    it to River's. Ours starts afresh after a change, and its six numbers can be kept without a pickle.
    """

    __slots__ = ("_count", "_down", "_greatest", "_least", "_mean", "_up")

    def __init__(self) -> None:
        self.restart()

    def restart(self) -> None:
        """Forget everything."""
        self._count = 0
        self._mean = self._up = self._least = self._down = self._greatest = 0.0

    @property
    def numbers(self) -> tuple[float, ...]:
        """Everything that is to be remembered."""
        return (float(self._count), self._mean, self._up, self._least, self._down, self._greatest)

    @property
    def mean(self) -> float:
        """Of what was seen since the last restart; 0 at first."""
        return self._mean

    def restore(self, numbers: Sequence[float]) -> None:
        """Go on where `numbers` were taken."""
        self._count = int(numbers[0])
        self._mean, self._up, self._least, self._down, self._greatest = numbers[1:]

    def changed(self, value: float) -> bool:
        """Whether the mean has changed since the last restart, which a change is."""
        self._count += 1
        self._mean += (value - self._mean) / self._count
        apart = value - self._mean
        self._up += apart - p.DRIFT_ALLOWANCE
        self._down += apart + p.DRIFT_ALLOWANCE
        self._least, self._greatest = min(self._least, self._up), max(self._greatest, self._down)
        if self._up - self._least <= p.DRIFT_LIMIT and self._greatest - self._down <= p.DRIFT_LIMIT:
            return False
        self.restart()
        return True
