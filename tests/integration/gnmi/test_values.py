"""What a device says, and what becomes of its counters."""

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes import Context
from streamswarm_core.hostport import host_port
from tests.gnmidevice import WRAP, Device, Port, Tls, running
from tests.integration.gnmi.runs import PLAIN, look, look_at, of, told
from tests.lab.servers.certificates import Authority


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
async def test_a_device_is_measured_over_tls_and_its_rates_come_with_the_second_run(
    host: str, authority: Authority, context: Context
) -> None:
    device = Device()
    device.ports["Ethernet1"].rates = {"in-octets": 125_000_000, "out-pkts": 7, "in-errors": 3}
    tls = Tls(authority.certificate(host))
    async with running(device, tls, host) as port:
        first = await look_at(host_port(host, port), context, ca_file=str(authority.path))
        device.seconds += 30
        second = await look_at(host_port(host, port), context, ca_file=str(authority.path))
    assert told(first) == told(second) == (1, None)
    assert first[0].tags["family"] == ("ipv6" if ":" in host else "ipv4")
    assert {"connect", "handshake", "capabilities"} <= set(first[0].fields)
    assert not {"connect", "handshake", "capabilities"} & set(second[0].fields)
    assert (first[0].fields["reconnected"], second[0].fields["reconnected"]) == (1, 0)
    assert (second[0].fields["paths_asked"], second[0].fields["paths_answered"]) == (8, 8)
    assert (second[0].fields["method"], second[0].fields["encoding"], second[0].fields["version"]) == (
        "once",
        "json_ietf",
        "0.8.0",
    )
    before, port1 = (of(points, "device_interface", interface="Ethernet1").fields for points in (first, second))
    assert "in_rate" not in before
    assert (port1["in_rate"], port1["in_utilisation"], port1["out_rate"]) == (1e9, 0.1, 0.0)
    assert (port1["out_packets"], port1["in_errors"], port1["oper_up"]) == (7.0, 3.0, 1)
    down = of(second, "device_interface", interface="Ethernet2").fields
    assert (down["oper_up"], down["oper_status"], down["admin_up"]) == (0, "DOWN", 1)
    whole = of(second, "device", component="system").fields
    assert whole["cpu"] == pytest.approx(0.3)
    assert (whole["memory"], whole["uptime"]) == (0.25, 1030.0)
    assert of(second, "device", component="CPU0").fields["temperature"] == 45.5


async def test_capabilities_are_asked_once_for_a_connection_that_is_kept(context: Context) -> None:
    device = Device()
    async with running(device) as port:
        for _ in range(3):
            await look(port, context, **PLAIN)
    assert device.calls == ["Capabilities", "Subscribe", "Subscribe", "Subscribe"]
    assert len(device.peers) == 1


@pytest.mark.parametrize("method", ["once", "get"])
@pytest.mark.parametrize(
    ("encoding", "as_json"),
    [("json_ietf", False), ("json_ietf", True), ("json", False), ("json", True), ("proto", False)],
)
async def test_every_encoding_and_method_says_the_same(
    encoding: str, *, as_json: bool, method: str, context: Context
) -> None:
    device = Device(encodings=("JSON", "JSON_IETF", "PROTO"), once=method == "once", as_json=as_json)
    device.ports["Ethernet1"].rates = {"in-octets": 1_000}
    async with running(device) as port:
        await look(port, context, encoding=encoding, **PLAIN)
        device.seconds += 10
        points = await look(port, context, encoding=encoding, **PLAIN)
    assert (points[0].fields["encoding"], points[0].fields["method"]) == (encoding, method)
    found = of(points, "device_interface", interface="Ethernet1").fields
    assert (found["in_rate"], found["speed"], found["oper_up"]) == (8_000.0, 10e9, 1)
    cpu = of(points, "device", component="CPU0").fields
    assert (cpu["temperature"], cpu["temperature_alarm"], cpu["cpu"]) == (45.5, 0, 0.3)
    assert of(points, "device", component="Linecard1").fields["memory"] == 0.75


