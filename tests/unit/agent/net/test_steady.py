"""A clock that is set while packets are on their way; what the kernel would say then is simulated."""

import asyncio
import socket
import time
from dataclasses import dataclass, field

import pytest

from streamswarm_agent.net.path.flows import Flow
from streamswarm_agent.net.path.hops import HopListener, Sent
from streamswarm_agent.net.qos.echoes import UdpExchange
from streamswarm_agent.net.steady import SteadyClock
from streamswarm_agent.net.targets import Address, resolve
from streamswarm_agent.net.tcp import first_sign
from streamswarm_core.probespecs import TraceMethod
from tests.support import until
from tests.unit.agent.setclock import SetClock

HOUR = 3600
MS = 1_000_000
STEPS = pytest.mark.parametrize("seconds", [-HOUR, HOUR])


@dataclass
class Clocks:
    """Both clocks of a host, nanoseconds; `waits` pass behind each reading of the first one."""

    wall_ns: int = 10**18
    monotonic_ns: int = 10**12
    waits: list[int] = field(default_factory=list)

    def steady(self) -> SteadyClock:
        return SteadyClock(self._read_wall, lambda: self.monotonic_ns)

    def _read_wall(self) -> int:
        now_ns = self.wall_ns
        self.pass_by(self.waits.pop() if self.waits else 0)
        return now_ns

    def pass_by(self, nanoseconds: int, *, step_ns: int = 0) -> None:
        self.wall_ns += nanoseconds + step_ns
        self.monotonic_ns += nanoseconds


@pytest.fixture
def set_clock(monkeypatch: pytest.MonkeyPatch) -> SetClock:
    return SetClock(monkeypatch)


def test_a_clock_that_nobody_sets_is_the_realtime_one_to_the_nanosecond() -> None:
    clocks = Clocks()
    steady = clocks.steady()
    clocks.pass_by(7 * MS, step_ns=3)
    assert (steady.now_ns(), steady.set_by_ns) == (clocks.wall_ns, 0)
    assert steady.tell(clocks.wall_ns - 5, clocks.wall_ns - 6) == clocks.wall_ns - 5


@STEPS
def test_a_step_shows_neither_in_the_time_nor_in_stamps(seconds: int) -> None:
    clocks = Clocks()
    steady = clocks.steady()
    began_ns = steady.now_ns()
    clocks.pass_by(10 * MS, step_ns=seconds * 10**9)
    assert steady.now_ns() == began_ns + 10 * MS
    assert steady.arrival(clocks.wall_ns - MS, began_ns) == began_ns + 9 * MS
    clocks.pass_by(10 * MS, step_ns=-seconds * 10**9)
    assert (steady.now_ns(), steady.set_by_ns) == (began_ns + 20 * MS, 0)


@STEPS
def test_a_stamp_of_before_the_step_that_is_read_behind_it_came_just_now(seconds: int) -> None:
    clocks = Clocks()
    steady = clocks.steady()
    began_ns = steady.now_ns()
    clocks.pass_by(10 * MS)
    stamp_ns = clocks.wall_ns
    clocks.pass_by(MS, step_ns=seconds * 10**9)
    assert steady.tell(stamp_ns, began_ns) is None
    assert steady.arrival(stamp_ns, began_ns) == began_ns + 11 * MS


def test_a_wait_between_the_two_readings_is_no_step() -> None:
    clocks = Clocks()
    steady = clocks.steady()
    clocks.waits.append(400 * MS)
    assert steady.now_ns() == clocks.wall_ns
    assert steady.set_by_ns == 0


@STEPS
@pytest.mark.parametrize("target", ["127.0.0.1", "::1"])
async def test_a_hop_answers_as_fast_as_before(target: str, seconds: int, set_clock: SetClock) -> None:
    listener = HopListener(SteadyClock(set_clock.wall_ns))
    answered: asyncio.Future[Sent] = asyncio.get_running_loop().create_future()
    flow = Flow.to(await resolve(target), TraceMethod.ICMP, 0)
    packet = listener.send(flow, 64, answered.set_result)
    set_clock.set_by(seconds)
    async with asyncio.timeout(5):
        await answered
    listener.close()
    assert packet.answer is not None
    assert 0 < packet.answer.rtt < 5


@STEPS
async def test_a_datagram_is_reflected_as_fast_as_before(seconds: int, set_clock: SetClock) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as reflector:
        reflector.bind(("127.0.0.1", 0))
        exchange = UdpExchange(Address(socket.AF_INET, reflector.getsockname(), None), SteadyClock(set_clock.wall_ns))
        request = exchange.send(0, 100)
        set_clock.set_by(seconds)
        reflector.sendto(*reflector.recvfrom(200))
        await until(lambda: request.received_ns is not None)
        exchange.close()
    assert request.rtt is not None
    assert 0 < request.rtt < 5


@STEPS
async def test_a_banner_comes_as_fast_as_before(seconds: int, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as opened:
        began = time.monotonic()
        speaking, _ = server.accept()
        with speaking:
            speaking.sendall(b"220 here\r\n")
            opened.setblocking(False)  # noqa: FBT003 - the standard library has no keyword here
            shown_ns = time.time_ns
            monkeypatch.setattr(time, "time_ns", lambda: shown_ns() + seconds * 10**9)
            arrived = await first_sign(opened, 5, began)
    assert arrived is not None
    assert began <= arrived <= time.monotonic()
