import asyncio
import errno
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamswarm_agent.faults import Fault
from streamswarm_agent.net.stamp.oneway import attribute_loss
from streamswarm_agent.net.stamp.sender import Plan, StampSender, why_silent
from streamswarm_agent.net.targets import resolve
from streamswarm_agent.probes import PROBES, Context
from streamswarm_core.probespecs import SPECS
from streamswarm_core.reflector.stamp import StampReflector
from tests.support import find_free_port


class TwampLight(asyncio.DatagramProtocol):
    """A TWAMP-Light responder as RFC 5357 describes it, written without our codec: it knows no sessions and no TLVs.

    Args:
        deaf: every so-manieth packet is not heard.
    """

    def __init__(self, deaf: int) -> None:
        self._deaf = deaf
        self._heard = self._sent = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own datagram transport is no asyncio.DatagramTransport before Python 3.12.
        self._transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self._heard += 1
        if self._deaf and self._heard % self._deaf == 0:
            return
        stamp = struct.pack("!II", 3_913_056_000, self._sent)
        head = struct.pack("!I8sHH8s", self._sent, stamp, 0x0001, 0, stamp)
        self._transport.sendto(head + data[:14] + bytes(2) + b"\xff" + bytes(len(data) - 41), addr)
        self._sent += 1


@asynccontextmanager
async def twamp_light(*, deaf: int = 0) -> AsyncIterator[int]:
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: TwampLight(deaf), local_addr=("127.0.0.1", 0))
    try:
        yield int(transport.get_extra_info("sockname")[1])
    finally:
        transport.close()


async def test_many_runs_share_one_socket_and_none_takes_the_answers_of_another(context: Context) -> None:
    reflector, sender = StampReflector(), context.engines.get(StampSender)
    port = reflector.listen(["127.0.0.1"], 0)
    try:
        address = await resolve("127.0.0.1", port)
        runs = await asyncio.gather(*(sender.run(address, Plan(10, 0.005, 5)) for _ in range(40)))
    finally:
        reflector.close()
    assert len(sender._sockets) == 1
    assert len({run.ssid for run in runs}) == 40
    for run in runs:
        assert [len(packet.answers) for packet in run.packets] == [1] * 10
        assert [packet.answers[0].reply.sequence for packet in run.packets] == list(range(10))
    assert not any(channel._waiting for channel in sender._sockets.values())


async def test_a_responder_of_twamp_light_is_measured(context: Context) -> None:
    async with twamp_light() as port:
        params = SPECS["stamp"].params.model_validate({"port": port, "count": 5, "spacing": 0.001})
        (point,) = await PROBES["stamp"].run("127.0.0.1", params, context)
    assert (point.fields["up"], point.fields["received"], point.fields["loss_there"]) == (1, 5, 0.0)
    assert "dscp_there" not in point.fields
    assert "owd_mean_there" not in point.fields


async def test_a_responder_that_counts_on_tells_losses_of_later_runs_too(context: Context) -> None:
    sender = context.engines.get(StampSender)
    async with twamp_light(deaf=4) as port:
        address = await resolve("127.0.0.1", port)
        for _ in range(2):
            run = await sender.run(address, Plan(8, 0.001, 0.2))
            lost = sum(not packet.answers for packet in run.packets)
            told = attribute_loss(run)
            # The first run is 8 packets and one after them; so the second begins with the tenth that is heard.
            assert lost == 2
            assert (told.there, told.back, told.unknown, told.stateful) == (2, 0, 0, True)


async def test_only_a_refusal_means_that_no_reflector_listens(context: Context) -> None:
    plan, sender = Plan(2, 0.005, 0.3), context.engines.get(StampSender)
    run = await sender.run(await resolve("127.0.0.1", find_free_port()), plan)
    assert why_silent(run, plan).detail == "Connection refused: no reflector listens on that port"
    for packet in run.packets:
        packet.error = errno.EHOSTUNREACH
    unreachable = why_silent(run, plan)
    assert (unreachable.fault, unreachable.detail) == (Fault.UNREACHABLE, "No route to host")
