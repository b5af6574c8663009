"""The agent's side of a bandwidth test with a reflector."""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.bulk.throughput import Throughput
from streamswarm_agent.net.stamp.credible import round_trips
from streamswarm_agent.net.stamp.sender import Plan, StampSender
from streamswarm_agent.net.targets import Address
from streamswarm_core.probespecs import BandwidthParams
from streamswarm_core.reflector.borrowed import keep_little_unsent, tcp_info_of
from streamswarm_core.wire.bandwidth import LONGEST_LINE, VERSION, Direction, MessageError, Meter, pack, unpack

_ANSWER_SECONDS: Final = 10.0
_DRAIN_SECONDS: Final = 20.0
_CHUNK: Final = bytes(65_536)
_MOST_AT_ONCE: Final = 262_144
_IDLE_PACKETS, _LOADED_PACKETS, _PACKET_SPACING, _PACKET_WAIT = 10, 5, 0.02, 1.0
_DENIALS: Final = {
    "busy": Fault.REFUSED,
    "connections": Fault.REFUSED,
    "peer": Fault.PERMISSION,
    "signature": Fault.PERMISSION,
}


@dataclass(slots=True)
class ReflectorResult:
    """What a test found.

    Attributes:
        directions: in the order in which they were measured.
        rtts: median round-trip time of "idle", "download" and "upload", seconds, where packets were answered.
    """

    directions: list[Throughput] = field(default_factory=list)
    rtts: dict[str, float] = field(default_factory=dict)

    @property
    def bufferbloat(self) -> float | None:
        """What load adds to the round trip: the larger loaded one less the idle one, seconds, at least 0."""
        loaded = [self.rtts[name] for name in ("download", "upload") if name in self.rtts]
        return max(0.0, max(loaded) - self.rtts["idle"]) if loaded and "idle" in self.rtts else None


