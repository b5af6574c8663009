"""ICMP echo for all targets from one socket for each address family, fragmentation rule and source.

Times are the kernel's: of arrival (SO_TIMESTAMPNS), and of departure where the driver gives it (SO_TIMESTAMPING), so a
busy event loop or a process that has to wait for the processor doesn't lengthen a round trip. One timer serves all
requests, packets are read in batches, and nothing is allocated for a packet but the entry by which its reply is known.
"""

import asyncio
import errno
import heapq
import itertools
import math
import socket
import time
from collections.abc import Callable
from typing import Final, NamedTuple

from streamswarm_agent.faults import from_os_error
from streamswarm_agent.net.echochannel import EchoChannel, new_reader
from streamswarm_agent.net.echoflight import Flight, Flights
from streamswarm_agent.net.echorun import EchoHistory, EchoRun
from streamswarm_agent.net.icmpsocket import interface_index, packet_options
from streamswarm_agent.net.targets import Address

_BURST: Final = 32
_BURST_SECONDS: Final = 0.001
"""At most so many requests in so many seconds, then replies are read: no receive buffer is too small for them."""

_TURN_SECONDS: Final = 0.005
"""What falls due less than this after the last requests leaves together: a wake-up costs as much as two echoes."""

_DEADLINE_GRID: Final = 0.05
"""Ends of flights fall on a grid, so that one wake-up serves many; what counts as late doesn't depend on it."""

_MOST_ENDED: Final = 1000

_NO_ROOM: Final = {errno.EAGAIN, errno.ENOBUFS}


class _ChannelKey(NamedTuple):
    """What decides which socket a request leaves by."""

    family: socket.AddressFamily
    df: bool
    source: str | None
    interface: int


class IcmpEngine:
    """Sends and receives for all targets of a process; sockets are opened when they are first needed.

    Args:
        wall_ns: wall clock, nanoseconds since the epoch, the clock of the kernel's timestamps.
        monotonic_ns: monotonic clock, nanoseconds.
    """

    def __init__(
        self, wall_ns: Callable[[], int] = time.time_ns, monotonic_ns: Callable[[], int] = time.monotonic_ns
    ) -> None:
        self._flights = Flights(wall_ns, monotonic_ns)
        self._reader = new_reader()
        self._channels: dict[_ChannelKey, EchoChannel] = {}
        self._agenda: list[tuple[float, int, Flight]] = []
        self._order = itertools.count()
        self._timer: asyncio.TimerHandle | None = None
        self._not_before = 0.0
        self._under_way = 0

    async def echo(
        self,
        address: Address,
        *,
        count: int,
        spacing: float,
        wait: float,
        size: int,
        dscp: int = 0,
        df: bool = False,
        ttl: int | None = None,
        source: str | None = None,
        history: EchoHistory | None = None,
    ) -> EchoRun:
        """Send requests and wait for the replies.

        Args:
            address: where to.
            count: how many requests.
            spacing: seconds between two.
            wait: seconds that a reply may take; a later one is counted as late, and its request as lost.
            size: bytes of payload, at least 16.
            dscp: 0 to 63.
            df: forbid fragmentation.
            ttl: TTL or hop limit; None for the system's.
            source: address or interface to send from; None for what the routing table says.
            history: of earlier runs to the same target.

        Raises:
            ProbeFault: the process may not send ICMP, or there is no such source.
        """
        channel = self._channel(address.family, source, df=df)
        loop = asyncio.get_running_loop()
        flight = Flight(
            channel,
            (address.sockaddr[0], 0, *address.sockaddr[2:]),
            channel.template(size),
            packet_options(address.family, dscp=dscp, ttl=ttl) if dscp or ttl else (),
            history or EchoHistory(),
            count=count,
            spacing=spacing,
            wait=wait,
            first=self._flights.take_numbers(count),
            done=loop.create_future(),
        )
        self._put(loop.time(), flight)
        self._set_timer(loop)
        self._under_way += 1
        try:
            await flight.done
        finally:
            self._under_way -= 1
            self._flights.finish(flight)
        return flight.result()

    def close(self) -> None:
        """Close the sockets."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def _channel(self, family: socket.AddressFamily, source: str | None, *, df: bool) -> EchoChannel:
        # A socket stays bound to the interface that had the name when it was opened; a tunnel may come back as another.
        key = _ChannelKey(family, df, source, interface_index(source) if source else 0)
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = EchoChannel(self._flights, self._reader, family, df=df, source=source)
        return channel

    def _put(self, due: float, flight: Flight) -> None:
        heapq.heappush(self._agenda, (due, next(self._order), flight))

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        agenda = self._agenda
        while agenda and agenda[0][2].finished:
            heapq.heappop(agenda)
        if not agenda:
            return
        due = max(agenda[0][0], self._not_before)
        if self._timer is not None:
            if self._timer.when() <= due:
                return
            self._timer.cancel()
        self._timer = loop.call_at(due, self._turn, loop)

    def _turn(self, loop: asyncio.AbstractEventLoop) -> None:
        """Send what is due, end what has waited long enough."""
        self._timer = None
        self._flights.watch_clock()
        now = loop.time()
        agenda, allowed, channels = self._agenda, _BURST, set()
        while agenda and allowed and agenda[0][0] <= now:
            _, _, flight = heapq.heappop(agenda)
            if flight.finished:
                continue
            if flight.next == flight.count:
                self._flights.finish(flight)
                continue
            channels.add(flight.channel)
            allowed = allowed - 1 if self._send(flight, now) else 0
        for channel in channels:
            channel.read_errors()
        if channels:
            self._not_before = now + (_TURN_SECONDS if allowed else _BURST_SECONDS)
        self._flights.forget_ended(time.monotonic())
        if len(agenda) > _MOST_ENDED + 2 * self._under_way:
            # Replies come long before the wait is over, and an ended flight isn't to be kept until then.
            agenda[:] = [entry for entry in agenda if not entry[2].finished]
            heapq.heapify(agenda)
        self._set_timer(loop)

    def _send(self, flight: Flight, now: float) -> bool:
        """Send the next request of a flight and plan what comes then; returns whether the kernel takes more now."""
        if not flight.begun:
            flight.begun = now
            flight.give_up = now + flight.count * flight.spacing + flight.wait
        try:
            flight.channel.send(flight)
        except OSError as error:
            if error.errno in _NO_ROOM and now < flight.give_up:
                self._put(now + _BURST_SECONDS, flight)
                return False
            self._skip(flight, error)
        if flight.next < flight.count:
            self._put(flight.begun + flight.next * flight.spacing, flight)
        elif not flight.finished:
            self._put(math.ceil((now + flight.wait) / _DEADLINE_GRID) * _DEADLINE_GRID, flight)
        return True

    def _skip(self, flight: Flight, error: OSError) -> None:
        """Take what the kernel says for the answer to a request that it doesn't send."""
        flight.sent.append(0)
        flight.next += 1
        if flight.refuse(flight.next - 1, from_os_error(error), None):
            self._flights.finish(flight)
