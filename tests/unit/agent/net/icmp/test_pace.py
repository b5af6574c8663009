import asyncio
import socket
from itertools import pairwise

import pytest

from streamswarm_agent.net.icmp.engine import IcmpEngine
from streamswarm_agent.net.icmp.flight import Flight
from streamswarm_agent.net.icmp.pace import Pace
from streamswarm_agent.net.icmp.requests import Echoes
from streamswarm_agent.net.icmp.run import EchoHistory
from streamswarm_agent.net.targets import Address

V4 = Address(socket.AF_INET, ("127.0.0.1", 0), None)


async def ping_at_once(count: int, *, size: int, uplink: float) -> list[Flight]:
    """Flights of one request each, in the order in which they left."""
    engine, ended = IcmpEngine(uplink=uplink), asyncio.Queue[Flight]()
    for _ in range(count):
        engine.launch(Echoes(V4, 1, 1.0, 10.0, size), EchoHistory(), ended.put_nowait)
    flights = [await asyncio.wait_for(ended.get(), 10) for _ in range(count)]
    engine.close()
    return sorted(flights, key=lambda flight: flight.sent[0])


@pytest.mark.parametrize(
    ("uplink", "size", "together"),
    [(100e6, 56, 62), (10e6, 56, 7), (1e6, 56, 1), (10e6, 1_472, 1), (1e9, 1_472, 42), (1e9, 56, 64)],
)
async def test_no_more_leave_together_than_fill_the_uplink_for_half_a_millisecond(
    uplink: float, size: int, together: int
) -> None:
    flights = await ping_at_once(130, size=size, uplink=uplink)
    assert all(len(flight.rtts) == 1 and flight.rtts[0] >= 0 for flight in flights)
    begun = [flight.begun for flight in flights]
    assert max(begun.count(moment) for moment in begun) == together


async def test_all_together_take_a_quarter_of_the_uplink_at_most() -> None:
    flights = await ping_at_once(40, size=1_000, uplink=10e6)
    apart = Pace(10e6).rest(1_046)
    assert apart == pytest.approx(4 * 1_046 * 8 / 10e6)
    assert all(after.begun - before.begun >= apart - 1e-6 for before, after in pairwise(flights))
