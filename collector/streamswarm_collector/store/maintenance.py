"""What the store does for itself from time to time: one thread, one job after the other."""

import logging
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from streamswarm_core.clock import Clock

log = logging.getLogger(__name__)

Job = Callable[[int, threading.Event], str]
"""Told the time, in nanoseconds since the epoch, and an event that asks it to stop; says what it did, or ""."""

_STOP_SECONDS: Final = 30.0


class Maintenance:
    """Runs jobs at an interval, until it is closed. A job that fails is tried again in the next round.

    Args:
        jobs: by name, in the order in which they run.
        interval_seconds: from the end of one round to the begin of the next.
        clock: what the jobs take for now.
        on_run: told the job's name, how many seconds it took, and why it failed, or None.
    """

    def __init__(
        self,
        jobs: Mapping[str, Job],
        *,
        interval_seconds: float,
        clock: Clock,
        on_run: Callable[[str, float, str | None], None] = lambda _job, _seconds, _failure: None,
    ) -> None:
        self._jobs = jobs
        self._interval_seconds = interval_seconds
        self._clock = clock
        self._on_run = on_run
        self._stopping = threading.Event()
        self._failures: dict[str, str] = {}
        self._thread = threading.Thread(target=self._run_forever, name="store-maintenance", daemon=True)

    @property
    def failures(self) -> Mapping[str, str]:
        """Why jobs did not work the last time, by name."""
        return dict(self._failures)

    def start(self) -> None:
        """Begin; the first round is one interval away, so that a start is not slowed down."""
        self._thread.start()

    def run_once(self) -> None:
        """One round, here and now."""
        for name, job in self._jobs.items():
            if self._stopping.is_set():
                return
            started = time.monotonic()
            failure: str | None = None
            try:
                done = job(self._clock(), self._stopping)
            except Exception as error:
                failure = str(error).splitlines()[0] if str(error) else type(error).__name__
                self._failures[name] = failure
                log.exception("%s failed; it is tried again in %g s", name, self._interval_seconds)
            else:
                self._failures.pop(name, None)
                log.info("%s: %s (%.2f s)", name, done or "nothing to do", time.monotonic() - started)
            self._on_run(name, time.monotonic() - started, failure)

    def close(self) -> None:
        """Let the running job end after its current step, and return."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(_STOP_SECONDS)

    def _run_forever(self) -> None:
        while not self._stopping.wait(self._interval_seconds):
            self.run_once()
