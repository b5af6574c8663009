"""Echo requests as bytes, and what ICMP errors say. ICMP: RFC 792, RFC 1812; ICMPv6: RFC 4443.

A request is told by a 32-bit number: its low half is the sequence number, its high half stands in the payload behind
a secret of the target's, so that a reply is known by what it carries even after the sequence numbers wrapped around and
whatever other programs on the host send, and no target can answer in the place of another. Both halves are followed by
their complement, and the words of a secret add up to what those of every other do: the checksum is the same for every
request, which saves computing it and keeps the requests on one path where routers spread ICMP by its first bytes
(Augustin et al., "Avoiding traceroute anomalies with Paris traceroute", IMC 2006).
"""

import secrets
import socket
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault

ECHO_REPLY: Final[Mapping[socket.AddressFamily, int]] = {socket.AF_INET: 0, socket.AF_INET6: 129}
ECHO_REQUEST: Final[Mapping[socket.AddressFamily, int]] = {socket.AF_INET: 8, socket.AF_INET6: 128}
_RANDOM_BYTES: Final = 6

ECHO: Final = struct.Struct("!BBHHH8sHHHH")
"""Type, code, checksum, identifier, sequence, secret, high half and its complement, complement of sequence, padding."""

REPLY: Final = struct.Struct("!B5xH8sH6x")
"""What is read of a reply: type, sequence, secret, high half."""

RAW_REPLY: Final = struct.Struct("!B7xB11xB5xH8sH6x")
"""The same behind an IPv4 header without options: version and header length, TTL, then as REPLY."""

_NUMBER: Final = struct.Struct("!H8sHHH")
_NUMBER_OFFSET: Final = 6
_HEADER: Final = struct.Struct("!BBHHH")
_IPV6_HEADER_BYTES: Final = 40
_IPV6_FRAGMENT: Final = 44
_IPV6_FRAGMENT_BYTES: Final = 8


def new_secret() -> bytes:
    """Eight bytes, all but the last two of them random, whose sum (RFC 1071) is always the same."""
    random = secrets.token_bytes(_RANDOM_BYTES)
    return random + internet_checksum(random).to_bytes(2)


class EchoTemplate:
    """Echo requests that are filled in for each time they are sent.

    Args:
        family: AF_INET or AF_INET6.
        identifier: tells the socket; a datagram socket's is written over by the kernel.
        size: bytes of payload, at least 16.
        batch: for how many requests there is room.

    Attributes:
        packets: the requests, one behind the other.
        packet_bytes: size of a request.
    """

    def __init__(self, family: socket.AddressFamily, identifier: int, size: int, *, batch: int = 1) -> None:
        self.packet_bytes = _HEADER.size + size
        packet = bytearray(self.packet_bytes)
        _HEADER.pack_into(packet, 0, ECHO_REQUEST[family], 0, 0, identifier, 0)
        _NUMBER.pack_into(packet, _NUMBER_OFFSET, 0, new_secret(), 0, 0xFFFF, 0xFFFF)
        if family == socket.AF_INET:
            # ICMPv6's covers addresses that only the kernel knows, so it writes that one itself.
            struct.pack_into("!H", packet, 2, internet_checksum(bytes(packet)))
        self.packets = packet * batch
        self._offsets = range(_NUMBER_OFFSET, len(self.packets), self.packet_bytes)

    def fill(self, numbers: Sequence[int], secrets: Sequence[bytes]) -> None:
        """Make `packets` begin with the requests of these numbers, each with its target's secret."""
        packets, fill = self.packets, _NUMBER.pack_into
        for offset, number, secret in zip(self._offsets, numbers, secrets, strict=False):
            low, high = number & 0xFFFF, number >> 16
            fill(packets, offset, low, secret, high, high ^ 0xFFFF, low ^ 0xFFFF)

    def request(self, number: int, secret: bytes) -> bytes:
        """The request of this number by itself."""
        self.fill((number,), (secret,))
        return bytes(self.packets[: self.packet_bytes])


@dataclass(frozen=True, slots=True)
class QuotedEcho:
    """What an ICMP error quotes of the request that it is about.

    Attributes:
        identifier: of the request.
        sequence: of the request.
        number: of the request, if the router quotes that much.
        secret: its target's, likewise.
    """

    identifier: int
    sequence: int
    number: int | None = None
    secret: bytes | None = None


