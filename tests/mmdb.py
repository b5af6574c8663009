"""Writes small files in MaxMind's format for tests, after the format's specification, version 2.0.

https://maxmind.github.io/MaxMind-DB/: a binary search tree over the address's bits, then the records, then metadata.
"""

import ipaddress
import struct
from collections.abc import Mapping
from pathlib import Path

_METADATA_MARKER = b"\xab\xcd\xefMaxMind.com"
_UINT16, _UINT32, _UINT64 = 5, 6, 9
_METADATA_INTEGERS = {
    "binary_format_major_version": _UINT16,
    "binary_format_minor_version": _UINT16,
    "build_epoch": _UINT64,
    "ip_version": _UINT16,
    "record_size": _UINT16,
}
_Node = list["_Node | int | None"]


def write_mmdb(path: Path, networks: Mapping[str, Mapping[str, object]]) -> Path:
    """Write a file with a record for each of these networks, none within another; IPv4 is at ::/96, as in theirs."""
    data = b""
    root: _Node = [None, None]
    nodes = [root]
    for network, record in networks.items():
        parsed = ipaddress.ip_network(network)
        length = parsed.prefixlen + (96 if parsed.version == 4 else 0)
        bits = f"{int(parsed.network_address):0128b}"[:length]
        node = root
        for bit in map(int, bits[:-1]):
            following = node[bit]
            if not isinstance(following, list):
                following = node[bit] = [None, None]
                nodes.append(following)
            node = following
        node[int(bits[-1])] = len(data)
        data += _encode(record)
    numbers = {id(node): number for number, node in enumerate(nodes)}

    def pointer(value: _Node | int | None) -> bytes:
        # A pointer to data counts from the end of the tree, past a separator of 16 bytes.
        place = (
            len(nodes) if value is None else numbers[id(value)] if isinstance(value, list) else len(nodes) + 16 + value
        )
        return place.to_bytes(4, "big")

    tree = b"".join(pointer(value) for node in nodes for value in node)
    metadata = {
        "binary_format_major_version": 2,
        "binary_format_minor_version": 0,
        "build_epoch": 1,
        "database_type": "Test",
        "description": {"en": "for a test"},
        "ip_version": 6,
        "languages": ["en"],
        "node_count": len(nodes),
        "record_size": 32,
    }
    path.write_bytes(tree + bytes(16) + data + _METADATA_MARKER + _encode(metadata))
    return path


def _encode(value: object, unsigned: int = _UINT32) -> bytes:
    match value:
        case str():
            return _control(2, len(value.encode())) + value.encode()
        case float():
            return _control(3, 8) + struct.pack("!d", value)
        case int():
            content = value.to_bytes((value.bit_length() + 7) // 8, "big")
            return _control(unsigned, len(content)) + content
        case Mapping():
            pairs = (
                _encode(key) + _encode(inner, _METADATA_INTEGERS.get(key, _UINT32)) for key, inner in value.items()
            )
            return _control(7, len(value)) + b"".join(pairs)
        case list():
            return _control(11, len(value)) + b"".join(map(_encode, value))
    raise TypeError(f"no type of the format holds {value!r}")


def _control(kind: int, size: int) -> bytes:
    """The control byte: the type in the upper three bits, or in a byte of its own from 8 on, and the size."""
    low, more = (size, b"") if size < 29 else (29, bytes([size - 29]))
    return bytes([kind << 5 | low]) + more if kind < 8 else bytes([low, kind - 7]) + more
