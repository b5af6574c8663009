import os
import socket
import struct
from dataclasses import dataclass
from typing import Final

# struct tcp_info of linux/tcp.h: eight bytes of flags, then 32-bit and 64-bit numbers in its order.
_RTT_AT: Final = 68
_TOTAL_RETRANS_AT: Final = 100
_MIN_RTT_AT: Final = 148
_BYTES: Final = 192
_TCP_NOTSENT_LOWAT: Final = 25
_MOST_NOT_SENT: Final = 65_536
_U32: Final = struct.Struct("@I")


@dataclass(frozen=True, slots=True)
class TcpInfo:
    """What the kernel knows of a connection.

    Attributes:
        rtt: smoothed round-trip time, seconds.
        min_rtt: shortest round-trip time, seconds; None from an old kernel.
        retransmits: segments sent again.
    """

    rtt: float
    min_rtt: float | None
    retransmits: int


def read_tcp_info(descriptor: int) -> TcpInfo | None:
    """Ask the kernel about a connected socket; None if it is closed."""
    try:
        # A transport's socket object may have no getsockopt; its file descriptor can't be lent without a copy.
        with socket.socket(fileno=os.dup(descriptor)) as copied:
            told = copied.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _BYTES)
    except OSError:
        return None
    shortest = _U32.unpack_from(told, _MIN_RTT_AT)[0] / 1e6 if len(told) >= _MIN_RTT_AT + 4 else None
    return TcpInfo(
        _U32.unpack_from(told, _RTT_AT)[0] / 1e6, shortest, int(_U32.unpack_from(told, _TOTAL_RETRANS_AT)[0])
    )


def keep_little_unsent(descriptor: int) -> None:
    """Have the kernel take no more than it can soon send, so that a slow link is done soon after the last write."""
    with socket.socket(fileno=os.dup(descriptor)) as copied:
        copied.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _MOST_NOT_SENT)
