"""One ICMP socket for many targets: what left it and when, by the kernel, and replies and errors, read in batches."""

import asyncio
import socket
import struct
from collections.abc import Sequence
from typing import Final

from streamswarm_agent.net.icmp.controls import ControlForms, slot_form
from streamswarm_agent.net.icmp.flight import Flight, Flights
from streamswarm_agent.net.icmp.outlet import EchoOutlet
from streamswarm_agent.net.icmp.packet import (
    ECHO_REPLY,
    ERROR_TYPES,
    RAW_REPLY,
    REPLY,
    QuotedEcho,
    explain,
    read_echo,
    read_quoted,
)
from streamswarm_agent.net.icmp.requests import Echoes
from streamswarm_agent.net.icmp.sockets import (
    IP_RECVERR,
    IPV6_RECVERR,
    SO_TIMESTAMPNS,
    open_echo_socket,
)
from streamswarm_agent.net.mmsg import BatchReader, address_text
from streamswarm_agent.net.steady import STEP_NS

_BATCH: Final = 128
_MOST_BATCHES_PER_WAKE: Final = 8
_STAMP_RING: Final = 4096
_CLOSE_SECONDS: Final = 0.004
_REST_SECONDS: Final = 0.02
_WORTH_A_REST: Final = 4
"""Two wake-ups for replies closer together than the first begin a rest of the second, after which what has come is
read at once; as long as that is at least so many packets, more rests follow. A wake-up costs more than an echo."""

_PACKET_BYTES: Final = 192
_CONTROL_BYTES: Final = 192
_PLAIN_IPV4: Final = 0x45
_REPLY_V4: Final = ECHO_REPLY[socket.AF_INET]
_CONTROLS: Final = ControlForms(_CONTROL_BYTES)
_RAW_SLOT: Final = slot_form(RAW_REPLY.format, _PACKET_BYTES)
_PLAIN_SLOT: Final = slot_form(REPLY.format, _PACKET_BYTES)

# struct sock_extended_err: errno, origin, type, code, padding, info, data. Behind it the address of who sent the error.
_EXTENDED_ERROR: Final = struct.Struct("@IBBBBII")
_ERRQUEUE: Final = int(socket.MSG_ERRQUEUE)
_RECVERR: Final = {IP_RECVERR, IPV6_RECVERR}
_ORIGIN_ICMP, _ORIGIN_ICMP6, _ORIGIN_STAMP = 2, 3, 4


def new_reader() -> BatchReader:
    """Buffers for channels."""
    return BatchReader(batch=_BATCH, packet_bytes=_PACKET_BYTES, control_bytes=_CONTROL_BYTES)


