"""What is sent to one address by ICMP echo."""

import socket
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.grid import GRID_SECONDS
from streamswarm_agent.net.icmp.packet import new_secret
from streamswarm_agent.net.icmp.sockets import Ancillary, interface_index, packet_options
from streamswarm_agent.net.mmsg import address_bytes
from streamswarm_agent.net.targets import Address

ChannelKey = tuple[socket.AddressFamily, bool, str | None, int]
"""What decides which socket a request leaves by: family, fragmentation, source, number of the interface."""

_OVERHEAD: Final = {socket.AF_INET: 18 + 20 + 8, socket.AF_INET6: 18 + 40 + 8}
"""Bytes of Ethernet, with its check sequence, of IP and of ICMP."""

_LONGEST_STEP: Final = GRID_SECONDS / 4


@dataclass(slots=True)
class Echoes:
    """What is sent to one address.

    Attributes:
        address: where to.
        count: how many requests.
        spacing: seconds between two; kept to a sixteenth, so that many flights' requests leave together.
        wait: seconds that a reply may take; a later one is counted as late, and its request as lost.
        size: bytes of payload, at least 16.
        dscp: 0 to 63.
        df: forbid fragmentation.
        ttl: TTL or hop limit; None for the system's.
        source: address or interface to send from; None for what the routing table says.
        sockaddr: the address as the socket takes it.
        raw_sockaddr: the address as the kernel takes it.
        secret: what the requests carry, by which the replies are known to be the target's.
        ancillary: what each packet needs beside it.
        wire_bytes: of a request, on Ethernet.
        wait_ns: the wait in nanoseconds.
        step: further requests leave on lines of the time grid that are so many seconds apart.
    """

    address: Address
    count: int
    spacing: float
    wait: float
    size: int
    dscp: int = 0
    df: bool = False
    ttl: int | None = None
    source: str | None = None
    sockaddr: tuple[str | int, ...] = field(init=False)
    raw_sockaddr: bytes = field(init=False)
    secret: bytes = field(init=False, default_factory=new_secret)
    ancillary: Ancillary = field(init=False, default=())
    wire_bytes: int = field(init=False)
    wait_ns: int = field(init=False)
    step: float = field(init=False)
    _unbound: ChannelKey = field(init=False)

    def __post_init__(self) -> None:
        self.sockaddr = (self.address.sockaddr[0], 0, *self.address.sockaddr[2:])
        self.raw_sockaddr = address_bytes(self.address.family, self.sockaddr)
        if self.dscp or self.ttl:
            self.ancillary = packet_options(self.address.family, dscp=self.dscp, ttl=self.ttl)
        self.wire_bytes = _OVERHEAD[self.address.family] + self.size
        self.wait_ns = round(self.wait * 1e9)
        self.step = min(_LONGEST_STEP, self.spacing / 8)
        self._unbound = (self.address.family, self.df, None, 0)

    @property
    def channel_key(self) -> ChannelKey:
        """By which socket they leave, at this moment.

        A socket stays bound to the interface that had the name when it was opened; a tunnel may come back as another.
        """
        if self.source is None:
            return self._unbound
        return (self.address.family, self.df, self.source, interface_index(self.source))
