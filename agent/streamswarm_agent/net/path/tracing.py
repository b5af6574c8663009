"""One trace: which packets to send when, and what came of them.

First the hops are asked for, many at the same time within a window, until an answer is final; then the same flow goes
out again for loss and round-trip times; then, if wished, other flows for the branches.
"""

import asyncio
import contextlib
import statistics
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final

from streamswarm_agent.net.icmp.errors import Kind
from streamswarm_agent.net.path.flows import Flow
from streamswarm_agent.net.path.hops import Answer, HopListener, Sent
from streamswarm_agent.net.path.multipath import Path, branches, flows_wanted
from streamswarm_core.probespecs import TraceMethod, TracerouteParams

_PACE: Final = 0.002
_LEAST_PATIENCE: Final = 0.2
_PATIENCE: Final = 3.0


@dataclass(frozen=True, slots=True)
class Hop:
    """What one hop answered to the constant flow.

    Attributes:
        ttl: its number, from 1.
        packets: sent to it, in order.
    """

    ttl: int
    packets: Sequence[Sent]

    @property
    def answers(self) -> list[Answer]:
        """In the order of the packets."""
        return [packet.answer for packet in self.packets if packet.answer is not None]

    @property
    def address(self) -> str | None:
        """Who answered most; of several, the one that answered last."""
        addresses = [answer.address for answer in reversed(self.answers)]
        return max(dict.fromkeys(addresses), key=addresses.count) if addresses else None

    @property
    def last(self) -> Answer | None:
        """The last answer of that address."""
        mine = [answer for answer in self.answers if answer.address == self.address]
        return mine[-1] if mine else None

    @property
    def rtts(self) -> list[float]:
        """Seconds."""
        return [answer.rtt for answer in self.answers]

    @property
    def rtt_mean(self) -> float | None:
        """Seconds."""
        return statistics.fmean(self.rtts) if self.answers else None

    @property
    def loss(self) -> float:
        """Share of the packets without an answer."""
        return 1 - len(self.answers) / len(self.packets)


@dataclass(frozen=True, slots=True)
class Trace:
    """A finished trace.

    Attributes:
        hops: of the constant flow, up to the last that answered.
        flows: what each hop answered to the other flows, in their order; each up to the target.
        sent: packets sent altogether.
    """

    hops: Sequence[Hop]
    flows: Sequence[Sequence[Answer | None]]
    sent: int

    @property
    def reached(self) -> bool:
        """The target answered."""
        return bool(self.hops) and any(answer.reached for answer in self.hops[-1].answers)

    @property
    def path(self) -> list[str | None]:
        """The addresses of the constant flow."""
        return [hop.address for hop in self.hops]

    @property
    def flow_paths(self) -> list[Path]:
        """The addresses of every flow, the constant one first."""
        others = [[answer.address if answer else None for answer in answers] for answers in self.flows]
        return [self.path, *others]

    @property
    def seen(self) -> list[set[str]]:
        """All addresses of each hop: of all flows, and of every packet of the constant one."""
        return [
            addresses | {answer.address for answer in hop.answers}
            for hop, addresses in zip(self.hops, branches(self.flow_paths), strict=True)
        ]

    @property
    def per_packet(self) -> bool:
        """Packets of the constant flow met different routers at the same hop."""
        return any(len({answer.address for answer in hop.answers}) > 1 for hop in self.hops)

    def loss_begins_at(self) -> Hop | None:
        """The hop from which on to the target packets are lost.

        A router that answers seldom loses none of what it forwards, so the loss of one hop counts only if each hop
        behind it, silent ones left out, loses at least as much as the target does in the end.
        """
        if not self.reached or not self.hops[-1].loss:
            return None
        first = self.hops[-1]
        for hop in reversed(self.hops):
            if hop.answers and not hop.loss:
                break
            if hop.answers:
                first = hop
        return first


