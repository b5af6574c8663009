import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamswarm_agent.budget import Budget
from streamswarm_agent.net.bulk.link import LinkWatch
from streamswarm_core.probespecs import SPECS, DnsParams, HttpParams, IcmpParams
from streamswarm_core.probespecs.demand import RunCost


@given(st.lists(st.tuples(st.floats(0, 5), st.floats(0.1, 60)), min_size=1, max_size=200))
def test_no_second_has_more_than_two_seconds_worth_and_one_run(attempts: list[tuple[float, float]]) -> None:
    now = [0.0]
    budget = Budget(100, 1e9, lambda: now[0])
    taken: list[tuple[float, float]] = []
    for pause, packets in attempts:
        now[0] += pause
        budget.refill()
        if budget.take(RunCost(packets, 0)):
            taken.append((now[0], packets))
    assert taken
    for begin, _ in taken:
        assert sum(packets for at, packets in taken if begin <= at < begin + 1) <= 200 + 60


def test_what_is_used_up_comes_back_with_time() -> None:
    now = [0.0]
    budget = Budget(10, 8_000, lambda: now[0])
    assert budget.take(RunCost(1, 3_000))
    assert not budget.take(RunCost(1, 1))
    now[0] = 1.5
    budget.refill()
    assert not budget.take(RunCost(1, 1))
    now[0] = 2.1
    budget.refill()
    assert budget.take(RunCost(1, 1))


def test_what_does_not_fit_is_refused_in_order_with_the_figures() -> None:
    budget = Budget(10, 8_000)
    refused = budget.refuse(
        [("a", RunCost(6, 10)), ("b", RunCost(5, 10)), ("c", RunCost(4, 10)), ("d", RunCost(0, 990))]
    )
    assert set(refused) == {"b", "d"}
    assert refused["b"] == "its 5 packets/s would make 11, and the agent's budget is 10"
    assert refused["d"] == "its 7,920 bit/s would make 8,080, and the agent's budget is 8,000"


@pytest.mark.parametrize(
    ("probe", "params", "packets", "least_bytes"),
    [
        ("icmp", IcmpParams(count=5, size=1000), 5, 5 * 1028),
        ("dns", DnsParams(), 1, 100),
        ("dns", DnsParams(transport="tcp"), 6, 100),
        ("http", HttpParams(max_body=0), 20, 1000),
    ],
)
def test_a_probe_estimates_what_it_sends_from_its_options(
    probe: str, params: Any, packets: float, least_bytes: float
) -> None:
    cost = SPECS[probe].cost(params)
    assert cost.packets == packets
    assert cost.bytes >= least_bytes


@pytest.mark.parametrize("name", SPECS)
def test_every_probe_has_a_cost_for_its_defaults(name: str) -> None:
    cost = SPECS[name].cost(SPECS[name].params())
    assert cost.packets >= 0
    assert bool(cost.packets) == SPECS[name].has_target


def watch(sent: int, received: int, speed: int, flags: str = "up,running") -> LinkWatch:
    readings = iter([(0, 0), (sent, received)])

    def counters() -> dict[str, Any]:
        sent, received = next(readings)
        return {"eth0": SimpleNamespace(bytes_sent=sent, bytes_recv=received)}

    async def no_sleep(_seconds: float) -> None:
        await asyncio.sleep(0)

    return LinkWatch(
        0.5,
        10e6,
        counters=counters,
        interfaces=lambda: {"eth0": SimpleNamespace(isup=True, flags=flags, speed=speed)},
        sleep=no_sleep,
    )


@pytest.mark.parametrize(
    ("sent", "received", "speed", "busy"),
    [
        (6_250_000, 0, 100, True),
        (0, 6_250_000, 100, True),
        (6_000_000, 6_000_000, 100, False),
        (6_250_000, 0, 1000, False),
        (1_250_000, 0, 0, True),
        (1_000_000, 0, 0, False),
    ],
)
async def test_a_link_is_busy_from_a_share_of_its_speed_or_from_a_rate_if_it_has_none(
    sent: int, received: int, speed: int, *, busy: bool
) -> None:
    answer = await watch(sent, received, speed).busy()
    assert (answer is not None) == busy
    assert answer is None or answer.startswith("eth0 carries")


async def test_loopback_traffic_makes_no_link_busy() -> None:
    assert await watch(10**9, 10**9, 0, "up,loopback,running").busy() is None


async def test_the_real_counters_can_be_read() -> None:
    assert await LinkWatch(1.0, 1e12).busy() is None
