"""RTP packets, and what RTCP reports say (RFC 3550)."""

import struct
from dataclasses import dataclass
from typing import Final

from streamswarm_core.wire.ntp import to_ntp

_HEADER: Final = struct.Struct("!BBHII")
_RTCP: Final = struct.Struct("!BBH")
_SENDER: Final = struct.Struct("!IQIII")
_BLOCK: Final = struct.Struct("!IIIIII")
_VERSION: Final = 2
_SENDER_REPORT, _RECEIVER_REPORT, _DESCRIPTION, _GOODBYE = 200, 201, 202, 203
_CNAME: Final = 1
_SHORT: Final = 65_536


@dataclass(frozen=True, slots=True)
class Packet:
    """The header of an RTP packet, and its payload."""

    payload_type: int
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes = b""
    marker: bool = False

    def __bytes__(self) -> bytes:
        first = _VERSION << 6
        second = self.marker << 7 | self.payload_type
        return _HEADER.pack(first, second, self.sequence, self.timestamp, self.ssrc) + self.payload


@dataclass(frozen=True, slots=True)
class Report:
    """What a receiver says about one stream.

    Attributes:
        ssrc: whose stream.
        fraction: lost since the report before, 0..1.
        lost: lost since the begin; negative if copies outnumber losses.
        highest: the highest sequence number that came, with its cycles.
        jitter: in timestamp units.
        last_sender: the middle 32 bits of the NTP time in the last sender report it got; 0 for none.
        delay: seconds from that report's arrival to this report.
    """

    ssrc: int
    fraction: float
    lost: int
    highest: int
    jitter: int
    last_sender: int
    delay: float


def read_packet(datagram: bytes) -> Packet | None:
    """Read an RTP packet; None for anything else, RTCP that shares the port included.

    >>> read_packet(bytes(Packet(8, 1, 160, 7, b"x"))).sequence
    1
    """
    if len(datagram) < _HEADER.size or datagram[0] >> 6 != _VERSION or 192 <= datagram[1] <= 223:
        return None
    first, second, sequence, timestamp, ssrc = _HEADER.unpack_from(datagram)
    begin = _HEADER.size + 4 * (first & 0x0F)
    if first & 0x10:
        if len(datagram) < begin + 4:
            return None
        begin += 4 + 4 * int.from_bytes(datagram[begin + 2 : begin + 4], "big")
    padding = datagram[-1] if first & 0x20 else 0
    end = len(datagram) - padding
    if end < begin or (first & 0x20 and not padding):
        return None
    return Packet(second & 0x7F, sequence, timestamp, ssrc, datagram[begin:end], bool(second & 0x80))


def make_sender_report(ssrc: int, *, time_ns: int, timestamp: int, packets: int, payload: int, name: str) -> bytes:
    """A compound packet: a sender report without blocks, and the canonical name.

    Args:
        ssrc: of the sender.
        time_ns: now, realtime clock.
        timestamp: now, in the stream's units.
        packets: sent so far.
        payload: bytes of payload sent so far.
        name: CNAME.
    """
    sent = _SENDER.pack(ssrc, to_ntp(time_ns), timestamp & 0xFFFFFFFF, packets, payload)
    return _pack(_SENDER_REPORT, 0, sent) + _describe(ssrc, name)


def make_goodbye(ssrc: int, name: str) -> bytes:
    """A compound packet: an empty receiver report, the canonical name, and the goodbye."""
    source = ssrc.to_bytes(4, "big")
    return _pack(_RECEIVER_REPORT, 0, source) + _describe(ssrc, name) + _pack(_GOODBYE, 1, source)


def read_reports(datagram: bytes) -> list[Report]:
    """All report blocks of a compound packet; nothing if it is none."""
    found: list[Report] = []
    at = 0
    while at + _RTCP.size <= len(datagram):
        first, kind, length = _RTCP.unpack_from(datagram, at)
        end = at + 4 * (length + 1)
        if first >> 6 != _VERSION or end > len(datagram):
            return found
        begin = at + _RTCP.size + {_SENDER_REPORT: _SENDER.size, _RECEIVER_REPORT: 4}.get(kind, 4 * (length + 1))
        for place in range(first & 0x1F):
            block = begin + place * _BLOCK.size
            if block + _BLOCK.size > end:
                break
            found.append(_report(*_BLOCK.unpack_from(datagram, block)))
        at = end
    return found


def round_trip(report: Report, received_ns: int) -> float | None:
    """Seconds there and back by a report on our own stream (RFC 3550, 6.4.1); None if it quotes no sender report."""
    if not report.last_sender:
        return None
    arrived = to_ntp(received_ns) >> 16 & 0xFFFFFFFF
    since = ((arrived - report.last_sender) & 0xFFFFFFFF) / _SHORT
    return since - report.delay if since - report.delay >= 0 else None


def _report(ssrc: int, losses: int, highest: int, jitter: int, last_sender: int, delay: int) -> Report:
    lost = losses & 0xFFFFFF
    return Report(
        ssrc,
        (losses >> 24) / 256,
        lost - (1 << 24) if lost & 0x800000 else lost,
        highest,
        jitter,
        last_sender,
        delay / _SHORT,
    )


def _pack(kind: int, count: int, content: bytes) -> bytes:
    return _RTCP.pack(_VERSION << 6 | count, kind, len(content) // 4) + content


def _describe(ssrc: int, name: str) -> bytes:
    text = name.encode()[:255]
    chunk = ssrc.to_bytes(4, "big") + bytes([_CNAME, len(text)]) + text
    # The list of items ends with a zero, and the chunk on a word.
    return _pack(_DESCRIPTION, 1, chunk + bytes(4 - len(chunk) % 4))
