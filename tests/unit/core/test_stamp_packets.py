"""Packets put together by hand from the figures of the RFCs; there is no second implementation to be installed here."""

import hashlib
import hmac
import random

import pytest

from streamswarm_core.wire.ntp import from_ntp, to_ntp
from streamswarm_core.wire.stamp import (
    BadPacket,
    ClassOfService,
    ClockError,
    StampError,
    make_reply,
    make_request,
    read_reply,
    read_request,
    wanted_dscp,
)

KEY = b"a secret of both sides"
# 2024-01-01T00:00:00.5Z: 1704067200 + 2208988800 seconds of the NTP era, and half of 2^32.
SENT_NS, SENT = 1_704_067_200_500_000_000, 0xE93C7F0080000000
RECEIVED, REPLIED = SENT + 0x10000000, SENT + 0x10000002
CLOCK = ClockError(2.0**-20, synchronised=True)  # 128 * 2^5 * 2^-32


def sign(text: bytes) -> bytes:
    return hmac.new(KEY, text, hashlib.sha256).digest()[:16]


def answer(packet: bytes, key: bytes = b"", *, sequence: int = 7, dscp: int = 0) -> bytes:
    return bytes(
        make_reply(
            packet,
            read_request(packet, key=key),
            sequence=sequence,
            received=RECEIVED,
            error=0x8001,
            ttl=250,
            service=ClassOfService(0, dscp, 2),
            key=key,
            now=lambda: REPLIED,
        )
    )


def test_times_are_those_of_ntp() -> None:
    assert to_ntp(SENT_NS) == SENT
    assert from_ntp(SENT) == SENT_NS
    # The era that begins in 2036.
    assert from_ntp(0x0000000080000000) == (0x100000000 - 2_208_988_800) * 1_000_000_000 + 500_000_000


def test_times_survive_the_wire_to_the_nanosecond() -> None:
    chance = random.Random(1)
    for _ in range(1_000):
        moment = chance.randrange(1_600_000_000_000_000_000, 3_000_000_000_000_000_000)
        assert abs(from_ntp(to_ntp(moment)) - moment) <= 1


def test_an_error_estimate_never_promises_more_than_the_clock() -> None:
    for exponent in range(-40, 9):
        for factor in (1.0, 1.3, 1.999):
            seconds = factor * 10.0**exponent
            read = ClockError.unpack(ClockError(seconds, synchronised=False).pack())
            assert seconds <= read.seconds <= seconds * 1.02 + 2.0**-32
            assert not read.synchronised


def test_an_error_estimate_is_never_zero_on_the_wire() -> None:
    assert ClockError(0.0, synchronised=True).pack() == 0x8001


def test_an_open_request_is_as_figure_2_of_rfc_8762_has_it() -> None:
    packet = make_request(5, SENT, CLOCK, ssid=0x1234)
    assert packet == bytes.fromhex("00000005 e93c7f00 80000000 8580 1234" + "00" * 28)


def test_an_open_reply_is_as_figure_4_of_rfc_8762_has_it() -> None:
    packet = make_request(5, SENT, CLOCK, ssid=0x1234)
    assert answer(packet) == bytes.fromhex(
        "00000007 e93c7f00 90000002 8001 1234 e93c7f00 90000000 00000005 e93c7f00 80000000 8580 0000 fa 000000"
    )


def test_an_authenticated_request_is_as_figure_3_of_rfc_8762_has_it() -> None:
    text = bytes.fromhex("00000005" + "00" * 12 + "e93c7f00 80000000 8580 1234" + "00" * 68)
    assert make_request(5, SENT, CLOCK, ssid=0x1234, key=KEY) == text + sign(text)


def test_an_authenticated_reply_is_as_figure_5_of_rfc_8762_has_it() -> None:
    text = bytes.fromhex(
        "00000007" + "00" * 12 + "e93c7f00 90000002 8001 1234 00000000"
        "e93c7f00 90000000" + "00" * 8 + "00000005" + "00" * 12 + "e93c7f00 80000000 8580" + "00" * 6 + "fa" + "00" * 15
    )
    assert answer(make_request(5, SENT, CLOCK, ssid=0x1234, key=KEY), KEY) == text + sign(text)


def test_the_shortest_twamp_light_reply_is_as_rfc_5357_has_it() -> None:
    request = bytes.fromhex("00000005 e93c7f00 80000000 8580") + b"\xaa" * 27
    reply = answer(request)
    assert len(reply) == len(request) == 41
    assert reply == bytes.fromhex(
        "00000007 e93c7f00 90000002 8001 0000 e93c7f00 90000000 00000005 e93c7f00 80000000 8580 0000 fa"
    )
    assert read_reply(reply).sender_ttl == 250


