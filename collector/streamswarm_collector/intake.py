"""Bounds the memory of what is on its way from the network to the log and the store.

After an outage every agent comes with a full spool at once. What doesn't fit waits where it is safe, in the spools:
the sender is told to come again (429 and Retry-After) before the memory is taken, not after.
"""

from collections.abc import Callable
from typing import Final

from streamswarm_core.closing import Closing
from streamswarm_core.errors import Unavailable

_RETRY_AFTER_SECONDS: Final = 2.0


class Intake:
    """Counts the bytes of bodies, unpacked, from their arrival until their points are stored. For one event loop.

    Args:
        most_bytes: how many there may be at a time.
        waiting_bytes: what is acknowledged and waits in memory for the embedded store.
    """

    def __init__(self, most_bytes: int, waiting_bytes: Callable[[], int] = lambda: 0) -> None:
        self._most_bytes = most_bytes
        self._waiting_bytes = waiting_bytes
        self.bytes = 0

    def room(self) -> "Room":
        """Room for one body, given back when the context ends."""
        return Room(self)

    def take(self, more: int) -> None:
        """Count more bytes.

        Raises:
            Unavailable: they are too many; a body that is alone is always let in.
        """
        taken = self.bytes + self._waiting_bytes()
        if taken and taken + more > self._most_bytes:
            raise Unavailable(
                f"the collector is busy with {taken} bytes of points and takes {self._most_bytes} at a time; "
                "wait and send again",
                retry_after=_RETRY_AFTER_SECONDS,
            )
        self.bytes += more


class Room(Closing):
    """What one request has taken."""

    def __init__(self, intake: Intake) -> None:
        self._intake = intake
        self._bytes = 0

    def grow(self, size: int) -> None:
        """Take room up to a size; what was reserved before stays.

        Raises:
            Unavailable: there is none.
        """
        if size > self._bytes:
            self._intake.take(size - self._bytes)
            self._bytes = size

    def close(self) -> None:
        """Give it back."""
        self._intake.bytes -= self._bytes
        self._bytes = 0
