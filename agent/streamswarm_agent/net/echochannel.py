"""One ICMP socket for many targets: sends with the kernel's help to know when, reads replies and errors in batches."""

import asyncio
import socket
import struct
from typing import Final

from streamswarm_agent.net.echoflight import CLOCK_STEP_NS, Flight, Flights
from streamswarm_agent.net.icmppacket import (
    ECHO,
    ECHO_REPLY,
    ERROR_TYPES,
    RAW_ECHO,
    EchoTemplate,
    QuotedEcho,
    explain,
    read_echo,
    read_quoted,
)
from streamswarm_agent.net.icmpsocket import (
    IP_RECVERR,
    IPV6_RECVERR,
    SO_TIMESTAMPNS,
    open_echo_socket,
)
from streamswarm_agent.net.mmsg import BatchReader, address_text

_BATCH: Final = 64
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

_TIMESPEC: Final = struct.Struct("@ll")
_STAMP_CONTROL: Final = struct.Struct("@Niill")
_HOP_CONTROL: Final = struct.Struct("@Niii")
_STAMP_SPACE: Final = socket.CMSG_SPACE(_TIMESPEC.size)
_STAMPING_SPACE: Final = socket.CMSG_SPACE(3 * _TIMESPEC.size)

# struct sock_extended_err: errno, origin, type, code, padding, info, data. Behind it the address of who sent the error.
_EXTENDED_ERROR: Final = struct.Struct("@IBBBBII")
_ERROR_CONTROL: Final = struct.Struct("@Nii" + _EXTENDED_ERROR.format.removeprefix("@"))
_QUEUED_BYTES: Final = _STAMP_SPACE + _STAMPING_SPACE + _ERROR_CONTROL.size
_ERRQUEUE: Final = int(socket.MSG_ERRQUEUE)
_RECVERR: Final = {IP_RECVERR, IPV6_RECVERR}
_ORIGIN_ICMP, _ORIGIN_ICMP6, _ORIGIN_STAMP = 2, 3, 4


def new_reader() -> BatchReader:
    """Buffers for channels."""
    return BatchReader(batch=_BATCH, packet_bytes=_PACKET_BYTES, control_bytes=_CONTROL_BYTES)


