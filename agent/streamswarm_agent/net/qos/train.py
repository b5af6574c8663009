"""Packet trains at growing rates, within a budget of bytes, until something limits them.

First a ladder: short trains, each twice as fast as the one before. Once one is limited, others tell what it is: one at
another rate above the one that was seen, as long as the burst demands, and one below it. Replies are as large as
requests, so a limit may lie on the way there or on the way back.
"""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.net.qos.classes import settle
from streamswarm_agent.net.qos.echoes import Exchange, Request
from streamswarm_agent.net.qos.ratelimit import (
    Car,
    Limit,
    Quiet,
    TokenBucket,
    Train,
    find_bucket,
    judge,
    suspect_policer,
)

_LADDER_SHARE: Final = 0.4
"""How much of the budget the ladder may use."""
_LADDER_PACKETS: Final = 40
_LEAST_PACKETS: Final = 10
_SLOW: Final = 0.7
_OTHER_RATES: Final = (1.4, 3.0, 6.0)
"""Beside the rate that was seen; a bucket that has filled again meanwhile may need the faster ones."""
_APART: Final = 1.4
_TWICE: Final = 2.0
_TAIL: Final = 30
_ATTEMPTS: Final = 3
_MOST_PACKETS: Final = 2_000
_PAUSE: Final = 0.1
_LEAST_PATIENCE, _PATIENCE = 0.25, 4
_TICK: Final = 0.001
_MOST_LAG: Final = 0.004


@dataclass(slots=True)
class LimitSearch:
    """Looks for what limits one class to one target.

    Attributes:
        exchange: sends the packets.
        tos: their traffic class.
        size: bytes of each, IP header included.
        min_rate: bits per second of the slowest train.
        max_rate: bits per second that no train exceeds.
        budget: bytes to send at most.
        wait: seconds to wait for replies after a train.
        trains: those that were sent.
    """

    exchange: Exchange
    tos: int
    size: int
    min_rate: float
    max_rate: float
    budget: int
    wait: float
    trains: list[Train] = field(default_factory=list)
    _spent: int = 0
    _quiet: Quiet | None = None

    async def run(self) -> Limit | None:
        """Look; None if nothing was seen within the budget.

        Raises:
            ProbeFault: packets can't be sent.
        """
        rates = [self.min_rate]
        while rates[-1] < self.max_rate:
            rates.append(min(self.max_rate, 2 * rates[-1]))
        packets = min(_LADDER_PACKETS, int(self.budget * _LADDER_SHARE / self.size / len(rates)))
        for rate in rates:
            train = await self._send(rate, max(packets, _LEAST_PACKETS))
            if not train.delays:
                return None
            limit = await self._confirm(train)
            if limit is not None:
                return limit
            await asyncio.sleep(_PAUSE)
        # What the ladder's trains were too short to use up.
        return await self._confirm(await self._send(self.max_rate, self._left // 2))

    async def _confirm(self, train: Train) -> Limit | None:
        """Hold what a train shows against others; None if it shows nothing, or they don't agree."""
        bucket = self._find(train)
        if bucket is None:
            suspected = suspect_policer(train)
            measured = await self._measure(suspected) if suspected else None
            if measured is None:
                return None
            train, bucket = measured
        again = None
        for factor in _OTHER_RATES:
            rate = factor * bucket.rate
            apart = max(rate / train.offered, train.offered / rate)
            if again is None and apart >= _APART and rate <= self.max_rate:
                again = self._find(await self._send_beyond(bucket, rate))
        await asyncio.sleep(_PAUSE)
        slow = await self._send(_SLOW * bucket.rate, _LADDER_PACKETS // 2, even=True)
        return judge(bucket, again, slow) if slow.cars else None

    async def _measure(self, suspected: TokenBucket) -> tuple[Train, TokenBucket] | None:
        """Send trains until one shows the limit well. A suspicion rests on few packets: its rate may be far off."""
        rate = _TWICE * suspected.rate
        for _ in range(_ATTEMPTS):
            train = await self._send_beyond(suspected, rate)
            bucket = self._find(train)
            if bucket is not None:
                return train, bucket
            if not train.cars:
                return None  # the budget is used up
            rate *= 0.6 if train.loss else _TWICE
        return None

    async def _send_beyond(self, bucket: TokenBucket, rate: float) -> Train:
        """Send a train that uses up a burst and then shows the rate in some 30 packets."""
        await asyncio.sleep(_PAUSE)
        rate = min(rate, self.max_rate)
        beyond = max(0.1, 1 - bucket.rate / rate)
        return await self._send(rate, round(bucket.burst / self.size / beyond + _TAIL * rate / bucket.rate))

    @property
    def spent(self) -> int:
        """Bytes sent."""
        return self._spent

    @property
    def queue_delay(self) -> float | None:
        """Longest reply less the fastest of all trains, seconds."""
        delays = [delay for train in self.trains for delay in train.delays]
        return max(delays) - min(delays) if delays else None

    @property
    def delivered_rate(self) -> float | None:
        """Most that a train got through, bits per second: replies came no faster than requests were sent."""
        rates = [min(train.delivered, train.offered * (1 - train.loss)) for train in self.trains]
        return max(rates, default=0.0) or None

    @property
    def _left(self) -> int:
        """Packets that the budget still allows."""
        return (self.budget - self._spent) // self.size

    def _find(self, train: Train) -> TokenBucket | None:
        """What limited a train, beside the quietest delay so far; the slowest train tells the path's own noise."""
        if not train.delays:
            return None
        if self._quiet is None:
            self._quiet = Quiet.of(train.delays)
        self._quiet = Quiet(min(self._quiet.base, *train.delays), self._quiet.noise)
        return find_bucket(train, self._quiet)

    async def _send(self, rate: float, packets: int, *, even: bool = False) -> Train:
        """Send a train, and wait for its replies; `even` if it may at no time be faster than the rate."""
        gap = self.size * 8 / rate
        requests: list[Request] = []
        begun = time.monotonic()
        for number in range(min(packets, self._left, _MOST_PACKETS)):
            due = begun + number * gap
            early = due - time.monotonic()
            if early > 0:
                await asyncio.sleep(max(_TICK, early))
            elif even and early < -_MOST_LAG:
                begun -= early  # this process had to wait; to catch up would be a burst that nobody asked for
            requests.append(self.exchange.send(self.tos, self.size))
            self._spent += self.size
        await self._settle(requests)
        self.exchange.forget()
        cars = [
            Car(one.sent_ns / 1e9, one.received_ns / 1e9 if one.received_ns is not None else None, one.size)
            for one in requests
        ]
        train = Train(cars)
        if cars:
            self.trains.append(train)
        return train

    async def _settle(self, requests: Sequence[Request]) -> None:
        """Wait for replies until none has come for some round trips, because a queue may hold them for long."""
        slowest = max((delay for train in self.trains for delay in train.delays), default=self.wait / _PATIENCE)
        patience = min(self.wait, max(_LEAST_PATIENCE, _PATIENCE * slowest))
        waiting = len(requests)
        while waiting:
            await settle(requests, patience)
            still = sum(one.received_ns is None and one.refusal is None for one in requests)
            if still == waiting:
                return
            waiting = still
