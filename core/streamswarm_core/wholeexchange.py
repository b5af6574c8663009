"""A bound on the whole of a blocking exchange: urllib3's are for each piece, and a byte a second is never late."""

import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from urllib3 import PoolManager


class WholeExchange:
    """Cuts off what takes too long on the connections to one server; for one exchange at a time.

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
        """End what is done in this block, by the connection's end, if it isn't done after so many seconds.

        Raises:
            TimeoutError: that was so.
        """
        late = threading.Event()
        watchdog = threading.Timer(seconds, self._cut_off, [late])
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

    def _cut_off(self, late: threading.Event) -> None:
        late.set()
        connected: Any = getattr(self._newest, "sock", None)
        # A twin, as the other thread may be reading from this one, and TLS keeps a state.
        with suppress(OSError, AttributeError), socket.socket(fileno=os.dup(connected.fileno())) as twin:
            twin.shutdown(socket.SHUT_RDWR)
