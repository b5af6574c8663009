"""When packets really left: the kernel's transmit timestamps, which no busy processor between clock and wire spoils.

The kernel queues a timestamp for each packet, with the packet's number on its socket, as it hands the packet to the
interface (SO_TIMESTAMPING; Documentation/networking/timestamping.rst). Not every driver does; then there is none.
"""

import contextlib
import socket
import struct
from typing import Final, Protocol

from streamswarm_agent.net.steady import SteadyClock

_SO_TIMESTAMPING: Final = 37
_TX_SOFTWARE: Final = 1 << 1
_SOFTWARE: Final = 1 << 4
_WITH_NUMBER: Final = 1 << 7
_WITHOUT_PACKET: Final = 1 << 11
_TIMESPEC: Final = struct.Struct("@ll")
_EXTENDED_ERROR: Final = struct.Struct("@IBBBBII")
_FROM_TIMESTAMPING: Final = 4
_RECVERR: Final = {(socket.IPPROTO_IP, 11), (socket.IPPROTO_IPV6, 25)}
_MOST_WAITING: Final = 256


class Departing(Protocol):
    """A packet, with when it was sent, nanoseconds of the steady clock."""

    sent_ns: int


class Departures:
    """Corrects the times of the packets of one socket.

    Args:
        sender: sends them, and nothing else.
        clock: by which they are timed.
    """

    def __init__(self, sender: socket.socket, clock: SteadyClock) -> None:
        self._sender = sender
        self._clock = clock
        self._waiting: dict[int, Departing] = {}
        self._number = 0
        self._count_from_zero()

    def add(self, packet: Departing) -> None:
        """A packet has been sent."""
        self._waiting[self._number] = packet
        self._number = (self._number + 1) & 0xFFFFFFFF
        if len(self._waiting) >= _MOST_WAITING:
            self.learn()
            self._waiting.clear()

    def recount(self) -> None:
        """Sending has failed, and nobody knows whether the kernel has counted that packet."""
        self.learn()
        self._waiting.clear()
        self._count_from_zero()

    def learn(self) -> None:
        """Take what the kernel has said since the last call."""
        while self._waiting:
            try:
                _, ancillary, _, _ = self._sender.recvmsg(0, 512, socket.MSG_ERRQUEUE)
            except OSError:
                return
            left_ns, number = None, None
            for level, kind, content in ancillary:
                if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPING):
                    seconds, nanoseconds = _TIMESPEC.unpack_from(content)
                    left_ns = seconds * 1_000_000_000 + nanoseconds
                elif (level, kind) in _RECVERR:
                    error = _EXTENDED_ERROR.unpack_from(content)
                    number = error[6] if error[1] == _FROM_TIMESTAMPING else None
            packet = self._waiting.pop(number, None) if number is not None else None
            if packet is not None and left_ns is not None:
                packet.sent_ns = self._clock.tell(left_ns, packet.sent_ns) or packet.sent_ns

    def _count_from_zero(self) -> None:
        """The kernel's count begins anew whenever it is switched on."""
        self._number = 0
        with contextlib.suppress(OSError):
            self._sender.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, 0)
            flags = _TX_SOFTWARE | _SOFTWARE | _WITH_NUMBER | _WITHOUT_PACKET
            self._sender.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, flags)
