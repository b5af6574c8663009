"""The threshold rule that health classification starts from."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from streamswarm_ml.signals import Signals


class State(StrEnum):
    """How a target is."""

    OK = "ok"
    DEGRADED = "degraded"
    BAD = "bad"


STATES: Final = tuple(State)


@dataclass(frozen=True, slots=True)
class Limits:
    """Plain thresholds: degraded from the first number of a pair, bad from the second.

    Attributes:
        latency: seconds.
        loss: share of requests.
        down: share of runs.
    """

    latency: tuple[float, float] = (0.15, 0.4)
    loss: tuple[float, float] = (0.02, 0.1)
    down: tuple[float, float] = (0.2, 0.5)

    def verdict(self, signals: Signals) -> State:
        """The worst that any signal says.

        >>> Limits().verdict(Signals(latency=0.2, jitter=None, loss=0.0, down=0.0))
        <State.DEGRADED: 'degraded'>
        """
        pairs = ((signals.latency or 0.0, self.latency), (signals.loss, self.loss), (signals.down, self.down))
        return STATES[max((value >= limits[0]) + (value >= limits[1]) for value, limits in pairs)]
