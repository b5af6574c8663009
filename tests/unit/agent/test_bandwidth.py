import asyncio
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.bulk.reflector import _faults
from streamswarm_agent.probes import PROBES, Context
from streamswarm_core.probespecs import BandwidthMethod, BandwidthParams
from tests.support import find_free_port, until
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


@contextmanager
def iperf3(log: Path, *argv: str) -> Iterator[None]:
    with log.open("wb") as output, subprocess.Popen(["iperf3", "--forceflush", *argv], stdout=output) as process:
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.needs("iperf3", "iperf3")
@pytest.mark.parametrize(("others_seconds", "up"), [(2, 1), (30, 0)])
async def test_an_iperf3_server_that_serves_another_is_waited_for_a_moment(
    context: Context, tmp_path: Path, others_seconds: int, up: int
) -> None:
    port, log = find_free_port(), tmp_path / "server"
    place = ["--port", str(port)]
    other = ["--client", "127.0.0.1", *place, "--time", str(others_seconds), "--bitrate", "1M"]
    with iperf3(log, "--server", "--bind", "127.0.0.1", *place):
        await until(lambda: "listening" in log.read_text())
        with iperf3(tmp_path / "other", *other):
            await until(lambda: "Accepted" in log.read_text())
            params = BandwidthParams(method=BandwidthMethod.IPERF3, port=port, seconds=0.5, streams=1)
            point, *_ = await PROBES["bandwidth"].run("127.0.0.1", params, context)
    assert point.fields["up"] == up, point.fields
    if not up:
        assert point.fields["error"] == Fault.REFUSED
        assert "busy" in str(point.fields["error_detail"])
