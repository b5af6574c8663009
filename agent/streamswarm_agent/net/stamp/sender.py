"""Sends STAMP packets for all targets from one socket per address family (RFC 8762, TWAMP-Light).

The kernel says when each packet left and when its answer came (SO_TIMESTAMPING), so a busy event loop changes neither.
An answer is told by the time stamp that it repeats, which no two packets of the agent share.
"""

import asyncio
import contextlib
import itertools
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.targets import Address
from streamswarm_core.reflector.clockerror import RememberedClockError
from streamswarm_core.reflector.datagrams import Datagram, next_report, open_udp, receive, send
from streamswarm_core.wire.ntp import from_ntp, to_ntp
from streamswarm_core.wire.stamp import (
    TTL,
    ClassOfService,
    ClockError,
    Reply,
    StampError,
    make_request,
    read_reply,
)

_MOST_PACKETS_PER_WAKE: Final = 512
_STAMP_AT: Final = (4, 16)
_STAMP_BYTES: Final = 8
_SENDER_STAMP_AT: Final = {False: 28, True: 64}
_UDP_HEADER: Final = 8
_LINK_HEADERS: Final = (14, 0, 18, 22)
"""Bytes before the IP header: of Ethernet, of tunnels, and of Ethernet with one or two VLAN tags."""
_LINGER_SECONDS: Final = 0.02
_CLOSING_PACKETS: Final = 6


@dataclass(frozen=True, slots=True)
class Answer:
    """One packet that came back.

    Attributes:
        reply: what it says.
        received_ns: when the kernel got it, realtime clock.
        ttl: what was left of its TTL.
        dscp: what it came with.
        within_ns: the most that it can have taken, by the monotonic clock; None if nobody looked.
    """

    reply: Reply
    received_ns: int
    ttl: int | None
    dscp: int
    within_ns: int | None = None


@dataclass(slots=True)
class Sent:
    """One packet that was sent.

    Attributes:
        sequence: as sent.
        sent_ns: when it left: first by this process's clock, then by the kernel's report.
        answers: what came back for it, copies included.
        error: errno of the ICMP error that came back instead.
        begun_ns: when it was about to leave, monotonic clock.
    """

    sequence: int
    sent_ns: int
    answers: list[Answer] = field(default_factory=list)
    error: int | None = None
    begun_ns: int = 0


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run sends.

    Attributes:
        count: packets.
        spacing: seconds between two.
        wait: seconds after the last.
        size: bytes of UDP payload, padded to.
        dscp: of the packets, and wanted of the answers.
        ask_dscp: whether to ask the reflector for the DSCP it sees.
        key: for authenticated mode.
    """

    count: int
    spacing: float
    wait: float
    size: int = 0
    dscp: int = 0
    ask_dscp: bool = True
    key: bytes = b""


@dataclass(frozen=True, slots=True)
class StampRun:
    """What became of a run's packets.

    Attributes:
        packets: those that count, in the order they were sent.
        closing: further ones, sent after a loss to learn how many packets the reflector had seen.
        ssid: the session's number.
        clock: how wrong this host's clock can be.
        bad: answers that could not be used, such as those with another key.
        alone: no other run asked the same reflector meanwhile, so one that knows no sessions counted this one only.
    """

    packets: list[Sent]
    closing: list[Sent]
    ssid: int
    clock: ClockError
    bad: int
    alone: bool = True


class _Session:
    """One run's packets on one socket."""

    def __init__(self, ssid: int, key: bytes, address: Address) -> None:
        self.ssid, self.key, self.address = ssid, key, address
        self.packets: list[Sent] = []
        self.stamps: list[int] = []
        self.open = 0
        self.bad = 0
        self.alone = True
        self.settled = asyncio.Event()

    def settle(self, packet: Sent) -> None:
        """Count a packet as done, when its first answer or error comes."""
        if len(packet.answers) + (packet.error is not None) == 1:
            self.open -= 1
            if self.open <= 0:
                self.settled.set()


