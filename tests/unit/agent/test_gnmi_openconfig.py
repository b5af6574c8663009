from collections.abc import Iterator, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.gnmi.asking import Asked
from streamswarm_agent.gnmi.leaves import Answer, Leaf, flatten
from streamswarm_agent.gnmi.openconfig import passes, read_components, read_interfaces, read_values, wanted_paths
from streamswarm_agent.gnmi.rates import CounterRates
from streamswarm_agent.probes.gnmi import Run, points_of
from streamswarm_core.gnmipath import GnmiPath, parse_path
from streamswarm_core.lineprotocol import encode_lines
from streamswarm_core.probespecs import GnmiParams

SECOND = 1_000_000_000
DAY_NS = 86_400 * SECOND
NOW = 1_700_000_000 * SECOND


def leaves(values: Mapping[str, Any], time_ns: int = NOW) -> list[Leaf]:
    return [Leaf(parse_path(path), value, time_ns) for path, value in values.items()]


def interface(name: str, **values: Any) -> dict[str, Any]:
    below = {key.replace("__", "/").replace("_", "-"): value for key, value in values.items()}
    return {f"/interfaces/interface[name={name}]/{path}": value for path, value in below.items()}


def params(**options: Any) -> GnmiParams:
    return GnmiParams.model_validate(options)


def paths(**options: Any) -> Iterator[str]:
    return (str(one.path) for one in wanted_paths(params(**options)) if not one.optional)


def test_interfaces_with_patterns_are_asked_for_together_and_named_ones_one_by_one() -> None:
    assert "/interfaces/interface[name=*]/state" in set(paths(interfaces=["Ethernet*"]))
    named = set(paths(interfaces=["e1", "e2"], groups=["interfaces"]))
    assert {"/interfaces/interface[name=e1]/state", "/interfaces/interface[name=e2]/state"} <= named
    assert not any("*" in path for path in named)


def test_the_origin_is_the_groups_and_a_leaf_has_its_own() -> None:
    found = set(paths(groups=["system"], origin="openconfig", leaves={"fan": "cli:/fan", "psu": "/psu"}))
    assert {"openconfig:/system/memory/state", "cli:/fan", "/psu"} <= found


@pytest.mark.parametrize(
    ("name", "pattern", "expected"),
    [
        ("Ethernet1", "Ethernet*", True),
        ("ethernet1", "Ethernet*", False),
        ("Te1/0/1", "Te1/0/?", True),
        ("port[1]", "port[1]", True),
        ("port1", "port[1]", False),
    ],
)
def test_names_of_interfaces_match_as_written(name: str, pattern: str, *, expected: bool) -> None:
    assert passes(name, [pattern]) is expected


def test_the_first_interfaces_by_the_numbers_in_their_names_are_written_and_all_are_counted() -> None:
    found: dict[str, Any] = {}
    for name in ("Ethernet10", "Ethernet2", "Ethernet1", "Loopback0", "Management1"):
        found |= interface(name, state__oper_status="UP")
    chosen = read_interfaces(leaves(found), params(max_interfaces=2, skip_interfaces=["Loopback*"]), CounterRates(at=0))
    assert list(chosen.fields) == ["Ethernet1", "Ethernet2"]
    assert chosen.there == 4


@pytest.mark.parametrize(
    ("given", "bits"),
    [
        ({"ethernet__state__port_speed": "SPEED_100GB"}, 100e9),
        ({"ethernet__state__port_speed": "openconfig-if-ethernet:SPEED_2500MB"}, 2.5e9),
        ({"ethernet__state__port_speed": "SPEED_UNKNOWN"}, None),
        ({"aggregation__state__lag_speed": 40_000}, 40e9),
        ({}, None),
    ],
)
def test_a_speed_is_the_ports_or_the_aggregates(given: dict[str, Any], bits: float | None) -> None:
    found = read_interfaces(
        leaves(interface("e1", state__oper_status="UP", **given)), params(), CounterRates(at=0)
    ).fields["e1"]
    assert found["speed"] == bits


@pytest.mark.parametrize(("status", "up"), [("UP", 1), ("oc:LOWER_LAYER_DOWN", 0), ("DORMANT", 0)])
def test_only_the_status_up_is_up(status: str, up: int) -> None:
    found = read_interfaces(leaves(interface("e1", state__oper_status=status)), params(), CounterRates(at=0)).fields[
        "e1"
    ]
    assert (found["oper_up"], found["oper_status"]) == (up, status.rpartition(":")[2])