class EchoChannel:
    """One ICMP socket, which sends for all targets of a family and tells the flights what comes back.

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
        self._sendto = self._opened.handle.sendto
        self._templates: dict[int, EchoTemplate] = {}
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

    def template(self, size: int) -> EchoTemplate:
        """A request with so many bytes of payload."""
        template = self._templates.get(size)
        if template is None:
            template = EchoTemplate(self.family, self._opened.identifier, self._flights.secret, size)
            self._templates[size] = template
        return template

    def send(self, flight: Flight) -> None:
        """Send a run's next request.

        Raises:
            OSError: the kernel doesn't take it.
        """
        number = flight.first + flight.next
        size = flight.echoes.size
        packet = (self._templates.get(size) or self.template(size)).fill(number)
        self._flights.pending[number] = flight
        flight.sent.append(self._flights.wall_ns())
        try:
            self._hand_over(packet, flight)
        except OSError:
            if self._opened.raw:
                self._abandon(flight, number)
                raise
            # A datagram socket tells a router's error about an earlier request here, once.
            try:
                self._hand_over(packet, flight)
            except OSError:
                self._abandon(flight, number)
                raise
        flight.next += 1
        flight.taken += 1
        if self._stamped:
            self._stamp_ring[self._stamp_key % _STAMP_RING] = number
            self._stamp_key += 1
            self._unstamped += 1

    def _hand_over(self, packet: bytearray, flight: Flight) -> None:
        echoes = flight.echoes
        if echoes.ancillary:
            self._opened.handle.sendmsg([packet], echoes.ancillary, 0, echoes.sockaddr)
        else:
            self._sendto(packet, echoes.sockaddr)

    def _abandon(self, flight: Flight, number: int) -> None:
        flight.sent.pop()
        del self._flights.pending[number]
        # The kernel may or may not have counted this one, so the count begins again.
        self.read_errors()
        self._stamped = self._opened.restart_stamps()
        self._stamp_key = self._unstamped = 0

    def read_errors(self) -> None:
        """Empty the socket's error queue: transmit timestamps, and on a datagram socket ICMP errors."""
        reader = self._reader
        now_ns = self._flights.wall_ns()
        stamp_control, error_control = _STAMP_CONTROL.unpack_from, _ERROR_CONTROL.unpack_from
        for _ in range(_MOST_BATCHES_PER_WAKE):
            count = reader.read(self._descriptor, _ERRQUEUE)
            for slot in range(count):
                offset = slot * _CONTROL_BYTES
                _, _, kind, seconds, nanoseconds = stamp_control(reader.controls, offset)
                _, _, kind_of_error, _, origin, _, _, _, _, key = error_control(
                    reader.controls, offset + _STAMP_SPACE + _STAMPING_SPACE
                )
                # Between stamps and error a router's error has other things, or it has no stamps: what the buffer holds
                # from before must not be taken for part of it.
                whole = self._opened.raw or reader.control_length(slot) >= _QUEUED_BYTES
                if whole and kind == SO_TIMESTAMPNS and kind_of_error in _RECVERR and origin == _ORIGIN_STAMP:
                    self._take_stamp(key, seconds * 1_000_000_000 + nanoseconds, now_ns)
                else:
                    self._take_queued_error(slot)
            if count < _BATCH:
                break

    def _take_stamp(self, key: int, stamp_ns: int, now_ns: int) -> None:
        self._unstamped -= 1
        number = self._stamp_ring[key % _STAMP_RING]
        flight = self._flights.pending.get(number)
        if flight is not None and flight.sent[number - flight.first] <= stamp_ns <= now_ns + CLOCK_STEP_NS:
            flight.sent[number - flight.first] = stamp_ns

    def _take_queued_error(self, slot: int) -> None:
        """A datagram socket gets a router's error with the request that it is about."""
        for _, kind, content in self._reader.ancillary(slot):
            if kind in _RECVERR and len(content) >= _EXTENDED_ERROR.size:
                _, origin, icmp_type, code, _, info, _ = _EXTENDED_ERROR.unpack_from(content)
                about = read_echo(self.family, self._reader.packet(slot), self._flights.secret)
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
        packets, length, secret = reader.packets, reader.length, flights.secret
        raw_echo, answer, stamp = RAW_ECHO.unpack_from, flights.answer, self._stamp
        for _ in range(_MOST_BATCHES_PER_WAKE):
            count = reader.read(self._descriptor)
            now_ns = flights.wall_ns()
            for slot in range(count):
                if length(slot) < RAW_ECHO.size:
                    continue
                fields = raw_echo(packets, slot * _PACKET_BYTES)
                if fields[0] != _PLAIN_IPV4 or fields[2] != _REPLY_V4:
                    self._take_unusual_v4(slot, now_ns)
                elif fields[7] == secret:
                    answer(fields[8] << 16 | fields[6], stamp(slot, now_ns), now_ns, fields[1])
            total += count
            if count < _BATCH:
                break
        return total

    def _take_unusual_v4(self, slot: int, now_ns: int) -> None:
        """A reply behind IP options, or an error."""
        packet = self._reader.packet(slot)
        message = packet[(packet[0] & 0x0F) * 4 :]
        if message[0] in ERROR_TYPES[socket.AF_INET]:
            about = read_quoted(self.family, message[8:], self._flights.secret)
            if about is not None and about.identifier == self._opened.identifier:
                mtu = int.from_bytes(message[6:8])
                self._refuse(about, message[0], message[1], mtu, self._reader.sender(slot))
        elif message[0] == ECHO_REPLY[socket.AF_INET] and len(message) >= ECHO.size:
            self._take_reply(message, slot, now_ns, packet[8])

    def _read_plain(self) -> int:
        """Read packets that begin with the ICMP header; returns how many."""
        reader, total = self._reader, 0
        errors = ERROR_TYPES[self.family]
        for _ in range(_MOST_BATCHES_PER_WAKE):
            count = reader.read(self._descriptor)
            now_ns = self._flights.wall_ns()
            for slot in range(count):
                if reader.length(slot) < ECHO.size:
                    continue
                message = reader.packet(slot)
                if message[0] in errors:
                    self._take_error_v6(message, slot)
                else:
                    self._take_reply(message, slot, now_ns, self._hops(slot))
            total += count
            if count < _BATCH:
                break
        return total

    def _take_error_v6(self, message: memoryview, slot: int) -> None:
        about = read_quoted(self.family, message[8:], self._flights.secret)
        if about is not None and about.identifier == self._opened.identifier:
            mtu = int.from_bytes(message[4:8]) if message[0] == 2 else 0
            self._refuse(about, message[0], message[1], mtu, self._reader.sender(slot))

    def _stamp(self, slot: int, now_ns: int) -> int:
        _, _, kind, seconds, nanoseconds = _STAMP_CONTROL.unpack_from(self._reader.controls, slot * _CONTROL_BYTES)
        return int(seconds * 1_000_000_000 + nanoseconds) if kind == SO_TIMESTAMPNS else now_ns

    def _hops(self, slot: int) -> int:
        offset = _STAMP_SPACE + (_STAMPING_SPACE if self._stamped else 0)
        hops: int = _HOP_CONTROL.unpack_from(self._reader.controls, slot * _CONTROL_BYTES + offset)[3]
        return hops

    def _take_reply(self, message: memoryview, slot: int, now_ns: int, hops: int) -> None:
        kind, _, _, _, sequence, secret, high, *_ = ECHO.unpack_from(message)
        if kind == ECHO_REPLY[self.family] and secret == self._flights.secret:
            self._flights.answer(high << 16 | sequence, self._stamp(slot, now_ns), now_ns, hops)

    def _refuse(self, about: QuotedEcho, kind: int, code: int, mtu: int, reporter: str | None) -> None:
        number = about.number if about.number is not None else self._flights.newest_of(about.sequence)
        flight = self._flights.pending.get(number)
        if flight is None or flight.channel is not self:
            return
        fault = explain(self.family, kind, code, mtu, reporter)
        if flight.refuse(number - flight.first, fault, reporter):
            self._flights.finish(flight)