class _FamilySocket:
    """The socket of one address family, and the packets that are waited for on it."""

    def __init__(self, family: socket.AddressFamily, clock_error: Callable[[], ClockError]) -> None:
        try:
            self._socket = open_udp(family, "", 0, ttl=TTL, send_reports=True)
        except OSError as error:
            raise from_os_error(error) from None
        self._clock_error = clock_error
        self._waiting: dict[int, tuple[Sent, _Session]] = {}
        self._last_stamp = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._socket.fileno(), self._receive)

    def close(self) -> None:
        if not self._loop.is_closed():
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def send(self, session: _Session, sequence: int, plan: Plan) -> None:
        """Send the session's next packet.

        Raises:
            ProbeFault: the kernel refuses.
        """
        stamp = self._last_stamp = max(to_ntp(time.time_ns()), self._last_stamp + 1)
        packet = Sent(sequence, from_ntp(stamp), begun_ns=time.monotonic_ns())
        service = ClassOfService(plan.dscp) if plan.ask_dscp else None
        text = make_request(
            sequence, stamp, self._clock_error(), ssid=session.ssid, size=plan.size, service=service, key=plan.key
        )
        self._waiting[stamp] = packet, session
        session.stamps.append(stamp)
        session.packets.append(packet)
        session.open += 1
        session.settled.clear()
        for attempt in (1, 2):
            try:
                send(self._socket, text, session.address.sockaddr, tos=plan.dscp << 2)
            except OSError as error:
                # An ICMP error of an earlier packet, of whichever target, is raised here once.
                if attempt == 2:
                    raise from_os_error(error) from None
            else:
                return

    def forget(self, session: _Session) -> None:
        """Take no more answers for these."""
        for stamp in session.stamps:
            self._waiting.pop(stamp, None)

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_PACKETS_PER_WAKE):
                self._take_report()
        for _ in range(_MOST_PACKETS_PER_WAKE):
            try:
                datagram = receive(self._socket)
            except BlockingIOError:
                return
            except OSError:
                continue
            self._take(datagram)

    def _take_report(self) -> None:
        """The kernel's word on a packet: it left, or an ICMP error came for it; its text may have headers before it."""
        report = next_report(self._socket)
        for stamp in _stamps_in(report.packet):
            if stamp in self._waiting:
                packet, session = self._waiting[stamp]
                if report.sent_ns is not None:
                    packet.sent_ns = report.sent_ns
                elif report.error is not None and packet.error is None and not packet.answers:
                    packet.error = report.error
                    session.settle(packet)
                return

    def _take(self, datagram: Datagram) -> None:
        for authenticated, at in _SENDER_STAMP_AT.items():
            found = self._waiting.get(int.from_bytes(datagram.payload[at : at + _STAMP_BYTES], "big"))
            if found is not None and bool(found[1].key) == authenticated:
                break
        else:
            return
        packet, session = found
        if datagram.sender[0].partition("%")[0] != session.address.host.partition("%")[0]:
            return
        try:
            reply = read_reply(datagram.payload, key=session.key)
        except StampError:
            session.bad += 1
            return
        if reply.sender_sequence != packet.sequence:
            session.bad += 1
            return
        within_ns = time.monotonic_ns() - packet.begun_ns
        packet.answers.append(Answer(reply, datagram.received_ns, datagram.ttl, datagram.tos >> 2, within_ns))
        if packet.error is None:
            session.settle(packet)


def _stamps_in(text: bytes) -> list[int]:
    """What may be our time stamp: after any headers, in a packet of either mode."""
    begins = [begin + at for begin in payload_begins(text) for at in _STAMP_AT]
    return [int.from_bytes(text[begin : begin + _STAMP_BYTES], "big") for begin in begins]


