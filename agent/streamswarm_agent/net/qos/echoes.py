"""Requests of any traffic class and size to one target, and when their replies came: ICMP echo, or UDP to a reflector.

All classes are one flow to a load balancer (the same addresses, ports or identifier), so they take the same way unless
somebody routes by class. Times are the kernel's for arrivals.
"""

import asyncio
import errno
import itertools
import secrets
import socket
import struct
from dataclasses import dataclass, replace
from typing import Final, Protocol

from streamswarm_agent.faults import from_os_error
from streamswarm_agent.net.icmp.errors import Kind, unreachable_words
from streamswarm_agent.net.path.flows import Flow
from streamswarm_agent.net.path.hops import Answer, HopListener, Sent, arrival_time, traffic_class
from streamswarm_agent.net.steady import SteadyClock
from streamswarm_agent.net.targets import Address
from streamswarm_core.probespecs import TraceMethod

_TTL: Final = 64
_SO_TIMESTAMPNS: Final = 35
_MOST_PACKETS_PER_WAKE: Final = 512
_RECEIVE_BUFFER: Final = 4 * 1024 * 1024
_IP_AND_UDP: Final = {socket.AF_INET: 28, socket.AF_INET6: 48}
_TOS_OPTIONS: Final = {
    socket.AF_INET: (socket.IPPROTO_IP, socket.IP_TOS, socket.IP_RECVTOS),
    socket.AF_INET6: (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, socket.IPV6_RECVTCLASS),
}
_NO_ROOM: Final = {errno.ENOBUFS, errno.EAGAIN}

_STAMP: Final = struct.Struct("!I8sH30x")
"""A sender's packet of RFC 8762, section 4.2.1: sequence number, timestamp, error estimate, zeros."""
_ERROR_ESTIMATE: Final = 0x0001
_NTP_EPOCH: Final = 2_208_988_800
_NAME_BYTES: Final = 12
"""Sequence number and timestamp, by which a request is known when it comes back."""
_REFLECTED_SEQUENCE: Final = 24
"""Where a reflector repeats the sender's sequence number and timestamp, RFC 8762 section 4.3.1."""


@dataclass(slots=True, eq=False)
class Request:
    """A packet on its way there and back.

    Attributes:
        tos: traffic class it left with.
        size: bytes, IP header included.
        sent_ns: steady clock.
        received_ns: when the reply came; None while there is none.
        reply_tos: traffic class of the reply as it arrived.
        refusal: why there will be no reply, in words, if somebody said so.
    """

    tos: int
    size: int
    sent_ns: int = 0
    received_ns: int | None = None
    reply_tos: int | None = None
    refusal: str | None = None

    @property
    def rtt(self) -> float | None:
        """Seconds; None without a reply."""
        return None if self.received_ns is None else max(0, self.received_ns - self.sent_ns) / 1e9


class Exchange(Protocol):
    """A way to send requests."""

    def send(self, tos: int, size: int) -> Request:
        """Send one now; what becomes of it is written into it until `forget`.

        Raises:
            ProbeFault: the kernel doesn't send it.
        """

    def forget(self) -> None:
        """Take no more replies to what was sent so far; later ones count as lost."""

    def close(self) -> None:
        """Forget, and let go of everything."""


class IcmpExchange:
    """ICMP echo, through the listener that all traces of the agent share."""

    def __init__(self, listener: HopListener, address: Address) -> None:
        self._listener = listener
        self._flow = Flow.to(address, TraceMethod.ICMP, 0)
        self._flows: dict[int, Flow] = {}
        self._open: dict[Sent, Request] = {}

    def send(self, tos: int, size: int) -> Request:
        """Send an echo request."""
        flow = self._flows.get(tos)
        if flow is None:
            flow = self._flows[tos] = replace(self._flow, tos=tos)
        request = Request(tos, size)
        try:
            sent = self._listener.send(flow, _TTL, self._take, size=size)
        except OSError as error:
            raise from_os_error(error) from None
        request.sent_ns = sent.sent_ns
        self._open[sent] = request
        return request

    def forget(self) -> None:
        """Free the marks, of which all traces of the agent share 65,000."""
        self._listener.forget(self._open)
        self._open.clear()

    def close(self) -> None:
        """Forget; the listener is the agent's."""
        self.forget()

    def _take(self, sent: Sent) -> None:
        request, answer = self._open.get(sent), sent.answer
        if request is None or answer is None:
            return
        if answer.reached:
            request.received_ns = sent.received_ns
            request.reply_tos = answer.own_tos
        else:
            request.refusal = f"{answer.address} says {self._words(answer, request.size)}"

    def _words(self, answer: Answer, size: int) -> str:
        if answer.kind is Kind.TOO_BIG:
            return f"packets of {size} bytes are too big"
        if answer.kind is Kind.EXPIRED:
            return "time exceeded"
        return unreachable_words(self._flow.family, answer.code)


