"""Path MTUs that are known, on paths that say so and on such that don't."""

from collections.abc import Mapping

import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.point import FieldValue
from streamswarm_core.probespecs import SPECS
from tests.lab import parts
from tests.lab.topology import Path, PathBuilder

HEADERS = {"ipv4": 40, "ipv6": 60}


async def measure(line: Path, family: str = "ipv4", **options: object) -> Mapping[str, FieldValue]:
    engines = Engines()
    params = SPECS["mtu"].params.model_validate(options)
    with line.near.entered():
        try:
            target = line.target if family == "ipv4" else line.target6
            (point,) = await PROBES["mtu"].run(target, params, Context(engines))
        finally:
            engines.close()
    return point.fields


def router_before_the_wire(line: Path, at: int, family: str) -> str:
    router = line.routers[at - 1]
    return router.v4 if family == "ipv4" else router.v6


@pytest.mark.parametrize("family", HEADERS)
@pytest.mark.parametrize("mtu", [1280, 1401, 1492, 1499])
async def test_the_mtu_that_a_router_names_is_found_to_the_byte(path: PathBuilder, mtu: int, family: str) -> None:
    line = path(hops=3, mtu=mtu, at=2)
    found = await measure(line, family)
    assert (found["up"], found["pmtu"], found["interface_mtu"], found["black_hole"]) == (1, mtu, 1500, 0)
    assert found["tcp_mss"] == mtu - HEADERS[family]
    assert (found["limiting_hop"], found["limiting_address"]) == (2, router_before_the_wire(line, 2, family))


@pytest.mark.parametrize("family", HEADERS)
async def test_a_path_as_wide_as_the_interface_has_no_limit(path: PathBuilder, family: str) -> None:
    found = await measure(path(hops=2, relay=False), family)
    assert (found["pmtu"], found["black_hole"]) == (1500, 0)
    assert "limiting_hop" not in found
    assert "limiting_address" not in found


@pytest.mark.parametrize("family", HEADERS)
async def test_a_black_hole_is_found_with_the_router_before_it(path: PathBuilder, family: str) -> None:
    line = path(hops=4, mtu=1400, at=3)
    hidden = [parts.hide_mtu(router) for router in line.routers]
    found = await measure(line, family)
    assert any(rule.packets for rule in hidden)
    assert (found["up"], found["pmtu"], found["black_hole"]) == (1, 1400, 1)
    assert (found["limiting_hop"], found["limiting_address"]) == (3, router_before_the_wire(line, 3, family))


async def test_a_link_that_swallows_what_is_too_large_is_a_black_hole(path: PathBuilder) -> None:
    line = path(hops=3, at=1, there={"swallow_over": 1333})
    found = await measure(line)
    assert line.truth.there.swallowed > 0
    assert (found["pmtu"], found["black_hole"], found["limiting_hop"]) == (1333, 1, 1)


async def test_a_narrow_way_back_does_not_count_with_udp(path: PathBuilder) -> None:
    line = path(hops=2, at=1, back={"swallow_over": 1300})
    found = await measure(line, method="udp")
    assert (found["pmtu"], found["black_hole"]) == (1500, 0)
    assert (await measure(line))["pmtu"] == 1300


async def test_loss_is_not_taken_for_a_limit(path: PathBuilder) -> None:
    line = path(hops=2, loss=0.2, seed=3)
    found = await measure(line, tries=8)
    assert (found["up"], found["pmtu"], found["black_hole"]) == (1, 1500, 0)


async def test_loss_does_not_hide_the_limit_either(path: PathBuilder) -> None:
    line = path(hops=2, mtu=1420, loss=0.1, seed=4)
    found = await measure(line, tries=6)
    assert (found["pmtu"], found["black_hole"]) == (1420, 0)


async def test_a_target_that_answers_small_packets_only_is_down_and_says_so(path: PathBuilder) -> None:
    line = path(hops=2, there={"swallow_over": 500})
    found = await measure(line)
    assert (found["up"], found["error"]) == (0, Fault.PACKET_LOSS)
    assert found["error_detail"] == "packets of 576 bytes don't arrive, though those of 68 bytes do"
    assert (await measure(line, floor=100))["pmtu"] == 500


async def test_a_silent_target_is_down(path: PathBuilder) -> None:
    line = path(hops=1, relay=False)
    parts.refuse(line.far, "meta l4proto icmp")
    found = await measure(line, wait=0.2)
    assert (found["up"], found["error"]) == (0, Fault.TIMEOUT)
    assert "pmtu" not in found
