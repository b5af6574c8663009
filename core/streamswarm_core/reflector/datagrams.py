"""UDP sockets that say when the kernel received a packet, and with which TTL and DSCP."""

import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

_SO_TIMESTAMPING: Final = 37
_TX_SOFTWARE, _RX_SOFTWARE, _SOFTWARE = 1 << 1, 1 << 3, 1 << 4
_TIMESPEC: Final = struct.Struct("@ll")
_INT: Final = struct.Struct("@i")
_PKTINFO: Final = struct.Struct("@i4s4s")
_PKTINFO6: Final = struct.Struct("@16si")
_EXTENDED_ERROR: Final = struct.Struct("@IBBBBII")
_IP_PKTINFO, _IP_RECVTTL, _IP_RECVERR, _IPV6_RECVERR = 8, 12, 11, 25
_ORIGIN_ICMP: Final = (2, 3)
_ANCILLARY_BYTES: Final = 512
_RECEIVE_BUFFER: Final = 2 * 1024 * 1024
_MOST_BYTES: Final = 65_535

Ancillary = Sequence[tuple[int, int, bytes]]


@dataclass(frozen=True, slots=True)
class Datagram:
    """A packet and what the kernel knew of it.

    Attributes:
        payload: after the UDP header.
        sender: as the socket module gives it.
        received_ns: when the kernel got it, realtime clock.
        ttl: TTL or hop limit it came with; None where the kernel doesn't say.
        tos: DSCP and ECN it came with.
        local: the address that it was sent to, to answer from it: ancillary data for `sendmsg`.
    """

    payload: bytes
    sender: Any
    received_ns: int
    ttl: int | None
    tos: int
    local: tuple[tuple[int, int, bytes], ...]


@dataclass(frozen=True, slots=True)
class SendReport:
    """What the kernel says about a packet that was sent.

    Attributes:
        packet: the packet, with whatever headers come before the payload.
        sent_ns: when it was handed to the interface, realtime clock; None for an error.
        error: errno of the ICMP error that came for it, or None.
    """

    packet: bytes
    sent_ns: int | None
    error: int | None


def open_udp(
    family: socket.AddressFamily, host: str, port: int, *, ttl: int, send_reports: bool = False
) -> socket.socket:
    """Open and bind a socket whose packets carry the TTL.

    Args:
        family: AF_INET or AF_INET6; an AF_INET6 socket takes IPv6 only.
        host: address to bind to; empty for any.
        port: 0 takes a free one.
        ttl: of what is sent.
        send_reports: have the kernel say when each packet left, and which ICMP errors came back.

    Raises:
        OSError: the address can't be used.
    """
    opened = socket.socket(family, socket.SOCK_DGRAM)
    try:
        _prepare(opened, family, ttl=ttl, send_reports=send_reports)
        opened.bind((host, port))
    except OSError:
        opened.close()
        raise
    return opened


def _prepare(opened: socket.socket, family: socket.AddressFamily, *, ttl: int, send_reports: bool) -> None:
    opened.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
    flags = _RX_SOFTWARE | _SOFTWARE | (_TX_SOFTWARE if send_reports else 0)
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPING, flags)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    if family == socket.AF_INET6:
        level, options = (
            socket.IPPROTO_IPV6,
            {
                socket.IPV6_V6ONLY: 1,
                socket.IPV6_UNICAST_HOPS: ttl,
                socket.IPV6_RECVHOPLIMIT: 1,
                socket.IPV6_RECVTCLASS: 1,
                socket.IPV6_RECVPKTINFO: 1,
                _IPV6_RECVERR: int(send_reports),
            },
        )
    else:
        level, options = (
            socket.IPPROTO_IP,
            {
                socket.IP_TTL: ttl,
                _IP_RECVTTL: 1,
                socket.IP_RECVTOS: 1,
                _IP_PKTINFO: 1,
                _IP_RECVERR: int(send_reports),
            },
        )
    for option, value in options.items():
        opened.setsockopt(level, option, value)


def receive(opened: socket.socket) -> Datagram:
    """The next packet.

    Raises:
        BlockingIOError: there is none.
        OSError: the kernel reports an error of an earlier packet.
    """
    payload, ancillary, _, sender = opened.recvmsg(_MOST_BYTES, _ANCILLARY_BYTES)
    received_ns, ttl, tos = 0, None, 0
    local: tuple[tuple[int, int, bytes], ...] = ()
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING:
            received_ns = _nanoseconds(content)
        elif level == socket.IPPROTO_IP:
            if kind == socket.IP_TTL:
                ttl = _INT.unpack(content[:4])[0]
            elif kind == socket.IP_TOS:
                tos = content[0]
            elif kind == _IP_PKTINFO:
                _, _, address = _PKTINFO.unpack(content[: _PKTINFO.size])
                local = ((level, kind, _PKTINFO.pack(0, address, bytes(4))),)
        elif level == socket.IPPROTO_IPV6:
            if kind == socket.IPV6_HOPLIMIT:
                ttl = _INT.unpack(content[:4])[0]
            elif kind == socket.IPV6_TCLASS:
                tos = _INT.unpack(content[:4])[0]
            elif kind == socket.IPV6_PKTINFO:
                address, interface = _PKTINFO6.unpack(content[: _PKTINFO6.size])
                link_local = address[:2] == b"\xfe\x80"
                local = ((level, kind, _PKTINFO6.pack(address, interface if link_local else 0)),)
    return Datagram(payload, sender, received_ns or time.time_ns(), ttl, tos, local)


def send(opened: socket.socket, payload: bytes | bytearray, address: Any, *, tos: int, local: Ancillary = ()) -> None:
    """Send with a DSCP and ECN of its own.

    Raises:
        OSError: the kernel refuses.
    """
    if opened.family == socket.AF_INET6:
        mark = (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, _INT.pack(tos))
    else:
        mark = (socket.IPPROTO_IP, socket.IP_TOS, _INT.pack(tos))
    opened.sendmsg([payload], [mark, *local], 0, address)


def next_report(opened: socket.socket) -> SendReport:
    """The next report on a packet that was sent.

    Raises:
        BlockingIOError: there is none.
    """
    packet, ancillary, _, _ = opened.recvmsg(_MOST_BYTES, _ANCILLARY_BYTES, socket.MSG_ERRQUEUE)
    sent_ns, error = None, None
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPING:
            sent_ns = _nanoseconds(content) or None
        elif (level, kind) in {(socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)}:
            number, origin, *_ = _EXTENDED_ERROR.unpack(content[: _EXTENDED_ERROR.size])
            if origin in _ORIGIN_ICMP:
                error = number
    return SendReport(packet, None if error else sent_ns, error)


def _nanoseconds(content: bytes) -> int:
    seconds, nanoseconds = _TIMESPEC.unpack(content[: _TIMESPEC.size])
    return int(seconds * 1_000_000_000 + nanoseconds)
