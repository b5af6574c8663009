"""A realtime clock that a test sets, which the real one can't be without spoiling everything else on the machine."""

import socket
import struct
import time
from typing import Any, Final

import pytest

from streamswarm_core.clock import NANOSECONDS

_TIMESPEC: Final = struct.Struct("@ll")
_STAMPS: Final = {35, 37}
"""SO_TIMESTAMPNS and SO_TIMESTAMPING."""


class SetClock:
    """The realtime clock, and the kernel's time stamps by it.

    Whatever is read once it was set has come since, even if loopback was faster; what was sent before has left before.
    """

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._seconds, self._since_ns = 0, 0
        read = socket.socket.recvmsg

        def read_set(opened: socket.socket, size: int, room: int, flags: int = 0) -> Any:
            since_ns = self._since_ns if flags & socket.MSG_ERRQUEUE else 0
            message, ancillary, *rest = read(opened, size, room, flags)
            return message, [(*what, self._set(what, text, since_ns)) for *what, text in ancillary], *rest

        monkeypatch.setattr(socket.socket, "recvmsg", read_set)

    def set_by(self, seconds: int) -> None:
        """Set it."""
        self._seconds, self._since_ns = seconds, time.time_ns()

    def wall_ns(self) -> int:
        """What it shows."""
        return time.time_ns() + self._seconds * NANOSECONDS

    def _set(self, what: list[int], text: bytes, since_ns: int) -> bytes:
        if what[0] != socket.SOL_SOCKET or what[1] not in _STAMPS:
            return text
        seconds, nanoseconds = _TIMESPEC.unpack_from(text)
        if seconds * NANOSECONDS + nanoseconds < since_ns:
            return text
        return _TIMESPEC.pack(seconds + self._seconds, nanoseconds) + text[_TIMESPEC.size :]
