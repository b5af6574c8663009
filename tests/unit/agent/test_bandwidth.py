import asyncio

import pytest

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.bulk.reflector import _faults
from streamswarm_agent.probes import PROBES, Context
from streamswarm_core.probespecs import BandwidthParams
from tests.unit.agent.servers import tcp_server


def test_streams_that_fail_in_different_ways_are_one_fault() -> None:
    with pytest.raises(ProbeFault) as caught, _faults():
        raise ExceptionGroup("", [ExceptionGroup("", [ConnectionResetError(104, "reset")]), TimeoutError()])
    assert caught.value.fault is Fault.RESET


def test_an_error_of_our_own_stays_one() -> None:
    with pytest.raises(ExceptionGroup), _faults():
        raise ExceptionGroup("", [ZeroDivisionError()])


async def test_a_server_of_another_kind_is_no_reflector(context: Context) -> None:
    async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9.6\r\n")
        await reader.read(1)

    async with tcp_server(speak) as target:
        params = BandwidthParams(port=int(target.rpartition(":")[2]), latency=False)
        (point,) = await PROBES["bandwidth"].run("127.0.0.1", params, context)
    assert (point.fields["up"], point.fields["error"]) == (0, Fault.PROTOCOL)
