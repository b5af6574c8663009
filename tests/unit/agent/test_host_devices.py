import os
import struct
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.host.disks import disk_points, diskio_points, mounts
from streamswarm_agent.host.edac import ecc_points
from streamswarm_agent.host.ethtool import parse_statistics, read_statistics
from streamswarm_agent.host.growth import Growth
from streamswarm_agent.host.interfaces import interface_points
from streamswarm_agent.host.power import rapl_points, supply_points
from streamswarm_agent.host.sensors import sensor_points
from streamswarm_core.point import Point
from tests.unit.agent.host_trees import HostTree, fields_of


@pytest.fixture
def server(tmp_path: Path) -> HostTree:
    return HostTree("server", tmp_path)


def test_only_local_file_systems_that_last_are_measured_and_each_once(server: HostTree) -> None:
    found = [(mount.device, mount.path, mount.read_only) for mount in mounts(server.proc)]
    assert found == [("/dev/sda2", "/", False), ("/dev/nvme0n1p1", "/srv/two words", True)]


def test_a_file_system_that_may_not_be_looked_at_is_left_out(server: HostTree) -> None:
    def statvfs(path: str) -> os.statvfs_result:
        if path != "/":
            raise PermissionError
        # bsize, frsize, blocks, bfree, bavail, files, ffree, favail, flag, namemax
        return os.statvfs_result((4096, 1000, 100, 40, 20, 50, 40, 40, 0, 255))

    points = list(disk_points(server.proc, statvfs))
    assert len(points) == 1
    assert fields_of(points, "host_disk", path="/") == {
        "total": 100_000,
        "used": 60_000,
        "free": 20_000,
        "usage": 0.75,
        "inode_usage": 0.2,
        "read_only": 0,
    }


def diskio(tree: HostTree, growth: Growth) -> list[Point]:
    return list(diskio_points(growth, tree.proc, tree.sys))


def test_disks_are_measured_whole_and_with_the_time_of_an_operation(server: HostTree) -> None:
    first = Growth(0)
    assert diskio(server, first) == []
    server.replace(
        "proc/diskstats",
        (
            "sda 1000 10 80000 4000 2000 20 160000 10000 0 6000 14000",
            "sda 1100 10 82000 4500 2000 20 160000 10000 3 8000 18000",
        ),
    )
    points = diskio(server, Growth(10, before=first))
    assert [point.tags["device"] for point in points] == ["sda", "nvme0n1"]
    assert fields_of(points, "host_diskio", device="sda") == {
        "reads": 10.0,
        "writes": 0.0,
        "read": 102_400.0,
        "written": 0.0,
        "utilisation": 0.2,
        "read_latency": 0.005,
        "queue": 0.4,
    }


def test_a_disk_plugged_in_under_the_name_of_another_has_no_rates(server: HostTree) -> None:
    first = Growth(0)
    diskio(server, first)
    server.replace("proc/diskstats", ("nvme0n1 50 0 400", "nvme0n1 900000 0 9000000"))
    server.write("sys/block/nvme0n1/diskseq", 7)
    assert [point.tags["device"] for point in diskio(server, Growth(10, before=first))] == ["sda"]


def net(tree: HostTree, growth: Growth, **driver: int) -> list[Point]:
    return list(interface_points(growth, ("veth*",), tree.sys, lambda name: driver if name == "eno1" else {}))


def test_the_first_look_at_interfaces_tells_their_state(server: HostTree) -> None:
    points = net(server, Growth(0))
    assert fields_of(points, "host_net", interface="eno1") == {"up": 1, "mtu": 1500, "speed": 125e6, "full_duplex": 1}
    assert fields_of(points, "host_net", interface="eno2") == {"up": 0, "mtu": 1500}
    assert fields_of(points, "host_net", interface="lo") == {"up": 1, "mtu": 65536}
    assert len(points) == 3


