"""What an ICMP message says about a packet of ours: RFC 792, RFC 4443, extensions by RFC 4884 and RFC 4950."""

import socket
import struct
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

_ICMP_HEADER: Final = 8
_QUOTED_HEADER: Final = {socket.AF_INET: 20, socket.AF_INET6: 40}
_LEAST_QUOTED: Final = 8
_BEFORE_RFC_4884: Final = 128
_EXTENSION_VERSION: Final = 2
_MPLS_CLASS: Final = (1, 1)


class Kind(Enum):
    """What became of the packet."""

    EXPIRED = auto()
    UNREACHABLE = auto()
    TOO_BIG = auto()
    REPLY = auto()


_KINDS: Final[dict[socket.AddressFamily, dict[int, Kind]]] = {
    socket.AF_INET: {0: Kind.REPLY, 3: Kind.UNREACHABLE, 11: Kind.EXPIRED},
    socket.AF_INET6: {129: Kind.REPLY, 1: Kind.UNREACHABLE, 2: Kind.TOO_BIG, 3: Kind.EXPIRED},
}
_FRAGMENTATION_NEEDED: Final = 4
_PORT_UNREACHABLE: Final = {socket.AF_INET: 3, socket.AF_INET6: 4}
_UNREACHABLE_WORDS: Final = {
    socket.AF_INET: {
        0: "network unreachable",
        1: "host unreachable",
        2: "protocol unreachable",
        3: "port unreachable",
        5: "source route failed",
        9: "network administratively prohibited",
        10: "host administratively prohibited",
        13: "administratively prohibited",
    },
    socket.AF_INET6: {
        0: "no route",
        1: "administratively prohibited",
        2: "beyond scope of source address",
        3: "address unreachable",
        4: "port unreachable",
        5: "source address failed policy",
        6: "route rejected",
    },
}


@dataclass(frozen=True, slots=True)
class Label:
    """One entry of an MPLS label stack, RFC 3032."""

    label: int
    traffic_class: int
    ttl: int

    def __str__(self) -> str:
        return f"{self.label}/{self.traffic_class}/{self.ttl}"


@dataclass(frozen=True, slots=True)
class Message:
    """An ICMP message about a packet of ours, or the answer to it.

    Attributes:
        kind: what became of the packet.
        code: the message's code.
        protocol: of the packet.
        port: its source port or identifier.
        marks: where its mark may be read.
        destination: where it went, packed; None in an echo reply.
        nonce: as in the packet; empty where too little was quoted.
        tos: traffic class as it arrived at the router; None in an echo reply.
        mtu: what the next link takes, bytes; None if not said.
        labels: MPLS labels that the packet had.
    """

    kind: Kind
    code: int
    protocol: int
    port: int
    marks: tuple[int, ...]
    destination: bytes | None = None
    nonce: bytes = b""
    tos: int | None = None
    mtu: int | None = None
    labels: tuple[Label, ...] = ()


def read_icmp(family: socket.AddressFamily, message: bytes) -> Message | None:
    """Read a message from the ICMP header on; None if it can't be about a packet of ours."""
    if len(message) < _ICMP_HEADER:
        return None
    kind, code = _KINDS[family].get(message[0]), message[1]
    if kind is None:
        return None
    if kind is Kind.REPLY:
        port, mark = struct.unpack_from("!HH", message, 4)
        protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
        return Message(kind, code, protocol, port, (mark,), nonce=message[10:14])
    if kind is Kind.EXPIRED and code != 0:
        return None  # a fragment that found no others; we send none
    mtu = None
    if family == socket.AF_INET and kind is Kind.UNREACHABLE and code == _FRAGMENTATION_NEEDED:
        kind, mtu = Kind.TOO_BIG, struct.unpack_from("!H", message, 6)[0] or None
    elif kind is Kind.TOO_BIG:
        mtu = struct.unpack_from("!I", message, 4)[0]
    return _read_quoted(family, message, kind, mtu)


def _read_quoted(family: socket.AddressFamily, message: bytes, kind: Kind, mtu: int | None) -> Message | None:
    quoted, header = message[_ICMP_HEADER:], _QUOTED_HEADER[family]
    if len(quoted) < header + _LEAST_QUOTED:
        return None
    if family == socket.AF_INET:
        if quoted[0] != 0x45:
            return None  # we send no IP options
        protocol, destination, tos = quoted[9], quoted[16:20], quoted[1]
    else:
        protocol, destination = quoted[6], quoted[24:40]
        tos = struct.unpack_from("!H", quoted)[0] >> 4 & 0xFF
    words = struct.unpack_from("!4H", quoted, header)
    inner = quoted[header:]
    port, marks, nonce = words[0], [words[3]], b""
    if protocol == socket.IPPROTO_TCP:
        nonce = inner[4:6]
    else:
        nonce = inner[10:14]
        if protocol in {socket.IPPROTO_ICMP, socket.IPPROTO_ICMPV6}:
            port = words[2]
    if family == socket.AF_INET:
        marks.append(struct.unpack_from("!H", quoted, 4)[0])
    return Message(
        kind, message[1], protocol, port, tuple(marks), destination, nonce, tos, mtu, _labels(family, message)
    )


def _labels(family: socket.AddressFamily, message: bytes) -> tuple[Label, ...]:
    """The MPLS label stack of the extension after the quoted packet, if there is one."""
    length = message[5] * 4 if family == socket.AF_INET else message[4] * 8
    if message[0] == 2 and family == socket.AF_INET6:
        return ()  # "packet too big" has its MTU where others have the length
    extension = message[_ICMP_HEADER + (length or _BEFORE_RFC_4884) :]
    if len(extension) < 8 or extension[0] >> 4 != _EXTENSION_VERSION:
        return ()
    found: list[Label] = []
    offset = 4
    while offset + 4 <= len(extension):
        size, class_number, class_type = struct.unpack_from("!HBB", extension, offset)
        if size < 4 or offset + size > len(extension):
            break
        if (class_number, class_type) == _MPLS_CLASS:
            for (entry,) in struct.iter_unpack("!I", extension[offset + 4 : offset + 4 + (size - 4) // 4 * 4]):
                found.append(Label(entry >> 12, entry >> 9 & 7, entry & 0xFF))
        offset += size
    return tuple(found)


def is_port_unreachable(family: socket.AddressFamily, code: int) -> bool:
    """Whether a code of "destination unreachable" comes from the host itself."""
    return code == _PORT_UNREACHABLE[family]


def unreachable_words(family: socket.AddressFamily, code: int) -> str:
    """A code of "destination unreachable" in words."""
    return _UNREACHABLE_WORDS[family].get(code, f"unreachable, code {code}")