async def test_a_device_that_lacks_the_encoding_is_asked_for_another(context: Context) -> None:
    async with running(Device(encodings=("PROTO", "ASCII"))) as port:
        points = await look(port, context, **PLAIN)
    assert (told(points), points[0].fields["encoding"]) == ((1, None), "proto")


async def test_a_device_without_capabilities_is_measured_all_the_same(context: Context) -> None:
    async with running(Device(capabilities=False)) as port:
        points = await look(port, context, **PLAIN)
    assert told(points) == (1, None)
    assert "version" not in points[0].fields


async def test_origin_and_prefix_are_sent(context: Context) -> None:
    device = Device()
    async with running(device) as port:
        await look(port, context, origin="openconfig", prefix_target="OC-YANG", **PLAIN)
    assert (device.origins, device.targets) == ({"openconfig"}, ["OC-YANG"])


async def test_paths_of_ones_own_become_numbers(context: Context) -> None:
    leaves = {"fan": "/components/component[name=*]/fan/state/speed"}
    async with running(Device()) as port:
        points = await look(port, context, groups=[], leaves=leaves, **PLAIN)
    assert (points[0].fields["paths_asked"], points[0].fields["paths_answered"]) == (1, 1)
    fan = of(points, "device_value", leaf="fan")
    assert (fan.tags["element"], fan.fields["value"]) == ("name=Fan 1", 6_000.0)


async def test_more_interfaces_than_may_be_written_are_counted_and_told(context: Context) -> None:
    device = Device(ports={f"Ethernet{number}": Port() for number in range(1, 31)})
    async with running(device) as port:
        points = await look(port, context, max_interfaces=5, skip_interfaces=["Ethernet1"], **PLAIN)
    written = [point.tags["interface"] for point in points if point.measurement == "device_interface"]
    assert written == [f"Ethernet{number}" for number in range(2, 7)]
    assert (points[0].fields["interfaces"], points[0].fields["interfaces_left_out"]) == (29, 24)
    assert told(points) == (1, None)
    assert "24 of 29 interfaces are left out" in str(points[0].fields["error_detail"])


async def test_a_wrap_goes_on_and_a_reset_is_told(context: Context) -> None:
    device = Device()
    wrapping, reset = device.ports.values()
    wrapping.in_octets, reset.in_octets = WRAP - 1_000, 5_000_000
    async with running(device) as port:
        await look(port, context, **PLAIN)
        device.seconds += 10
        wrapping.in_octets, reset.in_octets = 11_500, 100
        points = await look(port, context, **PLAIN)
        device.seconds += 10
        reset.in_octets = 1_350
        later = await look(port, context, **PLAIN)
    wrapped = of(points, "device_interface", interface="Ethernet1").fields
    assert (wrapped["in_rate"], wrapped["resets"]) == (10_000.0, 0)
    fields = of(points, "device_interface", interface="Ethernet2").fields
    assert "in_rate" not in fields
    assert (fields["out_rate"], fields["resets"]) == (0.0, 1)
    assert of(later, "device_interface", interface="Ethernet2").fields["in_rate"] == 1_000.0


async def test_a_failed_run_leaves_the_counters_for_the_next(context: Context) -> None:
    device = Device()
    device.ports["Ethernet1"].rates = {"in-octets": 1_000}
    async with running(device) as port:
        await look(port, context, **PLAIN)
        device.seconds += 10
        device.silent = True
        assert told(await look(port, context, wait=0.2, **PLAIN)) == (0, Fault.TIMEOUT)
        device.silent = False
        device.seconds += 10
        points = await look(port, context, **PLAIN)
    assert of(points, "device_interface", interface="Ethernet1").fields["in_rate"] == 8_000.0


async def test_a_device_that_stamps_nothing_has_rates_by_the_time_of_arrival(context: Context) -> None:
    device = Device(unstamped=True)
    device.ports["Ethernet1"].rates = {"in-octets": 1_000}
    async with running(device) as port:
        await look(port, context, **PLAIN)
        device.seconds += 10
        points = await look(port, context, **PLAIN)
    assert float(of(points, "device_interface", interface="Ethernet1").fields["in_rate"]) > 0
    assert abs(float(points[0].fields["age"])) < 60
