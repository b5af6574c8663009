"""Something long that is done in a thread, one at a time."""

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum

from streamswarm_core.clock import from_ns
from streamswarm_core.errors import StreamSwarmError
from streamswarm_ml.loops import UNEXPECTED

log = logging.getLogger(__name__)


class JobState(StrEnum):
    """How a job is."""

    RUNNING = "running"
    DONE = "done"
    CANCELLED = "cancelled"
    FAILED = "failed"


@dataclass(slots=True)
class Job:
    """Something long that was asked for.

    Attributes:
        kind: train or reset.
        models: which.
        state: how it is.
        progress: share of the time span done, 0..1.
        started_at: ISO 8601, UTC.
        finished_at: likewise; empty while it runs.
        error: why it failed.
    """

    kind: str
    models: tuple[str, ...]
    started_at: str
    state: JobState = JobState.RUNNING
    progress: float = 0.0
    finished_at: str = ""
    error: str = ""


class Busy(StreamSwarmError):  # noqa: N818 - a state
    """A job runs already; it can be cancelled."""


class JobRunner:
    """Does one job at a time. Its methods may be called from any thread.

    Attributes:
        job: the newest, whether it runs or is over; None before the first.

    Args:
        clock: nanoseconds since the epoch.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._cancel = threading.Event()
        self._thread: threading.Thread | None = None
        self.job: Job | None = None

    @property
    def cancelled(self) -> bool:
        """Whether the job is to end; long work looks now and then."""
        return self._cancel.is_set()

    def begin(self, kind: str, models: tuple[str, ...], work: Callable[[Job], None]) -> Job:
        """Begin a job in a thread of its own.

        Args:
            kind: train or reset.
            models: which.
            work: does it, and may say how far it is.

        Raises:
            Busy: a job runs.
        """
        with self._lock:
            if self.job is not None and self.job.state is JobState.RUNNING:
                raise Busy(f"a {self.job.kind} is running since {self.job.started_at}; wait for it, or cancel it")
            self._cancel.clear()
            job = self.job = Job(kind, models, from_ns(self._clock()).isoformat())
            self._thread = threading.Thread(target=self._run, args=(job, work), name=f"models {kind}", daemon=True)
            self._thread.start()
            return job

    def cancel(self) -> Job | None:
        """Ask the job to end."""
        self._cancel.set()
        return self.job

    def wait(self, seconds: float) -> None:
        """Wait until the job is over, or that long."""
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self, job: Job, work: Callable[[Job], None]) -> None:
        state = JobState.FAILED
        try:
            work(job)
            state = JobState.CANCELLED if self.cancelled else JobState.DONE
        except StreamSwarmError as error:
            job.error = str(error)
        except Exception:
            job.error = UNEXPECTED
            log.exception("%s of %s failed", job.kind, ", ".join(job.models))
        finally:
            job.finished_at = from_ns(self._clock()).isoformat()
            job.state = state
