"""The recent past of every agent: how its host did, and how its results did."""

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_ml.infrastructure.places import OWN, PLACE_OF, TRAFFIC, Place, badness
from streamswarm_ml.signals import SeriesSignals, Usual, signals_of
from streamswarm_ml.windows import Reading, Tags, Window, is_probe

_PAST: Final = 24
BAD: Final = 4.0
"""Distance from what is usual from which a result is bad."""
_LOSS_WEIGHT: Final = 10.0


@dataclass(slots=True)
class Result:
    """One series of a probe in the newest window.

    Attributes:
        reading: as measured.
        distance: how bad, in usual deviations.
    """

    reading: Reading
    distance: float

    @property
    def bad(self) -> bool:
        """Whether it is bad for this series."""
        return self.distance >= BAD


@dataclass(slots=True)
class AgentPast:
    """One agent.

    Attributes:
        usual: of each metric and interface.
        unusual: how far each metric is from what is usual now, the worst of the interfaces.
        places: worst metric of each place, by window, oldest first.
        traffic: of its interfaces, by window.
        results: mean distance of its results, by window.
        now: its results of the newest window.
        site: where it is.
        window: number of the newest window with anything of it.
    """

    usual: dict[tuple[str, str, Tags], Usual] = field(default_factory=dict)
    unusual: dict[tuple[str, str], tuple[float, float]] = field(default_factory=dict)
    places: dict[Place, deque[float]] = field(default_factory=lambda: {place: deque(maxlen=_PAST) for place in OWN})
    traffic: deque[float] = field(default_factory=lambda: deque(maxlen=_PAST))
    results: deque[float] = field(default_factory=lambda: deque(maxlen=_PAST))
    now: list[Result] = field(default_factory=list)
    site: str = ""
    window: int = 0

    def take_host(self, reading: Reading) -> float:
        """Take a reading of the host; returns the traffic that it tells of."""
        traffic = 0.0
        for name, value in reading.values.items():
            if (reading.measurement, name) in PLACE_OF:
                scaled = badness(reading.measurement, name, value)
                usual = self.usual.setdefault((reading.measurement, name, reading.tags), Usual())
                distance = usual.distance(scaled)
                usual.learn(scaled)
                worst = self.unusual.get((reading.measurement, name), (0.0, value))
                if distance >= worst[0]:
                    self.unusual[reading.measurement, name] = (distance, value)
            elif reading.measurement == TRAFFIC[0] and name in TRAFFIC[1]:
                traffic += badness(reading.measurement, name, value)
        return traffic

    def worst(self, place: Place) -> tuple[float, str, float]:
        """The most unusual metric of a place now: distance, name, value."""
        found = [
            (distance, f"{measurement}.{name}", value)
            for (measurement, name), (distance, value) in self.unusual.items()
            if PLACE_OF[measurement, name] is place
        ]
        return max(found, default=(0.0, "", 0.0))


class Agents:
    """All agents; feed it every window before asking anything of it."""

    def __init__(self) -> None:
        self._pasts: dict[str, AgentPast] = {}
        self._series: dict[tuple[str, Tags], tuple[SeriesSignals, Usual]] = {}

    @property
    def pasts(self) -> Mapping[str, AgentPast]:
        """Every agent's, by its name."""
        return self._pasts

    def forget(self, before: int) -> None:
        """Drop the agents and series that have had no point since a window."""
        self._pasts = {name: past for name, past in self._pasts.items() if past.window >= before}
        self._series = {key: one for key, one in self._series.items() if one[0].window >= before}

    def update(self, window: Window) -> None:
        """Take a window."""
        for past in self._pasts.values():
            past.now, past.unusual = [], {}
        traffic: dict[str, float] = {}
        for reading in window.readings:
            agent = reading.tag("agent")
            past = self._pasts.setdefault(agent, AgentPast())
            past.site, past.window = reading.tag("site"), window.index
            if is_probe(CATALOGUE[reading.measurement]):
                past.now.append(Result(reading, self._distance(reading, window.index)))
            else:
                traffic[agent] = traffic.get(agent, 0.0) + past.take_host(reading)
        for agent, past in self._pasts.items():
            distances = [result.distance for result in past.now]
            past.results.append(sum(distances) / len(distances) if distances else 0.0)
            past.traffic.append(traffic.get(agent, past.traffic[-1] if past.traffic else 0.0))
            for place in OWN:
                past.places[place].append(past.worst(place)[0])

    def _distance(self, reading: Reading, window: int) -> float:
        signals = signals_of(reading)
        series, losses = self._series.setdefault((reading.measurement, reading.tags), (SeriesSignals(), Usual()))
        latency = series.update(window, signals)["latency now"]
        loss = max(signals.loss, signals.down)
        # Below what is usual for this series a loss says nothing of today.
        excess = max(loss - max(losses.level, 0.0) - 2 * losses.scale, 0.0)
        losses.learn(loss)
        return max(latency, _LOSS_WEIGHT * math.sqrt(excess), 0.0)
