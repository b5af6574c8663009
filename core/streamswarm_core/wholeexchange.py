"""A bound on the whole of a blocking exchange: timeouts are for each piece, and a byte a second is never late."""

import os
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

from urllib3 import PoolManager


@contextmanager
def within(seconds: float, connected: Callable[[], Any]) -> Iterator[None]:
    """End what is done in this block, by the connection's end, if it isn't done after so many seconds.

    Args:
        seconds: how many.
        connected: gives the socket, also one of TLS, that is spoken by; None if there is none yet.

    Raises:
        TimeoutError: that was so.
    """
    late = threading.Event()
    watchdog = threading.Timer(seconds, _cut_off, [late, connected])
    watchdog.daemon = True
    watchdog.start()
    try:
        yield
    except Exception:
        if not late.is_set():
            raise
    finally:
        watchdog.cancel()
    if late.is_set():  # headers that end with the connection would be taken for all of them
        raise TimeoutError(f"no whole answer within {seconds:.3g} s")


def _cut_off(late: threading.Event, connected: Callable[[], Any]) -> None:
    late.set()
    # A twin, as the other thread may be reading from this one, and TLS keeps a state.
    with suppress(OSError, AttributeError), socket.socket(fileno=os.dup(connected().fileno())) as twin:
        twin.shutdown(socket.SHUT_RDWR)


class WholeExchange:
    """Bounds the exchanges on urllib3's connections to one server; for one exchange at a time.

    Args:
        manager: has the connections.
        url: of the server.
    """

    def __init__(self, manager: PoolManager, url: str) -> None:
        pool = manager.connection_from_url(url)
        self._open = pool.ConnectionCls
        self._newest: Any = None
        pool.ConnectionCls = self._remember  # type: ignore[assignment] # it is only ever called

    def _remember(self, **options: Any) -> Any:
        self._newest = self._open(**options)
        return self._newest

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """As above, of whichever connection is spoken by."""
        with within(seconds, lambda: getattr(self._newest, "sock", None)):
            yield
