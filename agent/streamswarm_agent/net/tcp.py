"""TCP connection set-up as the kernel sees it.

A program learns late that its connection is established: after a wake-up, and after whatever else its event loop had to
do. So what counts is taken from the kernel: TCP_INFO for the time from SYN to SYN-ACK, receive timestamps for the first
byte, the socket's error queue for the ICMP message that ended an attempt.
"""

import asyncio
import contextlib
import errno
import ipaddress
import os
import socket
import struct
import time
from dataclasses import dataclass
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.steady import STEP_NS
from streamswarm_agent.net.targets import Address
from streamswarm_core.tcpinfo import TcpInfo, read_tcp_info

_SO_TIMESTAMPNS: Final = 35
_SLACK: Final = STEP_NS / 1e9
_TIMESPEC: Final = struct.Struct("@ll")
_EXTENDED_ERROR: Final = struct.Struct("@IBBBBII")
_ORIGINS_ICMP: Final = {2, 3}
_RECEIVE_ERRORS: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, 11),
    socket.AF_INET6: (socket.IPPROTO_IPV6, 25),
}
_OFFENDER: Final = {socket.AF_INET: slice(4, 8), socket.AF_INET6: slice(8, 24)}
# Codes of "destination unreachable" that say "forbidden": RFC 1122 and 1812, RFC 4443.
_PROHIBITED: Final = {socket.AF_INET: (3, {9, 10, 13}), socket.AF_INET6: (1, {1, 5, 6})}


@dataclass(frozen=True, slots=True)
class IcmpError:
    """The ICMP message that ended an attempt.

    Attributes:
        kind: ICMP type.
        code: ICMP code.
        offender: the address of the host that sent it.
        prohibited: whether it says that a filter forbids the connection.
    """

    kind: int
    code: int
    offender: str
    prohibited: bool


@dataclass(slots=True)
class Handshake:
    """One attempt; written as it goes, so that a fault keeps what was known before it.

    Attributes:
        total: seconds from the call to connect until this program was told.
        syn_ack: seconds from SYN to SYN-ACK. After a repeated SYN it comes from the timestamp option, if at all, and is
            good to a millisecond (RFC 7323; a plain measurement could not tell which SYN was answered, RFC 6298).
        syn_retransmits: SYNs sent again.
        info: TCP_INFO right after.
        icmp: the ICMP message that ended the attempt.
        established: monotonic seconds when the SYN-ACK was there.
        resolution: how many seconds `established` may be too early.
    """

    total: float | None = None
    syn_ack: float | None = None
    syn_retransmits: int = 0
    info: TcpInfo | None = None
    icmp: IcmpError | None = None
    established: float | None = None
    resolution: float = 0.0

    @property
    def connect(self) -> float | None:
        """Seconds from the first SYN to established: the kernel's figure where it has one for the whole time."""
        return self.total if self.syn_retransmits or self.syn_ack is None else self.syn_ack

    @property
    def ack(self) -> float | None:
        """Seconds from the SYN-ACK until this program was told."""
        if self.total is None or self.syn_ack is None or self.syn_retransmits:
            return None
        return max(0.0, self.total - self.syn_ack)


async def connect(address: Address, wait: float) -> tuple[socket.socket, float]:
    """Set up a connection; returns the non-blocking socket and the seconds from SYN to established.

    Raises:
        ProbeFault: refused, timed out, unreachable …
    """
    handshake = Handshake()
    opened = await shake_hands(address, wait, handshake)
    return opened, handshake.connect or 0.0


