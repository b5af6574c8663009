"""Names looked up by the system's resolver, each in a thread of its own.

The system's resolver blocks for as long as its servers don't answer, ten seconds and more. In the threads that asyncio
shares, a handful, it would keep everything else of the agent waiting, delivery and exporter among it; and a process
that ends waits for those threads. A thread costs less than a question to a name server.
"""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable
from functools import partial
from typing import Final
from weakref import WeakKeyDictionary

Found = list[tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int]]]
"""Addresses as the resolver orders them, with port 0."""

_MOST_THREADS: Final = 256
_PATIENCE: Final = 8.0
"""Seconds. The system's resolver asks the next server after five. What nobody has answered by now ends as that, before
the ten seconds are over that most tests have, which would say only that the run was given up."""


class _Lookups:
    """Those of one event loop: questions that are alike and asked at the same time are asked once."""

    def __init__(self) -> None:
        self._under_way: dict[tuple[str, socket.AddressFamily], asyncio.Task[Found]] = {}
        self._threads = asyncio.Semaphore(_MOST_THREADS)

    async def ask(self, host: str, family: socket.AddressFamily) -> Found:
        key = (host, family)
        task = self._under_way.get(key)
        if task is None:
            task = self._under_way[key] = asyncio.create_task(self._ask_resolver(host, family), name=f"look up {host}")
            task.add_done_callback(partial(self._forget, key))
        try:
            async with asyncio.timeout(_PATIENCE):
                # Nobody can stop the resolver; the next who asks gets its answer.
                return await asyncio.shield(task)
        except TimeoutError:
            raise socket.gaierror(socket.EAI_AGAIN, f"no name server has answered within {_PATIENCE:g} s") from None

    def _forget(self, key: tuple[str, socket.AddressFamily], task: asyncio.Task[Found]) -> None:
        del self._under_way[key]
        if not task.cancelled():
            task.exception()  # nobody may be left to hear of it

    async def _ask_resolver(self, host: str, family: socket.AddressFamily) -> Found:
        async with self._threads:
            loop = asyncio.get_running_loop()
            answer: asyncio.Future[Found] = loop.create_future()
            thread = threading.Thread(
                target=_block, args=(host, family, loop, answer), name=f"look up {host}", daemon=True
            )
            try:
                thread.start()
            except RuntimeError:
                reason = "this host lets the agent start no more threads (ulimit -u, TasksMax)"
                raise socket.gaierror(socket.EAI_AGAIN, reason) from None
            return await answer


_lookups: WeakKeyDictionary[asyncio.AbstractEventLoop, _Lookups] = WeakKeyDictionary()


async def look_up(host: str, family: socket.AddressFamily) -> Found:
    """Ask the system's resolver: hosts file, name servers, whatever nsswitch.conf says.

    Args:
        host: a name.
        family: AF_INET, AF_INET6, or AF_UNSPEC for both.

    Returns:
        At least one address.

    Raises:
        OSError: there is none, or the resolver doesn't answer (socket.gaierror).
        UnicodeError: no host can have this name.
    """
    loop = asyncio.get_running_loop()
    lookups = _lookups.get(loop)
    if lookups is None:
        lookups = _lookups[loop] = _Lookups()
    return await lookups.ask(host, family)


def _block(
    host: str, family: socket.AddressFamily, loop: asyncio.AbstractEventLoop, answer: asyncio.Future[Found]
) -> None:
    tell: Callable[[], None]
    try:
        found = socket.getaddrinfo(host, 0, family=family, type=socket.SOCK_STREAM)
    except Exception as error:  # noqa: BLE001 - whatever it is, who asks is told
        tell = partial(_settle, answer, error)
    else:
        tell = partial(_settle, answer, [(kind, address) for kind, _, _, _, address in found])  # type: ignore[misc]
    with contextlib.suppress(RuntimeError):  # the loop has been closed meanwhile
        loop.call_soon_threadsafe(tell)


def _settle(answer: asyncio.Future[Found], outcome: Found | Exception) -> None:
    if answer.cancelled():
        return
    if isinstance(outcome, Exception):
        answer.set_exception(outcome)
    else:
        answer.set_result(outcome)
