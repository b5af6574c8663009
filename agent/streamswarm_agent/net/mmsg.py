"""Many packets with one system call: recvmmsg(2) and sendmmsg(2), which Python's socket module doesn't offer."""

import ctypes
import errno
import os
import socket
import struct
from collections.abc import Iterator, Sequence
from typing import Any, Final

SOCKADDR_BYTES: Final = {socket.AF_INET: 16, socket.AF_INET6: 28}
"""Size of `struct sockaddr_in` and `struct sockaddr_in6`."""
_SENDER_BYTES: Final = max(SOCKADDR_BYTES.values())
_FAMILY: Final = struct.Struct("@H")
_CONTROL_HEADER: Final = struct.Struct("@Nii")
_ALIGNMENT: Final = ctypes.sizeof(ctypes.c_size_t)
_DONTWAIT: Final = int(socket.MSG_DONTWAIT)
"""As plain integers flags are put together forty times as fast."""


class _IoVector(ctypes.Structure):
    _fields_ = (("base", ctypes.c_void_p), ("length", ctypes.c_size_t))


class _MessageHeader(ctypes.Structure):
    _fields_ = (
        ("name", ctypes.c_void_p),
        ("name_length", ctypes.c_uint32),
        ("vectors", ctypes.c_void_p),
        ("vector_count", ctypes.c_size_t),
        ("control", ctypes.c_void_p),
        ("control_length", ctypes.c_size_t),
        ("flags", ctypes.c_int),
    )


class _Message(ctypes.Structure):
    _fields_ = (("header", _MessageHeader), ("length", ctypes.c_uint))


def _lay_out(
    packets: "ctypes.Array[ctypes.c_char]", names: "ctypes.Array[ctypes.c_char]", batch: int
) -> "tuple[ctypes.Array[_IoVector], ctypes.Array[_Message]]":
    """Messages whose packets and addresses are equal parts of two buffers, and the vectors that they point at."""
    vectors, messages = (_IoVector * batch)(), (_Message * batch)()
    packet_bytes, name_bytes = len(packets) // batch, len(names) // batch
    for slot, (vector, message) in enumerate(zip(vectors, messages, strict=True)):
        vector.base = ctypes.addressof(packets) + slot * packet_bytes
        vector.length = packet_bytes
        header = message.header
        header.name = ctypes.addressof(names) + slot * name_bytes
        header.name_length = name_bytes
        header.vectors = ctypes.addressof(vectors) + slot * ctypes.sizeof(_IoVector)
        header.vector_count = 1
    return vectors, messages


_libc: Final = ctypes.CDLL(None, use_errno=True)
_recvmmsg = _libc.recvmmsg
_recvmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int, ctypes.c_void_p)
_recvmmsg.restype = ctypes.c_int
_sendmmsg = _libc.sendmmsg
_sendmmsg.argtypes = (ctypes.c_int, ctypes.c_void_p, ctypes.c_uint, ctypes.c_int)
_sendmmsg.restype = ctypes.c_int


