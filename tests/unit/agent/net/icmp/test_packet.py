"""Echo requests as they travel, and as routers quote them."""

import socket
import struct

import pytest

from streamswarm_agent.net.icmp.packet import ECHO_REQUEST, EchoTemplate, internet_checksum, new_secret, read_quoted

NUMBERS = (0, 1, 0xFFFF, 0x10000, 0xABCD1234, 2**32 - 1)


@pytest.mark.parametrize("size", [16, 17, 56, 1400])
def test_every_request_of_a_size_has_the_same_and_right_checksum(size: int) -> None:
    template = EchoTemplate(socket.AF_INET, 0xBEEF, size)
    packets = [template.request(number, new_secret()) for number in NUMBERS]
    assert {packet[2:4] for packet in packets} == {packets[0][2:4]}
    assert {internet_checksum(packet) for packet in packets} == {0}
    assert len(set(packets)) == len(packets)


@pytest.mark.parametrize("size", [16, 17, 56])
def test_requests_that_leave_together_are_those_that_leave_by_themselves(size: int) -> None:
    template = EchoTemplate(socket.AF_INET, 0xBEEF, size, batch=len(NUMBERS) + 2)
    secrets = [new_secret() for _ in NUMBERS]
    template.fill(NUMBERS, secrets)
    packets = bytes(template.packets)
    alone = [template.request(number, secret) for number, secret in zip(NUMBERS, secrets, strict=True)]
    assert packets.startswith(b"".join(alone))
    assert len(packets) == (len(NUMBERS) + 2) * template.packet_bytes


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("kept", [8, 23, 24, 64])
def test_a_quoted_request_is_known_by_its_number_or_at_least_its_sequence(
    family: socket.AddressFamily, kept: int
) -> None:
    request = EchoTemplate(family, 77, 56).request(0x00030005, b"secretly")[:kept]
    header = (
        struct.pack("!B8xB10x", 0x45, socket.IPPROTO_ICMP)
        if family == socket.AF_INET
        else struct.pack("!B5xB33x", 0x60, socket.IPPROTO_ICMPV6)
    )
    found = read_quoted(family, memoryview(header + request))
    assert found is not None
    assert (found.identifier, found.sequence) == (77, 5)
    assert (found.number, found.secret) == ((0x00030005, b"secretly") if kept >= 24 else (None, None))


@pytest.mark.parametrize(
    "quoted", [b"", b"\x45", b"\x45" + bytes(40), struct.pack("!B8xB10xBBHHH", 0x45, 1, 0, 0, 0, 7, 7)]
)
def test_what_is_no_echo_request_is_not_taken_for_one(quoted: bytes) -> None:
    assert read_quoted(socket.AF_INET, memoryview(quoted)) is None
    assert ECHO_REQUEST[socket.AF_INET] == 8
