"""What SIP messages of one run travel over: a UDP socket of its own, or a TCP connection to the server."""

import asyncio
import contextlib
import re
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Protocol

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.targets import Address
from streamswarm_agent.net.tcp import connect
from streamswarm_core.reflector.datagrams import next_report, open_udp, receive, send
from streamswarm_core.wire.sip import MOST_BYTES

_TTL: Final = 64
_SIGNALLING: Final = 40 << 2
"""CS5, the class of signalling (RFC 4594, section 4.2)."""
_LENGTH: Final = re.compile(rb"^(?:content-length|l)[ \t]*:[ \t]*(\d{1,9})[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_MOST_AT_ONCE: Final = 64


@dataclass(frozen=True, slots=True)
class Listener:
    """Who gets what comes.

    Attributes:
        take: called with each message and the address that it came from.
        fail: called when the network says that there is nobody, or the connection ended.
    """

    take: Callable[[bytes, Any], None]
    fail: Callable[[ProbeFault], None]


class Channel(Protocol):
    """One way to send and receive SIP.

    Attributes:
        transport: as in Via.
        host: this host's address, towards the server.
        port: where answers are awaited.
        reliable: whether nothing has to be sent again.
    """

    transport: str
    host: str
    port: int
    reliable: bool

    def listen(self, listener: Listener) -> None:
        """Begin to hand over what comes."""

    def send(self, text: bytes, to: Any) -> None:
        """Send a message to an address; a connection sends it to where it leads.

        Raises:
            ProbeFault: the kernel refuses.
        """

    def close(self) -> None:
        """Let go of the socket."""


class UdpChannel:
    """Datagrams from a port of its own, so that calls at the same time don't meet.

    Raises:
        ProbeFault: there is no route to the server, or no socket.
    """

    transport = "UDP"
    reliable = False

    def __init__(self, server: Address) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener: Listener | None = None
        self.host = local_address(server)
        try:
            self._socket = open_udp(server.family, self.host, 0, ttl=_TTL, send_reports=True)
        except OSError as error:
            raise from_os_error(error) from None
        self.port = int(self._socket.getsockname()[1])

    def listen(self, listener: Listener) -> None:
        """Begin to hand over what comes."""
        self._listener = listener
        self._loop.add_reader(self._socket.fileno(), self._receive, listener)

    def send(self, text: bytes, to: Any) -> None:
        """Send a message to an address.

        Raises:
            ProbeFault: the kernel refuses.
        """
        for attempt in (1, 2):
            try:
                send(self._socket, text, to, tos=_SIGNALLING)
            except OSError as error:
                # An ICMP error of an earlier message is raised here once; the reader gets it too.
                if attempt == 2:
                    raise from_os_error(error) from None
            else:
                return

    def close(self) -> None:
        """Let go of the socket."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _receive(self, listener: Listener) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_AT_ONCE):
                report = next_report(self._socket)
                if report.error is not None:
                    listener.fail(from_os_error(OSError(report.error, "")))
        for _ in range(_MOST_AT_ONCE):
            try:
                datagram = receive(self._socket)
            except BlockingIOError:
                return
            except OSError:
                continue  # the report above says it better
            listener.take(datagram.payload, datagram.sender)


class TcpChannel:
    """One connection to the server, over which everything goes.

    Args:
        opened: connected and non-blocking; closed with the channel.
    """

    transport = "TCP"
    reliable = True

    def __init__(self, opened: socket.socket) -> None:
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._loop = asyncio.get_running_loop()
        self._socket = opened
        self._incoming, self._outgoing = bytearray(), bytearray()
        self._peer = opened.getpeername()
        self.host, self.port = opened.getsockname()[:2]

    def listen(self, listener: Listener) -> None:
        """Begin to hand over what comes."""
        self._loop.add_reader(self._socket.fileno(), self._receive, listener)

    def send(self, text: bytes, to: Any) -> None:  # noqa: ARG002 - a connection leads to one place
        """Send a message over the connection.

        Raises:
            ProbeFault: the kernel refuses.
        """
        self._outgoing += text
        try:
            self._flush()
        except OSError as error:
            raise from_os_error(error) from None

    def close(self) -> None:
        """Let go of the connection."""
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
            self._loop.remove_writer(self._socket.fileno())
        self._socket.close()

    def _flush(self) -> None:
        with contextlib.suppress(BlockingIOError):
            while self._outgoing:
                del self._outgoing[: self._socket.send(self._outgoing)]
        if self._outgoing:
            self._loop.add_writer(self._socket.fileno(), self._write)
        else:
            self._loop.remove_writer(self._socket.fileno())

    def _write(self) -> None:
        try:
            self._flush()
        except OSError:
            self._loop.remove_writer(self._socket.fileno())  # the reader hears of it

    def _receive(self, listener: Listener) -> None:
        try:
            part = self._socket.recv(MOST_BYTES)
        except BlockingIOError:
            return
        except OSError as error:
            self._end(listener, from_os_error(error))
            return
        if not part:
            self._end(listener, ProbeFault(Fault.RESET, "the server closed the connection"))
            return
        self._incoming += part
        while (text := take_message(self._incoming)) is not None:
            listener.take(text, self._peer)
        if len(self._incoming) > MOST_BYTES:
            self._end(listener, ProbeFault(Fault.PROTOCOL, f"a message of more than {MOST_BYTES} bytes"))

    def _end(self, listener: Listener, fault: ProbeFault) -> None:
        self._loop.remove_reader(self._socket.fileno())
        listener.fail(fault)


def take_message(incoming: bytearray) -> bytes | None:
    r"""Take the first whole message off a stream (RFC 3261, 18.3); None while there is none.

    >>> stream = bytearray(b"\r\n\r\nOPTIONS ...\r\nl: 2\r\n\r\nhiNEXT")
    >>> take_message(stream), stream
    (b'OPTIONS ...\r\nl: 2\r\n\r\nhi', bytearray(b'NEXT'))
    """
    while incoming[:2] == b"\r\n":
        del incoming[:2]  # to keep the connection open (RFC 5626)
    end = incoming.find(b"\r\n\r\n")
    if end < 0:
        return None
    announced = _LENGTH.search(bytes(incoming[: end + 2]))
    whole = end + 4 + (int(announced[1]) if announced else 0)
    if len(incoming) < whole:
        return None
    text = bytes(incoming[:whole])
    del incoming[:whole]
    return text


def local_address(server: Address) -> str:
    """This host's address on the way to a server.

    Raises:
        ProbeFault: there is no way.
    """
    with socket.socket(server.family, socket.SOCK_DGRAM) as asking:
        try:
            asking.connect(server.sockaddr)
        except OSError as error:
            raise from_os_error(error) from None
        return str(asking.getsockname()[0])


async def open_channel(server: Address, transport: str, wait: float) -> Channel:
    """Open a channel to a server.

    Raises:
        ProbeFault: refused, timed out, unreachable …
    """
    if transport == "udp":
        return UdpChannel(server)
    opened, _ = await connect(server, wait)
    return TcpChannel(opened)