def test_interfaces_have_rates_of_traffic_and_of_each_kind_of_error(server: HostTree) -> None:
    first = Growth(0)
    net(server, first, rx_pause=5, rx_symbol_err_phy=1)
    statistics = "sys/class/net/eno1/statistics"
    server.write(f"{statistics}/rx_bytes", 1_000_000 + 625_000_000)
    server.write(f"{statistics}/tx_bytes", 2_000_000 + 125_000_000)
    server.write(f"{statistics}/rx_crc_errors", 25)
    server.write("sys/class/net/eno1/carrier_changes", 5)
    points = net(server, Growth(10, before=first), rx_pause=105, rx_symbol_err_phy=1)
    fields = fields_of(points, "host_net", interface="eno1")
    assert (fields["received"], fields["sent"], fields["utilisation"]) == (62_500_000, 12_500_000, 0.5)
    assert (fields["crc_errors"], fields["frame_errors"], fields["carrier_changes"]) == (2.0, 0.0, 0.2)
    assert (fields["pause_received"], fields["symbol_errors"]) == (10.0, 0.0)
    assert "pause_sent" not in fields
    assert "pause_received" not in fields_of(points, "host_net", interface="eno2")


def test_on_a_half_duplex_link_both_directions_share_the_speed(server: HostTree) -> None:
    server.write("sys/class/net/eno1/duplex", "half")
    first = Growth(0)
    net(server, first)
    for name, count in (("rx_bytes", 251_000_000), ("tx_bytes", 252_000_000)):
        server.write(f"sys/class/net/eno1/statistics/{name}", count)
    fields = fields_of(net(server, Growth(10, before=first)), "host_net", interface="eno1")
    assert (fields["full_duplex"], fields["utilisation"]) == (0, 0.4)


def test_an_interface_that_was_made_anew_has_no_rates(server: HostTree) -> None:
    first = Growth(0)
    net(server, first)
    server.write("sys/class/net/eno1/ifindex", 12)
    server.write("sys/class/net/eno1/statistics/rx_bytes", 10**12)
    fields = fields_of(net(server, Growth(10, before=first)), "host_net", interface="eno1")
    assert fields.keys() == {"up", "mtu", "speed", "full_duplex"}


def test_an_interface_that_went_leaves_no_point(server: HostTree) -> None:
    first = Growth(0)
    net(server, first)
    server.remove("sys/class/net/eno1")
    assert {point.tags["interface"] for point in net(server, Growth(10, before=first))} == {"eno2", "lo"}


@pytest.fixture
def veth() -> Iterator[str]:
    name = f"hv{os.getpid() % 100_000}"
    made = subprocess.run(
        ["ip", "link", "add", name, "type", "veth", "peer", "name", f"{name}p"], capture_output=True, check=False
    )
    if made.returncode:
        pytest.skip("making an interface takes CAP_NET_ADMIN")
    yield name
    subprocess.run(["ip", "link", "del", name], check=True)


@pytest.mark.needs("ip", "iproute2")
def test_the_kernel_tells_what_a_driver_counts(veth: str) -> None:
    counted = read_statistics(veth)
    peer = int(Path(f"/sys/class/net/{veth}p/ifindex").read_text(encoding="ascii"))
    assert counted["peer_ifindex"] == peer


@pytest.mark.needs("ethtool", "ethtool")
def test_ethtool_reads_the_same_names(veth: str) -> None:
    shown = subprocess.run(["ethtool", "-S", veth], capture_output=True, text=True, check=True).stdout
    names = [line.strip().partition(":")[0] for line in shown.splitlines()[1:]]
    assert list(read_statistics(veth)) == names


@pytest.mark.parametrize("interface", ["lo", "none-such", ""])
def test_an_interface_without_counters_of_its_driver_has_none(interface: str) -> None:
    assert read_statistics(interface) == {}


@given(
    st.dictionaries(st.text("abc_xyz0123456789", min_size=1, max_size=31), st.integers(0, (1 << 64) - 1), max_size=20)
)
def test_drivers_counters_are_read_back_as_they_were_written(counters: dict[str, int]) -> None:
    names = struct.pack("=III", 0x1B, 1, len(counters)) + b"".join(name.encode().ljust(32, b"\0") for name in counters)
    values = struct.pack(f"=II{len(counters)}Q", 0x1D, len(counters), *counters.values())
    assert parse_statistics(names, values) == counters


