"""Reading ICMP errors: about our own packets, with extensions that scapy wrote, and damaged ones."""

import socket
import struct
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.net.icmp.errors import Kind, Label, read_icmp
from streamswarm_agent.net.path.flows import FLOW_BLOCK, Flow
from streamswarm_core.probespecs import TraceMethod

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.contrib.mpls import MPLS
    from scapy.layers.inet import ICMPExtension_Header, ICMPExtension_Object
    from scapy.packet import Raw

NONCE = b"\x01\x02\x03\x04"
V4, V6 = socket.AF_INET, socket.AF_INET6
SOURCE = {V4: "192.0.2.1", V6: "2001:db8::1"}
TARGET = {V4: "198.51.100.7", V6: "2001:db8:1::7"}


def sent(
    family: socket.AddressFamily, method: TraceMethod = TraceMethod.UDP, mark: int = 0x1234, tos: int = 0
) -> bytes:
    source, target = (socket.inet_pton(family, one[family]) for one in (SOURCE, TARGET))
    return Flow(method, source, target, number=3, tos=tos).packet(mark, 1, NONCE)


def error(kind: int, code: int, quoted: bytes, rest: int = 0) -> bytes:
    return struct.pack("!BBHI", kind, code, 0, rest) + quoted


EXPIRED = {V4: 11, V6: 3}


@pytest.mark.parametrize("family", [V4, V6])
@pytest.mark.parametrize("method", list(TraceMethod))
def test_a_quoted_packet_is_told_by_protocol_port_target_and_mark(
    family: socket.AddressFamily, method: TraceMethod
) -> None:
    packet = sent(family, method)
    header = 20 if family == V4 else 40
    for quoted in (packet, packet[: header + 8]):
        said = read_icmp(family, error(EXPIRED[family], 0, quoted))
        assert said is not None
        assert (said.kind, said.port, said.marks[0]) == (Kind.EXPIRED, FLOW_BLOCK + 3, 0x1234)
        assert said.destination == socket.inet_pton(family, TARGET[family])


def test_the_identification_has_the_mark_too_where_a_translator_changed_the_checksum() -> None:
    packet = bytearray(sent(V4))
    packet[26:28] = b"\xff\xff"
    said = read_icmp(V4, error(11, 0, bytes(packet)))
    assert said is not None
    assert 0x1234 in said.marks


def test_the_traffic_class_is_read_as_it_arrived() -> None:
    for family in (V4, V6):
        said = read_icmp(family, error(EXPIRED[family], 0, sent(family, tos=0xB8)))
        assert said is not None
        assert said.tos == 0xB8


def test_what_the_next_link_takes_is_read() -> None:
    said = read_icmp(V4, error(3, 4, sent(V4), rest=1400))
    assert said is not None
    assert (said.kind, said.mtu) == (Kind.TOO_BIG, 1400)
    old_router = read_icmp(V4, error(3, 4, sent(V4)))
    assert old_router is not None
    assert (old_router.kind, old_router.mtu) == (Kind.TOO_BIG, None)
    said = read_icmp(V6, error(2, 0, sent(V6), rest=1300))
    assert said is not None
    assert (said.kind, said.mtu, said.labels) == (Kind.TOO_BIG, 1300, ())


# One label 16001 with class 5 and TTL 254, and the bottom one 24015 with TTL 1: worked out from RFC 3032's figure.
STACK = bytes.fromhex("2000 0000 000c 0101 03e81afe 05dcf101".replace(" ", ""))
LABELS = (Label(16001, 5, 254), Label(24015, 0, 1))


@pytest.mark.parametrize("family", [V4, V6])
def test_mpls_labels_stand_after_the_length_that_the_router_says(family: socket.AddressFamily) -> None:
    unit = 4 if family == V4 else 8
    padded = sent(family).ljust(128, b"\0")
    rest = len(padded) // unit << (16 if family == V4 else 24)
    said = read_icmp(family, error(EXPIRED[family], 0, padded + STACK, rest))
    assert said is not None
    assert said.labels == LABELS
    assert str(said.labels[0]) == "16001/5/254"


def test_routers_older_than_rfc_4884_say_no_length_and_put_the_extension_after_128_bytes() -> None:
    said = read_icmp(V4, error(11, 0, sent(V4).ljust(128, b"\0") + STACK))
    assert said is not None
    assert said.labels == LABELS


def test_scapy_writes_the_same_extension() -> None:
    stack = MPLS(label=16001, cos=5, s=0, ttl=254) / MPLS(label=24015, cos=0, s=1, ttl=1)
    labels = bytes(stack)[:8]
    written = bytes(ICMPExtension_Header() / ICMPExtension_Object(classnum=1, classtype=1, len=12) / Raw(labels))
    assert written[4:] == STACK[4:]
    said = read_icmp(V4, error(11, 0, sent(V4).ljust(128, b"\0") + written))
    assert said is not None
    assert said.labels == LABELS


def test_messages_about_others_are_left_alone() -> None:
    assert read_icmp(V4, error(8, 0, sent(V4))) is None
    assert read_icmp(V4, error(11, 1, sent(V4))) is None
    assert read_icmp(V4, error(11, 0, sent(V4)[:27])) is None
    assert read_icmp(V4, b"") is None


@given(st.sampled_from([V4, V6]), st.integers(0, 255), st.binary(max_size=200))
def test_no_message_makes_the_reader_fail(family: socket.AddressFamily, kind: int, rest: bytes) -> None:
    read_icmp(family, bytes([kind]) + rest)
    read_icmp(family, error(EXPIRED[family], 0, sent(family) + rest, rest=0x00200000))