@pytest.mark.parametrize("size", [0, 14, 40])
def test_a_request_shorter_than_its_answer_is_refused(size: int) -> None:
    with pytest.raises(StampError) as refusal:
        read_request(bytes(size))
    assert refusal.value.reason is BadPacket.SHORT


@pytest.mark.parametrize("key", [b"", KEY], ids=["open", "authenticated"])
@pytest.mark.parametrize("size", [0, 120, 500, 1472])
def test_an_answer_is_exactly_as_long_as_its_request(size: int, key: bytes) -> None:
    packet = make_request(5, SENT, CLOCK, ssid=1, size=size, service=ClassOfService(46), key=key)
    assert len(packet) >= size
    assert len(answer(packet, key)) == len(packet)


@pytest.mark.parametrize("key", [b"", KEY], ids=["open", "authenticated"])
def test_the_reflector_says_which_dscp_it_saw(key: bytes) -> None:
    packet = make_request(5, SENT, CLOCK, ssid=1, size=300, service=ClassOfService(46), key=key)
    assert wanted_dscp(packet, key=key) == 46
    assert read_reply(answer(packet, key, dscp=10), key=key).service == ClassOfService(46, 10, 2)


def test_a_class_of_service_tlv_is_as_figure_9_of_rfc_8972_has_it() -> None:
    packet = make_request(0, SENT, CLOCK, ssid=1, service=ClassOfService(46))
    assert packet[44:] == bytes.fromhex("80 04 0004 b800 0000")
    # DSCP1 101110, DSCP2 001010, ECN 10, RP 00; U is cleared.
    assert answer(packet, dscp=10)[44:] == bytes.fromhex("00 04 0004 b8a8 0000")


def test_an_unknown_tlv_goes_back_as_it_came_marked_as_unrecognised() -> None:
    packet = make_request(0, SENT, CLOCK, ssid=1) + bytes.fromhex("00 63 0003 010203")
    assert answer(packet)[44:] == bytes.fromhex("80 63 0003 010203")


def test_a_tlv_longer_than_the_packet_is_marked_as_malformed() -> None:
    packet = make_request(0, SENT, CLOCK, ssid=1) + bytes.fromhex("80 04 00ff b800")
    assert answer(packet)[44:] == bytes.fromhex("c0 04 00ff b800")


def test_a_tlv_that_was_changed_on_the_way_is_not_believed() -> None:
    packet = bytearray(make_request(5, SENT, CLOCK, ssid=1, service=ClassOfService(46), key=KEY))
    packet[116] ^= 0x80
    assert wanted_dscp(bytes(packet), key=KEY) is None
    reply = answer(bytes(packet), KEY, dscp=10)
    assert reply[112] == 0x20  # the I flag: integrity
    assert read_reply(reply, key=KEY).service is None


@pytest.mark.parametrize("at", [0, 20, 95, 96, 111])
def test_a_changed_packet_is_refused_in_authenticated_mode(at: int) -> None:
    packet = bytearray(make_request(5, SENT, CLOCK, ssid=1, key=KEY))
    packet[at] ^= 1
    with pytest.raises(StampError, match="hmac"):
        read_request(bytes(packet), key=KEY)


def test_what_has_to_be_zero_in_an_answer_is_whatever_the_request_had_there() -> None:
    request = bytearray(make_request(5, SENT, CLOCK, ssid=1))
    request[41:44] = b"\xff\xff\xff"
    assert answer(bytes(request))[41:44] == bytes(3)


def test_random_padding_of_twamp_light_is_survived() -> None:
    chance = random.Random(2)
    for _ in range(2_000):
        packet = make_request(1, SENT, CLOCK, ssid=1)[:14] + chance.randbytes(chance.randrange(27, 200))
        reply = answer(packet)
        assert len(reply) == len(packet)
        assert read_reply(reply).sender_sequence == 1


def test_a_reflector_with_ptp_time_is_understood() -> None:
    reply = bytearray(answer(make_request(5, SENT, CLOCK, ssid=1)))
    reply[4:14] = bytes.fromhex("65920080 1dcd6500 c001")  # 1704067200 s, 500,000,000 ns, S and Z set
    assert read_reply(bytes(reply)).sent_ns == SENT_NS
