"""How far the fields of a test are from how they go together, after each was scaled by what is usual for the test.

Mahalanobis, "On the generalised distance in statistics", 1936, with the covariance of Ledoit and Wolf, "A
well-conditioned estimator for large-dimensional covariance matrices", 2004. One covariance serves all tests of a kind:
the scale is a test's own, and what remains is alike. So memory and time don't grow with the tests but for a few numbers
of each, and a new test is judged as soon as it knows its scale. `benchmarks/multivariate.py` compares with forests.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.common import UP
from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.catalogue.model import RATIO, STATE, Measurement
from streamswarm_core.point import Point
from streamswarm_ml.detectors import threshold_for
from streamswarm_ml.detectors.zones import Zones
from streamswarm_ml.libraries import LedoitWolf
from streamswarm_ml.multivariate.calibration import Calibration
from streamswarm_ml.multivariate.season import Hours, Season
from streamswarm_ml.pickles import Pickled, restore
from streamswarm_ml.windows import WINDOW_NS, Reading, Tags, Window

DETECTOR: Final = "multivariate"
ALL_FIELDS: Final = "all"
"""The `field` tag of its records."""
_BASELINE: Final = "recent values and what this hour adds"
_WEIGHT: Final = 0.01
_OF_LATE: Final = 0.3
_BOUND: Final = 10.0
_BOUND_OPEN: Final = 2.0
"""Spreads by which a value moves centre and spread at most; and while an anomaly is open, which would else widen what
counts as a spread until the anomaly is none."""
_WARMUP: Final = 72
_SHORT: Final = 36
"""Windows of an anomaly from which a season learns nothing: else the next day and week would be told as anomalies the
other way round. What lasts longer is learned, or a weekend never would be."""
_KEPT: Final = 4096
_LEAST: Final = 288
_REFIT: Final = 1024
_QUIET: Final = 5
_SETTLED: Final = 144
_NAMED: Final = 1.5

Vector = NDArray[np.float64]


@dataclass(slots=True)
class _Test:
    """What is remembered of one test."""

    window: int = 0
    seen: int = 0
    centre: dict[str, float] = field(default_factory=dict)
    spread: dict[str, float] = field(default_factory=dict)
    late: dict[str, float] = field(default_factory=dict)
    open: bool = False
    quiet: int = 0
    lasted: int = 0
    season: Season | None = None
    zone: str = ""

    def __setstate__(self, state: Pickled) -> None:
        restore(self, state, _Test())


@dataclass(slots=True)
class _Kind:
    """What is remembered of all tests of one measurement: vectors to fit on, how they lie."""

    vectors: Vector
    count: int = 0
    since: int = 0
    shape: LedoitWolf | None = None
    calibration: Calibration = field(default_factory=Calibration)

    def learn(self, vector: Vector) -> None:
        """Keep a vector, in the place of the oldest."""
        self.vectors[self.count % _KEPT] = vector
        self.count += 1
        self.since += 1

    def refit(self) -> None:
        """Fit anew if there is enough, and enough that is new: at most once a window."""
        if self.count >= _LEAST and (self.shape is None or self.since >= _REFIT):
            known = self.vectors[: min(self.count, _KEPT)]
            self.shape = LedoitWolf().fit(known)
            self.since = 0


@dataclass(slots=True)
class MultivariateModel:
    """Scores the five-minute windows of every test that has two fields or more.

    Attributes:
        threshold: score from which an anomaly opens; it closes after five windows below 0.5.
        opened: anomalies so far.
        zones: by which clocks the hours of seasons are counted.
    """

    threshold: float = threshold_for(1.0)
    opened: int = 0
    zones: Zones = field(default_factory=Zones)
    _learned: int = 0
    _tests: dict[tuple[str, Tags], _Test] = field(default_factory=dict)
    _kinds: dict[str, _Kind] = field(default_factory=dict)

    def __setstate__(self, state: Pickled) -> None:
        restore(self, state, MultivariateModel())

    @property
    def samples(self) -> int:
        """Examples learned."""
        return self._learned

    def observe(self, window: Window) -> list[Point]:
        """Score the window's readings, then learn them."""
        by_kind: dict[str, list[Reading]] = {}
        for reading in window.readings:
            if len(judged_fields(CATALOGUE[reading.measurement])) > 1:
                by_kind.setdefault(reading.measurement, []).append(reading)
        return [point for name, readings in by_kind.items() for point in self._judge(name, readings, window)]

    def forget(self, before: int) -> None:
        """Drop what is kept of tests that have had no point since a window."""
        self._tests = {key: one for key, one in self._tests.items() if one.window >= before}

    def report(self) -> Mapping[str, Any]:
        """Figures, JSON-ready."""
        return {
            "tests": len(self._tests),
            "open": sum(one.open for one in self._tests.values()),
            "opened": self.opened,
            "ready": sorted(name for name, kind in self._kinds.items() if kind.calibration.ready),
        }

    def _judge(self, name: str, readings: list[Reading], window: Window) -> list[Point]:
        names = judged_fields(CATALOGUE[name])
        kind = self._kinds.get(name)
        if kind is None or kind.vectors.shape[1] != 2 * len(names):  # of a version that had other fields
            kind = self._kinds[name] = _Kind(np.zeros((_KEPT, 2 * len(names))))
        known = [self._tests.setdefault((name, reading.tags), _Test()) for reading in readings]
        hours = Hours(window.start_ns)
        seasons = [self._season(test, reading, len(names)) for test, reading in zip(known, readings, strict=True)]
        usual = [season.offset(*hours.by(test.zone)) for season, test in zip(seasons, known, strict=True)]
        vectors = np.array(
            [
                _vector(test, reading, names, offsets)
                for test, reading, offsets in zip(known, readings, usual, strict=True)
            ]
        )
        distances = np.sqrt(kind.shape.mahalanobis(vectors)) if kind.shape is not None else None
        points = []
        for at, (test, reading) in enumerate(zip(known, readings, strict=True)):
            ripe = test.seen >= _WARMUP
            if distances is not None and ripe:
                distance, was_open = float(distances[at]), test.open
                score = kind.calibration.score(distance)
                told = self._follow(test, score, vectors[at], names) if kind.calibration.ready else None
                if told is not None:
                    points.append(self._point(reading, window, score, test, told))
                if not was_open:
                    kind.calibration.learn(distance)
            if ripe and not test.open:
                kind.learn(vectors[at])
            kept = _learn(test, reading, names, usual[at])
            seasons[at].learn(*hours.by(test.zone), kept)
            test.window = window.index
            self._learned += 1
        kind.refit()
        return points

    def _season(self, test: _Test, reading: Reading, fields: int) -> Season:
        """The test's season, by the clock of its site."""
        zone = self.zones.of(reading.tags)
        if test.season is None or test.season.fields != fields:
            test.season = Season(fields)
        elif zone != test.zone:
            then = Hours(test.window * WINDOW_NS)
            test.season.turn(then.ahead(zone) - then.ahead(test.zone))
        test.zone = zone
        return test.season

    def _follow(self, test: _Test, score: float, vector: Vector, names: list[str]) -> dict[str, str]:
        """Open or close the test's anomaly; the fields that say so."""
        if not test.open:
            if score < self.threshold:
                return {}
            test.open, test.quiet, test.lasted = True, 0, 0
            self.opened += 1
            return {"event": "open", "view": _leading(vector, names), "baseline": _BASELINE}
        test.lasted += 1
        test.quiet = test.quiet + 1 if score < 0.5 else 0
        told = {"view": _leading(vector, names)}
        if test.quiet >= _QUIET:
            test.open = False
            return {"event": "close", "kind": "incident"}
        if test.lasted >= _SETTLED:
            # It stayed: its scale moves at once.
            test.open, test.seen = False, 0
            return {"event": "close", "kind": "new normal"}
        return told

    def _point(self, reading: Reading, window: Window, score: float, test: _Test, told: Mapping[str, str]) -> Point:
        tags = {
            **dict(reading.tags),
            "measurement": reading.measurement,
            "field": ALL_FIELDS,
            "detector": DETECTOR,
        }
        return ANOMALY.point(
            tags, time_ns=window.start_ns, score=score, threshold=self.threshold, flag=int(test.open), **told
        )


