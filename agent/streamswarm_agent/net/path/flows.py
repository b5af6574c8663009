"""Packets that every router takes for one flow, and that still can be told apart when they come back quoted.

Load balancers choose by a hash of the IP addresses and of the four bytes after the IP header (ports; type, code and
checksum of ICMP), some also of the ICMP identifier, some of IPv6's flow label. All of these stay the same over the
packets of one flow, which is the idea of Paris traceroute (Augustin et al., "Avoiding traceroute anomalies with Paris
traceroute", IMC 2006). What differs is a 16-bit mark within the eight bytes that every router quotes (RFC 792):

====  ================================  =====================================
kind  constant                          mark
====  ================================  =====================================
ICMP  identifier, checksum              sequence; two bytes of payload make up
                                        for it in the checksum
UDP   ports                             checksum, by two bytes of payload
TCP   ports                             lower half of the sequence number
====  ================================  =====================================

The number of the flow chooses the source port or the identifier from a block outside Linux' range of ephemeral ports,
so an assignment measures the same flow in every run, and a filter in the kernel can tell our packets from others'.
"""

import socket
import struct
from dataclasses import dataclass
from typing import Final, Self

from streamswarm_agent.faults import from_os_error
from streamswarm_agent.net.targets import Address
from streamswarm_core.probespecs import TraceMethod

FLOW_BLOCK: Final = 0xF000
"""Source port or identifier of flow 0; those of the others follow."""
FLOW_MASK: Final = 0xFF00
"""The bits that all of them share."""
MARKS: Final = range(1, 0xFFFF)
"""Marks that a UDP checksum can have: zero would say that there is none."""
ECN_SETUP: Final = 0xC0
"""ECE and CWR among the flags of a TCP segment."""

_IPV4: Final = struct.Struct("!BBHHHBBH4s4s")
_IPV6: Final = struct.Struct("!IHBB16s16s")
_ICMP: Final = struct.Struct("!BBHHH")
_UDP: Final = struct.Struct("!HHHH")
_TCP: Final = struct.Struct("!HHIIBBHHH")
_DONT_FRAGMENT: Final = 0x4000
_SYN: Final = 0x02
_TCP_WINDOW: Final = 64_240
_TCP_MSS_OPTION: Final = bytes.fromhex("020405b4")
_ECHO_REQUEST: Final = {socket.AF_INET: 8, socket.AF_INET6: 128}
_ICMP_CHECKSUM: Final = 0x1000
_DISCARD_PORT: Final = 9


