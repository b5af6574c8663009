"""Echo requests of one size on their way into the kernel: as many as are due, by one call."""

import socket
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from streamswarm_agent.net.icmp.flight import Flight
from streamswarm_agent.net.icmp.packet import EchoTemplate
from streamswarm_agent.net.icmp.sockets import EchoSocket
from streamswarm_agent.net.mmsg import SOCKADDR_BYTES, BatchWriter

_MOST_TOGETHER: Final = 64
_MOST_BYTES_TOGETHER: Final = 65_536


class Channel(Protocol):
    """The socket's reading side, which has to know what left."""

    def note_sent(self, flights: Sequence[Flight], numbers: Sequence[int], sent_ns: int, apart_ns: int) -> None:
        """These flights' requests with these numbers left, the first at `sent_ns`, one after the other."""

    def note_refusal(self) -> None:
        """The kernel didn't take a request."""

    def collect(self) -> int:
        """Take in what the kernel has; returns how many packets."""


class EchoOutlet:
    """Sends requests of one size by one socket.

    Args:
        channel: of the socket.
        opened: the socket.
        size: bytes of payload.
        alone: each request needs something beside it, and leaves by itself.
        wall_ns: the clock of the kernel's timestamps.
    """

    def __init__(
        self,
        channel: Channel,
        opened: EchoSocket,
        size: int,
        *,
        alone: bool,
        wall_ns: Callable[[], int],
    ) -> None:
        self.channel = channel
        self._handle: socket.socket = opened.handle
        self._descriptor = opened.handle.fileno()
        self._raw = opened.raw
        self._alone = alone
        self._wall_ns = wall_ns
        batch = 1 if alone else max(1, min(_MOST_TOGETHER, _MOST_BYTES_TOGETHER // size))
        self._template = EchoTemplate(opened.family, opened.identifier, size, batch=batch)
        self._writer = BatchWriter(self._template.packets, batch=batch, address_bytes=SOCKADDR_BYTES[opened.family])
        self.collect = channel.collect

    def send(self, flights: Sequence[Flight]) -> int:
        """Send the next request of some of the flights, from the first on; returns of how many, at least one.

        Raises:
            OSError: the kernel doesn't take the first one's.
        """
        together = flights[: self._writer.batch]
        numbers = [flight.first + flight.next for flight in together]
        self._template.fill(numbers, [flight.echoes.secret for flight in together])
        sent_ns = self._wall_ns()
        count = self._leave(together)
        # Where the kernel doesn't say when each one left, they left one after the other.
        apart_ns = (self._wall_ns() - sent_ns) // count
        self.channel.note_sent(together[:count], numbers, sent_ns, apart_ns)
        if count < len(together):
            self.channel.note_refusal()
        return count

    def _leave(self, flights: Sequence[Flight]) -> int:
        try:
            return self._hand_over(flights)
        except OSError:
            self.channel.note_refusal()
            if self._raw:
                raise
        # A datagram socket tells a router's error about an earlier request here, once.
        try:
            return self._hand_over(flights)
        except OSError:
            self.channel.note_refusal()
            raise

    def _hand_over(self, flights: Sequence[Flight]) -> int:
        if not self._alone:
            return self._writer.send(self._descriptor, [flight.echoes.raw_sockaddr for flight in flights])
        echoes = flights[0].echoes
        self._handle.sendmsg([self._template.packets], echoes.ancillary, 0, echoes.sockaddr)
        return 1
