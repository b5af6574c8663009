"""The threshold rule that health classification starts from."""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from streamswarm_core.catalogue.common import UP
from streamswarm_ml.own_limits import has_limit, own_rank
from streamswarm_ml.signals import latency_field, loss_field, signals_of
from streamswarm_ml.windows import Reading


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

    def verdict(self, reading: Reading) -> State:
        """The worst that any field says: by the test's own thresholds where it has some for it, else by these.

        >>> Limits().verdict(Reading("icmp", (), {"rtt_mean": 0.2}))
        <State.DEGRADED: 'degraded'>
        """
        signals = signals_of(reading)
        plain = (
            (latency_field(reading), signals.latency or 0.0, self.latency),
            (loss_field(reading), signals.loss, self.loss),
            (UP.name, signals.down, self.down),
        )
        ranks = [
            (value >= limits[0]) + (value >= limits[1]) for name, value, limits in plain if not has_limit(reading, name)
        ]
        return STATES[max([*ranks, own_rank(reading)])]
