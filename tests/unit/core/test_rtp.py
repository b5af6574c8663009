"""RTP and RTCP packets by RFC 3550, and session descriptions of them."""

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as some

from streamswarm_core.voice.codecs import CODECS
from streamswarm_core.wire.ntp import to_ntp
from streamswarm_core.wire.rtp import (
    Packet,
    Report,
    make_goodbye,
    make_sender_report,
    read_packet,
    read_reports,
    round_trip,
)
from streamswarm_core.wire.sdp import SdpError, make_offer, read_answer

NOW = 1_795_600_800_500_000_000
PCMA = CODECS["PCMA"]


def test_a_packet_lies_as_the_rfc_draws_it() -> None:
    text = bytes(Packet(8, 0x1234, 0x89ABCDEF, 0xDEADBEEF, b"speech", marker=True))
    assert text == bytes.fromhex("80 88 1234 89abcdef deadbeef") + b"speech"
    assert read_packet(text) == Packet(8, 0x1234, 0x89ABCDEF, 0xDEADBEEF, b"speech", marker=True)


def test_sources_extension_and_padding_are_no_speech() -> None:
    head = bytes([0x80 | 0x20 | 0x10 | 2, 8]) + struct.pack("!HII", 1, 2, 3)
    extension = struct.pack("!HH", 0xBEDE, 1) + b"\1\2\3\4"
    packet = read_packet(head + bytes(8) + extension + b"speech" + b"\0\0\3")
    assert packet is not None
    assert packet.payload == b"speech"


@pytest.mark.parametrize("text", [b"", bytes(12), bytes([0x80, 200]) + bytes(26), bytes([0xA0, 8]) + bytes(10)])
def test_what_is_no_packet_is_none(text: bytes) -> None:
    assert read_packet(text) is None


@given(some.binary(max_size=100))
def test_garbage_is_read_without_harm(garbage: bytes) -> None:
    for text in (garbage, b"\x80" + garbage, b"\x81\xc9" + garbage, b"\xb3\x08" + garbage):
        read_packet(text)
        read_reports(text)


def report(ssrc: int, *, lost: int, last: int = 0, delay: float = 0.0) -> bytes:
    """A receiver report with one block, written by hand."""
    block = struct.pack("!IIIIII", ssrc, 64 << 24 | lost & 0xFFFFFF, 70_000, 240, last, round(delay * 65_536))
    return struct.pack("!BBHI", 0x81, 201, 7, 99) + block


def test_a_receivers_report_is_read() -> None:
    (found,) = read_reports(report(7, lost=12, last=5, delay=1.5))
    assert found == Report(7, 0.25, 12, 70_000, 240, 5, 1.5)
    assert read_reports(report(7, lost=-3))[0].lost == -3


def test_blocks_of_a_senders_report_in_a_compound_packet_are_read() -> None:
    block = report(7, lost=1)[8:]
    sender = struct.pack("!BBHIQIII", 0x81, 200, 12, 99, 0, 0, 0, 0) + block
    goodbye = struct.pack("!BBHI", 0x81, 203, 1, 99)
    assert [one.ssrc for one in read_reports(sender + goodbye + report(8, lost=1))] == [7, 8]


def test_the_round_trip_is_what_is_left_of_the_time() -> None:
    # As in the RFC's figure: sent, 0.25 s to arrive, held for 5.25 s, 0.5 s back.
    sent = to_ntp(NOW) >> 16 & 0xFFFFFFFF
    (found,) = read_reports(report(7, lost=0, last=sent, delay=5.25))
    assert round_trip(found, NOW + 6_000_000_000) == pytest.approx(0.75, abs=1e-4)
    assert round_trip(found, NOW + 5_000_000_000) is None
    assert round_trip(read_reports(report(7, lost=0))[0], NOW) is None