class Tracer:
    """Carries out one trace.

    Args:
        listener: the agent's.
        flow: the constant flow.
        params: the probe's options.
        expected: hops to the target in the run before: so many are asked for before any beyond, which spares the
            target packets that it would have to answer, and some targets answer only so many.
    """

    def __init__(
        self,
        listener: HopListener,
        flow: Flow,
        params: TracerouteParams,
        *,
        expected: int | None = None,
    ) -> None:
        self._listener = listener
        self._flow = flow
        self._params = params
        self._expected = expected or 0
        self._packets: dict[tuple[int, int], list[Sent]] = {}
        self._open: dict[Sent, float] = {}
        self._end: int | None = None
        self._last_answered = 0
        self._answered = asyncio.Event()

    async def run(self) -> Trace:
        """Trace.

        Raises:
            ProbeFault: packets can't be sent.
        """
        others: list[Flow] = []
        try:
            await self._discover()
            await self._repeat()
            if self._params.multipath:
                await self._vary(others)
        finally:
            self._listener.forget(packet for packets in self._packets.values() for packet in packets)
        hops = [Hop(ttl, self._packets[0, ttl]) for ttl in range(1, self._length + 1)]
        flows = [self._answers_on_way(flow) for flow in others]
        return Trace(hops, flows, sum(map(len, self._packets.values())))

    @property
    def _length(self) -> int:
        """Hops of the constant flow up to the first final answer, or to the last that answered."""
        return self._end or self._last_answered

    async def _discover(self) -> None:
        """Ask one hop after the other, several at the same time, until an answer is final or there are none."""
        ttl = 0
        while True:
            waiting = self._waiting()
            go_on = self._end is None and ttl < self._params.max_hops and not self._gap_is_full(ttl)
            if self._expected and ttl >= self._expected and waiting:
                go_on = False
            if go_on and len(waiting) < max(self._params.window, self._expected - ttl):
                ttl += 1
                await self._send(self._flow, ttl)
            elif waiting:
                await self._wait_for_answer(min(waiting.values()) + self._params.wait)
            else:
                return

    def _gap_is_full(self, ttl: int) -> bool:
        """The last hops asked have all had their time and are silent."""
        first_open = min((packet.ttl for packet in self._open), default=ttl + 1)
        return first_open - 1 - self._last_answered >= self._params.gap_limit

    async def _repeat(self) -> None:
        """Send the constant flow again, for loss and round-trip times."""
        for _ in range(1, self._params.count):
            begun = time.monotonic()
            # One hop beyond the last that answered: what was lost the first time may be there.
            for ttl in range(1, min(self._end or self._last_answered + 1, self._params.max_hops) + 1):
                await self._send(self._flow, ttl)
            await asyncio.sleep(max(0.0, begun + self._params.spacing - time.monotonic()))
        await self._settle(self._params.wait)

    async def _vary(self, flows: list[Flow]) -> None:
        """Try other flows, which are added to `flows`, until no branch is likely to have been missed."""
        patience = self._patience()
        while wanted := self._flows_wanted(flows):
            numbers = range(len(flows) + 1, min(len(flows) + 1 + wanted, self._params.max_flows))
            if not numbers:
                return
            fresh = [replace(self._flow, number=number) for number in numbers]
            flows += fresh
            # Hosts answer UDP to a closed port about once a second, and all flows end at the target in any case.
            ends_at_target = self._end is not None and self._flow.method is TraceMethod.UDP
            hops = range(1, self._length + (not ends_at_target))
            for flow in fresh:
                await self._send_all(flow, hops)
            await self._settle(patience)
            # Once more where others got an answer: a lost packet must not look like a silent branch.
            for flow in fresh:
                unanswered = self._answers_on_way(flow)
                await self._send_all(
                    flow, [ttl for ttl in hops[: len(unanswered)] if self._is_missing(unanswered, ttl)]
                )
            await self._settle(patience)

    def _is_missing(self, answers: Sequence[Answer | None], ttl: int) -> bool:
        return answers[ttl - 1] is None and any(packet.answer for packet in self._packets[0, ttl])

    async def _send_all(self, flow: Flow, ttls: Iterable[int]) -> None:
        for ttl in ttls:
            await self._send(flow, ttl)

    def _flows_wanted(self, flows: Sequence[Flow]) -> int:
        paths = [
            [answer.address if answer else None for answer in self._answers_on_way(flow)]
            for flow in (self._flow, *flows)
        ]
        return flows_wanted(paths, self._params.confidence)

    def _patience(self) -> float:
        """How long the other flows are waited for, seconds: some round trips, seen what the constant flow took."""
        answers = [packet.answer for packets in self._packets.values() for packet in packets if packet.answer]
        slowest = max((answer.rtt for answer in answers), default=0.0)
        return min(self._params.wait, max(_LEAST_PATIENCE, _PATIENCE * slowest))

    def _answers_on_way(self, flow: Flow) -> list[Answer | None]:
        """An answer of each hop to a flow, up to the target or to the end of the constant flow."""
        answers: list[Answer | None] = []
        for ttl in range(1, self._length + 1):
            packets = self._packets.get((flow.number, ttl), [])
            answer = next((packet.answer for packet in packets if packet.answer), None)
            answers.append(answer)
            if answer is not None and answer.reached:
                break
        return answers

    async def _send(self, flow: Flow, ttl: int) -> None:
        """Send a packet, and leave the way a moment to carry it."""
        packet = self._listener.send(flow, ttl, self._take)
        self._packets.setdefault((flow.number, ttl), []).append(packet)
        self._open[packet] = time.monotonic()
        await asyncio.sleep(_PACE)

    def _take(self, packet: Sent) -> None:
        self._open.pop(packet, None)
        self._answered.set()
        if packet.answer is not None and packet.answer.rtt > self._params.wait:
            packet.answer = None  # late is lost, whether the trace is still going or not
        if packet.flow.number or packet.answer is None:
            return
        self._last_answered = max(self._last_answered, packet.ttl)
        if packet.answer.kind is not Kind.EXPIRED:
            self._end = min(packet.ttl, self._end or packet.ttl)

    def _waiting(self) -> dict[Sent, float]:
        """Packets that may still be answered in time, not counting those beyond the end; with when they were sent."""
        since = time.monotonic() - self._params.wait
        self._open = {packet: sent for packet, sent in self._open.items() if sent > since}
        return {packet: sent for packet, sent in self._open.items() if self._end is None or packet.ttl <= self._end}

    async def _settle(self, patience: float) -> None:
        """Wait until all packets that matter are answered, or the last has had its time."""
        deadline = time.monotonic() + patience
        while self._waiting() and time.monotonic() < deadline:
            await self._wait_for_answer(deadline)

    async def _wait_for_answer(self, until: float) -> None:
        self._answered.clear()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, until - time.monotonic()) + 0.001):
                await self._answered.wait()
