"""Work that is done again and again beside the requests."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Periodic:
    """A job.

    Attributes:
        name: for the log.
        work: one round; blocking, done in a thread.
        every: seconds between the end of a round and the next.
        leave: called once when the service stops.
    """

    name: str
    work: Callable[[], object]
    every: float
    leave: Callable[[], object] = lambda: None


@contextlib.asynccontextmanager
async def running(jobs: Sequence[Periodic]) -> AsyncIterator[None]:
    """Do the jobs until the block ends; rounds that have begun then are finished."""
    stop = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        for job in jobs:
            group.create_task(_repeat(job, stop), name=job.name)
        try:
            yield
        finally:
            stop.set()


async def _repeat(job: Periodic, stop: asyncio.Event) -> None:
    while not stop.is_set():
        await _attempt(job.name, job.work)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(job.every):
                await stop.wait()
    await _attempt(job.name, job.leave)


async def _attempt(name: str, work: Callable[[], object]) -> None:
    try:
        await asyncio.to_thread(work)
    except Exception:  # noqa: BLE001 - a job outlives whatever one round meets, and says so
        _log.exception("a round of %s failed; it is tried again", name)
