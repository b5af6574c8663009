"""STAMP test packets (RFC 8762), those of TWAMP-Light (RFC 5357, appendix I), and the TLVs of RFC 8972 that we use.

Nothing here is sent or received. Times are nanoseconds since the Unix epoch; on the wire they are NTP's 64 bits
(RFC 5905), or PTP's where the other side says so. HMACs are HMAC-SHA-256 truncated to 128 bits (RFC 8762, section 4.4).
"""

import hashlib
import hmac
import math
import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Final

from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.wire.ntp import from_ntp

DEFAULT_PORT: Final = 8620
"""Where our reflectors listen unless told otherwise; the registered port, 862, takes privileges."""

OPEN_SIZE: Final = 44
"""Bytes of a packet without authentication, without TLVs."""
AUTHENTICATED_SIZE: Final = 112
"""The same with authentication."""
TWAMP_SIZE: Final = 41
"""Bytes of a TWAMP-Light reply: a request must be as long, or the reply would be longer than the request."""
TTL: Final = 255

_HMAC_AT: Final = 96
_HMAC_SIZE: Final = 16
_UNITS_A_SECOND: Final = 1 << 32
"""Of the Error Estimate, as of NTP's stamps."""
_OPEN: Final = struct.Struct("!IQHH")
_OPEN_REPLY: Final = struct.Struct("!IQHHQIQHHB")
_AUTHENTICATED: Final = struct.Struct("!I12xQHH")
_AUTHENTICATED_REPLY: Final = struct.Struct("!I12xQHH4xQ8xI12xQH6xB")
_TLV: Final = struct.Struct("!BBH")
_COS: Final = struct.Struct("!HH")
COS_TLV_SIZE: Final = _TLV.size + _COS.size
HMAC_TLV_SIZE: Final = _TLV.size + _HMAC_SIZE
_UNRECOGNISED, _MALFORMED, _INTEGRITY = 0x80, 0x40, 0x20


class Tlv(IntEnum):
    """The TLV types that are understood here; others are reflected as unrecognised."""

    PADDING = 1
    CLASS_OF_SERVICE = 4
    HMAC = 8


class BadPacket(StrEnum):
    """Why a packet is not taken."""

    SHORT = "short"
    HMAC = "hmac"


class StampError(Exception):
    """A packet that can't be used.

    Attributes:
        reason: why.
    """

    def __init__(self, reason: BadPacket) -> None:
        self.reason = reason
        super().__init__(reason.value)


