import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.host import sockets
from streamswarm_agent.host.growth import Growth
from streamswarm_agent.host.sockets import socket_points, tcp_states
from streamswarm_agent.host.wifi import (
    parse_link,
    parse_scan,
    parse_station,
    parse_survey,
    parse_wireless,
    wifi_points,
    wireless_interfaces,
)
from streamswarm_core.point import Point
from tests.unit.agent.host_trees import HostTree, fields_of


@pytest.fixture
def server(tmp_path: Path) -> HostTree:
    return HostTree("server", tmp_path)


@pytest.fixture
def laptop(tmp_path: Path) -> HostTree:
    return HostTree("laptop", tmp_path)


def test_connections_of_both_ip_versions_are_counted_by_state(server: HostTree) -> None:
    states = tcp_states(server.proc)
    assert {name: count for name, count in states.items() if count} == {
        "connections": 4,
        "established": 2,
        "listening": 1,
        "close_wait": 1,
        "time_wait": 1,
        "orphaned": 2,
    }
    assert states["syn_sent"] == 0


def test_very_many_connections_are_not_listed(server: HostTree, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sockets, "MOST_LISTED", 4)
    assert tcp_states(server.proc) == {"time_wait": 1, "orphaned": 2}


def test_a_connection_made_here_is_seen_in_the_kernels_table() -> None:
    before = tcp_states()
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_connection(listener.getsockname()):
        after = tcp_states()
    assert before.keys() == after.keys()
    assert (after["established"] or 0) >= 2
    assert (after["listening"] or 0) >= 1


def test_tcp_rates_and_the_share_of_retransmissions(server: HostTree) -> None:
    first = Growth(0)
    assert list(socket_points(first, {}, server.proc)) == []
    server.replace(
        "proc/net/snmp", ("10000 20000 50 1 7", "10100 20180 70 1 7"), ("500 10 20 400 15", "600 10 20 400 25")
    )
    server.replace("proc/net/snmp6", ("RcvbufErrors                \t5", "RcvbufErrors                \t15"))
    server.replace("proc/net/netstat", ("1 2 10 20 3", "1 12 10 50 3"), ("0 30", "0 80"))
    points = list(socket_points(Growth(10, before=first), {"established": 3}, server.proc))
    tcp, udp = fields_of(points, "host_tcp"), fields_of(points, "host_udp")
    assert (tcp["segments_received"], tcp["segments_sent"], tcp["retransmits"]) == (10, 18, 2)
    assert tcp["retransmission"] == pytest.approx(0.1)
    assert (tcp["listen_drops"], tcp["listen_overflows"], tcp["out_of_order"]) == (1, 0, 3)
    assert (tcp["congestion_marks"], tcp["established"]) == (5, 3)
    assert (udp["received"], udp["receive_buffer_errors"], udp["send_buffer_errors"]) == (10, 2, 0)


def test_datagrams_that_a_program_read_too_slowly_are_found_in_the_kernels_own_tables() -> None:
    first = Growth(0)
    list(socket_points(first, {}))
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as slow,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending,
    ):
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.bind(("127.0.0.1", 0))
        for _ in range(200):
            sending.sendto(bytes(900), slow.getsockname())
    udp = fields_of(socket_points(Growth(1, before=first), {}), "host_udp")
    assert float(udp["sent"]) >= 200
    assert float(udp["receive_buffer_errors"]) >= 150


def test_a_host_that_sent_nothing_has_no_share_of_retransmissions(server: HostTree) -> None:
    first = Growth(0)
    list(socket_points(first, {}, server.proc))
    tcp = fields_of(socket_points(Growth(10, before=first), {}, server.proc), "host_tcp")
    assert tcp["retransmits"] == 0
    assert "retransmission" not in tcp


def test_a_host_without_network_tables_writes_nothing_of_them(tmp_path: Path) -> None:
    assert tcp_states(tmp_path) == {"time_wait": None, "orphaned": None}
    assert list(socket_points(Growth(0), tcp_states(tmp_path), tmp_path)) == []


