"""All detectors learned anew from what the store has: `/detectors/reset`, a job to be watched and cancelled."""

import asyncio
import dataclasses
from collections.abc import Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.routing import Route

from streamswarm_core.clock import now_ns
from streamswarm_core.tokens import Scope
from streamswarm_ml.access import Gatekeeper
from streamswarm_ml.answering import guarded
from streamswarm_ml.jobs import Job, JobRunner
from streamswarm_ml.pipeline import Pipeline
from streamswarm_ml.progress import Progress

_LONGEST_WAIT: Final = 30.0


class DetectorJobs:
    """Resets a pipeline when somebody asks for it.

    Args:
        pipeline: whose detectors are learned anew; it scores nothing else meanwhile.
        clock: nanoseconds since the epoch.
    """

    def __init__(self, pipeline: Pipeline, clock: Callable[[], int] = now_ns) -> None:
        self._pipeline = pipeline
        self._jobs = JobRunner(clock)

    def routes(self, gatekeeper: Gatekeeper) -> list[Route]:
        """What is asked over HTTP."""
        return [
            guarded("/detectors/reset", "POST", gatekeeper, Scope.ADMIN, self._begin, status=202),
            guarded("/detectors/job", "GET", gatekeeper, Scope.READ, self._tell),
            guarded("/detectors/job", "DELETE", gatekeeper, Scope.ADMIN, self._cancel),
        ]

    def close(self) -> None:
        """End the job; a reset that isn't done has changed no detector."""
        self._jobs.cancel()
        self._jobs.wait(_LONGEST_WAIT)

    async def _begin(self, _request: Request) -> Any:
        return _told(await asyncio.to_thread(self._jobs.begin, "reset", ("detectors",), self._reset))

    async def _tell(self, _request: Request) -> Any:
        return _told(self._jobs.job)

    async def _cancel(self, _request: Request) -> Any:
        return _told(self._jobs.cancel())

    def _reset(self, job: Job) -> None:
        def go_on(progress: Progress) -> bool:
            job.progress = progress.share
            return not self._jobs.cancelled

        self._pipeline.reset(go_on)
        job.progress = job.progress if self._jobs.cancelled else 1.0


def _told(job: Job | None) -> dict[str, Any]:
    return {"job": dataclasses.asdict(job) if job else None}
