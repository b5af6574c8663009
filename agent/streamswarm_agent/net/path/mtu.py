"""The path MTU by packets that may not be fragmented, whether or not routers say that one was too large.

Routers should answer with "fragmentation needed" (RFC 1191) or "packet too big" (RFC 8201) and name the size that would
pass. Where they don't, or a firewall swallows it, large packets vanish: a black hole (RFC 2923). So every size is found
by what arrives (as in RFC 4821 and RFC 8899), and what routers say only chooses the next size to try.
"""

import asyncio
import contextlib
import fcntl
import socket
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import psutil

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.icmp.errors import Kind, unreachable_words
from streamswarm_agent.net.path.flows import Flow
from streamswarm_agent.net.path.hops import Answer, HopListener, Sent
from streamswarm_core.probespecs import MtuParams, TraceMethod

_SMALL: Final = 68
_FLOOR: Final = {socket.AF_INET: 576, socket.AF_INET6: 1280}
_LARGEST_PACKET: Final = {socket.AF_INET: 65_535, socket.AF_INET6: 65_535 + 40}
_TTL: Final = 64
_SPACING: Final = {TraceMethod.ICMP: 0.05, TraceMethod.UDP: 1.05}
"""Seconds between two packets: many hosts answer UDP to a closed port about once a second only."""
_LEAST_PATIENCE: Final = 0.25
_PATIENCE: Final = 4.0
_MOST_SEARCHES: Final = 4
_MOST_SILENT_HOPS: Final = 5
_SIOCGIFMTU: Final = 0x8921
_INTERFACE_NAME_BYTES: Final = 16
_IFREQ_BYTES: Final = 40


@dataclass(frozen=True, slots=True)
class PathMtu:
    """What was found.

    Attributes:
        size: bytes of the largest packet that arrives.
        interface: the outgoing interface's MTU; None where it can't be told.
        black_hole: larger packets vanish without a word.
        limiting_hop: the last hop that a larger packet reaches; 0 is this host.
        limiting_address: the router there.
        rtt: seconds, of a packet of that size.
        sent: packets.
    """

    size: int
    interface: int | None
    black_hole: bool
    limiting_hop: int | None
    limiting_address: str | None
    rtt: float
    sent: int


@dataclass(frozen=True, slots=True)
class _Refusal:
    """A size did not pass.

    Attributes:
        told: somebody said so, be it this host's interface.
        address: the router that did.
        mtu: what it said would pass.
    """

    told: bool = False
    address: str | None = None
    mtu: int | None = None