class ReflectorTest:
    """One test.

    Args:
        address: of the reflector, with its port.
        params: the probe's options.
        key: the reflector's, or nothing.
        latency: measures the delay under load; None leaves it out.
        wall_ns: wall clock.
    """

    def __init__(
        self,
        address: Address,
        params: BandwidthParams,
        *,
        key: bytes,
        latency: StampSender | None,
        wall_ns: Callable[[], int],
    ) -> None:
        self._address = address
        self._params = params
        self._key = key
        self._latency = latency
        self._wall_ns = wall_ns
        self._name = ""
        self._bytes = 0
        self._seconds = 0.0
        self._result = ReflectorResult()

    async def run(self) -> ReflectorResult:
        """Measure each direction that is wanted, one after the other.

        Raises:
            ProbeFault: the reflector can't be reached, denies the test, or breaks off.
        """
        wanted: list[Direction] = [way for way in ("download", "upload") if getattr(self._params, way)]
        with _faults():
            reader, writer = await self._open(
                {
                    "role": "control",
                    "streams": self._params.streams,
                    "bytes": self._params.budget // len(wanted),
                    "seconds": self._params.seconds,
                }
            )
            try:
                granted = await _answer(reader)
                self._name, self._bytes, self._seconds = granted["test"], granted["bytes"], granted["seconds"]
                await self._measure_latency("idle", None)
                for direction in wanted:
                    await self._measure(direction, reader, writer)
            finally:
                writer.close()
        return self._result

    async def _measure(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        streams = [
            await self._open({"role": "data", "test": self._name, "direction": direction})
            for _ in range(self._params.streams)
        ]
        try:
            for stream, _ in streams:
                await _answer(stream)
            over = asyncio.Event()
            latency = asyncio.create_task(self._measure_latency(direction, over))
            began_ns, meter = self._wall_ns(), Meter()
            try:
                async with asyncio.timeout(self._seconds + _DRAIN_SECONDS):
                    if direction == "download":
                        await _receive(streams, meter, self._seconds)
                    else:
                        await _send(streams, self._bytes, self._seconds)
            finally:
                over.set()
                await latency
            sent_again = [tcp_info_of(one.get_extra_info("socket").fileno()) for _, one in streams]
        finally:
            for _, stream_writer in streams:
                stream_writer.close()
        writer.write(b"{}\n")
        report = await _answer(reader)
        retransmits: int = report["retransmits"]
        if direction == "upload":
            meter = Meter(report["steps"], report["seconds"], late=report["late"])
            retransmits = sum(info.total_retrans for info in sent_again if info)
        self._result.directions.append(
            Throughput.of(direction, meter, began_ns=began_ns, warm_up=self._params.warm_up, retransmits=retransmits)
        )

    async def _open(self, message: Mapping[str, Any]) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """Connect, and say what is wanted."""
        async with asyncio.timeout(_ANSWER_SECONDS):
            host, port = self._address.sockaddr[:2]
            reader, writer = await asyncio.open_connection(host, port, limit=LONGEST_LINE)
        try:
            nonce = _nonce_of(await _answer(reader))
            keep_little_unsent(writer.get_extra_info("socket").fileno())
            writer.write(pack(message, nonce=nonce, key=self._key))
        except BaseException:
            writer.close()
            raise
        return reader, writer

    async def _measure_latency(self, name: str, over: asyncio.Event | None) -> None:
        """Round trips by stamp packets: some if `over` is None, else until it is set."""
        if self._latency is None:
            return
        count = _IDLE_PACKETS if over is None else _LOADED_PACKETS
        plan = Plan(count, _PACKET_SPACING, _PACKET_WAIT, ask_dscp=False, key=self._key)
        rtts: list[float] = []
        while True:
            # Where UDP can't pass, the rates are worth having all the same.
            with contextlib.suppress(ProbeFault):
                rtts += round_trips((await self._latency.run(self._address, plan)).packets)
            if over is None or over.is_set():
                break
        if rtts:
            self._result.rtts[name] = statistics.median(rtts)


async def _receive(streams: Sequence[tuple[asyncio.StreamReader, Any]], meter: Meter, seconds: float) -> None:
    """What is still under way when the time is up doesn't count."""

    async def one(reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(_MOST_AT_ONCE):
            meter.add(len(chunk), time.monotonic())

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds), asyncio.TaskGroup() as tasks:
            for reader, _ in streams:
                tasks.create_task(one(reader))


async def _send(
    streams: Sequence[tuple[asyncio.StreamReader, asyncio.StreamWriter]], size: int, seconds: float
) -> None:
    """All streams draw from the same bytes, so that none goes on alone at the end."""
    left, until = size, time.monotonic() + seconds

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal left
        while left > 0 and time.monotonic() < until:
            chunk = _CHUNK[:left]
            left -= len(chunk)
            writer.write(chunk)
            await writer.drain()
        writer.write_eof()
        await reader.read()  # the other side closes when it has read all

    async with asyncio.TaskGroup() as tasks:
        for reader, writer in streams:
            tasks.create_task(one(reader, writer))


async def _answer(reader: asyncio.StreamReader) -> dict[str, Any]:
    """The other side's next message.

    Raises:
        ProbeFault: it is a refusal.
        MessageError: it is something else.
    """
    async with asyncio.timeout(_ANSWER_SECONDS):
        message = unpack(await reader.readline())
    if "refused" in message:
        fault = _DENIALS.get(message["refused"], Fault.PROTOCOL)
        raise ProbeFault(fault, f"the reflector refuses: {message.get('detail', message['refused'])}")
    return message


def _nonce_of(hello: Mapping[str, Any]) -> str:
    if hello.get("streamswarm") != "bandwidth" or hello.get("version") != VERSION:
        raise ProbeFault(Fault.PROTOCOL, "what listens there is no reflector of ours, or of another version")
    return str(hello["nonce"])


@contextlib.contextmanager
def _faults() -> Iterator[None]:
    """What can happen to a connection, or to several of them in different ways, as one ProbeFault."""
    try:
        yield
    except (ExceptionGroup, ProbeFault, OSError, MessageError, KeyError, ValueError) as error:
        fault = next(filter(None, map(_fault_of, _leaves(error))), None)
        if fault is None:
            raise
        raise fault from None


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for one in error.exceptions:
            yield from _leaves(one)
    else:
        yield error


def _fault_of(error: Exception) -> ProbeFault | None:
    match error:
        case ProbeFault():
            return error
        case TimeoutError():
            return ProbeFault(Fault.TIMEOUT, "what listens there did not answer in time, as a reflector would")
        case OSError():
            return from_os_error(error)
        case MessageError() | KeyError() | ValueError():
            return ProbeFault(Fault.PROTOCOL, "what listens there does not speak as our reflectors do")
        case _:
            return None
