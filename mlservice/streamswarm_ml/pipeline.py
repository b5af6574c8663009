"""Reads new points, scores them, writes the scores back, and remembers where it stopped.

A point is scored once: the state is saved after the scores are stored. A crash in between repeats the same points with
the same detectors, which gives the same scores for the same series and times, and those overwrite themselves.
"""

import logging
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_core.catalogue import CATALOGUE, Measurement
from streamswarm_core.catalogue.common import UP
from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.clock import NANOSECONDS, now_ns
from streamswarm_core.errors import Refused, Unavailable
from streamswarm_core.lineprotocol import encode_lines
from streamswarm_core.point import Point
from streamswarm_core.reader import Reader, Select, Series
from streamswarm_core.writer import LineWriter
from streamswarm_ml.detectors import Detector, Ensemble, StateDetector
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.state import StateFile

log = logging.getLogger(__name__)

_CHUNK_NS: Final = 3600 * NANOSECONDS
_LINES_A_WRITE: Final = 5000
_VERSION: Final = 1

SeriesKey = tuple[str, tuple[tuple[str, str], ...], str]
"""Measurement, sorted tags, field."""


@dataclass(slots=True)
class SeriesState:
    """One watched series.

    Attributes:
        detector: its detector.
        cursor: time of the newest scored point, nanoseconds since the epoch.
        flag: whether it is in an anomaly.
    """

    detector: Detector
    cursor: int
    flag: bool = False


@dataclass(slots=True)
class Counts:
    """What the service did since it started."""

    cycles: int = 0
    points: int = 0
    late: int = 0
    failures: int = 0
    last_seconds: float = 0.0
    last_error: str = ""
    lag_seconds: float | None = None


@dataclass(slots=True)
class _Saved:
    version: int
    read_until: dict[str, int]
    series: dict[SeriesKey, SeriesState] = field(default_factory=dict)


class Pipeline:
    """Scores every feature of the catalogue, and `up`, of every series in the store.

    Args:
        settings: the service's settings.
        reader: where points come from.
        writer: where scores go.
        state: what is remembered.
        clock: nanoseconds since the epoch.
    """

    def __init__(
        self,
        settings: MlSettings,
        reader: Reader,
        writer: LineWriter,
        state: StateFile,
        clock: Callable[[], int] = now_ns,
    ) -> None:
        self._settings = settings
        self._reader = reader
        self._writer = writer
        self._state = state
        self._clock = clock
        self.counts = Counts()
        self._saved = self._load()

    @property
    def series(self) -> Mapping[SeriesKey, SeriesState]:
        """All watched series."""
        return self._saved.series

    @property
    def state_bytes(self) -> int:
        """Size of the state on disk."""
        return self._state.size

    def open_anomalies(self) -> list[SeriesKey]:
        """The series that are in an anomaly."""
        return [key for key, state in self.series.items() if state.flag]

    def cycle(self) -> int:
        """Score what is new; returns how many points.

        Raises:
            Unavailable: the store can't be reached; nothing is lost, the next cycle begins at the same place.
            Refused: the store doesn't take the query or the scores.
        """
        try:
            return self._cycle()
        except (Unavailable, Refused):
            # The detectors have learned points whose scores were not stored: go back to where the state was saved.
            self._saved = self._load()
            raise

    def _load(self) -> _Saved:
        saved = self._state.load()
        return saved if isinstance(saved, _Saved) and saved.version == _VERSION else _Saved(_VERSION, {})

    def _cycle(self) -> int:
        begun = time.monotonic()
        scored = 0
        stored = set(self._reader.measurements())
        for measurement in CATALOGUE.values():
            fields = watched_fields(measurement)
            if fields and measurement.name in stored:
                scored += self._score_measurement(measurement, fields)
        self.counts.cycles += 1
        self.counts.points += scored
        self.counts.last_seconds = time.monotonic() - begun
        return scored

    def _score_measurement(self, measurement: Measurement, fields: list[str]) -> int:
        now = self._clock()
        first_start = now - int(self._settings.lookback_hours * 3600 * NANOSECONDS)
        known = self._saved.read_until.get(measurement.name)
        late = int(self._settings.lateness_seconds * NANOSECONDS)
        start = first_start if known is None else known - late
        scored = 0
        while start < now:
            stop = min(start + _CHUNK_NS, now)
            statement = Select(measurement.name, fields, start_ns=start, stop_ns=stop, group_by=("*",))
            scores = list(self._scores(measurement.name, self._reader.select(statement)))
            for first in range(0, len(scores), _LINES_A_WRITE):
                self._writer.write(encode_lines(scores[first : first + _LINES_A_WRITE]))
            newest = max((point.time_ns or 0 for point in scores), default=0)
            if newest:
                self.counts.lag_seconds = (self._clock() - newest) / NANOSECONDS
            self._saved.read_until[measurement.name] = max(known or 0, newest, stop - late)
            if scores or known is None:
                self._state.save(self._saved)
            scored += len(scores)
            start = stop
        return scored

    def _scores(self, measurement: str, answer: list[Series]) -> Iterator[Point]:
        for series in answer:
            tags = tuple(sorted((key, value) for key, value in series.tags.items() if value))
            for record in series.records():
                time_ns = int(record["time"] or 0)
                for name in series.columns[1:]:
                    value = record[name]
                    if isinstance(value, int | float) and math.isfinite(value):
                        point = self._score_value((measurement, tags, name), float(value), time_ns)
                        if point is not None:
                            yield point

    def _score_value(self, key: SeriesKey, value: float, time_ns: int) -> Point | None:
        """Score a value unless it is not newer than what its series has seen."""
        state = self._saved.series.get(key)
        if state is None:
            state = self._saved.series[key] = SeriesState(self._new_detector(key[2]), cursor=time_ns - 1)
        if time_ns <= state.cursor:
            return None
        verdict = state.detector.update(value, time_ns)
        state.cursor = time_ns
        state.flag = verdict.flag
        measurement, tags, name = key
        fields: dict[str, Any] = {
            "score": verdict.score,
            "threshold": verdict.threshold,
            "flag": verdict.flag,
            "expected": verdict.expected,
            "value": value,
        }
        judged = {**dict(tags), "measurement": measurement, "field": name, "detector": state.detector.name}
        return ANOMALY.point(judged, time_ns=time_ns, **fields)

    def _new_detector(self, name: str) -> Detector:
        if name == UP.name:
            return StateDetector()
        return Ensemble(threshold=self._settings.threshold, warmup=self._settings.warmup_points)


def watched_fields(measurement: Measurement) -> list[str]:
    """The features of a measurement, and `up` of a probe's."""
    names = [declared.name for declared in measurement.features]
    if UP.name in measurement and UP.help == measurement[UP.name].help:
        names.append(UP.name)
    return names
