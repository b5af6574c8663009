"""Filters in the kernel (classic BPF) that let only our own packets' answers through to a raw socket.

A raw socket gets a copy of every ICMP message, or every TCP segment, of the host; without a filter an agent on a busy
host would spend its time on others' packets. A filter takes the source port or identifier of a flow by its upper byte,
straight or as quoted in an error. Programs and layouts: linux/filter.h, Documentation/networking/filter.rst.
"""

import ctypes
import socket
import struct
from collections.abc import Sequence
from typing import Final

from streamswarm_agent.net.path.flows import FLOW_BLOCK, FLOW_MASK

_SO_ATTACH_FILTER: Final = 26
_LOAD_BYTE: Final = 0x50  # BPF_LD | BPF_B | BPF_IND: the byte at X + k
_LOAD_HALF: Final = 0x48  # BPF_LD | BPF_H | BPF_IND
_HEADER_TO_X: Final = 0xB1  # BPF_LDX | BPF_B | BPF_MSH: four times the low half of the byte at k
_IMMEDIATE_TO_X: Final = 0x01  # BPF_LDX | BPF_IMM
_AND: Final = 0x54
_JUMP_IF_EQUAL: Final = 0x15
_RETURN: Final = 0x06
_WHOLE_PACKET: Final = 0xFFFF

Program = list[tuple[int, int, int, int]]


def answers_to_echo_and_errors(family: socket.AddressFamily) -> Program:
    """Accept echo replies to our identifiers, and errors that quote our packets."""
    errors: Sequence[int]
    if family == socket.AF_INET:
        reply, errors, protocol_at, inner_at, icmp = 0, (3, 11), 8 + 9, 8 + 20, socket.IPPROTO_ICMP
    else:
        reply, errors, protocol_at, inner_at, icmp = 129, (1, 2, 3), 8 + 6, 8 + 40, socket.IPPROTO_ICMPV6
    identifier = [(_LOAD_HALF, 0, 0, 4), *_ours_or_drop()]
    quoted_identifier = [(_LOAD_HALF, 0, 0, inner_at + 4), *_ours_or_drop()]
    quoted_port = [(_LOAD_HALF, 0, 0, inner_at), *_ours_or_drop()]
    program: Program = [_start(family), (_LOAD_BYTE, 0, 0, 0), (_JUMP_IF_EQUAL, 0, len(identifier), reply), *identifier]
    # Each error jumps over the comparisons that are left, and over the instruction that drops what is none.
    program += [(_JUMP_IF_EQUAL, len(errors) - place, 0, error) for place, error in enumerate(errors)]
    program.append((_RETURN, 0, 0, 0))
    program += [(_LOAD_BYTE, 0, 0, protocol_at), (_JUMP_IF_EQUAL, 0, len(quoted_identifier), icmp)]
    return program + quoted_identifier + quoted_port


def segments_to_our_ports(family: socket.AddressFamily) -> Program:
    """Accept TCP segments to the source ports of our flows."""
    return [_start(family), (_LOAD_HALF, 0, 0, 2), *_ours_or_drop()]


def attach(opened: socket.socket, program: Sequence[tuple[int, int, int, int]]) -> None:
    """Put a filter on a socket; needs no privilege."""
    code = b"".join(struct.pack("@HBBI", *instruction) for instruction in program)
    kept = ctypes.create_string_buffer(code)
    # struct sock_fprog: the number of instructions, and where they are.
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(kept)))


def _start(family: socket.AddressFamily) -> tuple[int, int, int, int]:
    """X becomes where the header after IP begins: raw sockets show IPv4's header and not IPv6's."""
    return (_HEADER_TO_X, 0, 0, 0) if family == socket.AF_INET else (_IMMEDIATE_TO_X, 0, 0, 0)


def _ours_or_drop() -> Program:
    """Return the packet if the half-word just loaded is a port of ours."""
    return [
        (_AND, 0, 0, FLOW_MASK),
        (_JUMP_IF_EQUAL, 0, 1, FLOW_BLOCK),
        (_RETURN, 0, 0, _WHOLE_PACKET),
        (_RETURN, 0, 0, 0),
    ]
