"""Packets of flows: bytes worked out by hand, and the same packets read by scapy, which has its own checksums."""

import socket
import warnings
from collections.abc import Callable
from dataclasses import replace

import pytest

from streamswarm_agent.net.path.flows import FLOW_BLOCK, FLOW_MASK, MARKS, Flow
from streamswarm_core.probespecs import TraceMethod

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from scapy.layers.inet import ICMP, IP, TCP, UDP
    from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
    from scapy.packet import Packet

NONCE = b"\x01\x02\x03\x04"
METHODS = list(TraceMethod)


def flow(method: TraceMethod, family: socket.AddressFamily = socket.AF_INET, number: int = 0) -> Flow:
    ends = ("192.0.2.1", "198.51.100.7") if family == socket.AF_INET else ("2001:db8::1", "2001:db8:1::7")
    source, destination = (socket.inet_pton(family, end) for end in ends)
    return Flow(method, source, destination, number)


def transport_sum(packet: bytes, protocol: int) -> int:
    """RFC 1071 over pseudo-header and what follows the IP header, word by word; 0xFFFF is right."""
    if packet[0] >> 4 == 4:
        covered, addresses = packet[20:], packet[12:20]
    else:
        covered, addresses = packet[40:], packet[8:40]
    pseudo = (
        b"" if protocol == socket.IPPROTO_ICMP else addresses + len(covered).to_bytes(4, "big") + bytes([0, protocol])
    )
    message = pseudo + covered + b"\0" * (len(covered) % 2)
    total = 0
    for place in range(0, len(message), 2):
        total += int.from_bytes(message[place : place + 2], "big")
        total = (total & 0xFFFF) + (total >> 16)
    return total


def test_an_echo_request_has_the_bytes_that_were_worked_out_by_hand() -> None:
    # The words 0800 1000 f000 0001 0102 0304 add up to 0c08 with the carry; f3f7 is missing to ffff.
    expected = "4500002200014000050100 00 c0000201 c6336407 0800 1000 f000 0001 f3f7 0102 0304".replace(" ", "")
    packet = flow(TraceMethod.ICMP).packet(1, 5, NONCE)
    assert packet[:10] + packet[12:] == bytes.fromhex(expected)[:10] + bytes.fromhex(expected)[12:]


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("method", METHODS)
def test_checksums_are_right_for_every_mark_and_flow(method: TraceMethod, family: socket.AddressFamily) -> None:
    for mark in (MARKS[0], 2, 255, 256, 0x8000, 0xFFFD, MARKS[-1]):
        for number in (0, 1, 255):
            for size in (0, 101, 1500):
                one = flow(method, family, number)
                assert transport_sum(one.packet(mark, 3, NONCE, size), one.protocol) == 0xFFFF


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("method", METHODS)
def test_what_load_balancers_hash_is_the_same_in_every_packet_of_a_flow(
    method: TraceMethod, family: socket.AddressFamily
) -> None:
    one = flow(method, family)
    header = one.header_size
    packets = [one.packet(mark, ttl, NONCE) for mark in (1, 77, 60_000) for ttl in (1, 9)]
    assert len({packet[header : header + 4] for packet in packets}) == 1
    assert len({packet[12:20] if family == socket.AF_INET else packet[:4] + packet[8:40] for packet in packets}) == 1
    if method is TraceMethod.ICMP:
        assert len({packet[header + 4 : header + 6] for packet in packets}) == 1
    # And within the eight bytes that are quoted at least, each mark can be told.
    assert len({packet[header + 4 : header + 8] for packet in packets}) == 3


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("method", METHODS)
def test_another_flow_is_another_one_to_load_balancers(method: TraceMethod, family: socket.AddressFamily) -> None:
    one = flow(method, family)
    heads = {replace(one, number=number).packet(1, 1, NONCE)[one.header_size :][:4] for number in range(256)}
    assert len(heads) == 256
    ports = {replace(one, number=number).source_port for number in range(256)}
    assert {port & FLOW_MASK for port in ports} == {FLOW_BLOCK}


def test_source_ports_are_not_those_that_linux_gives_to_others() -> None:
    ephemeral_until = 60_999  # Documentation/networking/ip-sysctl.rst
    assert flow(TraceMethod.TCP).source_port > ephemeral_until


def read_by_scapy(packet: bytes) -> Packet:
    layer = IP if packet[0] >> 4 == 4 else IPv6
    parsed = layer(packet)
    rebuilt = parsed.copy()
    inner = rebuilt.payload
    for name in ("chksum", "cksum"):
        if name in inner.fields:
            inner.delfieldval(name)
    if isinstance(rebuilt, IP):
        rebuilt.delfieldval("chksum")
        parsed.chksum = layer(bytes(rebuilt)).chksum
    assert bytes(rebuilt) == bytes(parsed)
    return parsed


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize(
    ("method", "look"),
    [
        (TraceMethod.UDP, lambda p: (p[UDP].sport, p[UDP].dport, p[UDP].chksum)),
        (TraceMethod.TCP, lambda p: (p[TCP].sport, p[TCP].dport, p[TCP].seq & 0xFFFF)),
    ],
)
def test_scapy_reads_ports_and_mark_and_makes_the_same_packet(
    method: TraceMethod, look: Callable[[Packet], tuple[int, ...]], family: socket.AddressFamily
) -> None:
    parsed = read_by_scapy(flow(method, family, 3).packet(0x1234, 9, NONCE, 200))
    assert look(parsed) == (FLOW_BLOCK + 3, 33_434, 0x1234)


def test_scapy_reads_the_echo_requests() -> None:
    parsed = read_by_scapy(flow(TraceMethod.ICMP).packet(0x1234, 9, NONCE, 200))
    assert (parsed[ICMP].type, parsed[ICMP].id, parsed[ICMP].seq) == (8, FLOW_BLOCK, 0x1234)
    assert (parsed[IP].ttl, parsed[IP].flags, len(parsed)) == (9, "DF", 200)
    parsed = read_by_scapy(flow(TraceMethod.ICMP, socket.AF_INET6).packet(0x1234, 9, NONCE, 200))
    echo = parsed[ICMPv6EchoRequest]
    assert (echo.id, echo.seq, parsed[IPv6].hlim) == (FLOW_BLOCK, 0x1234, 9)


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
@pytest.mark.parametrize("method", [TraceMethod.ICMP, TraceMethod.UDP])
def test_a_packet_is_as_long_as_was_asked_for(method: TraceMethod, family: socket.AddressFamily) -> None:
    for size in (68, 576, 1280, 1499, 1500, 9000):
        assert len(flow(method, family).packet(1, 64, NONCE, size)) == size