def payload_begins(text: bytes) -> list[int]:
    """Candidates for where the UDP payload begins; an ICMP error comes without headers."""
    begins = [0]
    for link in _LINK_HEADERS:
        version = text[link] >> 4 if len(text) > link else 0
        header = (text[link] & 0x0F) * 4 if version == 4 else 40
        if version in {4, 6}:
            begins.append(link + header + _UDP_HEADER)
    return begins


class StampSender:
    """Sends and receives for all targets of a process; sockets are opened when they are first needed.

    Args:
        clock_error: how wrong this host's clock can be.
    """

    def __init__(self, clock_error: Callable[[], ClockError] | None = None) -> None:
        self._clock_error = clock_error or RememberedClockError()
        self._sockets: dict[socket.AddressFamily, _FamilySocket] = {}
        self._under_way: dict[object, set[_Session]] = {}
        self._ssids = itertools.count(secrets.randbelow(0xFFFF))

    async def run(self, address: Address, plan: Plan) -> StampRun:
        """Send a session's packets, and wait for what comes back.

        Raises:
            ProbeFault: the kernel has no route, or no socket.
        """
        channel = self._channel(address.family)
        session = _Session(next(self._ssids) % 0xFFFF + 1, plan.key, address)
        sessions = self._under_way.setdefault(address.sockaddr, set())
        sessions.add(session)
        if len(sessions) > 1:
            for one in sessions:
                one.alone = False
        try:
            begun = time.monotonic()
            for number in range(plan.count):
                if number:
                    await asyncio.sleep(max(0.0, begun + number * plan.spacing - time.monotonic()))
                channel.send(session, number, plan)
            await _wait(session, plan.wait)
            answered = sum(bool(packet.answers) for packet in session.packets)
            if 0 < answered < plan.count:
                await self._close(channel, session, plan)
            elif answered:
                # A copy of the last answer may be right behind it.
                await asyncio.sleep(_LINGER_SECONDS)
        finally:
            channel.forget(session)
            sessions.discard(session)
            if not sessions:
                self._under_way.pop(address.sockaddr, None)
        packets, closing = session.packets[: plan.count], session.packets[plan.count :]
        return StampRun(packets, closing, session.ssid, self._clock_error(), session.bad, session.alone)

    async def _close(self, channel: _FamilySocket, session: _Session, plan: Plan) -> None:
        """Send further packets until one is answered: its number says how many had arrived before.

        A sequence number is left out before them. A reflector that counts doesn't notice; one that copies does.
        """
        for number in range(_CLOSING_PACKETS):
            session.open = 0
            channel.send(session, plan.count + 1 + number, plan)
            await _wait(session, plan.wait)
            if session.packets[-1].answers:
                return

    def close(self) -> None:
        """Close the sockets."""
        for channel in self._sockets.values():
            channel.close()
        self._sockets.clear()

    def _channel(self, family: socket.AddressFamily) -> _FamilySocket:
        if family not in self._sockets:
            self._sockets[family] = _FamilySocket(family, self._clock_error)
        return self._sockets[family]


async def _wait(session: _Session, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await session.settled.wait()


def nothing_came(run: StampRun) -> ProbeFault | None:
    """Why no packet came back, if a router or the target's kernel said so."""
    errors = [packet.error for packet in run.packets if packet.error is not None]
    if not errors:
        return None
    return from_os_error(OSError(errors[-1], ""))


def why_silent(run: StampRun, plan: Plan) -> ProbeFault:
    """Why nothing usable came back, as far as it can be known."""
    fault = nothing_came(run)
    if fault is not None:
        closed = ": no reflector listens on that port" if fault.fault is Fault.REFUSED else ""
        return ProbeFault(fault.fault, fault.detail + closed)
    if run.bad:
        detail = f"{run.bad} answers are not what was asked for" + (": is the key the reflector's?" if plan.key else "")
        return ProbeFault(Fault.UNEXPECTED_ANSWER, detail)
    hint = "; a reflector also keeps silent if it doesn't know this agent, its key, or has to answer too much"
    return ProbeFault(Fault.TIMEOUT, f"no answer to {len(run.packets)} packets{hint}")