class EchoChannel:
    """One ICMP socket, which serves all targets of a family and tells the flights what comes back.

    Args:
        flights: those of the process.
        reader: buffers that all channels of a process share.
        family: AF_INET or AF_INET6.
        df: forbid fragmentation.
        source: address or interface; None for what the routing table says.

    Raises:
        ProbeFault: the process may not send ICMP, or there is no such source.
    """

    def __init__(
        self,
        flights: Flights,
        reader: BatchReader,
        family: socket.AddressFamily,
        *,
        df: bool = False,
        source: str | None = None,
    ) -> None:
        self._flights = flights
        self._reader = reader
        self._opened = open_echo_socket(family, flights.take_identifier(), df=df, source=source)
        self.family = family
        self._descriptor = self._opened.handle.fileno()
        self._wall_ns = flights.wall_ns
        self._outlets: dict[tuple[int, bool], EchoOutlet] = {}
        # The kernel numbers transmit timestamps; here is which request each number means.
        self._stamped = self._opened.stamped
        self._stamp_key = 0
        self._stamp_ring = [0] * _STAMP_RING
        self._unstamped = 0
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._descriptor, self._wake)
        self._woke_at = 0.0
        self._rest: asyncio.TimerHandle | None = None

    def close(self) -> None:
        """Close the socket."""
        if self._rest is not None:
            self._rest.cancel()
        if not self._loop.is_closed():
            self._loop.remove_reader(self._descriptor)
        self._opened.handle.close()

    def outlet(self, echoes: Echoes) -> EchoOutlet:
        """What sends such requests."""
        key = (echoes.size, bool(echoes.ancillary))
        outlet = self._outlets.get(key)
        if outlet is None:
            size, alone = key
            outlet = self._outlets[key] = EchoOutlet(self, self._opened, size, alone=alone, wall_ns=self._wall_ns)
        return outlet

    def note_sent(self, flights: Sequence[Flight], numbers: Sequence[int], sent_ns: int, apart_ns: int) -> None:
        """As Channel.note_sent."""
        pending, ring, key = self._flights.pending, self._stamp_ring, self._stamp_key
        for flight, number in zip(flights, numbers, strict=False):
            pending[number] = flight
            flight.sent.append(sent_ns)
            flight.next += 1
            sent_ns += apart_ns
            ring[key % _STAMP_RING] = number
            key += 1
        if self._stamped:
            self._stamp_key = key
            self._unstamped += len(flights)

    def note_refusal(self) -> None:
        """The kernel may or may not have counted what it didn't take, so the count of stamps begins again."""
        self.read_errors()
        self._stamped = self._opened.restart_stamps()
        self._stamp_key = self._unstamped = 0

    def read_errors(self) -> None:
        """Empty the socket's error queue: transmit timestamps, and on a datagram socket ICMP errors."""
        reader, raw, ring = self._reader, self._opened.raw, self._stamp_ring
        pending, earlier = self._flights.pending, self._flights.earlier
        newest_ns = self._wall_ns() + STEP_NS
        for _ in range(_MOST_BATCHES_PER_WAKE):
            count = reader.read(self._descriptor, _ERRQUEUE)
            queued = zip(reader.control_lengths, reader.controls_as(_CONTROLS.queued), strict=True)
            for slot, (length, (stamp, seconds, nanoseconds, kind, origin, key)) in enumerate(queued):
                # Between stamps and error a router's error has other things, or it has no stamps: what the buffer holds
                # from before must not be taken for part of it.
                whole = raw or length >= _CONTROLS.queued_bytes
                if not (whole and stamp == SO_TIMESTAMPNS and kind in _RECVERR and origin == _ORIGIN_STAMP):
                    self._take_queued_error(slot)
                    continue
                self._unstamped -= 1
                number = ring[key % _STAMP_RING]
                flight = pending.get(number) or earlier.get(number)
                if flight is not None:
                    index, left_ns = number - flight.first, seconds * 1_000_000_000 + nanoseconds
                    if flight.sent[index] - STEP_NS <= left_ns <= newest_ns:
                        flight.sent[index] = left_ns
            if count < _BATCH:
                break

    def _take_queued_error(self, slot: int) -> None:
        """A datagram socket gets a router's error with the request that it is about."""
        for _, kind, content in self._reader.ancillary(slot):
            if kind in _RECVERR and len(content) >= _EXTENDED_ERROR.size:
                _, origin, icmp_type, code, _, info, _ = _EXTENDED_ERROR.unpack_from(content)
                about = read_echo(self.family, self._reader.packet(slot))
                if about is not None and origin in {_ORIGIN_ICMP, _ORIGIN_ICMP6}:
                    reporter = address_text(content[_EXTENDED_ERROR.size :])
                    self._refuse(about, icmp_type, code, info, reporter)

    def _wake(self) -> None:
        """The socket has replies, errors, or both."""
        now = self._loop.time()
        self._flights.watch_clock()
        self.collect()
        if now - self._woke_at < _CLOSE_SECONDS:
            self._loop.remove_reader(self._descriptor)
            self._rest = self._loop.call_later(_REST_SECONDS, self._end_rest)
        self._woke_at = now

    def _end_rest(self) -> None:
        """Read what has come meanwhile; rest again if that was worth it."""
        self._flights.watch_clock()
        if self.collect() >= _WORTH_A_REST:
            self._rest = self._loop.call_later(_REST_SECONDS, self._end_rest)
        else:
            self._rest = None
            self._loop.add_reader(self._descriptor, self._wake)

    def catch_up(self) -> None:
        """Take in what has come during a rest, before anything is taken for lost."""
        if self._rest is not None:
            self.collect()

    def collect(self) -> int:
        """Take in what is there: transmit timestamps first, because the replies' round-trip times begin with them.

        Returns:
            How many packets were read.
        """
        if self._unstamped:
            self.read_errors()
        count = self._read_raw_v4() if self._opened.raw and self.family == socket.AF_INET else self._read_plain()
        if not count:
            self.read_errors()
        return count

    def _read_raw_v4(self) -> int:
        """Read packets with an IPv4 header; returns how many."""
        flights, reader, total = self._flights, self._reader, 0
        answer = flights.answer
        for _ in range(_MOST_BATCHES_PER_WAKE):
            count = reader.read(self._descriptor)
            now_ns = self._wall_ns()
            rows = zip(reader.lengths, reader.packets_as(_RAW_SLOT), reader.controls_as(_CONTROLS.stamp), strict=True)
            for slot, (length, packet, (stamp, seconds, nanoseconds)) in enumerate(rows):
                if length < RAW_REPLY.size:
                    continue
                version, hops, kind, sequence, secret, high = packet
                received_ns = seconds * 1_000_000_000 + nanoseconds if stamp == SO_TIMESTAMPNS else now_ns
                if version != _PLAIN_IPV4 or kind != _REPLY_V4:
                    self._take_unusual_v4(slot, received_ns, now_ns)
                else:
                    answer(high << 16 | sequence, secret, received_ns, now_ns, hops)
            total += count
            if count < _BATCH:
                break
        return total

    def _take_unusual_v4(self, slot: int, received_ns: int, now_ns: int) -> None:
        """A reply behind IP options, or an error."""
        packet = self._reader.packet(slot)
        message = packet[(packet[0] & 0x0F) * 4 :]
        if message[0] in ERROR_TYPES[socket.AF_INET]:
            about = read_quoted(self.family, message[8:])
            if about is not None and about.identifier == self._opened.identifier:
                mtu = int.from_bytes(message[6:8])
                self._refuse(about, message[0], message[1], mtu, self._reader.sender(slot))
        elif message[0] == ECHO_REPLY[socket.AF_INET] and len(message) >= REPLY.size:
            _, sequence, secret, high = REPLY.unpack_from(message)
            self._flights.answer(high << 16 | sequence, secret, received_ns, now_ns, packet[8])

    def _read_plain(self) -> int:
        """Read packets that begin with the ICMP header; returns how many."""
        flights, reader, total = self._flights, self._reader, 0
        answer = flights.answer
        reply, errors, control = ECHO_REPLY[self.family], ERROR_TYPES[self.family], _CONTROLS.hops[self._stamped]
        for _ in range(_MOST_BATCHES_PER_WAKE):
            count = reader.read(self._descriptor)
            now_ns = self._wall_ns()
            rows = zip(reader.lengths, reader.packets_as(_PLAIN_SLOT), reader.controls_as(control), strict=True)
            for slot, (length, (kind, sequence, secret, high), (stamp, seconds, nanoseconds, hops)) in enumerate(rows):
                if length < REPLY.size:
                    continue
                if kind == reply:
                    received_ns = seconds * 1_000_000_000 + nanoseconds if stamp == SO_TIMESTAMPNS else now_ns
                    answer(high << 16 | sequence, secret, received_ns, now_ns, hops)
                elif kind in errors:
                    self._take_error_v6(reader.packet(slot), slot)
            total += count
            if count < _BATCH:
                break
        return total

    def _take_error_v6(self, message: memoryview, slot: int) -> None:
        about = read_quoted(self.family, message[8:])
        if about is not None and about.identifier == self._opened.identifier:
            mtu = int.from_bytes(message[4:8]) if message[0] == 2 else 0
            self._refuse(about, message[0], message[1], mtu, self._reader.sender(slot))

    def _refuse(self, about: QuotedEcho, kind: int, code: int, mtu: int, reporter: str | None) -> None:
        number = about.number if about.number is not None else self._flights.newest_of(about.sequence)
        flight = self._flights.find(number)
        if flight is None or flight.outlet.channel is not self or about.secret not in {None, flight.echoes.secret}:
            return
        fault = explain(self.family, kind, code, mtu, reporter)
        if flight.refuse(number - flight.first, fault, reporter):
            self._flights.finish(flight)
