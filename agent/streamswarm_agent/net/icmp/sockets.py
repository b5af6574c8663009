"""ICMP sockets: opened with as little privilege as the kernel asks for, stamped by it, deaf to foreign packets."""

import contextlib
import ctypes
import ipaddress
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.icmp.packet import ECHO_REPLY, ERROR_TYPES

SO_TIMESTAMPNS: Final = 35
SO_TIMESTAMPING: Final = 37
IP_RECVERR: Final = 11
IPV6_RECVERR: Final = 25
_SO_ATTACH_FILTER: Final = 26
_IP_RECVTTL: Final = 12
_IP_MTU_DISCOVER: Final = 10
_IPV6_MTU_DISCOVER: Final = 23
_IPV6_DONTFRAG: Final = 62
_PMTUDISC_DONT: Final = 0
_PMTUDISC_PROBE: Final = 3
_SOL_RAW: Final = 255
_ICMP_FILTER: Final = 1
_ICMP6_FILTER: Final = 1
_RECEIVE_BUFFER: Final = 4 * 1024 * 1024

# linux/net_tstamp.h: stamp what leaves, in software; report software stamps; number them; without the packet.
_TX_SOFTWARE, _SOFTWARE, _OPT_ID, _OPT_TSONLY = 1 << 1, 1 << 4, 1 << 7, 1 << 11
_STAMPING: Final = _TX_SOFTWARE | _SOFTWARE | _OPT_ID | _OPT_TSONLY

Ancillary = Sequence[tuple[int, int, bytes]]


@dataclass(frozen=True, slots=True)
class EchoSocket:
    """An ICMP socket.

    Attributes:
        handle: the socket, non-blocking.
        family: AF_INET or AF_INET6.
        raw: whether it is a raw socket, which sees IPv4 headers and errors; a datagram socket sees neither.
        identifier: of its echo requests; the kernel chooses a datagram socket's.
        stamped: whether the kernel says when a packet left.
    """

    handle: socket.socket
    family: socket.AddressFamily
    raw: bool
    identifier: int
    stamped: bool

    def restart_stamps(self) -> bool:
        """Let the kernel number transmit timestamps from 0 again; returns whether it stamps at all."""
        try:
            self.handle.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, 0)
            self.handle.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, _STAMPING)
        except OSError:
            return False
        return True


def open_echo_socket(
    family: socket.AddressFamily, identifier: int, *, df: bool = False, source: str | None = None
) -> EchoSocket:
    """Open an ICMP socket: a datagram socket where the kernel lets this user ping, else a raw one.

    Args:
        family: AF_INET or AF_INET6.
        identifier: of a raw socket's requests; no other socket of the process may have it.
        df: forbid fragmentation, on this host and on the way.
        source: an address of this host, or the name of an interface; None for what the routing table says.

    Raises:
        ProbeFault: the process may not send ICMP, or there is no such source.
    """
    protocol = socket.IPPROTO_ICMP if family == socket.AF_INET else socket.IPPROTO_ICMPV6
    for kind in (socket.SOCK_DGRAM, socket.SOCK_RAW):
        try:
            opened = socket.socket(family, kind, protocol)
        except PermissionError:
            continue
        except OSError as error:
            raise from_os_error(error) from None
        try:
            prepared = _prepare(opened, family, identifier, raw=kind == socket.SOCK_RAW, df=df)
            if source is not None:
                _bind(opened, family, source)
        except BaseException:
            opened.close()
            raise
        return prepared
    raise ProbeFault(
        Fault.PERMISSION,
        "this user may not send ICMP; allow it with sysctl net.ipv4.ping_group_range='0 2147483647' or CAP_NET_RAW",
    )


def _prepare(
    opened: socket.socket, family: socket.AddressFamily, identifier: int, *, raw: bool, df: bool
) -> EchoSocket:
    opened.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
    opened.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _RECEIVE_BUFFER)
    discovery = _PMTUDISC_PROBE if df else _PMTUDISC_DONT
    if family == socket.AF_INET:
        opened.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, discovery)
        opened.setsockopt(socket.IPPROTO_IP, _IP_RECVTTL, 0 if raw else 1)
    else:
        opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, discovery)
        opened.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, int(df))
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_RECVHOPLIMIT, 1)
    if raw:
        _pass_types(opened, family)
        _attach_filter(opened, _filter_v4(identifier) if family == socket.AF_INET else _filter_v6(identifier))
        _empty(opened)
    elif family == socket.AF_INET:
        opened.setsockopt(socket.IPPROTO_IP, IP_RECVERR, 1)
    else:
        opened.setsockopt(socket.IPPROTO_IPV6, IPV6_RECVERR, 1)
    unstamped = EchoSocket(opened, family, raw, identifier, stamped=False)
    return EchoSocket(opened, family, raw, identifier, stamped=unstamped.restart_stamps())


def _empty(opened: socket.socket) -> None:
    """Throw away what came before there was a filter."""
    with contextlib.suppress(BlockingIOError):
        while opened.recv(1):
            pass


