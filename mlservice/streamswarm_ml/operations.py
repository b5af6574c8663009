"""Runs the models: learns what is new, writes what they say, keeps versions; `relearning` makes them anew."""

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streamswarm_core.clock import NANOSECONDS, from_ns, now_ns
from streamswarm_core.lineprotocol import encode_lines
from streamswarm_core.point import Point
from streamswarm_core.reader import Reader
from streamswarm_core.writer import LineWriter
from streamswarm_ml.detectors import threshold_for
from streamswarm_ml.failure.model import FailureModel, Objective
from streamswarm_ml.health.model import HealthModel
from streamswarm_ml.health.rule import Limits
from streamswarm_ml.infrastructure.model import InfrastructureModel
from streamswarm_ml.jobs import Job, JobRunner
from streamswarm_ml.labels import Label, LabelLog, learn_label
from streamswarm_ml.models import MODELS, Model
from streamswarm_ml.multivariate.model import MultivariateModel
from streamswarm_ml.plans import Plans
from streamswarm_ml.registry import ModelRefused, ModelStore, Version
from streamswarm_ml.relearning import oldest_window, replay
from streamswarm_ml.trained import ModelGauge, Trained
from streamswarm_ml.windows import WINDOW_NS, Window, read_windows

log = logging.getLogger(__name__)

_CHUNK_WINDOWS: Final = 72
_LINES_A_WRITE: Final = 5000
_DAY: Final = 288
_FORGET_WINDOWS: Final = 14 * _DAY
_SAVE_NS: Final = 3600 * NANOSECONDS
FORMAT: Final = 1


@dataclass(slots=True)
class _Saved:
    """What a version holds. Pickles name this class by its module: where it moves, no version can be read any more."""

    model: Model
    next_window: int


@dataclass(slots=True)
class Progress:
    """Where the loop is."""

    last_error: str = ""
    saved_ns: int = 0
    windows: int = 0