def test_our_reports_have_the_lengths_that_they_announce() -> None:
    for text in (
        make_sender_report(7, time_ns=NOW, timestamp=5, packets=6, payload=960, name="abc"),
        make_goodbye(7, "abcd"),
    ):
        kinds, at = [], 0
        while at < len(text):
            first, kind, length = struct.unpack_from("!BBH", text, at)
            assert first >> 6 == 2
            kinds.append(kind)
            at += 4 * (length + 1)
        assert at == len(text)
        assert kinds[:2] in ([200, 202], [201, 202])  # a report and the name are in every compound packet


# SDP


def test_an_offer_says_where_and_how_to_speak() -> None:
    offer = make_offer("2001:db8::1", 4000, CODECS["G729"], 0.04, 12).decode()
    assert offer.splitlines() == [
        "v=0",
        "o=- 12 1 IN IP6 2001:db8::1",
        "s=-",
        "c=IN IP6 2001:db8::1",
        "t=0 0",
        "m=audio 4000 RTP/AVP 18",
        "a=rtpmap:18 G729/8000",
        "a=fmtp:18 annexb=yes",
        "a=ptime:40",
        "a=sendrecv",
    ]


def answered(*lines: str) -> bytes:
    return "\r\n".join(["v=0", "o=- 1 1 IN IP4 192.0.2.1", "s=-", "t=0 0", *lines, ""]).encode()


def test_an_answer_is_read() -> None:
    found = read_answer(answered("c=IN IP4 192.0.2.9", "m=audio 4000 RTP/AVP 8 101", "a=rtpmap:101 x/8000"), PCMA)
    assert (found.host, found.port, found.control_port, found.payload_type) == ("192.0.2.9", 4000, 4001, 8)
    assert found.receives
    assert not read_answer(answered("c=IN IP4 0.0.0.0", "m=audio 4000 RTP/AVP 8"), PCMA).receives


def test_what_holds_for_the_stream_comes_before_what_holds_for_all() -> None:
    body = answered(
        "c=IN IP4 192.0.2.9",
        "a=inactive",
        "m=video 5000 RTP/AVP 96",
        "m=audio 4000 RTP/AVP 97",
        "c=IN IP6 2001:db8::5",
        "a=rtpmap:97 gsm-efr/8000/1",
        "a=rtcp:4100 IN IP6 2001:db8::5",
        "a=sendrecv",
        "m=audio 9 RTP/AVP 0",
    )
    found = read_answer(body, CODECS["GSM-EFR"])
    assert (found.host, found.control_port, found.payload_type, found.receives) == ("2001:db8::5", 4100, 97, True)
    assert read_answer(body.replace(b"a=rtcp:4100", b"a=rtcp-mux"), CODECS["GSM-EFR"]).control_port in {4000, 4001}


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "no m=audio"),
        (b"\xff", "UTF-8"),
        (answered("m=audio 4000 RTP/AVP 8"), "no address"),
        (answered("c=IN IP4 pbx.example", "m=audio 4000 RTP/AVP 8"), "no IP address"),
        (answered("c=IN IP4 192.0.2.9", "m=audio 0 RTP/AVP 8"), "refuses speech"),
        (answered("c=IN IP4 192.0.2.9", "m=audio 4000 RTP/SAVP 8"), "no RTP"),
        (answered("c=IN IP4 192.0.2.9", "m=audio x RTP/AVP 8"), "no RTP"),
        (answered("c=IN IP4 192.0.2.9", "m=audio 4000 RTP/AVP 0 18"), "0, 18, not PCMA"),
    ],
    ids=range(8),
)
def test_an_answer_that_cant_be_used_says_why(body: bytes, said: str) -> None:
    with pytest.raises(SdpError, match=said):
        read_answer(body, PCMA)


@given(some.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    for body in (text, "c=IN IP4 h\r\nm=audio " + text, "m=audio 1 RTP/AVP 8\r\n" + text):
        try:
            read_answer(body.encode(), PCMA)
        except SdpError:
            continue
