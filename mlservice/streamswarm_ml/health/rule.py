"""The threshold rule that health classification starts from, and what its verdicts have turned out to mean."""

from dataclasses import dataclass, field
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


@dataclass(slots=True)
class RuleMeaning:
    """How often each state was the operators' when the rule said this or that.

    Counts with a prior of ten labels that agree with the rule, so it begins as the rule itself and is as calibrated as
    a rule can be: the baseline that the classifier has to beat.

    >>> [round(chance, 2) for chance in RuleMeaning().chances(State.OK)]
    [0.8, 0.1, 0.1]
    """

    counts: dict[State, list[float]] = field(
        default_factory=lambda: {said: [8.0 if said is state else 1.0 for state in STATES] for said in STATES}
    )

    def chances(self, said: State) -> list[float]:
        """Probabilities of ok, degraded and bad, given what the rule said."""
        total = sum(self.counts[said])
        return [count / total for count in self.counts[said]]

    def learn(self, said: State, state: State) -> None:
        """Learn what an operator said."""
        self.counts[said][STATES.index(state)] += 1
