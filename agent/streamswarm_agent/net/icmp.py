"""ICMP echo for all targets from one socket per address family.

Receive times are the kernel's (SO_TIMESTAMPNS), so a busy event loop doesn't lengthen a round trip. Requests are told
apart by sequence number and by a random nonce in the payload, so that duplicates, late replies and other programs'
pings are never taken for an answer. ICMP: RFC 792; ICMPv6: RFC 4443; jitter: RFC 3550, section 6.4.1.
"""

import asyncio
import contextlib
import itertools
import os
import secrets
import socket
import statistics
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.targets import Address

_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@ll")
_ECHO: Final = struct.Struct("!BBHHH")
_NONCE_BYTES: Final = 8
_ECHO_TYPES: Final = {socket.AF_INET: (8, 0), socket.AF_INET6: (128, 129)}
_UNREACHABLE_TYPES: Final = {socket.AF_INET: 3, socket.AF_INET6: 1}
_ICMP6_FILTER: Final = 1
_IP_RECVTTL: Final = 12
_MOST_PACKETS_PER_WAKE: Final = 512
_RECEIVE_BUFFER: Final = 4 * 1024 * 1024


@dataclass(slots=True)
class _Request:
    """One echo request on its way.

    Attributes:
        nonce: what its payload begins with.
        sent_ns: when it was sent, realtime clock, the clock of the kernel's timestamps.
        rtt: seconds, once there is a reply.
        duplicates: further replies.
        ttl: of the reply.
        unreachable: a router said that the target can't be reached.
        answered: set by reply or error.
    """

    nonce: bytes
    sent_ns: int = 0
    rtt: float | None = None
    duplicates: int = 0
    ttl: int | None = None
    unreachable: bool = False
    answered: asyncio.Event = field(default_factory=asyncio.Event)


@dataclass(frozen=True, slots=True)
class EchoRun:
    """What several echo requests to one address came to.

    Attributes:
        rtts: seconds, in the order of the requests; None for a lost one.
        duplicates: replies that came more than once.
        ttl: TTL or hop limit of the last reply.
        unreachable: requests that a router answered with "destination unreachable".
    """

    rtts: Sequence[float | None]
    duplicates: int
    ttl: int | None
    unreachable: int

    @property
    def received(self) -> list[float]:
        """Round-trip times of the answered requests, seconds."""
        return [rtt for rtt in self.rtts if rtt is not None]

    @property
    def loss(self) -> float:
        """Share of the requests without a reply."""
        return 1 - len(self.received) / len(self.rtts)

    @property
    def stddev(self) -> float | None:
        """Population standard deviation of the round-trip times, seconds."""
        return statistics.pstdev(self.received) if self.received else None

    @property
    def jitter(self) -> float | None:
        """Interarrival jitter, seconds, with the difference of round-trip times as D (RFC 3550, 6.4.1)."""
        times = self.received
        if len(times) < 2:
            return None
        jitter = 0.0
        for before, after in itertools.pairwise(times):
            jitter += (abs(after - before) - jitter) / 16
        return jitter


class _FamilySocket:
    """The socket of one address family, and the requests that wait on it."""

    def __init__(self, family: socket.AddressFamily, loop: asyncio.AbstractEventLoop) -> None:
        self._family = family
        self._socket, self._raw = _open(family)
        self._identifier = os.getpid() & 0xFFFF
        self._sequence = secrets.randbelow(0x10000)
        self._waiting: dict[int, _Request] = {}
        self._loop = loop
        loop.add_reader(self._socket.fileno(), self._receive)

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def send(self, address: Address, size: int) -> tuple[int, _Request]:
        """Send one request.

        Raises:
            ProbeFault: the kernel refuses.
        """
        if len(self._waiting) >= 0xFFFF:
            raise ProbeFault(Fault.INTERNAL, "65,535 echo requests are under way; nothing more can be told apart")
        while (sequence := self._sequence) in self._waiting:
            self._sequence = (self._sequence + 1) & 0xFFFF
        self._sequence = (self._sequence + 1) & 0xFFFF
        request = _Request(secrets.token_bytes(_NONCE_BYTES))
        packet = _echo_request(self._family, self._identifier, sequence, request.nonce.ljust(size, b"\0"))
        self._waiting[sequence] = request
        request.sent_ns = time.time_ns()
        try:
            self._socket.sendto(packet, (address.host, 0, *address.sockaddr[2:]))
        except OSError as error:
            del self._waiting[sequence]
            raise from_os_error(error) from None
        return sequence, request

    def forget(self, sequences: Sequence[int]) -> None:
        """Take no more replies for these."""
        for sequence in sequences:
            self._waiting.pop(sequence, None)

    def _receive(self) -> None:
        for _ in range(_MOST_PACKETS_PER_WAKE):
            try:
                packet, ancillary, _flags, _sender = self._socket.recvmsg(65_535, 256)
            except BlockingIOError:
                return
            except OSError:
                # An error of an earlier packet (such as EHOSTUNREACH) is reported here once; its request times out.
                continue
            self._take(packet, ancillary)

    def _take(self, packet: bytes, ancillary: Sequence[tuple[int, int, bytes]]) -> None:
        received_ns, ttl = time.time_ns(), None
        for level, kind, content in ancillary:
            if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS:
                seconds, nanoseconds = _TIMESPEC.unpack(content[: _TIMESPEC.size])
                received_ns = seconds * 1_000_000_000 + nanoseconds
            elif (level, kind) in {
                (socket.IPPROTO_IP, socket.IP_TTL),
                (socket.IPPROTO_IPV6, socket.IPV6_HOPLIMIT),
            }:
                ttl = struct.unpack("@i", content[:4])[0]
        if self._raw and self._family == socket.AF_INET:
            ttl = packet[8]
            packet = packet[(packet[0] & 0x0F) * 4 :]
        if len(packet) < _ECHO.size:
            return
        kind, _code, _checksum, _identifier, sequence = _ECHO.unpack_from(packet)
        if kind == _ECHO_TYPES[self._family][1]:
            request = self._waiting.get(sequence)
            if request is not None and packet[_ECHO.size : _ECHO.size + _NONCE_BYTES] == request.nonce:
                _answer(request, received_ns, ttl)
        elif kind == _UNREACHABLE_TYPES[self._family]:
            self._take_unreachable(packet[_ECHO.size :])

    def _take_unreachable(self, quoted: bytes) -> None:
        """A router quotes the packet that it could not deliver: IP header and at least eight bytes."""
        header = (quoted[0] & 0x0F) * 4 if self._family == socket.AF_INET and quoted else 40
        if len(quoted) < header + _ECHO.size:
            return
        kind, _code, _checksum, identifier, sequence = _ECHO.unpack_from(quoted, header)
        request = self._waiting.get(sequence)
        if kind == _ECHO_TYPES[self._family][0] and identifier == self._identifier and request is not None:
            request.unreachable = True
            request.answered.set()