class Prober:
    """Searches for one path's MTU.

    Args:
        listener: the agent's.
        flow: to the target.
        params: the probe's options.
    """

    def __init__(self, listener: HopListener, flow: Flow, params: MtuParams) -> None:
        self._listener = listener
        self._flow = flow
        self._params = params
        self._patience = params.wait
        self._last_sent = 0.0
        self._packets: list[Sent] = []
        self._answered = asyncio.Event()
        self._refusals: dict[int, _Refusal] = {}

    async def run(self) -> PathMtu:
        """Search.

        Raises:
            ProbeFault: the target doesn't answer, or packets can't be sent.
        """
        try:
            return await self._search()
        finally:
            self._listener.forget(self._packets)

    async def _search(self) -> PathMtu:
        small = await self._try(_SMALL)
        if isinstance(small, _Refusal):
            raise ProbeFault(Fault.TIMEOUT, f"no answer to {self._params.tries} packets of {_SMALL} bytes")
        if self._flow.method is TraceMethod.ICMP:
            # Far less than a second is enough to wait for what a near target would have answered.
            self._patience = min(self._params.wait, max(_LEAST_PATIENCE, _PATIENCE * small.rtt))
        interface = interface_mtu(self._flow)
        largest = min(interface or _LARGEST_PACKET[self._flow.family], _LARGEST_PACKET[self._flow.family])
        floor = min(self._params.floor or _FLOOR[self._flow.family], largest)
        passed = await self._try(floor)
        if isinstance(passed, _Refusal):
            words = f"packets of {floor} bytes don't arrive, though those of {_SMALL} bytes do"
            raise ProbeFault(Fault.PACKET_LOSS, words)
        size, passed = await self._largest_that_passes(floor, passed, largest)
        refusal = self._refusals.get(size + 1)
        hop, address = await self._locate(size + 1) if refusal else (None, None)
        return PathMtu(
            size,
            interface,
            black_hole=refusal is not None and not refusal.told,
            limiting_hop=hop,
            limiting_address=(refusal.address if refusal else None) or address,
            rtt=passed.rtt,
            sent=len(self._packets),
        )

    async def _largest_that_passes(self, low: int, passed: Answer, largest: int) -> tuple[int, Answer]:
        """The largest size that arrives, between one that does and the largest there can be."""
        for _ in range(_MOST_SEARCHES):
            low, passed = await self._bisect(low, passed, largest)
            if low == largest or self._refusals[low + 1].told:
                break
            # Nobody said that the next size is too large. Ask again: chance must not decide.
            again = await self._try(low + 1)
            if isinstance(again, _Refusal):
                break
            low, passed = low + 1, again
        return low, passed

    async def _bisect(self, low: int, passed: Answer, largest: int) -> tuple[int, Answer]:
        size, too_big, hint = largest, largest + 1, None
        while low + 1 < too_big:
            tried = await self._try(size)
            if isinstance(tried, Answer):
                low, passed = size, tried
            else:
                too_big, hint = size, tried.mtu
            if hint is not None and low < hint < too_big:
                size = hint
            else:
                # What a router named has passed: see that one byte more doesn't.
                size = low + 1 if hint == low else (low + too_big) // 2
        return low, passed

    async def _try(self, size: int) -> "Answer | _Refusal":
        """See whether a size passes."""
        try:
            answer = await self._ask(size, _TTL)
        except OSError:
            refusal = _Refusal(told=True)
        else:
            if answer is not None and answer.reached:
                self._refusals.pop(size, None)
                return answer
            if answer is not None and answer.kind is not Kind.TOO_BIG:
                raise ProbeFault(Fault.UNREACHABLE, f"{answer.address} says {self._words(answer)}")
            refusal = _Refusal(told=True, address=answer.address, mtu=answer.mtu) if answer else _Refusal()
        self._refusals[size] = refusal
        return refusal

    def _words(self, answer: Answer) -> str:
        return "time exceeded" if answer.kind is Kind.EXPIRED else unreachable_words(self._flow.family, answer.code)

    async def _locate(self, size: int) -> tuple[int | None, str | None]:
        """The last hop that a size which is too big reaches, and its address; where the hops answer at all.

        With a low TTL the packet ends at a router before the narrow link, which then says so.
        """
        found: tuple[int | None, str | None] = (None, None)
        for ttl in range(1, _TTL):
            try:
                large = await self._ask(size, ttl)
            except OSError:
                return 0, None
            if large is not None and large.kind is Kind.EXPIRED:
                found = (ttl, large.address)
            elif large is not None or await self._ask(_SMALL, ttl) is not None:
                return (0, None) if ttl == 1 else found
            elif ttl - (found[0] or 0) > _MOST_SILENT_HOPS:
                break
        return found

    async def _ask(self, size: int, ttl: int) -> Answer | None:
        """Send up to as many packets as the options say, until one is answered.

        Raises:
            OSError: the interface doesn't take the size.
        """
        packets: list[Sent] = []
        spacing = _SPACING[self._flow.method]
        for _ in range(self._params.tries):
            await asyncio.sleep(max(0.0, self._last_sent + spacing - time.monotonic()) if self._packets else 0)
            if (answer := _first(packets)) is not None:
                return answer
            self._answered.clear()
            packets.append(self._listener.send(self._flow, ttl, self._take, size=size))
            self._packets.append(packets[-1])
            self._last_sent = time.monotonic()
            await self._wait(spacing)
        if _first(packets) is None:
            await self._wait(self._patience - spacing)
        return _first(packets)

    async def _wait(self, seconds: float) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                await self._answered.wait()

    def _take(self, packet: Sent) -> None:
        if packet.answer is not None and packet.answer.rtt > self._params.wait:
            packet.answer = None
        else:
            self._answered.set()


def _first(packets: Sequence[Sent]) -> Answer | None:
    return next((packet.answer for packet in packets if packet.answer is not None), None)


def interface_mtu(flow: Flow) -> int | None:
    """The MTU of the interface that has the flow's source address; None if none has."""
    source = socket.inet_ntop(flow.family, flow.source)
    for name, addresses in psutil.net_if_addrs().items():
        if any(one.family == flow.family and one.address.partition("%")[0] == source for one in addresses):
            if flow.scope and socket.if_nametoindex(name) != flow.scope:
                continue
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
                asked = fcntl.ioctl(asking.fileno(), _SIOCGIFMTU, name.encode().ljust(_IFREQ_BYTES, b"\0"))
            return int(struct.unpack_from("@i", asked, _INTERFACE_NAME_BYTES)[0])
    return None
