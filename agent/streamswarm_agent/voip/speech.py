"""The speech of a call: RTP packets sent at the codec's pace, and whatever comes in (RFC 3550)."""

import asyncio
import contextlib
import random
import secrets
import socket
import time
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.stamp.sender import payload_begins
from streamswarm_agent.net.steady import SteadyClock
from streamswarm_core.probespecs import VoipParams
from streamswarm_core.reflector.datagrams import Datagram, next_report, open_udp, receive, send
from streamswarm_core.wire.rtp import (
    Packet,
    Report,
    make_goodbye,
    make_sender_report,
    read_packet,
    read_reports,
    round_trip,
)
from streamswarm_core.wire.sdp import Answer

_TTL: Final = 64
_PORTS: Final = range(16_384, 32_768, 2)
_ATTEMPTS: Final = 50
_FIRST_REPORT: Final = 1.25
_REPORTS: Final = 5.0
"""Seconds (RFC 3550, 6.2: five, and half of it before the first, both shortened at random by up to a half)."""
_MOST_AT_ONCE: Final = 256
_MOST_APART: Final = 3_000
_MOST_PACKETS: Final = 50_000
_MOST_STREAMS: Final = 8
_MOST_REPORTS: Final = 1_000
_IN_USE: Final = 98  # EADDRINUSE


@dataclass(slots=True)
class Spoken:
    """One packet that was sent; times are those of a steady clock.

    Attributes:
        sent_ns: when it left: first by this process's clock, then by the kernel's report.
        echoed_ns: when it came back, if it did.
    """

    sent_ns: int
    echoed_ns: int | None = None


@dataclass(slots=True)
class Incoming:
    """A stream of the peer's own.

    Attributes:
        arrivals: by sequence number with its cycles: when each packet came by a steady clock, and its timestamp.
        highest: sequence number with its cycles.
    """

    arrivals: dict[int, tuple[int, int]] = field(default_factory=dict)
    highest: int = -1

    def take(self, packet: Packet, received_ns: int) -> None:
        """Note a packet; a copy changes nothing, nor does one that is far from the others (RFC 3550, A.1)."""
        number = packet.sequence
        if self.arrivals:
            # The number that is nearest to the highest so far.
            number += (self.highest - number + 0x8000) // 0x10000 * 0x10000
            if abs(number - self.highest) > _MOST_APART or number - next(iter(self.arrivals)) > _MOST_PACKETS:
                return
        self.arrivals.setdefault(number, (received_ns, packet.timestamp))
        self.highest = max(self.highest, number)