class Operations:
    """All models of one service. Its methods may be called from any thread.

    Args:
        reader: where points come from.
        writer: where what models say goes.
        store: keeps versions.
        labels: what operators said.
        lookback_seconds: how far the first start looks back.
        lateness_seconds: a window is read this long after its end.
        limits: the thresholds that health starts from.
        objective: what counts as a failure.
        false_alarms: anomalies of a healthy test in a week that are put up with.
        plans: what is maintained, and the tests' own thresholds, which go before limits and objective.
        clock: nanoseconds since the epoch.
    """

    def __init__(
        self,
        reader: Reader,
        writer: LineWriter,
        store: ModelStore,
        labels: LabelLog,
        *,
        lookback_seconds: float,
        lateness_seconds: float,
        limits: Limits | None = None,
        objective: Objective | None = None,
        false_alarms: float = 1.0,
        plans: Plans | None = None,
        clock: Callable[[], int] = now_ns,
    ) -> None:
        self.reader: Final = reader
        self._writer = writer
        self.store: Final = store
        self._labels = labels
        self._lateness_ns = int(lateness_seconds * NANOSECONDS)
        self._limits = limits or Limits()
        self._objective = objective or Objective()
        self._threshold = threshold_for(false_alarms)
        self._plans = plans or Plans()
        self._clock = clock
        self._lock = threading.RLock()
        self._jobs = JobRunner(clock)
        self._unsent: list[Point] = []
        self._forgot = 0
        self.progress = Progress(saved_ns=clock())
        first = (clock() - int(lookback_seconds * NANOSECONDS)) // WINDOW_NS
        self._trained = {name: self._load(name, first) for name in MODELS}

    @property
    def job(self) -> Job | None:
        """The newest job, whether it runs or is over; None before the first."""
        return self._jobs.job

    def now(self) -> int:
        """Nanoseconds since the epoch."""
        return self._clock()

    def model(self, name: str) -> Model:
        """The model in use.

        Raises:
            KeyError: there is no such model.
        """
        return self._trained[name].model

    def cycle(self) -> int:
        """Learn the windows that are new and write what is said of them; returns how many windows.

        Raises:
            Unavailable: the store can't be reached; the next cycle begins at the same place.
            Refused: the store doesn't take the query or the points.
        """
        with self._lock:
            self._send()
            stop = self._complete()
            start = min(trained.next_window for trained in self._trained.values())
            done = 0
            while start < stop:
                until = min(start + _CHUNK_WINDOWS, stop)
                windows = list(self._windows(start, until))
                self._observe(windows, until)
                done += len(windows)
                start = until
            self.progress.windows += done
            if self._clock() - self.progress.saved_ns >= _SAVE_NS:
                self.save()
            return done

    def save(self) -> None:
        """Store a version of every model."""
        with self._lock:
            for name, trained in self._trained.items():
                self._save(name, trained)
            self.progress.saved_ns = self._clock()

    def train(self) -> Job:
        """Begin to learn what is new, and save.

        Raises:
            Busy: a job runs.
        """
        return self._jobs.begin("train", tuple(MODELS), self._train)

    def reset(self, names: Sequence[str]) -> Job:
        """Begin to make models anew from all stored points and labels; the old ones serve until that is done.

        Raises:
            Busy: a job runs.
            KeyError: there is no such model.
        """
        for name in names:
            self._trained[name]
        return self._jobs.begin("reset", tuple(names), self._reset)

    def cancel(self) -> Job | None:
        """Ask the job to end; what it has done so far is dropped."""
        return self._jobs.cancel()

    def wait(self, seconds: float) -> None:
        """Wait until the job is over, or that long."""
        self._jobs.wait(seconds)

    def roll_back(self, name: str, version: int | None) -> Version:
        """Put an older version in use.

        Raises:
            ModelRefused: there is none, or it can't be trusted.
            KeyError: there is no such model.
        """
        with self._lock:
            now = self._trained[name].next_window
            known = self.store.roll_back(name, version, format=FORMAT)
            saved: _Saved | None = self.store.load(name, format=FORMAT)
            if saved is not None:
                # What it hasn't seen since it would take in again, mistakes and all: it goes on from now.
                self._trained[name] = Trained(self._configured(saved.model), now)
            return known

    def feedback(self, label: Label) -> None:
        """Learn what an operator said, and keep it.

        Raises:
            UnknownWindowError, UnknownResultError: the model doesn't remember that moment.
        """
        with self._lock:
            model = self._trained[label.model].model
            if isinstance(model, HealthModel | InfrastructureModel):
                learn_label(model, label)
                self._labels.append(label)

    def status(self, name: str) -> Mapping[str, Any]:
        """What there is to know of one model, JSON-ready.

        Raises:
            KeyError: there is no such model.
        """
        with self._lock:
            trained = self._trained[name]
            versions = self.store.versions(name)
            current = self.store.current(name)
            used = next((known for known in versions if known.version == current), None)
            return {
                "model": name,
                "samples": trained.model.samples,
                "trained_until": from_ns(trained.next_window * WINDOW_NS).isoformat(),
                "saved_at": used.saved_at if used else None,
                "version": current,
                "bytes_on_disk": sum(known.size for known in versions),
                "refused": trained.refused or None,
                "figures": trained.model.report(),
            }

    def gauge(self, name: str) -> ModelGauge:
        """What metrics tell of a model. Waits for no lock, so that a training in progress doesn't hold up a scrape.

        Raises:
            KeyError: there is no such model.
        """
        trained = self._trained[name]
        until = trained.next_window * WINDOW_NS
        return ModelGauge(
            samples=trained.model.samples,
            trained_until=until / NANOSECONDS,
            lag=max(0.0, (self._clock() - until) / NANOSECONDS),
            bytes_on_disk=self.store.size(name),
        )

    def _complete(self) -> int:
        return (self._clock() - self._lateness_ns) // WINDOW_NS

    def _windows(self, start: int, stop: int) -> Iterator[Window]:
        span = start * WINDOW_NS, stop * WINDOW_NS
        return self._plans.applied(read_windows(self.reader, *span), *span)

    def _observe(self, windows: Iterable[Window], until: int) -> None:
        for trained in self._trained.values():
            self._configured(trained.model)
        for window in windows:
            for trained in self._trained.values():
                if window.index >= trained.next_window:
                    self._unsent += trained.model.observe(window)
                    trained.next_window = window.index + 1
        for trained in self._trained.values():
            trained.next_window = max(trained.next_window, until)
            if until // _DAY != self._forgot:
                trained.model.forget(until - _FORGET_WINDOWS)
        self._forgot = until // _DAY
        self._send()

    def _send(self) -> None:
        # The models have learned what these were made of, so they can't be made again: they wait for the store.
        while self._unsent:
            self._writer.write(encode_lines(self._unsent[:_LINES_A_WRITE]))
            del self._unsent[:_LINES_A_WRITE]

    def _load(self, name: str, first: int) -> Trained:
        try:
            saved: _Saved | None = self.store.load(name, format=FORMAT)
        except ModelRefused as refusal:
            log.error("%s", refusal)  # noqa: TRY400 - the message is for a person, no traceback needed
            return Trained(self._new(name), first, refused=str(refusal))
        if saved is None:
            return Trained(self._new(name), first)
        return Trained(self._configured(saved.model), saved.next_window)

    def _new(self, name: str) -> Model:
        return self._configured(MODELS[name]())

    def _configured(self, model: Model) -> Model:
        """With the limits, threshold and clocks of today: a stored model has those of the day it was saved."""
        if isinstance(model, HealthModel):
            model.limits = self._limits
        elif isinstance(model, FailureModel):
            model.objective = self._objective
        elif isinstance(model, MultivariateModel):
            model.threshold = self._threshold
            model.zones = self._plans.zones(model.zones)
        return model

    def _save(self, name: str, trained: Trained) -> Version:
        saved = _Saved(trained.model, trained.next_window)
        return self.store.save(name, saved, samples=trained.model.samples, format=FORMAT)

    def _train(self, job: Job) -> None:
        self.cycle()
        self.save()
        job.progress = 1.0

    def _reset(self, job: Job) -> None:
        fresh = {name: self._new(name) for name in job.models}
        labels = deque(sorted(self._labels.read(), key=lambda label: label.time_ns))
        begin = position = oldest_window(self.reader, self._clock())
        # The loop goes on meanwhile; the last windows are read with it held, so that none is missed or seen twice.
        while (stop := self._complete()) - position > _CHUNK_WINDOWS:
            replay(fresh, labels, self._windows(position, position + _CHUNK_WINDOWS))
            position += _CHUNK_WINDOWS
            job.progress = (position - begin) / max(stop - begin, 1)
            if self._jobs.cancelled:
                return
        with self._lock:
            stop = self._complete()
            replay(fresh, labels, self._windows(position, stop))
            if self._jobs.cancelled:
                return
            for name, model in fresh.items():
                self._trained[name] = Trained(model, stop)
                self._save(name, self._trained[name])
        job.progress = 1.0