def judged_fields(measurement: Measurement) -> list[str]:
    """The features, and `up`, of a probe's summary; none of others.

    >>> judged_fields(CATALOGUE["icmp"])
    ['loss', 'rtt_mean', 'jitter', 'up']
    """
    if UP.name not in measurement or "target" not in measurement.tags:
        return []
    return [*(declared.name for declared in measurement.features), UP.name]


def _scaled(test: _Test, reading: Reading, name: str, offset: float) -> float:
    """How far a field is from what is usual for the test, as asinh of spreads; 0 if it is missing."""
    value, centre = reading.values.get(name), test.centre.get(name)
    if value is None or centre is None:
        return 0.0
    return math.asinh((value - offset - centre) / max(test.spread[name], _floor(reading.measurement, name, centre)))


def _floor(measurement: str, name: str, centre: float) -> float:
    """The least that counts as a spread: 1 % of the level, or of all."""
    return 0.01 if CATALOGUE[measurement][name].unit in {RATIO, STATE} else 1e-9 + 0.01 * abs(centre)


def _vector(test: _Test, reading: Reading, names: list[str], offsets: Vector) -> Vector:
    """All fields now, and of late."""
    now = [_scaled(test, reading, name, offset) for name, offset in zip(names, offsets.tolist(), strict=True)]
    for name, scaled in zip(names, now, strict=True):
        test.late[name] = test.late.get(name, 0.0) + _OF_LATE * (scaled - test.late.get(name, 0.0))
    return np.array([*now, *(test.late[name] for name in names)])


def _learn(test: _Test, reading: Reading, names: list[str], offsets: Vector) -> Vector:
    """Take a reading in; what its season may learn of it: an outlier only so far."""
    test.seen += 1
    weight = max(1 / test.seen, _WEIGHT)
    kept = np.full(len(names), np.nan)
    for at, (name, offset) in enumerate(zip(names, offsets.tolist(), strict=True)):
        value = reading.values.get(name)
        if value is None:
            continue
        value -= offset
        centre = test.centre.setdefault(name, value)
        spread = test.spread.setdefault(name, 0.0)
        spreads = max(spread, _floor(reading.measurement, name, centre))
        apart = value - centre
        bounded = _clipped(apart, spreads * (_BOUND_OPEN if test.open else _BOUND)) if test.seen > _WARMUP else apart
        test.centre[name] = centre + weight * bounded
        test.spread[name] = spread + weight * (abs(bounded) - spread)
        if not (test.open and test.lasted < _SHORT):
            kept[at] = offset + centre + (_clipped(apart, spreads * _BOUND) if test.seen > _WARMUP else apart)
    return kept


def _clipped(value: float, most: float) -> float:
    return max(-most, min(most, value))


def _leading(vector: Vector, names: list[str]) -> str:
    """The fields that are far out, the farthest first."""
    sizes = np.maximum(np.abs(vector[: len(names)]), np.abs(vector[len(names) :]))
    order = np.argsort(-sizes, kind="stable")
    far = [names[at] for at in order if sizes[at] >= _NAMED]
    return ", ".join(far or [names[order[0]]])
