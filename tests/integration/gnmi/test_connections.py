"""One connection for each device, kept and closed."""

import asyncio
import gc
import socket

import psutil
import pytest

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.gnmi import connections
from streamswarm_agent.gnmi.client import Request
from streamswarm_agent.gnmi.connections import GnmiConnections
from streamswarm_agent.probes import Context
from tests.gnmidevice import Device, running
from tests.integration.gnmi.runs import PLAIN, look, told
from tests.support import eventually


def connected_to(port: int) -> int:
    """Connections of this process whose other end is a port."""
    return sum(bool(one.raddr and one.raddr.port == port) for one in psutil.Process().net_connections("tcp"))


async def test_tests_of_one_device_share_a_connection_and_runs_at_once_do_too(context: Context) -> None:
    device = Device()
    async with running(device) as port:
        others = [Context(context.engines) for _ in range(5)]
        many = await asyncio.gather(*(look(port, one, **PLAIN) for one in others))
        assert [told(points) for points in many] == [(1, None)] * 5
        assert len(device.peers) == 1
        assert sum(int(points[0].fields["reconnected"]) for points in many) == 1
        assert connected_to(port) == 1


async def test_a_run_whose_connection_another_run_closes_is_a_fault_and_no_cancellation(context: Context) -> None:
    device = Device()
    async with running(device) as port:
        await look(port, context, **PLAIN)
        device.hangs = True
        short, long = await asyncio.gather(
            look(port, context, wait=0.3, **PLAIN), look(port, Context(context.engines), wait=0.9, **PLAIN)
        )
    assert told(short) == (0, Fault.TIMEOUT)
    assert long[0].fields["up"] == 0


async def test_a_request_on_a_connection_that_another_run_has_closed_is_a_fault(context: Context) -> None:
    async with running(Device()) as port:
        await look(port, context, **PLAIN)
        (slot,) = context.engines.get(GnmiConnections)._slots.values()
        assert slot.connection
        client = slot.connection.client
        client.close()
        request = Request([], "json_ietf", "", 5.0)
        for ask in (client.once(request), client.get(request), client.capabilities(5.0)):
            with pytest.raises(ProbeFault, match="closed meanwhile") as told_of:
                await ask
            assert told_of.value.fault is Fault.RESET


async def test_closing_the_engines_closes_the_connections(context: Context) -> None:
    async with running(Device()) as port:
        await look(port, context, **PLAIN)
        assert connected_to(port) == 1
        context.engines.close()
        await eventually_closed(port)


async def test_a_connection_that_nobody_uses_is_closed_and_the_next_run_makes_another(
    context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connections, "IDLE_SECONDS", 1.0)  # longer than a run takes, which it would end
    device = Device()
    async with running(device) as port:
        await look(port, context, **PLAIN)
        await eventually_closed(port)
        assert not context.engines.get(GnmiConnections)._slots
        points = await look(port, context, **PLAIN)
    assert points[0].fields["reconnected"] == 1


async def eventually_closed(port: int) -> None:
    await asyncio.to_thread(eventually, lambda: connected_to(port), lambda count: count == 0)


async def test_a_run_that_is_ended_leaves_a_connection_that_works(context: Context) -> None:
    device = Device()
    async with running(device) as port:
        await look(port, context, **PLAIN)
        device.hangs = True
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await look(port, context, **PLAIN)
        device.hangs = False
        assert told(await look(port, context, **PLAIN)) == (1, None)
    assert len(device.peers) == 1


async def test_a_run_that_is_ended_while_it_connects_leaves_no_complaint_in_the_log(context: Context) -> None:
    complaints: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, told: complaints.append(told))
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await look(port, context, **PLAIN)
        await asyncio.sleep(0)  # a turn, for what was begun
        gc.collect()
    assert not complaints