def test_sensors_are_told_apart_by_what_they_sit_on(server: HostTree) -> None:
    points = list(sensor_points(server.sys))
    package = fields_of(points, "host_temperature", chip="coretemp", sensor="Package id 0")
    assert package == {"temperature": 45.0, "high": 80.0, "critical": 100.0}
    assert fields_of(points, "host_temperature", chip="drivetemp", device="sda") == {"temperature": 31.0}
    assert fields_of(points, "host_temperature", chip="drivetemp", device="sdc") == {"temperature": 33.0}
    assert fields_of(points, "host_voltage", sensor="Vcore") == {"voltage": 1.032}
    assert fields_of(points, "host_power", chip="nct6775") == {"power": 75.5}


def test_a_sensor_that_is_broken_is_absent_and_not_zero(server: HostTree) -> None:
    points = list(sensor_points(server.sys))
    assert [dict(point.fields) for point in points if point.measurement == "host_fan"] == [{"speed": 1250.0}]
    assert not [
        point for point in points if point.measurement == "host_temperature" and point.tags["chip"] == "nct6775"
    ]


def test_sensors_that_a_chip_calls_the_same_stay_two(server: HostTree) -> None:
    for number in (5, 6):
        server.write(f"sys/class/hwmon/hwmon0/temp{number}_input", 20_000 + number)
        server.write(f"sys/class/hwmon/hwmon0/temp{number}_label", "Other")
    points = list(sensor_points(server.sys))
    assert fields_of(points, "host_temperature", sensor="Other temp6") == {"temperature": pytest.approx(20.006)}


def test_where_no_chip_measures_the_thermal_zones_do(tmp_path: Path) -> None:
    points = list(sensor_points(HostTree("laptop", tmp_path).sys))
    assert fields_of(points, "host_temperature", sensor="x86_pkg_temp") == {"temperature": 52.0}


def test_energy_becomes_power_and_a_wrap_leaves_a_gap(server: HostTree) -> None:
    first = Growth(0)
    assert list(rapl_points(first, server.sys)) == []
    server.write("sys/class/powercap/intel-rapl:0/energy_uj", 1_000_000_000 + 650_000_000)
    server.write("sys/class/powercap/intel-rapl:0:0/energy_uj", 1_000)
    points = list(rapl_points(Growth(10, before=first), server.sys))
    assert [dict(point.tags) for point in points] == [{"chip": "rapl", "device": "0", "sensor": "package-0"}]
    assert points[0].fields == {"power": pytest.approx(65.0)}


def test_batteries_tell_charge_health_and_power_and_those_of_mice_are_left_out(tmp_path: Path) -> None:
    points = list(supply_points(HostTree("laptop", tmp_path).sys))
    assert fields_of(points, "host_power_supply", supply="AC", kind="mains") == {"online": 0}
    assert fields_of(points, "host_power_supply", kind="battery") == pytest.approx(
        {"charge": 0.8, "status": "Discharging", "power": 18.0, "voltage": 12.0, "health": 0.8, "cycles": 312}
    )


def test_memory_errors_are_told_by_controller_and_by_module(server: HostTree) -> None:
    first = Growth(0)
    list(ecc_points(first, server.sys))
    server.write("sys/devices/system/edac/mc/mc0/ce_count", 22)
    server.write("sys/devices/system/edac/mc/mc0/dimm0/dimm_ce_count", 22)
    points = list(ecc_points(Growth(10, before=first), server.sys))
    assert [dict(point.tags) for point in points] == [
        {"controller": "mc0"},
        {"controller": "mc0", "module": "dimm0 CPU_SrcID#0_MC#0_Chan#0_DIMM#0"},
        {"controller": "mc0", "module": "dimm1"},
    ]
    for point in points[:2]:
        assert point.fields == {"corrected": 22, "uncorrected": 0, "corrected_rate": 1.0, "uncorrected_rate": 0.0}


def test_a_host_without_a_source_writes_nothing_of_it(tmp_path: Path) -> None:
    growth = Growth(10, before=Growth(0))
    assert not [
        *disk_points(tmp_path),
        *diskio_points(growth, tmp_path, tmp_path),
        *interface_points(growth, (), tmp_path),
        *sensor_points(tmp_path),
        *rapl_points(growth, tmp_path),
        *supply_points(tmp_path),
        *ecc_points(growth, tmp_path),
    ]