class Speech:
    """The RTP and RTCP sockets of a call.

    Args:
        family: of the addresses.
        host: this host's address.
        params: codec, pace and class.
        clock: by which packets are timed.

    Raises:
        ProbeFault: there is no pair of ports.

    Attributes:
        spoken: packets sent, by number.
        incoming: streams of the peer's own, by SSRC.
        reports: what the peer said by RTCP about our stream, and when it came.
        dscp: of the last packet that came.
        error: errno of an ICMP error that came for a packet.
    """

    def __init__(
        self, family: socket.AddressFamily, host: str, params: VoipParams, clock: SteadyClock | None = None
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = clock or SteadyClock()
        self._opened_ns = self._clock.now_ns()
        self._params, self._codec = params, params.coding
        self._speech, self._control = _pair(family, host)
        self.port = int(self._speech.getsockname()[1])
        self._ssrc, self._first = secrets.randbits(32), secrets.randbits(16)
        self._timestamp = secrets.randbits(32)
        self._step = round(params.interval * self._codec.clock_rate)
        self._payload_type = self._codec.payload_type
        self._name = secrets.token_hex(8)
        self.spoken: dict[int, Spoken] = {}
        self.incoming: dict[int, Incoming] = {}
        self.reports: list[tuple[Report, int]] = []
        self.dscp: int | None = None
        self.error: int | None = None
        self._loop.add_reader(self._speech.fileno(), self._receive)
        self._loop.add_reader(self._control.fileno(), self._receive_control)

    def close(self) -> None:
        """Let go of the sockets."""
        for opened in (self._speech, self._control):
            if not self._loop.is_closed():
                self._loop.remove_reader(opened.fileno())
            opened.close()

    async def speak(self, to: Answer, ended: asyncio.Event) -> None:
        """Send the stream, and wait for the last of it; earlier if the peer hangs up.

        Raises:
            ProbeFault: the kernel refuses, or the peer's address is none.
        """
        self._payload_type = to.payload_type
        payload = self._codec.payload(self._params.interval)
        begun = time.monotonic()
        report_at = begun + _FIRST_REPORT
        try:
            for number in range(self._params.count):
                early = begun + number * self._params.interval - time.monotonic()
                if number:
                    await asyncio.sleep(max(0.0, early))
                if ended.is_set():
                    self._forget_the_last()
                    return
                self._say(number, payload, to)
                if time.monotonic() >= report_at:
                    report_at += _REPORTS
                    self._report(len(payload), to)
            await self._settle(ended)
        except OSError as error:
            raise from_os_error(error) from None
        finally:
            with contextlib.suppress(OSError):
                send(self._control, make_goodbye(self._ssrc, self._name), (to.host, to.control_port), tos=0)

    @property
    def trips(self) -> list[float]:
        """Round trips by the peer's RTCP reports, seconds."""
        found = (round_trip(report, at) for report, at in self.reports)
        return [trip for trip in found if trip is not None]

    def _say(self, number: int, payload: bytes, to: Answer) -> None:
        packet = Packet(
            self._payload_type,
            (self._first + number) & 0xFFFF,
            (self._timestamp + number * self._step) & 0xFFFFFFFF,
            self._ssrc,
            payload,
            marker=not number,
        )
        self.spoken[number] = Spoken(self._clock.now_ns())
        for attempt in (1, 2):
            try:
                send(self._speech, bytes(packet), (to.host, to.port), tos=self._params.dscp_value << 2)
            except OSError:
                # An ICMP error of an earlier packet is raised here once.
                if attempt == 2:
                    raise
            else:
                return

    def _report(self, size: int, to: Answer) -> None:
        sent = len(self.spoken)
        text = make_sender_report(
            self._ssrc,
            time_ns=self._clock.now_ns(),
            timestamp=self._timestamp + sent * self._step,
            packets=sent,
            payload=sent * size,
            name=self._name,
        )
        with contextlib.suppress(OSError):
            send(self._control, text, (to.host, to.control_port), tos=self._params.dscp_value << 2)

    async def _settle(self, ended: asyncio.Event) -> None:
        """Wait for the last echo, if there are echoes; one that comes later counts as lost."""
        patience = time.monotonic() + self._params.wait
        while time.monotonic() < patience and not ended.is_set():
            if all(one.echoed_ns is not None for one in self.spoken.values()):
                return
            await asyncio.sleep(min(0.02, self._params.wait))

    def _forget_the_last(self) -> None:
        """What was under way when the peer hung up is not lost."""
        if any(one.echoed_ns is not None for one in self.spoken.values()):
            while self.spoken[max(self.spoken)].echoed_ns is None:
                del self.spoken[max(self.spoken)]

    def _receive(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_AT_ONCE):
                self._take_report()
        for datagram in _waiting(self._speech):
            self._take(datagram)

    def _take_report(self) -> None:
        report = next_report(self._speech)
        if report.error is not None:
            self.error = report.error
            return
        for begin in payload_begins(report.packet):
            packet = read_packet(report.packet[begin:])
            if packet is not None and packet.ssrc == self._ssrc and report.sent_ns is not None:
                spoken = self.spoken.get((packet.sequence - self._first) & 0xFFFF)
                if spoken is not None:
                    spoken.sent_ns = self._clock.tell(report.sent_ns, spoken.sent_ns) or spoken.sent_ns
                return

    def _take(self, datagram: Datagram) -> None:
        packet = read_packet(datagram.payload)
        if packet is None:
            self._take_control(datagram)  # where both share a port (RFC 5761)
            return
        if packet.payload_type not in {self._payload_type, self._codec.payload_type}:
            return  # comfort noise, dialled digits
        self.dscp = datagram.tos >> 2
        if packet.ssrc != self._ssrc:
            # Whoever knows the port can send anything to it.
            if packet.ssrc in self.incoming or len(self.incoming) < _MOST_STREAMS:
                self.incoming.setdefault(packet.ssrc, Incoming()).take(packet, self._came_ns(datagram))
            return
        spoken = self.spoken.get((packet.sequence - self._first) & 0xFFFF)
        if spoken is not None and spoken.echoed_ns is None:
            spoken.echoed_ns = self._clock.arrival(datagram.received_ns, spoken.sent_ns)

    def _receive_control(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for _ in range(_MOST_AT_ONCE):
                next_report(self._control)
        for datagram in _waiting(self._control):
            self._take_control(datagram)

    def _take_control(self, datagram: Datagram) -> None:
        for report in read_reports(datagram.payload):
            if report.ssrc == self._ssrc and len(self.reports) < _MOST_REPORTS:
                self.reports.append((report, self._came_ns(datagram)))

    def _came_ns(self, datagram: Datagram) -> int:
        """When a packet that answers none of ours came."""
        return self._clock.arrival(datagram.received_ns, self._opened_ns)


def _waiting(opened: socket.socket) -> list[Datagram]:
    """What has come in."""
    found: list[Datagram] = []
    for _ in range(_MOST_AT_ONCE):
        try:
            found.append(receive(opened))
        except BlockingIOError:
            break
        except OSError:
            continue
    return found


def _pair(family: socket.AddressFamily, host: str) -> tuple[socket.socket, socket.socket]:
    """An even port and the next, chosen at random so that calls at the same time don't meet."""
    for _ in range(_ATTEMPTS):
        port = random.choice(_PORTS)  # noqa: S311 - a port is no secret
        with contextlib.ExitStack() as opening:
            try:
                speech = opening.enter_context(open_udp(family, host, port, ttl=_TTL, send_reports=True))
                control = opening.enter_context(open_udp(family, host, port + 1, ttl=_TTL, send_reports=True))
            except OSError as error:
                if error.errno == _IN_USE:
                    continue
                raise from_os_error(error) from None
            opening.pop_all()
            return speech, control
    raise ProbeFault(Fault.PERMISSION, f"no free pair of UDP ports among {_PORTS.start} to {_PORTS.stop}")