@dataclass(frozen=True, slots=True)
class ClockError:
    """How far a clock may be from UTC: the Error Estimate field (RFC 4656, section 4.1.2).

    Attributes:
        seconds: the bound.
        synchronised: whether something outside the host keeps the clock; if not, the bound says nothing about UTC.
        ptp: whether the time stamps beside it are PTP's.
    """

    seconds: float
    synchronised: bool
    ptp: bool = False

    def pack(self) -> int:
        """The field: S, Z, a scale of 6 bits, a multiplier of 8 bits that is never 0; the bound is rounded up.

        >>> hex(ClockError(0.001, synchronised=True).pack())
        '0x8f84'
        """
        units, scale = max(1, math.ceil(min(self.seconds, 1e9) * _UNITS_A_SECOND)), 0
        while units > 255:
            units, scale = -(-units // 2), scale + 1
        return self.synchronised << 15 | self.ptp << 14 | scale << 8 | units

    @classmethod
    def unpack(cls, field: int) -> "ClockError":
        """Read the field.

        >>> ClockError.unpack(0x8F84)
        ClockError(seconds=0.001007080078125, synchronised=True, ptp=False)
        """
        seconds = (field & 0xFF) * 2.0 ** ((field >> 8 & 0x3F) - 32)
        return cls(seconds, bool(field & 0x8000), bool(field & 0x4000))


@dataclass(frozen=True, slots=True)
class ClassOfService:
    """The Class of Service TLV (RFC 8972, section 4.4).

    Attributes:
        wanted: DSCP that the sender wants the reply to have.
        seen: DSCP of the request where the reflector got it.
        ecn: ECN of the request where the reflector got it.
        refused: the reflector did not give the reply the wanted DSCP.
    """

    wanted: int
    seen: int = 0
    ecn: int = 0
    refused: bool = False

    def pack(self) -> bytes:
        """The TLV's value."""
        return _COS.pack(self.wanted << 10 | self.seen << 4 | self.ecn << 2 | self.refused, 0)

    @classmethod
    def unpack(cls, value: bytes | bytearray | memoryview) -> "ClassOfService":
        """Read the TLV's value.

        >>> ClassOfService.unpack(ClassOfService(46, 8, 1).pack())
        ClassOfService(wanted=46, seen=8, ecn=1, refused=False)
        """
        bits, _ = _COS.unpack(value)
        return cls(bits >> 10, bits >> 4 & 0x3F, bits >> 2 & 3, bool(bits & 3))


@dataclass(frozen=True, slots=True)
class Request:
    """What a reflector needs of a sender's packet."""

    sequence: int
    sent: int
    error: int
    ssid: int


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        sequence: the reflector's own, or a copy of the sender's (stateless).
        sent_ns: when the reflector sent it, by its clock.
        received_ns: when the reflector received the request, by its clock.
        error: of the reflector's clock.
        ssid: the session's number, 0 from a reflector that knows none.
        sender_sequence: of the request.
        sender_sent: the request's time stamp as it was on the wire.
        sender_ttl: what was left of the request's TTL.
        service: what became of the DSCP, from a reflector that knows the TLV.
    """

    sequence: int
    sent_ns: int
    received_ns: int
    error: ClockError
    ssid: int
    sender_sequence: int
    sender_sent: int
    sender_ttl: int
    service: ClassOfService | None


def make_request(
    sequence: int,
    sent: int,
    error: ClockError,
    *,
    ssid: int,
    size: int = 0,
    service: ClassOfService | None = None,
    key: bytes = b"",
) -> bytes:
    """A sender's packet: with a key an authenticated one.

    Args:
        sequence: counted from 0.
        sent: now, as `to_ntp` gives it.
        error: of this host's clock.
        ssid: names the session, 1 to 65535.
        size: bytes to pad to, with the Extra Padding TLV; it may come out up to three bytes longer.
        service: asks the reflector which DSCP it saw.
        key: the secret that both sides have.
    """
    if key:
        packet = bytearray(_AUTHENTICATED.pack(sequence, sent, error.pack(), ssid)).ljust(_HMAC_AT, b"\0")
        packet += _digest(key, packet)
    else:
        packet = bytearray(_OPEN.pack(sequence, sent, error.pack(), ssid)).ljust(OPEN_SIZE, b"\0")
    base = len(packet)
    if service is not None:
        packet += _TLV.pack(_UNRECOGNISED, Tlv.CLASS_OF_SERVICE, _COS.size) + service.pack()
        if key:
            packet += _TLV.pack(_UNRECOGNISED, Tlv.HMAC, _HMAC_SIZE)
            packet += _digest(key, packet[:4] + packet[base : -_TLV.size])
    if size > len(packet):
        padding = max(0, size - len(packet) - _TLV.size)
        packet += _TLV.pack(_UNRECOGNISED, Tlv.PADDING, padding) + bytes(padding)
    return bytes(packet)


def read_request(packet: bytes, *, key: bytes = b"") -> Request:
    """Read a sender's packet; with a key only an authenticated one is taken.

    Raises:
        StampError: it is too short for a reply of the same length, or its HMAC is not ours.
    """
    if not key:
        if len(packet) < TWAMP_SIZE:
            raise StampError(BadPacket.SHORT)
        sequence, sent, error, ssid = _OPEN.unpack_from(packet)
        # Packets of TWAMP-Light have padding there.
        return Request(sequence, sent, error, ssid if len(packet) >= OPEN_SIZE else 0)
    if len(packet) < AUTHENTICATED_SIZE:
        raise StampError(BadPacket.SHORT)
    _check(packet, key)
    return Request(*_AUTHENTICATED.unpack_from(packet))


def make_reply(
    packet: bytes,
    request: Request,
    *,
    sequence: int,
    received: int,
    error: int,
    ttl: int,
    service: ClassOfService,
    key: bytes = b"",
    now: Callable[[], int],
) -> bytearray:
    """The answer to a packet, exactly as long as it.

    Args:
        packet: what came; its TLVs and padding go back.
        request: what was read from it.
        sequence: the session's own number.
        received: when the packet came, as `to_ntp` gives it.
        error: this host's ClockError, packed.
        ttl: of the packet when it came.
        service: the DSCP and ECN that it came with; `wanted` and `refused` are taken from the packet.
        key: as for `read_request`.
        now: the time in the same form, asked for when all but a base HMAC is done.
    """
    reply = bytearray(packet)
    reply[:4] = sequence.to_bytes(4, "big")
    _answer_tlvs(reply, packet[:4], service, key)
    if key:
        reply[:_HMAC_AT] = bytes(_HMAC_AT)
        theirs = (request.sequence, request.sent, request.error)
        _AUTHENTICATED_REPLY.pack_into(reply, 0, sequence, now(), error, request.ssid, received, *theirs, ttl)
        reply[_HMAC_AT:AUTHENTICATED_SIZE] = _digest(key, reply[:_HMAC_AT])
    else:
        reply[TWAMP_SIZE:OPEN_SIZE] = bytes(len(reply[TWAMP_SIZE:OPEN_SIZE]))
        theirs = (request.sequence, request.sent, request.error)
        _OPEN_REPLY.pack_into(reply, 0, sequence, now(), error, request.ssid, received, *theirs, 0, ttl)
    return reply


def wanted_dscp(packet: bytes, *, key: bytes = b"") -> int | None:
    """The DSCP that the packet's Class of Service TLV asks for; None without one, or one that can't be believed."""
    start = AUTHENTICATED_SIZE if key else OPEN_SIZE
    if key and not _tlvs_are_authentic(packet, packet[:4], key):
        return None
    for kind, begin, end in _tlvs(packet, start):
        if kind == Tlv.CLASS_OF_SERVICE and end - begin == _COS.size:
            return ClassOfService.unpack(packet[begin:end]).wanted
    return None


def read_reply(packet: bytes, *, key: bytes = b"") -> Reply:
    """Read a reflector's packet.

    Raises:
        StampError: it is too short, or its HMAC is not ours.
    """
    if len(packet) < (AUTHENTICATED_SIZE if key else TWAMP_SIZE):
        raise StampError(BadPacket.SHORT)
    if key:
        _check(packet, key)
        fields = _AUTHENTICATED_REPLY.unpack_from(packet)
    else:
        *some, _, ttl = _OPEN_REPLY.unpack_from(packet)
        fields = (*some, ttl)
    sequence, sent, error, ssid, received, sender_sequence, sender_sent, _, ttl = fields
    clock = ClockError.unpack(error)
    start = AUTHENTICATED_SIZE if key else OPEN_SIZE
    service = None
    if not key or _tlvs_are_authentic(packet, packet[:4], key):
        for kind, begin, end in _tlvs(packet, start):
            understood = not packet[begin - _TLV.size] & (_UNRECOGNISED | _MALFORMED | _INTEGRITY)
            if kind == Tlv.CLASS_OF_SERVICE and understood and end - begin == _COS.size:
                service = ClassOfService.unpack(packet[begin:end])
    return Reply(
        sequence,
        _read_stamp(sent, clock),
        _read_stamp(received, clock),
        clock,
        ssid,
        sender_sequence,
        sender_sent,
        ttl,
        service,
    )


def _read_stamp(stamp: int, clock: ClockError) -> int:
    return (stamp >> 32) * NANOSECONDS + (stamp & 0xFFFFFFFF) if clock.ptp else from_ntp(stamp)


def _digest(key: bytes, text: bytes | bytearray) -> bytes:
    return hmac.digest(key, bytes(text), hashlib.sha256)[:_HMAC_SIZE]


def _check(packet: bytes, key: bytes) -> None:
    if not hmac.compare_digest(_digest(key, packet[:_HMAC_AT]), packet[_HMAC_AT:AUTHENTICATED_SIZE]):
        raise StampError(BadPacket.HMAC)


def _tlvs(packet: bytes | bytearray, start: int) -> Iterator[tuple[int, int, int]]:
    """Type, begin and end of each value; ends at the first whose length doesn't fit, which has end -1."""
    while start + _TLV.size <= len(packet):
        _, kind, length = _TLV.unpack_from(packet, start)
        begin = start + _TLV.size
        if begin + length > len(packet):
            yield kind, begin, -1
            return
        yield kind, begin, begin + length
        start = begin + length


def _tlvs_are_authentic(packet: bytes | bytearray, sequence: bytes, key: bytes) -> bool:
    """Whether the HMAC TLV fits the sequence number and all TLVs before it (RFC 8972, section 4.8)."""
    for kind, begin, end in _tlvs(packet, AUTHENTICATED_SIZE):
        if kind == Tlv.HMAC and end - begin == _HMAC_SIZE:
            text = sequence + bytes(packet[AUTHENTICATED_SIZE : begin - _TLV.size])
            return hmac.compare_digest(_digest(key, text), bytes(packet[begin:end]))
    return False


def _answer_tlvs(reply: bytearray, sequence: bytes, service: ClassOfService, key: bytes) -> None:
    """Fill in what is understood, and mark the rest (RFC 8972, section 4.2)."""
    start = AUTHENTICATED_SIZE if key else OPEN_SIZE
    found = list(_tlvs(reply, start))
    authentic = not key or _tlvs_are_authentic(reply, sequence, key)
    for kind, begin, end in found:
        flags_at = begin - _TLV.size
        if end < 0:
            reply[flags_at] = _UNRECOGNISED | _MALFORMED
        elif kind == Tlv.PADDING:
            reply[flags_at] = 0
        elif not authentic:
            reply[flags_at] = _INTEGRITY
        elif kind == Tlv.CLASS_OF_SERVICE:
            reply[flags_at] = 0 if end - begin == _COS.size else _MALFORMED
            if not reply[flags_at]:
                wanted = ClassOfService.unpack(reply[begin:end]).wanted
                reply[begin:end] = ClassOfService(wanted, service.seen, service.ecn).pack()
        elif kind == Tlv.HMAC and key:
            reply[flags_at] = 0
            if end - begin == _HMAC_SIZE:
                reply[begin:end] = _digest(key, reply[:4] + reply[start:flags_at])
        else:
            reply[flags_at] = _UNRECOGNISED