def rates_of(before: dict[str, Any], after: dict[str, Any], seconds: int = 10) -> dict[str, Any]:
    first = CounterRates(at=0)
    read_interfaces(leaves(interface("e1", **before)), params(), first)
    second = CounterRates(first.readings, at=10)
    return read_interfaces(leaves(interface("e1", **after), NOW + seconds * SECOND), params(), second).fields["e1"]


def test_octets_are_bits_and_their_share_of_the_speed() -> None:
    speed = {"ethernet__state__port_speed": "SPEED_1GB"}
    counters = "state__counters__in_octets", "state__counters__out_octets"
    found = rates_of(dict.fromkeys(counters, "1000") | speed, {counters[0]: "312501000", counters[1]: "1000"} | speed)
    assert (found["in_rate"], found["in_utilisation"]) == (250e6, 0.25)
    assert (found["out_rate"], found["out_utilisation"]) == (0.0, 0.0)


def test_a_counter_may_be_written_with_an_exponent_but_is_whole() -> None:
    octets = "state__counters__in_octets"
    assert rates_of({octets: 1e10}, {octets: "1.000125e10"})["in_rate"] == 1e6
    assert rates_of({octets: 1.5}, {octets: 2.5})["in_rate"] is None


def test_packets_are_the_sum_of_their_kinds_where_a_device_has_no_total() -> None:
    kinds = [f"state__counters__in_{kind}_pkts" for kind in ("unicast", "multicast", "broadcast")]
    found = rates_of(dict.fromkeys(kinds, 0), {kinds[0]: 100, kinds[1]: 20, kinds[2]: 30})
    assert found["in_packets"] == 15.0
    assert found["out_packets"] is None
    partly = rates_of(dict.fromkeys(kinds[:2], 0), {kinds[0]: 100, kinds[1]: 20})
    assert partly["in_packets"] is None


def test_cleared_counters_have_no_rate_in_that_run() -> None:
    before = {"state__counters__in_octets": 10, "state__counters__last_clear": 5}
    found = rates_of(before, {"state__counters__in_octets": 5_000, "state__counters__last_clear": 6})
    assert (found["in_rate"], found["resets"]) == (None, 1)


def test_the_whole_systems_processor_is_its_own_figure_or_the_mean() -> None:
    each = {f"/system/cpus/cpu[index={n}]/state/total/instant": n * 10 for n in (0, 2)}
    assert read_components(leaves(each)) == {
        "system": {"uptime": None, "memory": None, "memory_used": None, "memory_total": None, "cpu": 0.1},
        "cpu 0": {"cpu": 0.0},
        "cpu 2": {"cpu": 0.2},
    }
    whole = each | {"/system/cpus/cpu[index=ALL]/state/total/avg": 55}
    assert read_components(leaves(whole))["system"]["cpu"] == 0.55


@pytest.mark.parametrize(
    ("given", "used"),
    [({"used": 2_000}, 2_000), ({"free": 6_000}, 2_000), ({"reserved": 5_000}, None)],
)
def test_memory_in_use_is_told_or_is_what_is_not_free(given: dict[str, int], used: int | None) -> None:
    values = {f"/system/memory/state/{name}": value for name, value in ({"physical": 8_000} | given).items()}
    found = read_components(leaves(values))["system"]
    assert (found["memory_used"], found["memory"]) == (used, used and used / 8_000)


