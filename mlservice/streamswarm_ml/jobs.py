"""Something long that is done in a thread, one at a time."""

from dataclasses import dataclass
from enum import StrEnum

from streamswarm_core.errors import StreamSwarmError


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
