"""Threads for queries: small ones go by long ones, which are few at a time, and nobody works for a client that left."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, TypeVar

from streamswarm_collector.influxql.stopping import Stop, StoppedError
from streamswarm_core.errors import Unavailable

Result = TypeVar("Result")

_LONG_SECONDS: Final = 1.0
"""Time from which a query is a long one: nobody can tell before."""
_REPEAT_SECONDS: Final = 0.05


class GoneError(Exception):
    """The client went away; its query was ended."""


class QueryLanes:
    """As many places for queries that have just begun as for long ones.

    A query begins in a place of the first kind. When it turns out to be a long one it moves on to one of the second;
    where none is free it is stopped, to be asked anew when one is.

    Args:
        places: of each kind.
        patience: seconds that a query may wait for a place.
        long_seconds: time from which a query is a long one.
    """

    def __init__(self, places: int, patience: float, long_seconds: float = _LONG_SECONDS) -> None:
        self._threads = ThreadPoolExecutor(2 * places, thread_name_prefix="query")
        self._places = places
        self._patience = patience
        self._long_seconds = long_seconds
        self._begun = asyncio.Semaphore(places)
        self._long = asyncio.Semaphore(places)

    async def run(self, answer: Callable[[Stop], Result], gone: "asyncio.Future[None]") -> Result:
        """Have a query answered in a thread.

        Args:
            answer: what to do; has an effect only if it isn't stopped.
            gone: done when nobody waits for the answer any more.

        Raises:
            GoneError: nobody does.
            Unavailable: there was no place in time.
        """
        async with contextlib.AsyncExitStack() as long_place:
            async with self._place(self._begun, gone):
                work, stop = self._start(answer)
                await self._watch(work, stop, gone, self._long_seconds)
                if work.done():
                    return work.result()
                stopped = self._long.locked()
                if not stopped:
                    await long_place.enter_async_context(self._place(self._long, gone))
                else:
                    with contextlib.suppress(StoppedError):
                        return await _ended(work, stop)
            if stopped:
                await long_place.enter_async_context(self._place(self._long, gone))
                work, stop = self._start(answer)
            await self._watch(work, stop, gone, None)
            return work.result()

    def close(self) -> None:
        """Begin nothing more, and wait for what is under way."""
        self._threads.shutdown(cancel_futures=True)

    def _start(self, answer: Callable[[Stop], Result]) -> "tuple[asyncio.Future[Result], Stop]":
        stop = Stop()
        return asyncio.get_running_loop().run_in_executor(self._threads, answer, stop), stop

    async def _watch(
        self, work: "asyncio.Future[Result]", stop: Stop, gone: "asyncio.Future[None]", seconds: float | None
    ) -> None:
        """Wait for an answer, the end of the time, or the client's going away, which ends the work."""
        try:
            await _first_of(work, gone, seconds)
        except asyncio.CancelledError:
            stop.request()
            raise
        if gone.done() and not work.done():
            with contextlib.suppress(StoppedError):
                await _ended(work, stop)
            raise GoneError

    @contextlib.asynccontextmanager
    async def _place(self, places: asyncio.Semaphore, gone: "asyncio.Future[None]") -> AsyncIterator[None]:
        if places.locked():
            waiting = asyncio.ensure_future(places.acquire())
            try:
                await _first_of(waiting, gone, self._patience)
            finally:
                got = waiting.done() and not waiting.cancelled()
                if not got:
                    waiting.cancel()
            if not got:
                if gone.done():
                    raise GoneError
                raise Unavailable(
                    f"{self._places} long queries are under way, and none of them ended within {self._patience:g} s; "
                    "ask for less, or again in a moment"
                )
        else:
            await places.acquire()
        try:
            yield
        finally:
            places.release()


async def _first_of(one: "asyncio.Future[Any]", other: "asyncio.Future[Any]", seconds: float | None) -> None:
    await asyncio.wait([one, other], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)


async def _ended(work: "asyncio.Future[Result]", stop: Stop) -> Result:
    """Stop a query and wait until it has; its answer if it came first.

    Raises:
        StoppedError: it was stopped.
    """
    while not work.done():
        stop.request()
        await asyncio.wait({work}, timeout=_REPEAT_SECONDS)
    return work.result()
