"""What a network driver counts, asked of the kernel as ethtool does (linux/ethtool.h); any user may."""

import ctypes
import fcntl
import socket
import struct
from typing import Final

_SIOCETHTOOL: Final = 0x8946
_GET_STRINGS: Final = 0x1B
_GET_STATISTICS: Final = 0x1D
_GET_SET_SIZES: Final = 0x37
_STATISTICS: Final = 1
_NAME_BYTES: Final = 32
_MOST_STATISTICS: Final = 16_384
_SPARE: Final = 256
"""Should a driver grow counters between two questions, the kernel writes as many as there are then."""


def read_statistics(interface: str) -> dict[str, int]:
    """The driver's counters by its own names; none if it has none."""
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
            sizes = _ask(asking, interface, bytearray(struct.pack("=IIQI", _GET_SET_SIZES, 0, 1 << _STATISTICS, 0)))
            _, _, present, count = struct.unpack("=IIQI", sizes)
            if not present or not 0 < count <= _MOST_STATISTICS:
                return {}
            room = count + _SPARE
            names = struct.pack("=III", _GET_STRINGS, _STATISTICS, count) + bytes(room * _NAME_BYTES)
            named = _ask(asking, interface, bytearray(names))
            counted = _ask(asking, interface, bytearray(struct.pack("=II", _GET_STATISTICS, count) + bytes(room * 8)))
    except OSError:
        return {}
    return parse_statistics(bytes(named), bytes(counted))


def parse_statistics(named: bytes, counted: bytes) -> dict[str, int]:
    """Join struct ethtool_gstrings and struct ethtool_stats."""
    names = min(struct.unpack_from("=I", named, 8)[0], (len(named) - 12) // _NAME_BYTES)
    values = min(struct.unpack_from("=I", counted, 4)[0], (len(counted) - 8) // 8)
    if names != values:
        return {}
    texts = (named[12 + i * _NAME_BYTES :][:_NAME_BYTES].partition(b"\0")[0] for i in range(names))
    return dict(
        zip(
            (text.decode(errors="replace").strip() for text in texts),
            struct.unpack_from(f"={values}Q", counted, 8),
            strict=True,
        )
    )


def _ask(asking: socket.socket, interface: str, request: bytearray) -> bytearray:
    """Let the kernel answer in place. The request of an ioctl holds the answer's address, not the answer."""
    address = ctypes.addressof(ctypes.c_char.from_buffer(request))
    fcntl.ioctl(asking, _SIOCETHTOOL, struct.pack("@16sP16x", interface.encode()[:15], address))
    return request
