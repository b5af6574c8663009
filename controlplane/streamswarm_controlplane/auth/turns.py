"""Passwords are checked few at a time: each takes 64 MB and a core for a moment, and who asks needs no account.

Nobody waits in a thread for long, because all other requests need the threads too.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from streamswarm_controlplane.problems import ApiError

AT_A_TIME: Final = 2
"""In a worker: hashing uses several cores by itself."""
WAITING: Final = 6
_WAIT_SECONDS: Final = 5.0

_hashing: Final = threading.BoundedSemaphore(AT_A_TIME)
_admitted: Final = threading.BoundedSemaphore(AT_A_TIME + WAITING)


@contextmanager
def hashing_turn() -> Iterator[None]:
    """Wait for a turn.

    Raises:
        ApiError: 503 with Retry-After where too many wait already, before anything was counted as an attempt.
    """
    if not _admitted.acquire(blocking=False):
        raise _busy()
    try:
        if not _hashing.acquire(timeout=_WAIT_SECONDS):
            raise _busy()
        try:
            yield
        finally:
            _hashing.release()
    finally:
        _admitted.release()


def _busy() -> ApiError:
    return ApiError(503, "too many logins at the same time; try again in a moment", headers={"Retry-After": "2"})
