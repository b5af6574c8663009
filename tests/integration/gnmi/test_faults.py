"""Faults of the network, and a device that misbehaves."""

import asyncio
import socket
import subprocess
import sys
from typing import Any

import grpc
import pytest

from streamswarm_agent.faults import Fault
from streamswarm_agent.gnmi.client import GnmiClient
from streamswarm_agent.gnmi.connections import GnmiConnections
from streamswarm_agent.probes import PROBES, Context
from streamswarm_core.probespecs import GnmiParams
from tests.gnmidevice import Device, running
from tests.integration.gnmi.runs import PLAIN, Clock, look, told
from tests.support import find_free_port


async def test_a_port_where_nobody_listens_is_refused_and_tried_again_after_a_growing_pause(
    clock: Clock, context: Context
) -> None:
    port = find_free_port()
    assert told(await look(port, context, **PLAIN)) == (0, Fault.REFUSED)
    async with running(Device(), port=port):
        waiting = await look(port, context, **PLAIN)
        assert told(waiting) == (0, Fault.REFUSED)
        assert "not tried again yet" in str(waiting[0].fields["error_detail"])
        clock.now += 1.1
        assert told(await look(port, context, **PLAIN)) == (1, None)


async def test_pauses_grow_to_a_minute(clock: Clock, context: Context) -> None:
    port = find_free_port()
    pauses = []
    for _ in range(8):
        await look(port, context, **PLAIN)
        (slot,) = context.engines.get(GnmiConnections)._slots.values()
        pauses.append(slot.not_before - clock.now)
        clock.now += 61
    assert pauses == [1, 2, 4, 8, 16, 32, 60, 60]


@pytest.mark.parametrize("target", ["", "host:0", "a b", "host:port", "[::1]:99999", "http://switch/"])
async def test_a_target_that_is_none_says_so(target: str, context: Context) -> None:
    (point,) = await PROBES["gnmi"].run(target, GnmiParams(), context)
    assert point.fields["error"] == Fault.BAD_TARGET


async def test_a_name_that_nobody_has_is_told(context: Context) -> None:
    (point,) = await PROBES["gnmi"].run("nobody.invalid", GnmiParams(wait=2.0), context)
    assert point.fields["error"] in {Fault.NO_SUCH_NAME, Fault.RESOLVER_FAILURE}


@pytest.mark.parametrize("options", [{}, PLAIN])
async def test_a_server_that_never_speaks_times_out(options: dict[str, Any], context: Context) -> None:
    # The kernel accepts; nobody reads.
    with socket.create_server(("127.0.0.1", 0)) as silent:
        points = await look(silent.getsockname()[1], context, wait=0.3, **options)
    assert told(points) == (0, Fault.TIMEOUT)


@pytest.mark.parametrize("change", ["silent", "hangs"])
async def test_a_device_that_hangs_times_out_and_is_asked_on_a_new_connection_next(
    change: str, context: Context
) -> None:
    device = Device()
    async with running(device) as port:
        await look(port, context, **PLAIN)
        setattr(device, change, True)
        assert told(await look(port, context, wait=0.3, **PLAIN)) == (0, Fault.TIMEOUT)
        setattr(device, change, False)
        again = await look(port, context, **PLAIN)
    assert (told(again), again[0].fields["reconnected"]) == ((1, None), 1)
    assert len(device.peers) == 2


async def test_a_device_that_was_started_anew_is_connected_to_again_without_a_fault(context: Context) -> None:
    port = find_free_port()
    for _ in range(2):
        async with running(Device(), port=port):
            points = await look(port, context, **PLAIN)
            assert (told(points), points[0].fields["reconnected"]) == ((1, None), 1)
    assert told(await look(port, context, **PLAIN)) == (0, Fault.REFUSED)


async def test_a_connection_that_grpc_made_anew_by_itself_is_not_the_one_that_was_kept() -> None:
    port = find_free_port()
    client = GnmiClient(f"ipv4:127.0.0.1:{port}", None, "", "")
    ready = []
    for _ in range(2):
        async with running(Device(), port=port):
            await client.capabilities(5.0)
            ready.append(client.is_ready)
    client.close()
    assert ready == [True, False]


async def test_a_kept_connection_that_ends_in_the_middle_is_replaced_once(context: Context) -> None:
    device = Device()
    async with running(device) as port:
        await look(port, context, **PLAIN)
        device.fails = [grpc.StatusCode.UNAVAILABLE]
        points = await look(port, context, **PLAIN)
        assert (told(points), points[0].fields["reconnected"]) == ((1, None), 1)
        device.fails = [grpc.StatusCode.UNAVAILABLE] * 2
        failed = await look(port, context, **PLAIN)
        assert (told(failed), device.fails) == ((0, Fault.UNREACHABLE), [])
        assert told(await look(port, context, **PLAIN)) == (1, None)


async def test_an_answer_without_end_is_cut_off(context: Context) -> None:
    async with running(Device(huge=40)) as port:
        points = await look(port, context, **PLAIN)
    assert told(points) == (0, Fault.TOO_BIG)


async def test_an_answer_that_can_not_be_read_is_told_with_its_path(context: Context) -> None:
    async with running(Device(garbage=True)) as port:
        points = await look(port, context, **PLAIN)
    assert told(points) == (0, Fault.PROTOCOL)
    assert "/interfaces/interface[name=Ethernet1]/" in str(points[0].fields["error_detail"])


TWO_RUNS = """
import asyncio, sys
from streamswarm_agent.probes import PROBES, Context, Engines
from streamswarm_core.probespecs import GnmiParams

async def main():
    context = Context(Engines())
    for _ in range(2):
        points = await PROBES["gnmi"].run(sys.argv[1], GnmiParams(insecure=True), context)
        print(points[0].fields["up"], flush=True)
        await asyncio.to_thread(sys.stdin.readline)
    context.engines.close()

asyncio.run(main())
"""


async def test_grpc_writes_nothing_of_its_own_into_the_agents_log() -> None:
    # In a process of its own, since grpc reads its environment when it is imported.
    async with running(Device()) as port:
        agent = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", TWO_RUNS, f"127.0.0.1:{port}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert agent.stdin
        assert agent.stdout
        assert await agent.stdout.readline() == b"1\n"
    agent.stdin.write(b"\n")
    assert await agent.stdout.readline() == b"0\n"
    assert await agent.communicate(b"\n") == (b"", b"")