def _pass_types(opened: socket.socket, family: socket.AddressFamily) -> None:
    """Let replies and errors through; a set bit blocks a type."""
    words = [0xFFFFFFFF] * (1 if family == socket.AF_INET else 8)
    for kind in (ECHO_REPLY[family], *ERROR_TYPES[family]):
        words[kind >> 5] &= ~(1 << (kind & 31))
    level, option = (_SOL_RAW, _ICMP_FILTER) if family == socket.AF_INET else (socket.IPPROTO_ICMPV6, _ICMP6_FILTER)
    opened.setsockopt(level, option, struct.pack(f"@{len(words)}I", *words))


# Classic BPF (linux/filter.h): operation, jump if true, jump if false, operand.
_Instruction = tuple[int, int, int, int]
_LOAD_BYTE, _LOAD_HALF, _LOAD_BYTE_X, _LOAD_HALF_X, _HEADER_TO_X = 0x30, 0x28, 0x50, 0x48, 0xB1
_JUMP, _JUMP_EQUAL, _AND, _SHIFT_LEFT, _ADD_X, _TO_X, _RETURN = 0x05, 0x15, 0x54, 0x64, 0x0C, 0x07, 0x06
_WHOLE: Final = 0xFFFFFFFF


def _filter_v4(identifier: int) -> list[_Instruction]:
    """Pass replies with our identifier, and errors that quote an ICMP message with it. Begins at the IP header."""
    return [
        (_HEADER_TO_X, 0, 0, 0),
        (_LOAD_BYTE_X, 0, 0, 0),
        (_JUMP_EQUAL, 0, 2, ECHO_REPLY[socket.AF_INET]),
        (_LOAD_HALF_X, 0, 0, 4),
        (_JUMP, 0, 0, 8),
        (_LOAD_BYTE_X, 0, 0, 8 + 9),
        (_JUMP_EQUAL, 0, 8, socket.IPPROTO_ICMP),
        (_LOAD_BYTE_X, 0, 0, 8),
        (_AND, 0, 0, 0x0F),
        (_SHIFT_LEFT, 0, 0, 2),
        (_ADD_X, 0, 0, 0),
        (_TO_X, 0, 0, 0),
        (_LOAD_HALF_X, 0, 0, 8 + 4),
        (_JUMP_EQUAL, 0, 1, identifier),
        (_RETURN, 0, 0, _WHOLE),
        (_RETURN, 0, 0, 0),
    ]


def _filter_v6(identifier: int) -> list[_Instruction]:
    """The same for IPv6, beginning at the ICMPv6 header; errors that quote extension headers pass too."""
    return [
        (_LOAD_BYTE, 0, 0, 0),
        (_JUMP_EQUAL, 0, 2, ECHO_REPLY[socket.AF_INET6]),
        (_LOAD_HALF, 0, 0, 4),
        (_JUMP, 0, 0, 3),
        (_LOAD_BYTE, 0, 0, 8 + 6),
        (_JUMP_EQUAL, 0, 2, socket.IPPROTO_ICMPV6),
        (_LOAD_HALF, 0, 0, 8 + 40 + 4),
        (_JUMP_EQUAL, 0, 1, identifier),
        (_RETURN, 0, 0, _WHOLE),
        (_RETURN, 0, 0, 0),
    ]


def _attach_filter(opened: socket.socket, program: Sequence[_Instruction]) -> None:
    code = ctypes.create_string_buffer(b"".join(struct.pack("@HBBI", *instruction) for instruction in program))
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))


def packet_options(family: socket.AddressFamily, *, dscp: int = 0, ttl: int | None = None) -> Ancillary:
    """Ancillary data that gives one packet a DSCP and a TTL on a socket that many targets share.

    Args:
        family: AF_INET or AF_INET6.
        dscp: 0 to 63; the upper six bits of the TOS or traffic class byte.
        ttl: TTL or hop limit; None for the system's.
    """
    v4 = family == socket.AF_INET
    level = socket.IPPROTO_IP if v4 else socket.IPPROTO_IPV6
    options = []
    if dscp:
        options.append((level, socket.IP_TOS if v4 else socket.IPV6_TCLASS, struct.pack("@i", dscp << 2)))
    if ttl is not None:
        options.append((level, socket.IP_TTL if v4 else socket.IPV6_HOPLIMIT, struct.pack("@i", ttl)))
    return options


def interface_index(source: str) -> int:
    """The number of the interface of this name; 0 if there is none, as for an address."""
    try:
        return socket.if_nametoindex(source)
    except OSError:
        return 0


def _bind(opened: socket.socket, family: socket.AddressFamily, source: str) -> None:
    try:
        address = ipaddress.ip_address(source)
    except ValueError:
        try:
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, source.encode())
        except OSError as error:
            raise ProbeFault(
                Fault.BAD_TARGET, f"source {source!r}: no address, and as interface: {error.strerror}"
            ) from None
        return
    if address.version != (4 if family == socket.AF_INET else 6):
        raise ProbeFault(Fault.BAD_TARGET, f"source {source} is not of the target's IP version")
    try:
        opened.bind(socket.getaddrinfo(source, 0, family, socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0][4])
    except OSError as error:
        raise ProbeFault(Fault.BAD_TARGET, f"source {source}: {error.strerror}") from None
