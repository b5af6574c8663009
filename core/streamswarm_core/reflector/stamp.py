"""The far end of STAMP and TWAMP-Light: sends packets back, with the times at which they came and left.

It is stateful: each session has a number of its own that counts what arrived, so that the sender can tell loss on the
way there from loss on the way back. A reply is never longer than its request, and packets are refused rather than
answered in doubt, so that nobody can use it against somebody else.
"""

import asyncio
import socket
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, Final

from streamswarm_core.reflector.clockerror import RememberedClockError
from streamswarm_core.reflector.datagrams import Datagram, open_udp, receive, send
from streamswarm_core.reflector.limits import Peers, RateLimit
from streamswarm_core.wire.ntp import to_ntp
from streamswarm_core.wire.stamp import (
    TTL,
    ClassOfService,
    ClockError,
    StampError,
    make_reply,
    read_request,
    wanted_dscp,
)

REFUSALS: Final = ("short", "hmac", "peer", "port", "source_rate", "rate", "unsent")
"""Why a packet is not answered; `port`: it is a service's, which might answer back; `unsent`: the kernel won't."""
_PRIVILEGED: Final = 1024
_MOST_PACKETS_PER_WAKE: Final = 64
_MOST_SESSIONS: Final = 10_000
_SESSION_SECONDS: Final = 60.0


class Sessions:
    """Counts the packets of each session; a session ends when it has been silent for a minute.

    >>> sessions = Sessions(clock=lambda: 0.0)
    >>> [sessions.count("a"), sessions.count("a"), sessions.count("b")]
    [0, 1, 0]
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._counts: OrderedDict[Any, tuple[int, float]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._counts)

    def count(self, session: Any) -> int:
        """The number of this packet of the session, from 0."""
        now = self._clock()
        while self._counts:
            oldest = next(iter(self._counts))
            if len(self._counts) <= _MOST_SESSIONS and self._counts[oldest][1] > now - _SESSION_SECONDS:
                break
            del self._counts[oldest]
        number = self._counts.pop(session, (0, now))[0]
        self._counts[session] = number + 1, now
        return number


class StampReflector:
    """Answers on one or several addresses of this host.

    Args:
        key: the secret; with it only authenticated packets are answered.
        peers: networks that may ask.
        limit: packets a second.
        stateful: False copies the sender's sequence numbers, as simple reflectors do.
        clock_error: how far this host's clock may be from UTC.
    """

    def __init__(
        self,
        *,
        key: bytes = b"",
        peers: Peers | None = None,
        limit: RateLimit | None = None,
        stateful: bool = True,
        clock_error: Callable[[], ClockError] | None = None,
    ) -> None:
        self._key = key
        self._peers = peers or Peers(())
        self._limit = limit or RateLimit(each=1_000, total=10_000)
        self._stateful = stateful
        self._clock_error = clock_error or RememberedClockError()
        self._sockets: list[socket.socket] = []
        self._loop: asyncio.AbstractEventLoop | None = None
        self.sessions = Sessions()
        self.answered = 0
        self.refused: Counter[str] = Counter()

    def listen(self, hosts: Sequence[str], port: int) -> int:
        """Open the sockets; returns the port, which all addresses share.

        Raises:
            OSError: an address can't be used.
        """
        self._loop = asyncio.get_running_loop()
        try:
            for host in hosts:
                family = socket.AF_INET6 if ":" in host else socket.AF_INET
                opened = open_udp(family, host, port, ttl=TTL)
                port = port or int(opened.getsockname()[1])
                self._sockets.append(opened)
                self._loop.add_reader(opened.fileno(), self._receive, opened)
        except OSError:
            self.close()
            raise
        return port

    def close(self) -> None:
        """Stop answering."""
        for opened in self._sockets:
            if self._loop is not None and not self._loop.is_closed():
                self._loop.remove_reader(opened.fileno())
            opened.close()
        self._sockets.clear()

    def _receive(self, opened: socket.socket) -> None:
        for _ in range(_MOST_PACKETS_PER_WAKE):
            try:
                datagram = receive(opened)
            except BlockingIOError:
                return
            except OSError:
                continue
            refusal = self._answer(opened, datagram)
            if refusal is None:
                self.answered += 1
            else:
                self.refused[refusal] += 1

    def _answer(self, opened: socket.socket, datagram: Datagram) -> str | None:
        """Send the answer, or say why not."""
        host, port = datagram.sender[:2]
        if host not in self._peers:
            return "peer"
        # Two reflectors would answer each other for ever, and a service such as DNS might answer too.
        if port < _PRIVILEGED or port == opened.getsockname()[1]:
            return "port"
        refusal = self._limit.refuses(host)
        if refusal is not None:
            return refusal
        try:
            request = read_request(datagram.payload, key=self._key)
        except StampError as error:
            return error.reason.value
        number = self.sessions.count((host, port, request.ssid)) if self._stateful else request.sequence
        wanted = wanted_dscp(datagram.payload, key=self._key)
        tos = datagram.tos & 0xFC if wanted is None else wanted << 2
        reply = make_reply(
            datagram.payload,
            request,
            sequence=number & 0xFFFFFFFF,
            received=to_ntp(datagram.received_ns),
            error=self._clock_error().pack(),
            ttl=datagram.ttl or 0,
            service=ClassOfService(0, datagram.tos >> 2, datagram.tos & 3),
            key=self._key,
            now=lambda: to_ntp(time.time_ns()),
        )
        try:
            send(opened, reply, datagram.sender, tos=tos, local=datagram.local)
        except OSError:
            return "unsent"
        return None