def read_quoted(family: socket.AddressFamily, quoted: memoryview) -> QuotedEcho | None:
    """Read the packet that a router quotes, from its IP header on; None if it is no echo request."""
    if family == socket.AF_INET:
        header = (quoted[0] & 0x0F) * 4 if quoted else 0
        protocol_offset, protocol = 9, socket.IPPROTO_ICMP
    else:
        header = _IPV6_HEADER_BYTES
        protocol_offset, protocol = 6, socket.IPPROTO_ICMPV6
        if len(quoted) > header and quoted[protocol_offset] == _IPV6_FRAGMENT:
            protocol_offset, header = header, header + _IPV6_FRAGMENT_BYTES
    if len(quoted) < header + _HEADER.size or quoted[protocol_offset] != protocol:
        return None
    return read_echo(family, quoted[header:])


def read_echo(family: socket.AddressFamily, request: memoryview) -> QuotedEcho | None:
    """Read an echo request, as far as it is there; None if it is something else."""
    if len(request) < _HEADER.size or request[0] != ECHO_REQUEST[family]:
        return None
    _, _, _, identifier, sequence = _HEADER.unpack_from(request)
    if len(request) < ECHO.size:
        return QuotedEcho(identifier, sequence)
    *_, secret, high, _, _, _ = ECHO.unpack_from(request)
    return QuotedEcho(identifier, sequence, high << 16 | sequence, secret)


_UNREACHABLE_V4: Final = {
    0: "network unreachable",
    1: "host unreachable",
    2: "protocol unreachable",
    3: "port unreachable",
    5: "source route failed",
    6: "network unknown",
    7: "host unknown",
    11: "network unreachable for this type of service",
    12: "host unreachable for this type of service",
}
_UNREACHABLE_V6: Final = {
    0: "no route to destination",
    2: "beyond the scope of the source address",
    3: "address unreachable",
    4: "port unreachable",
    7: "error in source routing header",
}
_PROHIBITED: Final = {socket.AF_INET: {9, 10, 13, 14, 15}, socket.AF_INET6: {1, 5, 6}}
ERROR_TYPES: Final[Mapping[socket.AddressFamily, frozenset[int]]] = {
    socket.AF_INET: frozenset({3, 11, 12}),
    socket.AF_INET6: frozenset({1, 2, 3, 4}),
}
"""Destination unreachable, (packet too big,) time exceeded, parameter problem."""


def explain(family: socket.AddressFamily, kind: int, code: int, mtu: int, reporter: str | None) -> ProbeFault:
    """What an ICMP error means.

    Args:
        family: AF_INET or AF_INET6.
        kind: the message's type.
        code: the message's code.
        mtu: of the next hop, where the message has one; else 0.
        reporter: who sent it.

    >>> str(explain(socket.AF_INET, 3, 4, 1400, "192.0.2.1"))
    'too_big: larger than the 1400 bytes that fit behind 192.0.2.1'
    >>> str(explain(socket.AF_INET6, 3, 0, 0, "2001:db8::1"))
    'ttl_exceeded: time to live exceeded at 2001:db8::1'
    """
    where = reporter or "a router that isn't known"
    v4 = family == socket.AF_INET
    if (kind, code) == (3, 4) if v4 else kind == 2:
        size = f"the {mtu} bytes that fit" if mtu else "fits"
        return ProbeFault(Fault.TOO_BIG, f"larger than {size} behind {where}")
    if kind == (11 if v4 else 3):
        what = "reassembly time" if code else "time to live"
        return ProbeFault(Fault.TTL_EXCEEDED, f"{what} exceeded at {where}")
    if kind == (12 if v4 else 4):
        return ProbeFault(Fault.PROTOCOL, f"{where} says parameter problem, code {code}")
    if code in _PROHIBITED[family]:
        return ProbeFault(Fault.PROHIBITED, f"{where} says administratively prohibited (code {code})")
    known = (_UNREACHABLE_V4 if v4 else _UNREACHABLE_V6).get(code, f"unreachable (code {code})")
    return ProbeFault(Fault.UNREACHABLE, f"{where} says {known}")


def internet_checksum(message: bytes) -> int:
    """The Internet checksum, RFC 1071.

    >>> hex(internet_checksum(bytes.fromhex("0001f203f4f5f6f7")))
    '0x220d'
    """
    padded = message + b"\0" * (len(message) % 2)
    total: int = sum(struct.unpack(f"!{len(padded) // 2}H", padded))
    total = (total >> 16) + (total & 0xFFFF)
    return ~(total + (total >> 16)) & 0xFFFF
