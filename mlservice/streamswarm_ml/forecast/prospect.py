"""What a test that doesn't exist yet would see: from tests like it, or an honest "not enough data"."""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from streamswarm_ml.windows import Reading

_WINDOWS_AN_HOUR: Final = 12
_HOURS_KEPT: Final = 24 * 14
LEAST_HOURS: Final = 24
LEAST_PEERS: Final = 3

Place = tuple[str, str, str, str, str]
"""Measurement, field, site, agent, target."""


@dataclass(frozen=True, slots=True)
class Likeness:
    """One way in which a past series is like the test asked about.

    Attributes:
        words: for the answer.
        same: which parts of the place must agree.
        peers: how many such series it takes.
    """

    words: str
    same: tuple[str, ...]
    peers: int


LIKENESSES: Final = (
    Likeness("the same agent and target", ("site", "agent", "target"), 1),
    Likeness("the same site and target", ("site", "target"), 1),
    Likeness("the same target from other sites", ("target",), LEAST_PEERS),
    Likeness("other targets from the same site", ("site",), LEAST_PEERS),
)


@dataclass(frozen=True, slots=True)
class Prospect:
    """An answer.

    Attributes:
        enough: whether there were data to answer from; if not, only `reason` says something.
        reason: what the answer is based on, or what is missing.
        low: 5th percentile of hourly means.
        median: 50th.
        high: 95th.
        hours: hourly means it is based on.
        series: series they come from.
    """

    enough: bool
    reason: str
    low: float | None = None
    median: float | None = None
    high: float | None = None
    hours: int = 0
    series: int = 0


@dataclass(slots=True)
class _Hours:
    hour: int
    total: float = 0.0
    count: int = 0
    means: deque[float] = field(default_factory=lambda: deque(maxlen=_HOURS_KEPT))


@dataclass(slots=True)
class History:
    """Two weeks of hourly means of each series; what is older is forgotten."""

    _places: dict[Place, _Hours] = field(default_factory=dict)

    def add(self, reading: Reading, name: str, window: int, value: float) -> None:
        """Take a window's mean; windows of a series come in the order of time."""
        place = (reading.measurement, name, reading.tag("site"), reading.tag("agent"), reading.tag("target"))
        hour = window // _WINDOWS_AN_HOUR
        hours = self._places.get(place)
        if hours is None:
            hours = self._places[place] = _Hours(hour)
        if hour != hours.hour:
            hours.means.append(hours.total / hours.count)
            hours.hour, hours.total, hours.count = hour, 0.0, 0
        hours.total += value
        hours.count += 1

    def forget(self, before: int) -> None:
        """Drop the series that have had no point since a window."""
        self._places = {at: hours for at, hours in self._places.items() if hours.hour >= before // _WINDOWS_AN_HOUR}

    def prospect(self, measurement: str, name: str, *, site: str = "", agent: str = "", target: str = "") -> Prospect:
        """What such a test would see, from the closest likeness that has enough hours.

        Args:
            measurement: such as icmp.
            name: the field.
            site: where the agent is; empty for unknown.
            agent: which; empty for any of the site.
            target: empty for unknown.
        """
        asked = {"site": site, "agent": agent, "target": target}
        most = 0
        for likeness in LIKENESSES:
            if not all(asked[part] for part in likeness.same):
                continue
            alike = list(self._alike(measurement, name, {part: asked[part] for part in likeness.same}))
            pooled = [mean for means in alike for mean in means]
            most = max(most, len(pooled))
            if len(alike) >= likeness.peers and len(pooled) >= LEAST_HOURS:
                low, median, high = (float(value) for value in np.quantile(pooled, (0.05, 0.5, 0.95)))
                reason = f"{len(pooled)} hours of {len(alike)} series: {likeness.words}"
                return Prospect(True, reason, low, median, high, len(pooled), len(alike))  # noqa: FBT003 - enough
        return Prospect(
            False,  # noqa: FBT003 - enough
            f"not enough data: {most} hours of {measurement}.{name} that are like it; it takes {LEAST_HOURS}, and "
            f"{LEAST_PEERS} series where only the target or only the site is the same",
        )

    def _alike(self, measurement: str, name: str, same: Mapping[str, str]) -> Iterable[deque[float]]:
        for (of, field_name, site, agent, target), hours in self._places.items():
            there = {"site": site, "agent": agent, "target": target}
            alike = (of, field_name) == (measurement, name) and all(there[part] == same[part] for part in same)
            if alike and hours.means:
                yield hours.means
