"""ICMP echo for all targets from one socket for each address family, fragmentation rule and source.

Times are the kernel's: of arrival (SO_TIMESTAMPNS), and of departure where the driver gives it (SO_TIMESTAMPING), so a
busy event loop or a process that has to wait for the processor doesn't lengthen a round trip. One timer serves all
requests, packets are read in batches, and nothing is allocated for a packet but the entry by which its reply is known.
"""

import asyncio
import errno
import heapq
import time
from collections import defaultdict, deque
from collections.abc import Callable
from typing import Final

from streamswarm_agent.faults import from_os_error
from streamswarm_agent.grid import nearest_line, next_line
from streamswarm_agent.net.icmp.channel import EchoChannel, new_reader
from streamswarm_agent.net.icmp.flight import Flight, Flights, Outlet
from streamswarm_agent.net.icmp.pace import DEFAULT_UPLINK, Pace
from streamswarm_agent.net.icmp.requests import ChannelKey, Echoes
from streamswarm_agent.net.icmp.run import EchoHistory, EchoRun
from streamswarm_agent.net.targets import Address

_MOST_TOGETHER: Final = 64
"""Requests of a burst; replies are read between two: no receive buffer is too small."""

_RETRY_SECONDS: Final = 0.002
_MOST_ENDED: Final = 1000

_NO_ROOM: Final = {errno.EAGAIN, errno.ENOBUFS}


