"""What a series of a probe says about its target, in terms that compare across targets: far ones are slow by nature."""

import math
from collections import deque
from dataclasses import dataclass, field
from typing import Final

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.common import UP
from streamswarm_core.catalogue.model import SECONDS
from streamswarm_ml.windows import Reading

_HOUR: Final = 12
_FAST: Final = 3
_MEMORY: Final = 576
_SMALLEST_SCALE: Final = 0.02
_LARGEST: Final = 12.0
_RECENT_WEIGHT: Final = 0.15
_NAMES: Final = ("latency", "jitter", "loss")

Features = dict[str, float]


@dataclass(frozen=True, slots=True)
class Signals:
    """One window of one series.

    Attributes:
        latency: seconds, 0 or more; None where nothing answered.
        jitter: seconds, where the probe measures it.
        loss: share of requests lost; for probes without packets the share of runs that failed.
        down: share of runs in which the target was not up.
    """

    latency: float | None
    jitter: float | None
    loss: float
    down: float


def signals_of(reading: Reading) -> Signals:
    """Take the signals out of a probe's reading, by what the catalogue says of its fields.

    >>> signals_of(Reading("dns", (), {"up": 0.75, "lookup": 0.02}))
    Signals(latency=0.02, jitter=None, loss=0.25, down=0.25)
    >>> signals_of(Reading("icmp", (), {"up": 1.0, "rtt_mean": -0.1, "jitter": -0.001}))
    Signals(latency=None, jitter=None, loss=0.0, down=0.0)
    """
    values = reading.values
    source = latency_field(reading)
    down = 1 - values.get("up", 1.0)
    return Signals(_duration(values.get(source)), _duration(values.get("jitter")), values.get("loss", down), down)


def _duration(seconds: float | None) -> float | None:
    """Anybody may write to the store; what took less than no time is no measurement."""
    return seconds if seconds is not None and seconds >= 0 else None


def latency_field(reading: Reading) -> str:
    """The field that tells the latency; empty if none has a value."""
    return next(
        (
            found.name
            for found in CATALOGUE[reading.measurement].features
            if found.unit is SECONDS and found.name != "jitter" and found.name in reading.values
        ),
        "",
    )


def loss_field(reading: Reading) -> str:
    """The field that tells the loss: `up` for probes without packets."""
    return "loss" if "loss" in reading.values else UP.name


@dataclass(slots=True)
class Usual:
    """What is usual for one signal: a slow mean and a slow mean absolute deviation, both hard to move by outliers."""

    level: float = 0.0
    scale: float = 0.0
    seen: int = 0

    def distance(self, value: float) -> float:
        """How far a value is from what is usual, in usual deviations, -12..12; 0 until something is known."""
        if self.seen < _HOUR:
            return 0.0
        return max(-_LARGEST, min(_LARGEST, (value - self.level) / max(self.scale, _SMALLEST_SCALE)))

    def learn(self, value: float) -> None:
        """Learn one value."""
        self.seen += 1
        weight = max(1 / self.seen, 1 / _MEMORY)
        most = math.inf if self.seen <= _HOUR else 3 * max(self.scale, _SMALLEST_SCALE)
        step = max(-most, min(most, value - self.level))
        if self.seen > 1:
            self.scale += weight * (abs(step) - self.scale)
        self.level += weight * step


@dataclass(slots=True)
class SeriesSignals:
    """The recent past of one series, made into features.

    >>> series = SeriesSignals()
    >>> for window in range(100):
    ...     features = series.update(window, Signals(0.02 + window % 5 / 1000, None, 0.0, 0.0))
    >>> features["latency"] < 2 < series.update(100, Signals(0.2, None, 0.0, 0.0))["latency now"]
    True
    """

    _latency: Usual = field(default_factory=Usual)
    _jitter: Usual = field(default_factory=Usual)
    _past: deque[tuple[float, float, float, float]] = field(default_factory=lambda: deque(maxlen=_HOUR))
    _unrest: Usual = field(default_factory=Usual)
    _recent: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0])
    _window: int = 0

    @property
    def window(self) -> int:
        """Number of the newest window."""
        return self._window

    def update(self, window: int, signals: Signals) -> Features:
        """Take the next window; returns what is known with it, all numbers near 0 when all is as usual."""
        latency = self._latency.distance(math.log(signals.latency)) if signals.latency else 0.0
        jitter = self._jitter.distance(math.log(signals.jitter)) if signals.jitter else 0.0
        missing = min(max(window - self._window - 1, 0), _HOUR) if self._window else 0
        self._window = window
        change = abs(latency - self._past[-1][0]) if self._past else 0.0
        self._past.append((latency, jitter, math.sqrt(max(signals.loss, 0.0)), signals.down))
        for index, value in enumerate((latency, jitter, self._past[-1][2])):
            self._recent[index] += _RECENT_WEIGHT * (value - self._recent[index])
        features = self._features(change)
        features["missing"] = missing / _HOUR
        if signals.latency:
            self._latency.learn(math.log(signals.latency))
        if signals.jitter:
            self._jitter.learn(math.log(signals.jitter))
        self._unrest.learn(change)
        return features

    def _features(self, change: float) -> Features:
        fast = [*self._past][-_FAST:]
        latency, jitter, loss, _ = (sum(column) / len(fast) for column in zip(*fast, strict=True))
        hour = [sum(column) / len(self._past) for column in zip(*self._past, strict=True)]
        return {
            "latency now": self._past[-1][0],
            "latency": latency,
            "latency, last hour": hour[0],
            "latency, trend": latency - hour[0],
            "latency far above": max(latency - 2, 0.0),
            "latency unrest": min(self._unrest.distance(change), 6.0),
            "jitter": jitter,
            "jitter, last hour": hour[1],
            "jitter, trend": jitter - hour[1],
            "loss now": self._past[-1][2],
            "loss": loss,
            "loss, last hour": hour[2],
            "loss, trend": loss - hour[2],
            "loss while slow": loss * max(latency, 0.0),
            "down, last hour": hour[3],
            **{f"{name}, of late": value for name, value in zip(_NAMES, self._recent, strict=True)},
            **{f"{name}, much of late": max(value, 0.0) ** 2 for name, value in zip(_NAMES, self._recent, strict=True)},
        }