async def shake_hands(address: Address, wait: float, handshake: Handshake) -> socket.socket:
    """Set up a connection, and write to `handshake` how that went; returns the non-blocking socket.

    Raises:
        ProbeFault: refused, timed out, unreachable …
    """
    opened = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        opened.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
        opened.setsockopt(*_RECEIVE_ERRORS[address.family], 1)
        async with asyncio.timeout(wait):
            await _connect(opened, address, handshake)
        # From now on a router's message about one packet must not end the connection.
        opened.setsockopt(*_RECEIVE_ERRORS[address.family], 0)
    except OSError as error:
        info = read_tcp_info(opened)
        handshake.syn_retransmits = info.total_retrans if info else 0
        handshake.icmp = _icmp_error(opened, address.family)
        opened.close()
        if handshake.icmp is not None and handshake.icmp.prohibited:
            # IPv6 calls this EACCES, as if this host forbade it.
            fault = ProbeFault(Fault.UNREACHABLE, f"{handshake.icmp.offender} says that a filter forbids it")
        elif isinstance(error, TimeoutError):
            fault = ProbeFault(Fault.TIMEOUT, f"not connected within {wait:g} s")
        else:
            fault = from_os_error(error)
        raise ProbeFault(fault.fault, f"{address.chosen}{fault.detail}") from None
    except BaseException:
        opened.close()
        raise
    return opened


async def _connect(opened: socket.socket, address: Address, handshake: Handshake) -> None:
    started = time.monotonic()
    code = opened.connect_ex(address.sockaddr)
    handed_over = time.monotonic()
    if code == errno.EINPROGRESS:
        await wait_for(opened, writable=True)
        code = opened.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    told = time.monotonic()
    if code:
        raise OSError(code, os.strerror(code))
    handshake.info = info = read_tcp_info(opened)
    handshake.total = told - started
    handshake.established = told
    if info is None:
        return
    handshake.syn_retransmits = info.total_retrans
    handshake.syn_ack = info.rtt
    if info.rtt is not None and not info.total_retrans:
        handshake.established = min(told, started + info.rtt)
        handshake.resolution = min(handed_over - started, told - handshake.established)


async def first_sign(opened: socket.socket, wait: float, began: float) -> float | None:
    """Wait until the peer says or closes something; when that arrived, monotonic seconds, or None if nothing did.

    The first byte's arrival is the kernel's; that of a close is when this program was told.

    Args:
        opened: the connection.
        wait: seconds.
        began: monotonic seconds when there can't have been a sign yet.

    Raises:
        OSError: the connection was reset or broke.
    """
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    try:
        async with asyncio.timeout(wait):
            await wait_for(opened, writable=False)
    except TimeoutError:
        return None
    told, told_wall = time.monotonic(), time.time_ns()
    # One byte, for a longer read has the time of its last packet.
    _, ancillary, _, _ = opened.recvmsg(1, socket.CMSG_SPACE(_TIMESPEC.size))
    with contextlib.suppress(OSError):
        # Closing with bytes unread would send a reset.
        opened.recv(65_536)
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
            seconds, nanoseconds = _TIMESPEC.unpack(content[: _TIMESPEC.size])
            arrived = told - (told_wall - seconds * 1_000_000_000 - nanoseconds) / 1e9
            # The kernel stamps with the wall clock, which may have been set in the meantime.
            return arrived if began - _SLACK <= arrived <= told else told
    return told


async def wait_for(opened: socket.socket, *, writable: bool) -> None:
    """Wait until a non-blocking socket can be written, or else read."""
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()

    def wake() -> None:
        if not ready.done():
            ready.set_result(None)

    (loop.add_writer if writable else loop.add_reader)(opened, wake)
    try:
        await ready
    finally:
        (loop.remove_writer if writable else loop.remove_reader)(opened)


def _icmp_error(opened: socket.socket, family: socket.AddressFamily) -> IcmpError | None:
    try:
        _, ancillary, _, _ = opened.recvmsg(0, 256, socket.MSG_ERRQUEUE)
    except OSError:
        return None
    for level, kind, content in ancillary:
        if (level, kind) != _RECEIVE_ERRORS[family] or len(content) < _EXTENDED_ERROR.size:
            continue
        _errno, origin, icmp_type, icmp_code, *_ = _EXTENDED_ERROR.unpack_from(content)
        if origin in _ORIGINS_ICMP:
            packed = content[_EXTENDED_ERROR.size :][_OFFENDER[family]]
            offender = str(ipaddress.ip_address(packed)) if len(packed) in {4, 16} else ""
            unreachable, codes = _PROHIBITED[family]
            return IcmpError(icmp_type, icmp_code, offender, icmp_type == unreachable and icmp_code in codes)
    return None