class UdpExchange:
    """UDP to a STAMP reflector, or to one that sends back what it gets.

    Args:
        address: of the reflector.
        clock: by which packets are timed.

    Raises:
        ProbeFault: no socket can be had.
    """

    def __init__(self, address: Address, clock: SteadyClock | None = None) -> None:
        self._clock = clock or SteadyClock()
        self._room = _IP_AND_UDP[address.family]
        self._numbers = itertools.count(secrets.randbelow(1 << 31))
        self._open: dict[bytes, Request] = {}
        self._loop = asyncio.get_running_loop()
        opened = socket.socket(address.family, socket.SOCK_DGRAM)
        opened.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
        opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
        level, self._tos_name, receive = _TOS_OPTIONS[address.family]
        self._tos_level = level
        opened.setsockopt(level, receive, 1)
        try:
            opened.connect(address.sockaddr)
        except OSError as error:
            opened.close()
            raise from_os_error(error) from None
        self._socket = opened
        self._tos = -1
        self._loop.add_reader(opened.fileno(), self._receive)

    def send(self, tos: int, size: int) -> Request:
        """Send a datagram."""
        if tos != self._tos:
            self._socket.setsockopt(self._tos_level, self._tos_name, tos)
            self._tos = tos
        request = Request(tos, size, sent_ns=self._clock.now_ns())
        number = next(self._numbers) & 0xFFFFFFFF
        packet = _STAMP.pack(number, _ntp_time(request.sent_ns), _ERROR_ESTIMATE).ljust(size - self._room, b"\0")
        self._open[packet[:_NAME_BYTES]] = request
        try:
            self._socket.send(packet)
        except ConnectionRefusedError:
            request.refusal = "the target has no reflector at this port"  # an earlier request's answer
        except OSError as error:
            if error.errno not in _NO_ROOM:
                raise from_os_error(error) from None
        return request

    def forget(self) -> None:
        """Take no more replies."""
        self._open.clear()

    def close(self) -> None:
        """Close the socket."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()
        self._open.clear()

    def _receive(self) -> None:
        for _ in range(_MOST_PACKETS_PER_WAKE):
            try:
                reply, ancillary, _flags, _sender = self._socket.recvmsg(65_535, 256)
            except BlockingIOError:
                return
            except OSError as error:
                self._refuse(from_os_error(error).detail)
                continue
            reflected = reply[_REFLECTED_SEQUENCE : _REFLECTED_SEQUENCE + _NAME_BYTES]
            request = self._open.get(reply[:_NAME_BYTES]) or self._open.get(reflected)
            if request is not None and request.received_ns is None:
                request.received_ns = self._clock.arrival(arrival_time(ancillary), request.sent_ns)
                request.reply_tos = traffic_class(ancillary)

    def _refuse(self, why: str) -> None:
        """An error doesn't say of which request it is; all that wait may be meant."""
        for request in self._open.values():
            if request.received_ns is None:
                request.refusal = why


def _ntp_time(wall_ns: int) -> bytes:
    """A timestamp as in RFC 5905: seconds since 1900, and 2^-32 of a second."""
    seconds, rest = divmod(wall_ns, 1_000_000_000)
    return struct.pack("!II", seconds + _NTP_EPOCH & 0xFFFFFFFF, (rest << 32) // 1_000_000_000)
