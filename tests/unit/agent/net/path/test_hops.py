"""What answers say of themselves, on loopback."""

import asyncio
import socket
from dataclasses import replace

import pytest

from streamswarm_agent.net.path.flows import Flow
from streamswarm_agent.net.path.hops import Answer, HopListener, Sent
from streamswarm_agent.net.qos.classes import compare
from streamswarm_agent.net.qos.echoes import IcmpExchange
from streamswarm_agent.net.targets import resolve
from streamswarm_agent.probes import Context
from streamswarm_core.probespecs import TraceMethod


async def answer_to(context: Context, flow: Flow) -> Answer:
    answered: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
    context.engines.get(HopListener).send(flow, 64, answered.set_result)
    async with asyncio.timeout(5):
        answer = (await answered).answer
    assert answer is not None
    return answer


@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
async def test_an_answer_says_with_which_traffic_class_it_came(target: str, context: Context) -> None:
    flow = Flow.to(await resolve(target), TraceMethod.ICMP, 0)
    for tos in (0xB8, 0x02, 0):
        answer = await answer_to(context, replace(flow, tos=tos))
        assert (answer.own_tos, answer.tos) == (tos, None)


@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
async def test_a_listening_port_agrees_to_ecn_only_if_asked(target: str, context: Context) -> None:
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with socket.create_server((target, 0), family=family) as server:
        flow = Flow.to(await resolve(target), TraceMethod.TCP, server.getsockname()[1])
        assert (await answer_to(context, flow)).accepts_ecn is False
        # Linux agrees unless net.ipv4.tcp_ecn is 0.
        assert (await answer_to(context, replace(flow, asks_ecn=True))).accepts_ecn is True
    assert (await answer_to(context, replace(flow, asks_ecn=True))).accepts_ecn is None


async def test_a_comparison_leaves_no_packet_behind_for_the_listener_to_wait_for(context: Context) -> None:
    exchange = IcmpExchange(context.engines.get(HopListener), await resolve("127.0.0.1"))
    runs = await compare(exchange, (0, 46), count=5, spacing=0.01, wait=0.5, size=100)
    assert [run.loss for run in runs] == [0, 0]
    (channel,) = context.engines.get(HopListener)._channels.values()
    assert not channel._waiting
    exchange.close()
