"""Packets as the kernel sees them pass an interface, with its own clock: what a probe's times are held against."""

import socket
import struct
from dataclasses import dataclass
from typing import Final, Self

from tests.lab.namespace import LabError, Namespace

SOL_PACKET: Final = 263
SO_TIMESTAMPNS: Final = 35
ALL_PROTOCOLS: Final = 0x0003
BUFFER_BYTES: Final = 32 * 1024 * 1024
_PACKET_STATISTICS: Final = 6
_STATISTICS: Final = struct.Struct("@II")
_TIMESPEC: Final = struct.Struct("@ll")
_LARGEST: Final = 65_535
_ICMPV6: Final = 58


@dataclass(frozen=True, slots=True)
class Captured:
    """One packet.

    Attributes:
        at_ns: when it passed, realtime clock, the clock of kernel timestamps.
        outgoing: it left by this interface; False if it came in.
        packet: from its IP header on.
    """

    at_ns: int
    outgoing: bool
    packet: bytes

    @property
    def transport(self) -> bytes:
        """From the header of ICMP, UDP or TCP on."""
        return self.packet[40:] if self.packet[0] >> 4 == 6 else self.packet[(self.packet[0] & 0x0F) * 4 :]


class Capture:
    """Captures from when it is made: `with Capture(line.near, "to-r1") as seen:`."""

    def __init__(self, namespace: Namespace, interface: str) -> None:
        self._name = f"{interface} of {namespace.name}"
        with namespace.entered():
            self._socket = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        enlarge_buffers(self._socket)
        with namespace.entered():
            self._socket.bind((interface, ALL_PROTOCOLS))

    def take(self) -> list[Captured]:
        """The IP packets that have passed since the last call, but for neighbours' chatter.

        Raises:
            LabError: there were more than the buffer holds; ask more often.
        """
        packets = []
        while True:
            try:
                packet, ancillary, _flags, sender = self._socket.recvmsg(_LARGEST, 64)
            except BlockingIOError:
                break
            if not is_chatter(packet):
                seconds, nanoseconds = _TIMESPEC.unpack_from(ancillary[0][2])
                outgoing = sender[2] == socket.PACKET_OUTGOING
                packets.append(Captured(seconds * 1_000_000_000 + nanoseconds, outgoing, packet))
        if dropped := overflow(self._socket):
            raise LabError(f"the capture on {self._name} has lost {dropped} packets; take them more often")
        return packets

    def close(self) -> None:
        """Capture no more."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def is_chatter(packet: bytes) -> bool:
    """Say whether a packet is what neighbours say to keep a link going: ARP, multicast reports, neighbour discovery.

    It comes when it likes, so it is neither impaired nor counted.
    """
    match packet[:1] and packet[0] >> 4:
        case 4:
            return packet[16] >> 4 == 0xE
        case 6:
            discovery = packet[6] == _ICMPV6 and 133 <= packet[40] <= 137
            return packet[24] == 0xFF or discovery
        case _:
            return True


def overflow(packets: socket.socket) -> int:
    """How many packets a packet socket has lost since this was last asked."""
    _, dropped = _STATISTICS.unpack(packets.getsockopt(SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size))
    return int(dropped)


def enlarge_buffers(opened: socket.socket) -> None:
    """Make room for bursts."""
    so_sndbufforce, so_rcvbufforce = 32, 33
    try:
        opened.setsockopt(socket.SOL_SOCKET, so_rcvbufforce, BUFFER_BYTES)
        opened.setsockopt(socket.SOL_SOCKET, so_sndbufforce, BUFFER_BYTES)
    except PermissionError:
        # In a user namespace; the kernel cuts these down to net.core.rmem_max and wmem_max.
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER_BYTES)