class BatchReader:
    """Buffers for a batch of packets, read again and again; what it holds is good until the next `read`.

    Slot N of a batch begins at `packets[N * packet_bytes]` and its ancillary data at `controls[N * control_bytes]`.

    Args:
        batch: packets a call.
        packet_bytes: what is kept of a packet; the rest is cut off.
        control_bytes: room for a packet's ancillary data.
    """

    def __init__(self, *, batch: int, packet_bytes: int, control_bytes: int) -> None:
        self.batch = batch
        self.packet_bytes = packet_bytes
        self.control_bytes = control_bytes
        self._packets = ctypes.create_string_buffer(batch * packet_bytes)
        self._controls = ctypes.create_string_buffer(batch * control_bytes)
        self._senders = ctypes.create_string_buffer(batch * _SENDER_BYTES)
        self._vectors, self._messages = _lay_out(self._packets, self._senders, batch)
        for slot, message in enumerate(self._messages):
            message.header.control = ctypes.addressof(self._controls) + slot * control_bytes
            message.header.control_length = control_bytes
        self.packets = memoryview(self._packets).cast("B")
        self.controls = memoryview(self._controls).cast("B")
        # The kernel writes lengths over the headers; each call begins with them as they were.
        self._headers = memoryview(self._messages).cast("B")
        self._pristine = bytes(self._headers)
        self._lengths = self._headers.cast("I")[_Message.length.offset // 4 :: ctypes.sizeof(_Message) // 4]
        controls = _Message.header.offset + _MessageHeader.control_length.offset
        self._control_lengths = self._headers.cast("L")[controls // _ALIGNMENT :: ctypes.sizeof(_Message) // _ALIGNMENT]
        self._address = ctypes.addressof(self._messages)
        self._used = 0

    def read(self, descriptor: int, flags: int = 0) -> int:
        """Read what waits, at most a batch, without blocking; returns how many packets."""
        written = self._used * ctypes.sizeof(_Message)
        self._headers[:written] = self._pristine[:written]
        count: int = _recvmmsg(descriptor, self._address, self.batch, flags | _DONTWAIT, None)
        if count < 0 and ctypes.get_errno() != errno.EAGAIN:
            # An error that an earlier packet left on the socket is told once, in place of the packets that wait.
            count = _recvmmsg(descriptor, self._address, self.batch, flags | _DONTWAIT, None)
        self._used = max(0, count)
        return self._used

    @property
    def lengths(self) -> memoryview:
        """Of each packet the bytes that are kept, or of what came if that is less."""
        return self._lengths[: self._used]

    @property
    def control_lengths(self) -> memoryview:
        """Of each packet the bytes of its ancillary data."""
        return self._control_lengths[: self._used]

    def packets_as(self, form: struct.Struct) -> Iterator[tuple[Any, ...]]:
        """The packets unpacked, without a call for each; `form` is as large as a slot, and reads what a slot holds.

        Behind the end of a packet its slot holds what was there before.
        """
        return form.iter_unpack(self.packets[: self._used * self.packet_bytes])

    def controls_as(self, form: struct.Struct) -> Iterator[tuple[Any, ...]]:
        """The same of their ancillary data."""
        return form.iter_unpack(self.controls[: self._used * self.control_bytes])

    def packet(self, slot: int) -> memoryview:
        """What is kept of a packet."""
        start = slot * self.packet_bytes
        return self.packets[start : start + self._lengths[slot]]

    def sender(self, slot: int) -> str | None:
        """The address that a packet came from; None if the kernel gives none."""
        start = slot * _SENDER_BYTES
        return address_text(self._senders.raw[start : start + self._messages[slot].header.name_length])

    def ancillary(self, slot: int) -> Iterator[tuple[int, int, bytes]]:
        """Level, type and content of each piece of a packet's ancillary data."""
        content = self.controls[slot * self.control_bytes :][: self._control_lengths[slot]]
        while len(content) >= _CONTROL_HEADER.size:
            length, level, kind = _CONTROL_HEADER.unpack_from(content)
            yield level, kind, bytes(content[_CONTROL_HEADER.size : length])
            content = content[max(_CONTROL_HEADER.size, (length + _ALIGNMENT - 1) & ~(_ALIGNMENT - 1)) :]


class BatchWriter:
    """What leaves together: packets of one size, each to an address of its own.

    Args:
        packets: as many as leave together, one behind the other; they are read at each `send`.
        batch: how many that is.
        address_bytes: size of an address, a `struct sockaddr` of the socket's family.
    """

    def __init__(self, packets: bytearray, *, batch: int, address_bytes: int) -> None:
        self.batch = batch
        self._packets = (ctypes.c_char * len(packets)).from_buffer(packets)
        self._addresses = ctypes.create_string_buffer(batch * address_bytes)
        # The messages point at the vectors, which nothing else keeps.
        self._vectors, self._messages = _lay_out(self._packets, self._addresses, batch)
        self._names = memoryview(self._addresses).cast("B")
        self._address = ctypes.addressof(self._messages)

    def send(self, descriptor: int, addresses: Sequence[bytes]) -> int:
        """Send a packet to each address, at most a batch, without blocking; returns how many the kernel takes.

        Raises:
            OSError: it doesn't take the first one.
        """
        names = b"".join(addresses)
        self._names[: len(names)] = names
        count: int = _sendmmsg(descriptor, self._address, len(addresses), _DONTWAIT)
        if count < 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
        return count


def address_bytes(family: socket.AddressFamily, sockaddr: Sequence[str | int]) -> bytes:
    """An address as the socket module has it, as a `struct sockaddr` of this family.

    >>> address_text(address_bytes(socket.AF_INET6, ("2001:db8::1", 0, 0, 0)))
    '2001:db8::1'
    """
    host, port, *rest = sockaddr
    packed = socket.inet_pton(family, str(host).partition("%")[0])
    head = _FAMILY.pack(family) + int(port).to_bytes(2)
    if family == socket.AF_INET:
        return head + packed + bytes(8)
    flow, scope = map(int, rest)
    return head + flow.to_bytes(4) + packed + struct.pack("@I", scope)


def address_text(sockaddr: bytes) -> str | None:
    """The address in a `struct sockaddr`, as text; None for a family that is neither IPv4 nor IPv6.

    >>> address_text(_FAMILY.pack(socket.AF_INET) + bytes((0, 0, 192, 0, 2, 1)) + bytes(8))
    '192.0.2.1'
    """
    if len(sockaddr) < _FAMILY.size:
        return None
    (family,) = _FAMILY.unpack_from(sockaddr)
    if family == socket.AF_INET and len(sockaddr) >= 8:
        return socket.inet_ntop(socket.AF_INET, sockaddr[4:8])
    if family == socket.AF_INET6 and len(sockaddr) >= 24:
        return socket.inet_ntop(socket.AF_INET6, sockaddr[8:24])
    return None
