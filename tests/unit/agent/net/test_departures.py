"""Transmit timestamps of the kernel, on loopback, whose driver makes them."""

import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from streamswarm_agent.net.departures import Departures
from streamswarm_agent.net.steady import SteadyClock


@dataclass
class Packet:
    sent_ns: int


@pytest.fixture
def sender() -> Iterator[socket.socket]:
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as opened:
        yield opened


def send(sender: socket.socket, destination: str = "127.0.0.1") -> Packet:
    packet = Packet(time.time_ns())
    address = socket.inet_aton(destination)
    header = b"\x45\0\0\x1c\0\1\x40\0\1\xfd\0\0" + address + address
    sender.sendto(header + bytes(8), (destination, 0))
    return packet


def test_a_packet_has_left_after_the_call_began_and_before_it_ended(sender: socket.socket) -> None:
    departures = Departures(sender, SteadyClock())
    before, packets = time.time_ns(), []
    for _ in range(5):
        packets.append(send(sender))
        departures.add(packets[-1])
    asked = [packet.sent_ns for packet in packets]
    departures.learn()
    left = [packet.sent_ns for packet in packets]
    assert all(a < b for a, b in zip(asked, left, strict=True))
    assert left == sorted(left)
    assert before < left[0]
    assert left[-1] < time.time_ns()


def test_after_a_failure_the_numbers_fit_again(sender: socket.socket) -> None:
    departures = Departures(sender, SteadyClock())
    departures.add(send(sender))
    with pytest.raises(OSError, match="Message too long"):
        sender.sendto(b"\x45" + bytes(65_535), ("127.0.0.1", 0))
    departures.recount()
    packets = [send(sender) for _ in range(3)]
    asked = [packet.sent_ns for packet in packets]
    for packet in packets:
        departures.add(packet)
    departures.learn()
    assert all(a < packet.sent_ns for a, packet in zip(asked, packets, strict=True))


def test_packets_that_nobody_asks_about_are_not_kept(sender: socket.socket) -> None:
    departures = Departures(sender, SteadyClock())
    for _ in range(1_000):
        departures.add(send(sender))
    assert len(departures._waiting) < 256
