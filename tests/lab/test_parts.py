import re
import socket

import pytest

from tests.lab import parts
from tests.lab.topology import Path, PathBuilder
from tests.support import eventually

pytestmark = pytest.mark.needs("nft", "nftables")
needs_ping = pytest.mark.needs("ping", "iputils-ping")
FAMILIES = pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])


def target_of(line: Path, family: socket.AddressFamily) -> str:
    return line.target if family == socket.AF_INET else line.target6


def tos_after(line: Path, family: socket.AddressFamily, tos: int) -> int:
    """Send one datagram with this TOS byte, and read the byte that arrives."""
    level, option, receive = (
        (socket.IPPROTO_IP, socket.IP_TOS, socket.IP_RECVTOS)
        if family == socket.AF_INET
        else (socket.IPPROTO_IPV6, socket.IPV6_TCLASS, socket.IPV6_RECVTCLASS)
    )
    with line.far.entered():
        receiver = socket.socket(family, socket.SOCK_DGRAM)
    with line.near.entered():
        sender = socket.socket(family, socket.SOCK_DGRAM)
    with receiver, sender:
        receiver.settimeout(5)
        receiver.setsockopt(level, receive, 1)
        receiver.bind((target_of(line, family), 0))
        sender.setsockopt(level, option, tos)
        sender.sendto(b"x", receiver.getsockname())
        _content, ancillary, _flags, _sender = receiver.recvmsg(100, 100)
    return ancillary[0][2][0]


def connect(line: Path, port: int) -> None:
    with line.near.entered():
        client = socket.socket()
    with client:
        client.settimeout(5)
        client.connect((line.target, port))


@FAMILIES
def test_a_router_rewrites_dscp_and_leaves_ecn_alone(path: PathBuilder, family: socket.AddressFamily) -> None:
    line = path(relay=False)
    rule = parts.rewrite_dscp(line.routers[1], 8, only=46)
    assert tos_after(line, family, 46 << 2 | 2) == 8 << 2 | 2
    assert tos_after(line, family, 10 << 2) == 10 << 2
    assert rule.packets == 1
    parts.rewrite_dscp(line.routers[1], 0)
    assert tos_after(line, family, 10 << 2) == 0


@FAMILIES
def test_congestion_is_marked_only_on_what_is_capable_of_ecn(path: PathBuilder, family: socket.AddressFamily) -> None:
    line = path(relay=False)
    rule = parts.mark_congestion(line.routers[0])
    assert tos_after(line, family, 2) == 3
    assert tos_after(line, family, 0) == 0
    assert rule.packets == 1
    parts.clear_ecn(line.routers[1])
    assert tos_after(line, family, 2) == 0


@needs_ping
def test_a_black_hole_says_nothing_of_what_is_too_large(path: PathBuilder) -> None:
    line = path(mtu=1_400)
    rule = parts.hide_mtu(line.routers[0])
    for target in (line.target, line.target6):
        said = line.near.run(["ping", "-n", "-c1", "-W1", "-Mdo", "-s1400", target], check=False).stdout
        assert "100% packet loss" in said
        assert "From" not in said
    assert rule.packets == 2


@needs_ping
def test_a_silent_router_still_forwards(path: PathBuilder) -> None:
    line = path(hops=3, relay=False)
    rule = parts.silence(line.routers[1])
    assert "From" not in line.near.run(["ping", "-n", "-c1", "-W1", "-t2", line.target], check=False).stdout
    assert f"From {line.routers[2].v4}" in line.near.run(["ping", "-n", "-c1", "-t3", line.target], check=False).stdout
    assert rule.packets == 1


@needs_ping
def test_loss_at_one_hop_is_counted_there(path: PathBuilder) -> None:
    line = path(relay=False)
    rule = parts.lose(line.routers[1], 0.5, "icmp type echo-request")
    said = line.near.run(["ping", "-n", "-c40", "-i0.01", "-W1", line.target], check=False).stdout
    received = int(re.findall(r"(\d+) received", said)[0])
    assert rule.packets == 40 - received
    assert 0 < received < 40


@pytest.mark.parametrize(
    ("how", "error"), [("reset", ConnectionRefusedError), ("prohibited", OSError), ("port-unreachable", OSError)]
)
def test_a_firewall_refuses_as_it_is_told(path: PathBuilder, how: parts.Refusal, error: type[OSError]) -> None:
    line = path(relay=False)
    with line.far.entered(), socket.create_server((line.target, 443)), socket.create_server((line.target, 80)):
        rule = parts.refuse(line.routers[0], "tcp dport 443", how)
        connect(line, 80)
        with pytest.raises(error) as refused:
            connect(line, 443)
        assert not isinstance(refused.value, TimeoutError)
        assert rule.packets >= 1


def test_a_firewall_that_drops_lets_the_client_wait(path: PathBuilder) -> None:
    line = path(relay=False)
    rule = parts.refuse(line.far, "tcp dport 443")
    with line.near.entered():
        client = socket.socket()
    with client:
        client.settimeout(0.3)
        with pytest.raises(TimeoutError):
            client.connect((line.target, 443))
        eventually(lambda: rule.packets, bool)  # it may have waited for the neighbour's address


def send_burst(line: Path, count: int) -> None:
    """Send datagrams of 1,028 bytes as fast as it goes."""
    with line.near.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for _ in range(count):
            sender.sendto(b"\0" * 1_000, (line.target, 9_999))


def test_a_policer_lets_a_burst_through_and_drops_the_rest(path: PathBuilder) -> None:
    line = path()
    rule = parts.police(line.routers[0], "80kbit", burst_bytes=10_280)
    send_burst(line, 100)
    passed = line.truth.there.received
    assert passed + rule.packets == 100
    assert 9 <= passed < 100


@pytest.mark.needs("tc", "iproute2")
def test_a_shaper_queues_and_drops_nothing_that_fits(path: PathBuilder) -> None:
    line = path(hops=1, at=1, record=True)
    parts.shape(line.routers[0], "8mbit", queue_ms=1_000)
    send_burst(line, 60)
    eventually(lambda: line.truth.there.received, lambda received: received == 60)
    records = line.records("there")
    # Of 1,042-byte frames at 1.042 ms each, the shaper's burst of 3,000 bytes lets two through at once.
    assert records[-1].arrived_ns - records[0].arrived_ns >= 57 * 1_042_000 * 0.98


@pytest.mark.needs("tc", "iproute2")
def test_a_priority_class_doesnt_wait_behind_the_others(path: PathBuilder) -> None:
    line = path(hops=1, at=1, record=True)
    rule = parts.prioritise(line.routers[0], 46, "200kbit")
    send_burst(line, 20)
    with line.near.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.setsockopt(socket.IPPROTO_IP, socket.IP_TOS, 46 << 2)
        sender.sendto(b"!" * 100, (line.target, 9_999))
    eventually(lambda: line.truth.there.received, lambda received: received == 21)
    place = [record.size for record in line.records("there")].index(128)
    assert place < 19
    assert rule.packets == 1