def _answer(request: _Request, received_ns: int, ttl: int | None) -> None:
    if request.rtt is not None:
        request.duplicates += 1
        return
    request.rtt = max(0, received_ns - request.sent_ns) / 1e9
    request.ttl = ttl
    request.answered.set()


class IcmpEngine:
    """Sends and receives for all targets of a process; sockets are opened when they are first needed."""

    def __init__(self) -> None:
        self._sockets: dict[socket.AddressFamily, _FamilySocket] = {}

    async def echo(self, address: Address, *, count: int, spacing: float, wait: float, size: int) -> EchoRun:
        """Send `count` requests, `spacing` seconds apart, and wait at most `wait` seconds for the reply to the last.

        Raises:
            ProbeFault: the process may not send ICMP, or the kernel has no route.
        """
        channel = self._channel(address.family)
        requests: dict[int, _Request] = {}
        try:
            begun = time.monotonic()
            for number in range(count):
                if number:
                    await asyncio.sleep(max(0.0, begun + number * spacing - time.monotonic()))
                sequence, request = channel.send(address, size)
                requests[sequence] = request
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    for request in requests.values():
                        await request.answered.wait()
        finally:
            channel.forget(list(requests))
        finished = list(requests.values())
        ttls = [request.ttl for request in finished if request.ttl is not None]
        return EchoRun(
            rtts=[request.rtt for request in finished],
            duplicates=sum(request.duplicates for request in finished),
            ttl=ttls[-1] if ttls else None,
            unreachable=sum(request.unreachable for request in finished),
        )

    def close(self) -> None:
        """Close the sockets."""
        for channel in self._sockets.values():
            channel.close()
        self._sockets.clear()

    def _channel(self, family: socket.AddressFamily) -> _FamilySocket:
        if family not in self._sockets:
            self._sockets[family] = _FamilySocket(family, asyncio.get_running_loop())
        return self._sockets[family]


def _open(family: socket.AddressFamily) -> tuple[socket.socket, bool]:
    """Open an ICMP socket, unprivileged where the kernel allows it, raw where not; says whether it is raw."""
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            opened = socket.socket(family, kind, protocol)
        except PermissionError:
            continue
        except OSError as error:
            raise from_os_error(error) from None
        _prepare(opened, family, raw=kind == socket.SOCK_RAW)
        return opened, kind == socket.SOCK_RAW
    raise ProbeFault(
        Fault.PERMISSION,
        "this user may not send ICMP; allow it with sysctl net.ipv4.ping_group_range='0 2147483647' or CAP_NET_RAW",
    )


def _prepare(opened: socket.socket, family: socket.AddressFamily, *, raw: bool) -> None:
    opened.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
    opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    if family == socket.AF_INET6:
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
        if raw:
            # A set bit blocks the type; pass echo replies (129) and unreachable (1) only.
            words = [0xFFFFFFFF] * 8
            for kind in (1, 129):
                words[kind >> 5] &= ~(1 << (kind & 31))
            opened.setsockopt(socket.IPPROTO_ICMPV6, _ICMP6_FILTER, struct.pack("@8I", *words))
    elif not raw:
        opened.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 1)


def _echo_request(family: socket.AddressFamily, identifier: int, sequence: int, payload: bytes) -> bytes:
    kind = _ECHO_TYPES[family][0]
    # ICMPv6's checksum covers addresses that only the kernel knows, so it writes that one itself.
    checksum = 0
    if family == socket.AF_INET:
        checksum = internet_checksum(_ECHO.pack(kind, 0, 0, identifier, sequence) + payload)
    return _ECHO.pack(kind, 0, checksum, identifier, sequence) + payload


def internet_checksum(message: bytes) -> int:
    """The Internet checksum, RFC 1071.

    >>> hex(internet_checksum(bytes.fromhex("0001f203f4f5f6f7")))
    '0x220d'
    """
    padded = message + b"\0" * (len(message) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