class IcmpEngine:
    """Sends and receives for all targets of a process; sockets are opened when they are first needed.

    Args:
        wall_ns: wall clock, nanoseconds since the epoch, the clock of the kernel's timestamps.
        monotonic_ns: monotonic clock, nanoseconds.
        uplink: as in Pace.
    """

    def __init__(
        self,
        wall_ns: Callable[[], int] = time.time_ns,
        monotonic_ns: Callable[[], int] = time.monotonic_ns,
        *,
        uplink: float = DEFAULT_UPLINK,
    ) -> None:
        self._flights = Flights(wall_ns, monotonic_ns)
        self._reader = new_reader()
        self._channels: dict[ChannelKey, EchoChannel] = {}
        self._ready: deque[Flight] = deque()
        self._later: dict[float, list[Flight]] = {}
        self._dues: list[float] = []
        self._waiting = 0
        self._soon = False
        self._timer: asyncio.TimerHandle | None = None
        self._pace = Pace(uplink)
        self._not_before = 0.0
        self._tolerated = _MOST_ENDED

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
            count: as in Echoes, and so are the others.
            spacing: seconds.
            wait: seconds.
            size: bytes.
            dscp: 0 to 63.
            df: forbid fragmentation.
            ttl: TTL or hop limit.
            source: address or interface.
            history: of earlier runs to the same target.

        Raises:
            ProbeFault: the process may not send ICMP, or there is no such source.
        """
        done = asyncio.get_running_loop().create_future()

        def report(_flight: Flight) -> None:
            if not done.done():
                done.set_result(None)

        echoes = Echoes(address, count, spacing, wait, size, dscp, df, ttl, source)
        flight = self.launch(echoes, history or EchoHistory(), report)
        try:
            await done
        finally:
            self.abandon(flight)
        return flight.result()

    def launch(self, echoes: Echoes, history: EchoHistory, report: Callable[[Flight], None]) -> Flight:
        """Send requests, without a task that waits for the replies.

        Args:
            echoes: what to send.
            history: of earlier runs to the same target.
            report: is called when nothing more is waited for, never before this method returns.

        Raises:
            ProbeFault: the process may not send ICMP, or there is no such source.
        """
        key = echoes.channel_key
        channel = self._channels.get(key)
        if channel is None:
            channel = self._channels[key] = EchoChannel(
                self._flights, self._reader, echoes.address.family, df=echoes.df, source=echoes.source
            )
        flight = Flight(echoes, channel.outlet(echoes), history, self._flights.take_numbers(echoes.count), report)
        self._ready.append(flight)
        if not self._soon:
            self._set_timer(asyncio.get_running_loop())
        return flight

    def abandon(self, flight: Flight) -> None:
        """Wait no longer for a flight; it isn't reported."""
        flight.report = _to_nobody
        self._flights.finish(flight)

    def close(self) -> None:
        """Close the sockets."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        for channel in self._channels.values():
            channel.close()
        self._channels.clear()

    def _put(self, due: float, flight: Flight) -> None:
        """Take up a flight again at a time; most of these are lines that many flights share."""
        self._waiting += 1
        together = self._later.get(due)
        if together is None:
            self._later[due] = [flight]
            heapq.heappush(self._dues, due)
        else:
            together.append(flight)

    def _set_timer(self, loop: asyncio.AbstractEventLoop) -> None:
        dues, later = self._dues, self._later
        while dues and all(flight.finished for flight in later[dues[0]]):
            self._waiting -= len(later.pop(heapq.heappop(dues)))
        self._soon = bool(self._ready)
        if self._soon:
            due = self._not_before
        elif dues:
            due = max(dues[0], self._not_before)
        else:
            return
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
        ready, dues = self._ready, self._dues
        if dues and dues[0] <= now:
            for channel in self._channels.values():
                channel.catch_up()
        while dues and dues[0] <= now:
            together = self._later.pop(heapq.heappop(dues))
            self._waiting -= len(together)
            ready += together
        if ready:
            self._send_burst(now)
        self._flights.forget_ended(time.monotonic())
        if self._waiting > self._tolerated:
            self._drop_ended()
        self._set_timer(loop)

    def _drop_ended(self) -> None:
        """Replies come long before the wait is over, and an ended flight isn't to be kept until then."""
        unfinished = {
            due: [flight for flight in together if not flight.finished] for due, together in self._later.items()
        }
        self._later = {due: together for due, together in unfinished.items() if together}
        self._dues = sorted(self._later)
        self._waiting = sum(map(len, self._later.values()))
        self._tolerated = _MOST_ENDED + 2 * self._waiting

    def _send_burst(self, now: float) -> None:
        """Send what is due, at most a burst, and read what is there."""
        for outlet, flights in self._take_burst(now).items():
            self._send_all(outlet, flights, now)
            outlet.collect()
            for flight in flights:
                if not flight.finished:
                    self._go_on(flight, now)

    def _take_burst(self, now: float) -> dict[Outlet, list[Flight]]:
        """Flights that have something to send, by what sends it."""
        ready, burst = self._ready, defaultdict[Outlet, list[Flight]](list)
        places, room = _MOST_TOGETHER, self._pace.burst_bytes
        while ready and places and room > 0:
            flight = ready.popleft()
            if flight.finished:
                continue
            if flight.next == flight.echoes.count:
                self._flights.finish(flight)
                continue
            if not flight.begun:
                flight.begun = now
            burst[flight.outlet].append(flight)
            places -= 1
            room -= flight.echoes.wire_bytes
        self._not_before = now + self._pace.rest(self._pace.burst_bytes - room)
        return burst

    def _send_all(self, outlet: Outlet, flights: list[Flight], now: float) -> None:
        """Send the next request of each, as far as the kernel takes them now."""
        done = 0
        while done < len(flights):
            try:
                done += outlet.send(flights[done:] if done else flights)
            except OSError as error:
                if not self._take_refusal(flights[done], error, now):
                    self._ready.extendleft(reversed(flights[done + 1 :]))
                    del flights[done + 1 :]
                    return
                done += 1

    def _take_refusal(self, flight: Flight, error: OSError, now: float) -> bool:
        """The kernel doesn't send a flight's next request; returns whether it takes others now."""
        if error.errno in _NO_ROOM and now < flight.give_up:
            flight.held_up = True
            return False
        # What the kernel says is the answer to it.
        flight.sent.append(0)
        flight.next += 1
        flight.untaken += 1
        if flight.refuse(flight.next - 1, from_os_error(error), None):
            self._flights.finish(flight)
        return True

    def _go_on(self, flight: Flight, now: float) -> None:
        """Plan what comes after a request whose reply, or one before it, is still to come."""
        echoes = flight.echoes
        if flight.held_up:
            flight.held_up = False
            due = now + _RETRY_SECONDS
        elif flight.next < echoes.count:
            due = nearest_line(flight.begun + flight.next * echoes.spacing, echoes.step)
        else:
            due = next_line(now + echoes.wait)
        self._put(due, flight)


def _to_nobody(_flight: Flight) -> None:
    """The report of a flight that nobody waits for."""