@pytest.mark.parametrize("boot", [NOW - DAY_NS, (NOW - DAY_NS) // SECOND])
def test_the_start_of_a_device_may_be_in_nanoseconds_or_seconds(boot: int) -> None:
    assert read_components(leaves({"/system/state/boot-time": str(boot)}))["system"]["uptime"] == 86_400.0


def test_a_component_has_what_it_has_and_one_without_anything_is_left_out() -> None:
    at = "/components/component[name=%s]/%s"
    found = read_components(
        leaves(
            {
                at % ("PSU1", "state/temperature/instant"): "38.5",
                at % ("PSU1", "state/temperature/alarm-status"): True,
                at % ("LC1", "cpu/utilization/state/avg"): 25,
                at % ("LC1", "state/memory/available"): 4_000,
                at % ("LC1", "state/memory/utilized"): 1_000,
                at % ("Fan1", "state/description"): "a fan",
            }
        )
    )
    assert set(found) == {"PSU1", "LC1"}
    assert (found["PSU1"]["temperature"], found["PSU1"]["temperature_alarm"]) == (38.5, 1)
    assert (found["LC1"]["cpu"], found["LC1"]["memory"]) == (0.25, 0.25)


def test_a_component_that_is_called_like_the_whole_system_takes_nothing_from_it() -> None:
    whole = {"/system/memory/state/physical": 100, "/system/memory/state/used": 50}
    at = "/components/component[name=%s]/state/temperature/instant"
    part = {at % "system": 40, at % "cpu fan": 30}
    found = read_components(leaves(whole | part))["system"]
    assert (found["memory"], found["temperature"]) == (0.5, 40)


def test_a_leaf_of_ones_own_is_scaled_named_by_its_entry_and_a_counter_has_a_rate() -> None:
    options = {
        "leaves": {
            "power": {"path": "/components/component[name=*]/psu/power", "scale": 0.001},
            "bgp": {"path": "/bgp/neighbor[ip=*]/messages", "counter": True},
        },
        "groups": [],
    }
    values = {
        "/components/component[name=PSU 1]/psu/power": "4500",
        "/components/component[name=PSU 2]/psu/power": "off",
        "/bgp/neighbor[ip=192.0.2.1]/messages/sent": 10,
        "/bgp/neighbor[ip=192.0.2.1]/messages/received": 20,
    }
    first = CounterRates(at=0)
    assert list(read_values(leaves(values), params(**options), first)) == [
        ("power", "name=PSU 1", {"value": 4.5, "rate": None}),
        ("bgp", "ip=192.0.2.1 sent", {"value": 10.0, "rate": None}),
        ("bgp", "ip=192.0.2.1 received", {"value": 20.0, "rate": None}),
    ]
    values["/bgp/neighbor[ip=192.0.2.1]/messages/sent"] = 60
    later = read_values(leaves(values, NOW + 10 * SECOND), params(**options), CounterRates(first.readings, at=10))
    assert [fields["rate"] for name, _, fields in later if name == "bgp"] == [5.0, 0.0]


WORDS = (
    "interfaces interface state counters in-octets out-octets oper-status admin-status last-clear ethernet port-speed "
    "aggregation lag-speed system cpus cpu total instant avg memory physical used free boot-time components component "
    "temperature alarm-status utilization available utilized name index"
)
NAMES = st.sampled_from(WORDS.split()) | st.text(max_size=5)
TEXTS = st.text(max_size=10) | st.sampled_from(["UP", "SPEED_1GB"])
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
TREES = st.recursive(
    SCALARS, lambda below: st.lists(below, max_size=3) | st.dictionaries(NAMES, below, max_size=4), max_leaves=25
)


def around(tree: Any) -> dict[str, Any]:
    """A tree where devices have trees, so that it gets further than one that begins anywhere."""
    port = {"name": "e1", "state": {"counters": tree, "oper-status": tree}, "ethernet": tree}
    processor = {"index": "0", "state": {"total": tree}}
    component = {"name": "c1", "state": {"temperature": tree, "memory": tree}, "cpu": tree}
    return {
        "interfaces": {"interface": [port]},
        "system": {"cpus": {"cpu": [processor]}, "memory": {"state": tree}, "state": tree},
        "components": {"component": [component]},
        "more": tree,
    }


@given(TREES, TREES)
def test_whatever_a_device_answers_becomes_points_or_nothing(first: Any, second: Any) -> None:
    options = params(leaves={"any": {"path": "/*", "counter": True}})
    readings: Mapping[Any, Any] | None = None
    for tree, seconds in ((first, 0), (around(first), 10), (around(second), 20)):
        found = [Leaf(GnmiPath(path), value, NOW + seconds * SECOND) for path, value in flatten((), tree)]
        asked = Asked(Answer(found), "once", "json", 0.1, 8)
        rates = CounterRates(readings, at=0)
        run = Run({"target": "192.0.2.1"}, NOW)
        points = list(points_of(asked, options, rates, run))
        readings = rates.readings
        assert len(encode_lines(points).splitlines()) >= len(points)