class Iw:
    """Answers as `iw dev X …` does, from the recorded host."""

    def __init__(self, tree: HostTree) -> None:
        self.tree = tree
        self.asked: list[tuple[str, ...]] = []

    async def __call__(self, interface: str, arguments: Sequence[str], seconds: float) -> str:
        assert interface == "wlp3s0"
        assert seconds > 0
        self.asked.append(tuple(arguments))
        file = self.tree.folder / "iw" / arguments[0]
        return file.read_text(encoding="utf-8") if file.exists() else ""


async def wifi(tree: HostTree, growth: Growth, iw: Iw, *, scan: bool = False) -> list[Point]:
    interfaces = wireless_interfaces(tree.sys)
    return await wifi_points(growth, interfaces, samples=3, scan=scan, proc=tree.proc, ask=iw)


async def test_a_wifi_link_tells_signal_rates_and_retries(laptop: HostTree) -> None:
    first, iw = Growth(0), Iw(laptop)
    await wifi(laptop, first, iw)
    laptop.replace("iw/station", ("packets:\t1000", "packets:\t1400"), ("retries:\t100", "retries:\t200"))
    laptop.replace("iw/survey", ("10000 ms", "20000 ms"), ("2000 ms", "7000 ms"))
    points = await wifi(laptop, Growth(10, before=first), iw)
    assert fields_of(points, "host_wifi", interface="wlp3s0") == {
        "signal": -56.0,
        "signal_min": -56.0,
        "signal_max": -56.0,
        "signal_samples": 3,
        "noise": -95.0,
        "snr": 39.0,
        "quality": 54.0,
        "frequency": 5.18e9,
        "transmit_rate": 97.5e6,
        "receive_rate": 108_337_500.0,
        "retries": 10.0,
        "retry_share": 0.25,
        "failures": 0.0,
        "beacon_losses": 0.0,
        "channel_busy": 0.5,
        "ssid": "example net",
        "bssid": "04:18:d6:aa:bb:cc",
    }
    assert ("scan",) not in iw.asked


async def test_after_roaming_the_counters_of_the_other_access_point_are_not_compared_with(laptop: HostTree) -> None:
    first = Growth(0)
    await wifi(laptop, first, Iw(laptop))
    for name in ("link", "station"):
        laptop.replace(f"iw/{name}", ("04:18:d6:aa:bb:cc", "04:18:d6:aa:bb:dd"))
    fields = fields_of(await wifi(laptop, Growth(10, before=first), Iw(laptop)), "host_wifi")
    assert "retries" not in fields
    assert fields["signal"] == -56.0


async def test_without_iw_the_kernels_table_still_has_the_signal(laptop: HostTree) -> None:
    laptop.remove("iw")
    fields = fields_of(await wifi(laptop, Growth(0), Iw(laptop)), "host_wifi")
    assert fields == {"signal": -56.0, "signal_min": -56.0, "signal_max": -56.0, "signal_samples": 3, "quality": 54.0}


async def test_without_the_kernels_table_iw_is_asked_for_each_sample(laptop: HostTree) -> None:
    laptop.remove("proc/net/wireless")
    fields = fields_of(await wifi(laptop, Growth(0), Iw(laptop)), "host_wifi")
    assert (fields["signal_samples"], fields["signal_min"]) == (3, -56.0)


async def test_the_air_is_only_listened_to_if_asked_for(laptop: HostTree) -> None:
    points = await wifi(laptop, Growth(0), Iw(laptop), scan=True)
    assert fields_of(points, "host_wifi_scan") == {
        "networks": 2,
        "same_channel": 1,
        "strongest_same_channel": -71.0,
    }


async def test_a_host_without_wifi_asks_nobody(server: HostTree) -> None:
    iw = Iw(server)
    assert await wifi(server, Growth(0), iw, scan=True) == []
    assert iw.asked == []


@given(st.text(max_size=300))
def test_whatever_iw_prints_is_read_without_an_error(text: str) -> None:
    for prefix in ("", "Connected to ", "Station ", "Survey data from x [in use]\n", "BSS 00:"):
        parse_link(prefix + text)
        parse_station(prefix + text, "04:18:d6:aa:bb:cc")
        parse_survey(prefix + text)
        parse_scan(prefix + text, "", None)
        parse_wireless((prefix + text).splitlines())