@dataclass(frozen=True, slots=True)
class Flow:
    """One flow to a target.

    Attributes:
        method: what its packets are.
        source: the agent's address, packed.
        destination: the target's address, packed.
        number: 0..255; another number is another flow to a load balancer.
        port: the target's port, for UDP and TCP.
        tos: traffic class: DSCP and ECN.
        scope: number of the interface, for a link-local target.
        asks_ecn: SYNs offer ECN: ECE and CWR set, RFC 3168 section 6.1.1.
    """

    method: TraceMethod
    source: bytes
    destination: bytes
    number: int = 0
    port: int = 33_434
    tos: int = 0
    scope: int = 0
    asks_ecn: bool = False

    @classmethod
    def to(cls, address: Address, method: TraceMethod, port: int) -> Self:
        """The first flow to a target, from the address that the kernel would choose.

        Raises:
            ProbeFault: there is no route.
        """
        with socket.socket(address.family, socket.SOCK_DGRAM) as asking:
            try:
                asking.connect((address.host, _DISCARD_PORT, *address.sockaddr[2:]))
            except OSError as error:
                raise from_os_error(error) from None
            source = asking.getsockname()[0]
        scope = address.sockaddr[3] if len(address.sockaddr) == 4 else 0
        return cls(method, _pack(address.family, source), _pack(address.family, address.host), port=port, scope=scope)

    @property
    def family(self) -> socket.AddressFamily:
        """AF_INET or AF_INET6."""
        return socket.AF_INET if len(self.destination) == 4 else socket.AF_INET6

    @property
    def source_port(self) -> int:
        """Source port, or identifier of ICMP echo."""
        return FLOW_BLOCK + self.number

    @property
    def protocol(self) -> int:
        """The number in the IP header."""
        if self.method is TraceMethod.ICMP:
            return socket.IPPROTO_ICMP if self.family == socket.AF_INET else socket.IPPROTO_ICMPV6
        return socket.IPPROTO_UDP if self.method is TraceMethod.UDP else socket.IPPROTO_TCP

    @property
    def header_size(self) -> int:
        """Bytes of the IP header."""
        return _IPV4.size if self.family == socket.AF_INET else _IPV6.size

    def packet(self, mark: int, ttl: int, nonce: bytes, size: int = 0) -> bytes:
        """One packet from the IP header on, with "don't fragment" set.

        Args:
            mark: one of MARKS.
            ttl: TTL or hop limit.
            nonce: four bytes that tell this process from others; in the payload, and in a SYN's sequence number.
            size: bytes of the whole packet; padded up to it.
        """
        room = max(0, size - self.header_size)
        if self.method is TraceMethod.ICMP:
            inner = self._echo_request(mark, nonce, room)
        elif self.method is TraceMethod.UDP:
            inner = self._datagram(mark, nonce, room)
        else:
            inner = self._syn(mark, nonce)
        return self._ip_header(mark, ttl, len(inner)) + inner

    def _ip_header(self, mark: int, ttl: int, length: int) -> bytes:
        if self.family == socket.AF_INET6:
            label = self.tos << 20 | FLOW_BLOCK + self.number
            return _IPV6.pack(6 << 28 | label, length, self.protocol, ttl, self.source, self.destination)
        # The kernel writes the header's checksum. The identification repeats the mark, because address translators
        # leave it alone and change checksums.
        total = _IPV4.size + length
        return _IPV4.pack(
            0x45, self.tos, total, mark, _DONT_FRAGMENT, ttl, self.protocol, 0, self.source, self.destination
        )

    def _echo_request(self, mark: int, nonce: bytes, room: int) -> bytes:
        checksum = _ICMP_CHECKSUM + self.number
        header = _ICMP.pack(_ECHO_REQUEST[self.family], 0, checksum, self.source_port, mark)
        rest = nonce.ljust(room - _ICMP.size - 2, b"\0")
        pseudo = self._pseudo_header(len(header) + 2 + len(rest)) if self.family == socket.AF_INET6 else b""
        return header + _balance(pseudo + header, rest) + rest

    def _datagram(self, mark: int, nonce: bytes, room: int) -> bytes:
        rest = nonce.ljust(room - _UDP.size - 2, b"\0")
        length = _UDP.size + 2 + len(rest)
        header = _UDP.pack(self.source_port, self.port, length, mark)
        return header + _balance(self._pseudo_header(length) + header, rest) + rest

    def _syn(self, mark: int, nonce: bytes) -> bytes:
        length = _TCP.size + len(_TCP_MSS_OPTION)
        sequence = int.from_bytes(nonce[:2], "big") << 16 | mark
        flags = _SYN | (ECN_SETUP if self.asks_ecn else 0)

        def header(checksum: int) -> bytes:
            fields = (self.source_port, self.port, sequence, 0, length // 4 << 4, flags, _TCP_WINDOW, checksum, 0)
            return _TCP.pack(*fields) + _TCP_MSS_OPTION

        return header(0xFFFF - _sum16(self._pseudo_header(length) + header(0)))

    def _pseudo_header(self, length: int) -> bytes:
        """What checksums also cover: RFC 768, RFC 9293 section 3.1, RFC 8200 section 8.1."""
        if self.family == socket.AF_INET6:
            return struct.pack("!16s16sII", self.source, self.destination, length, self.protocol)
        return struct.pack("!4s4sHH", self.source, self.destination, self.protocol, length)


def _sum16(message: bytes) -> int:
    """The ones' complement sum of RFC 1071 without its end: the message as one number, modulo 2^16 - 1.

    >>> hex(0xFFFF - _sum16(bytes.fromhex("0001f203f4f5f6f7")))
    '0x220d'
    """
    return int.from_bytes(message + b"\0" * (len(message) % 2), "big") % 0xFFFF


def _balance(header: bytes, rest: bytes) -> bytes:
    """The two bytes that, between header and rest, make the checksum in the header right."""
    return (-(_sum16(header) + _sum16(rest)) % 0xFFFF).to_bytes(2, "big")


def _pack(family: socket.AddressFamily, host: str) -> bytes:
    return socket.inet_pton(family, host.partition("%")[0])
