"""Reads new points, scores them, writes the scores back, and remembers where it stopped.

A point is scored once: the state is saved after the scores are stored. A crash in between repeats the same points with
the same detectors, which gives the same scores for the same series and times, and those overwrite themselves. So the
state may be some minutes old: it is 4 kB for each series, and saving it with every cycle would wear out a disk.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from streamswarm_core.catalogue import CATALOGUE, Measurement
from streamswarm_core.catalogue.common import UP
from streamswarm_core.catalogue.ml import ANOMALY
from streamswarm_core.clock import NANOSECONDS, now_ns
from streamswarm_core.errors import Unavailable
from streamswarm_core.reader import Reader, Select, Series
from streamswarm_core.writer import LineWriter
from streamswarm_ml.answers import batch_of, tags_of
from streamswarm_ml.detectors import threshold_for
from streamswarm_ml.maintenance import Maintenance
from streamswarm_ml.plans import Plans
from streamswarm_ml.progress import Progress, Training, Watcher, go_on
from streamswarm_ml.records import Records
from streamswarm_ml.settings import MlSettings
from streamswarm_ml.spans import Spans
from streamswarm_ml.state import StateFile
from streamswarm_ml.watched import SeriesKey, Watched, shard_of

log = logging.getLogger(__name__)

_GONE_NS: Final = 2 * 86_400 * NANOSECONDS
_FORGOTTEN_NS: Final = 14 * 86_400 * NANOSECONDS
_FORGET_EVERY_NS: Final = 3600 * NANOSECONDS
_SAVE_EVERY_NS: Final = 300 * NANOSECONDS
_LONGEST_WAIT: Final = 30.0
_LINES_A_WRITE: Final = 20_000


@dataclass(slots=True)
class Counts:
    """What the service did since it started."""

    cycles: int = 0
    points: int = 0
    failures: int = 0
    last_seconds: float = 0.0
    last_error: str = ""
    lag_seconds: float | None = None
    unwatched: dict[str, int] = field(default_factory=dict)
    """Of each measurement the series that were in the newest answer and are beyond `most_series`."""

    @property
    def series_not_watched(self) -> int:
        """All of them."""
        return sum(list(self.unwatched.values()))  # a list, as another thread may add one


class Pipeline:
    """Scores every feature of the catalogue, and `up`, of every series of this service's shard.

    Safe to use from several threads: one scores at a time.

    Args:
        settings: the service's settings.
        reader: where points come from.
        writer: where scores go.
        state: what is remembered.
        clock: nanoseconds since the epoch.
        plans: when what is not to be judged; the settings' windows if not given.
    """

    def __init__(
        self,
        settings: MlSettings,
        reader: Reader,
        writer: LineWriter,
        state: StateFile,
        clock: Callable[[], int] = now_ns,
        plans: Plans | None = None,
    ) -> None:
        self._plans = plans or Plans(settings.maintenance, time_zone=settings.time_zone)
        self._settings = settings
        self._reader = reader
        self._writer = writer
        self._state = state
        self._clock = clock
        self._lock = threading.Lock()
        self._spans = Spans()
        self._records = Records()
        self._forgot_ns = 0
        self._saved_ns: int | None = None
        self._unsaved = self._torn = False
        self.counts = Counts()
        self._watched = self._load()

    @property
    def series(self) -> list[SeriesKey]:
        """All watched series."""
        return list(self._watched.keys)

    @property
    def series_by_zone(self) -> Mapping[str, int]:
        """How many series' hours are counted by the clock of each time zone."""
        return self._watched.series_by_zone

    @property
    def state_bytes(self) -> int:
        """Size of the state on disk."""
        return self._state.size

    @property
    def memory_bytes(self) -> int:
        """What the detectors take in memory."""
        return self._watched.bytes_in_memory()

    def open_anomalies(self) -> list[SeriesKey]:
        """The series that are in an anomaly; not those whose test has gone, of which nothing came for two days."""
        return self._watched.open(self._clock() - _GONE_NS)

    def cycle(self) -> int:
        """Score what is new; returns how many points.

        Raises:
            Unavailable: the store can't be reached; nothing is lost, the next cycle begins at the same place.
            Refused: the store doesn't take the query or the scores.
            OSError: the state can't be saved; the scores are stored, and the next cycle goes on behind them.
        """
        return self.train().points

    def train(self, watcher: Watcher = go_on) -> Training:
        """Catch up with the store: score and learn what came since the last time.

        Args:
            watcher: told of the progress; what was scored until it says stop is kept.

        Raises:
            Unavailable: as `cycle`.
            Refused: as `cycle`.
        """
        with self._lock:
            begun = time.monotonic()
            try:
                done = self._score_all(watcher, first_start=self._lookback(), save=True)
            finally:
                if self._torn:
                    # Points were learned whose scores are not stored: back to where the state was saved. Whatever else
                    # went wrong, the detectors go on from memory.
                    self._watched = self._load()
                else:
                    self._forget()
                    self._save_now_and_then()
            self.counts.cycles += 1
            self.counts.last_seconds = time.monotonic() - begun
            return Training(done[0], len(self._watched.keys), self.counts.last_seconds, done[1])

    def close(self) -> None:
        """Save what is new; a cycle that still waits for the store is repeated by the next start."""
        if self._lock.acquire(timeout=_LONGEST_WAIT):
            try:
                self._save()
            finally:
                self._lock.release()

    def reset(self, watcher: Watcher = go_on) -> Training:
        """Forget everything and learn it again from all stored history, whose scores are written anew.

        Until it is done the old state stays on disk; a reset that was cancelled, failed or killed has changed no
        detector, only scores.

        Raises:
            Unavailable: as `cycle`.
            Refused: as `cycle`.
        """
        with self._lock:
            begun, before, heads = time.monotonic(), self._watched, self._records
            self._watched, self._records = self._fresh(), Records()
            self._watched.count_hours_by(before.zones)
            done = (0, True)
            try:
                done = self._score_all(watcher, first_start=None, save=False)
                if not done[1]:
                    self._unsaved = True
                    self._save()
            finally:
                self._torn = False
                if done[1]:
                    self._watched, self._records = before, heads
            return Training(done[0], len(self._watched.keys), time.monotonic() - begun, done[1])

    def _fresh(self) -> Watched:
        return Watched(threshold_for(self._settings.false_alarms), self._settings.warmup_points)

    def _load(self) -> Watched:
        watched, saved = self._fresh(), self._state.load()
        self._records = Records()
        self._unsaved = self._torn = False
        if saved is None:
            return watched
        try:
            watched.restore(saved)
        except (ValueError, KeyError) as error:
            log.warning("%s is of another version (%s); starting afresh", self._state.path, error)
            return self._fresh()
        return watched

    def _save(self) -> None:
        if self._unsaved:
            self._state.save(self._watched.save())
            self._unsaved, self._saved_ns = False, self._clock()

    def _save_now_and_then(self) -> None:
        """Save what is new if the last time was a while ago, or ahead of a clock that was set back."""
        if self._saved_ns is None or not 0 <= self._clock() - self._saved_ns < _SAVE_EVERY_NS:
            self._save()

    def _forget(self) -> None:
        """Drop series without a point for two weeks, as the models do: with them memory would grow for ever."""
        now = self._clock()
        if now - self._forgot_ns >= _FORGET_EVERY_NS:
            self._forgot_ns = now
            if dropped := self._watched.forget(_FORGOTTEN_NS):
                self._records = Records()
                self._unsaved = True
                log.info("%d series without a point for two weeks are forgotten", dropped)

    def _set_clocks(self) -> None:
        """Count hours by the zones that are told; those known last, which the state has, while none are."""
        self._watched.count_hours_by(self._plans.zones(self._watched.zones))

    def _lookback(self) -> int:
        return self._clock() - int(self._settings.lookback_hours * 3600 * NANOSECONDS)

    def _score_all(self, watcher: Watcher, *, first_start: int | None, save: bool) -> tuple[int, bool]:
        """Score every measurement up to now; how many points, and whether it was cancelled."""
        begun, scored = time.monotonic(), 0
        self._set_clocks()
        stored = set(self._reader.measurements())
        chosen = [
            (measurement, fields)
            for measurement in CATALOGUE.values()
            if measurement.name in stored and (fields := watched_fields(measurement))
        ]
        # What couldn't be read the last time holds up nobody else.
        chosen.sort(key=lambda one: self._spans.is_held_up(one[0].name))
        for number, (measurement, fields) in enumerate(chosen):

            def report(share: float, points: int, number: int = number, name: str = measurement.name) -> bool:
                whole = (number + share) / len(chosen)
                return watcher(Progress(name, whole, scored + points, time.monotonic() - begun))  # noqa: B023 - at once

            points, stopped = self._score_measurement(measurement, fields, report, first_start, save=save)
            scored += points
            if stopped:
                return scored, True
        return scored, False

    def _score_measurement(
        self,
        measurement: Measurement,
        fields: list[str],
        report: Callable[[float, int], bool],
        first_start: int | None,
        *,
        save: bool,
    ) -> tuple[int, bool]:
        now, name = self._clock(), measurement.name
        late = int(self._settings.lateness_seconds * NANOSECONDS)
        known = self._watched.read_until.get(name)
        if known is not None:
            # What was read by a clock that was ahead is read again, so that nothing waits until it is that late.
            start = min(known, now) - late
        else:
            start = self._earliest(name, fields, now) if first_start is None else first_start
        begin, scored = start, 0
        while start < now:
            span = self._spans.of(name)
            stop = min(start + span, now)
            try:
                answer = self._reader.select(Select(name, fields, start_ns=start, stop_ns=stop, group_by=("*",)))
            except Unavailable:
                self._spans.shorten(name, span)
                raise
            points, read = self._score_answer(name, answer, self._plans.maintenance(start, stop))
            scored += points
            self._spans.take(name, span, read)
            reached = max(self._watched.read_until.get(name, 0), stop - late)
            self._watched.read_until[name] = reached
            self._unsaved = self._unsaved or bool(points) or known is None
            if save and stop < now:
                self._save_now_and_then()
            start = stop
            if not report((start - begin) / max(now - begin, 1), scored):
                return scored, True
        self._spans.end(name)
        return scored, False

    def _earliest(self, name: str, fields: list[str], now: int) -> int:
        found = self._reader.select(Select(name, fields, stop_ns=now, limit=1))
        return min((int(row[0] or 0) for series in found for row in series.rows), default=now)

    def _score_answer(self, measurement: str, answer: list[Series], maintenance: Maintenance) -> tuple[int, int]:
        """Score an answer and store the scores; how many points were new, and how many there were."""
        beyond = 0

        def number_of(key: SeriesKey) -> int | None:
            nonlocal beyond
            if key not in self._watched.keys and len(self._watched.keys) >= self._settings.most_series:
                beyond += 1
                return None
            return self._watched.number(key)

        read = batch_of(measurement, self._ours(measurement, answer), maintenance, number_of)
        self._note_unwatched(measurement, beyond)
        batch = self._watched.news(read)
        if len(batch):
            self._torn = True
            told = self._watched.judge(batch)
            lines = self._records.lines(batch, told, list(self._watched.keys), self._watched.threshold)
            for first in range(0, len(lines), _LINES_A_WRITE):
                self._writer.write(("\n".join(lines[first : first + _LINES_A_WRITE]) + "\n").encode())
            self._torn = False
            self.counts.points += len(batch)
            self.counts.lag_seconds = (self._clock() - int(batch.times_ns.max())) / NANOSECONDS
        return len(batch), len(read)

    def _ours(self, measurement: str, answer: list[Series]) -> list[Series]:
        shards, shard = self._settings.shards, self._settings.shard
        return [one for one in answer if shards == 1 or shard_of(measurement, tags_of(one), shards) == shard]

    def _note_unwatched(self, measurement: str, beyond: int) -> None:
        """Keep how many series are not watched, and say so once when that begins."""
        if beyond and not self.counts.series_not_watched:
            log.error(
                "%d series are watched, as many as most_series allows; %d new ones of %s are not scored",
                len(self._watched.keys),
                beyond,
                measurement,
            )
        self.counts.unwatched[measurement] = beyond


def watched_fields(measurement: Measurement) -> list[str]:
    """The features of a measurement, and `up` of a probe's; none of our own scores."""
    if measurement.name == ANOMALY.name:
        return []
    names = [declared.name for declared in measurement.features]
    if UP.name in measurement and UP.help == measurement[UP.name].help:
        names.append(UP.name)
    return names
