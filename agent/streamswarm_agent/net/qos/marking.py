"""Where DSCP and ECN are changed on the way.

A router that reports a used-up TTL quotes the packet's IP header as it got it, so the first hop whose quote differs
from what was sent lies behind the one that changed it (tracebox: Detal et al., "Revealing middlebox interference with
tracebox", IMC 2013). A router that changes a packet as it forwards it, after having looked at the TTL, shows it only in
the quote of the next hop: the change was made by the last hop that got the marking as sent, by the first that didn't,
or between them, and both are told.

Some routers quote wrongly. A quote counts for nothing if a later hop, or the target, got the marking as it was sent.
"""

import asyncio
import statistics
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

from streamswarm_agent.net.icmp.errors import Kind
from streamswarm_agent.net.path.flows import Flow
from streamswarm_agent.net.path.hops import HopListener, Sent

ECT_0: Final = 2
CONGESTION: Final = 3
_NOT_ECT: Final = 0
_ROUND: Final = 0.05
_PACE: Final = 0.004
_TICK: Final = 0.02

MarkingVerdict = Literal["kept", "bleached", "rewritten"]
EcnVerdict = Literal["kept", "cleared", "changed", "congestion"]


@dataclass(frozen=True, slots=True)
class Quote:
    """What one hop says a packet arrived with.

    Attributes:
        hop: counted from 1.
        address: whose quote it is.
        tos: traffic class.
        target: it is the target's own.
    """

    hop: int
    address: str
    tos: int
    target: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """A value that is another than before.

    Attributes:
        hop: the first that got it.
        address: whose that is.
        after: the last that got the value before; None if no hop did, so that it may be the agent's own network.
        value: from there on.
    """

    hop: int
    address: str
    after: str | None
    value: int


@dataclass(frozen=True, slots=True)
class Marking:
    """What became of a DSCP.

    Attributes:
        verdict: judged by the last hop that answered.
        dscp: at that hop.
        seen: that hop.
        changes: in order; empty if it was kept.
        misquoted: hops that count for nothing.
    """

    verdict: MarkingVerdict
    dscp: int
    seen: int
    changes: Sequence[Change]
    misquoted: int


@dataclass(frozen=True, slots=True)
class EcnMarking:
    """What became of ECT(0).

    Attributes:
        verdict: judged by the last hop that answered; congestion if CE was set and nothing worse happened.
        change: where; None if it was kept.
        ce_ratio: share of the packets marked CE, of those quoted from the first hop on that got one.
        capable: it arrives at the target as ECN-capable; None where the target says nothing.
    """

    verdict: EcnVerdict
    change: Change | None
    ce_ratio: float
    capable: bool | None


def judge_dscp(sent: int, quotes: Sequence[Quote]) -> Marking | None:
    """Compare what was sent with the quotes; None if there are none."""
    by_hop = _most_common(quotes, shift=2)
    if not by_hop:
        return None
    changes, misquoted = _changes(sent, by_hop)
    last = changes[-1].value if changes else sent
    verdict: MarkingVerdict = "kept" if last == sent else "rewritten" if last else "bleached"
    return Marking(verdict, last, by_hop[-1].hop, changes, misquoted)


def judge_ecn(quotes: Sequence[Quote]) -> EcnMarking | None:
    """The same for packets sent as ECT(0)."""
    by_hop = _most_common([replace(quote, tos=quote.tos & 3) for quote in quotes], shift=0)
    if not by_hop:
        return None
    # CE is set on some packets only, so it is looked for in all of them; other changes by what most show.
    codes = [Quote(one.hop, one.address, ECT_0 if one.tos == CONGESTION else one.tos, one.target) for one in by_hop]
    changes, _ = _changes(ECT_0, codes)
    at_target = [quote.tos & 3 for quote in quotes if quote.target]
    capable = statistics.mode(at_target) != _NOT_ECT if at_target else None
    marked = [quote for quote in quotes if quote.tos & 3 == CONGESTION]
    first = min((quote.hop for quote in marked), default=None)
    behind = [quote for quote in quotes if first is not None and quote.hop >= first]
    ratio = len(marked) / len(behind) if behind else 0.0
    if changes:
        lasting = changes[-1]
        return EcnMarking("changed" if lasting.value else "cleared", lasting, ratio, capable)
    if first is None:
        return EcnMarking("kept", None, 0.0, capable)
    address = next(quote.address for quote in marked if quote.hop == first)
    after = next((quote.address for quote in reversed(by_hop) if quote.hop < first), None)
    return EcnMarking("congestion", Change(first, address, after, CONGESTION), ratio, capable)


def _most_common(quotes: Sequence[Quote], *, shift: int) -> list[Quote]:
    """One quote a hop, in order, with what most packets there showed."""
    by_hop: dict[int, list[Quote]] = {}
    for quote in quotes:
        by_hop.setdefault(quote.hop, []).append(quote)
    return [
        replace(by_hop[hop][0], tos=statistics.mode(quote.tos >> shift for quote in by_hop[hop]))
        for hop in sorted(by_hop)
    ]


def _changes(sent: int, by_hop: Sequence[Quote]) -> tuple[list[Change], int]:
    """The changes that last, and how many hops misquoted."""
    kept = max((place for place, quote in enumerate(by_hop) if quote.tos == sent), default=-1)
    misquoted = sum(quote.tos != sent for quote in by_hop[: kept + 1])
    value, holder = sent, by_hop[kept] if kept >= 0 else None
    rest = by_hop[kept + 1 :]
    changes: list[Change] = []
    for place, quote in enumerate(rest):
        if quote.tos != value:
            # A single hop that differs from all before and behind it, once something lasting has been seen.
            if place and place + 1 < len(rest) and rest[place + 1].tos == value:
                misquoted += 1
                continue
            changes.append(Change(quote.hop, quote.address, holder.address if holder else None, quote.tos))
            value = quote.tos
        holder = quote
    return changes, misquoted


class MarkingProber:
    """Asks every hop with which traffic class packets of some classes arrive.

    Args:
        listener: the agent's.
        flow: UDP, to a port without a service, because a target that refuses the port quotes the packet too.
        hops: how many to ask.
    """

    def __init__(self, listener: HopListener, flow: Flow, hops: int) -> None:
        self._listener = listener
        self._flow = flow
        self._hops = hops
        self._packets: list[Sent] = []
        self._end = hops

    @property
    def sent(self) -> int:
        """Packets sent."""
        return len(self._packets)

    async def run(self, wanted: Mapping[int, int], *, tries: int, wait: float) -> dict[int, list[Quote]]:
        """Ask.

        Routers answer few packets a second, so a hop is asked again only for what it didn't answer.

        Args:
            wanted: traffic classes, and how many answers each hop should give for it.
            tries: how often a hop that doesn't answer is asked for one answer.
            wait: seconds for an answer.

        Raises:
            ProbeFault: packets can't be sent.
        """
        try:
            for _ in range(tries):
                for number in range(max(wanted.values(), default=0)):
                    for tos, answers in wanted.items():
                        if number < answers:
                            await self._ask(tos, number + 1)
                await self._settle(wait)
        finally:
            self._listener.forget(self._packets)
        return {tos: self._quotes(tos) for tos in wanted}

    async def _ask(self, tos: int, answers: int) -> None:
        """Send a packet of a class to each hop that hasn't given so many answers."""
        begun = time.monotonic()
        given = [packet.ttl for packet in self._packets if packet.flow.tos == tos and packet.answer]
        asked = False
        for ttl in range(1, self._end + 1):
            if given.count(ttl) < answers:
                self._packets.append(self._listener.send(replace(self._flow, tos=tos), ttl, self._take))
                asked = True
                await asyncio.sleep(_PACE)
        if asked:
            await asyncio.sleep(max(0.0, begun + _ROUND - time.monotonic()))

    def _take(self, packet: Sent) -> None:
        if packet.answer is not None and packet.answer.reached:
            self._end = min(self._end, packet.ttl)

    async def _settle(self, wait: float) -> None:
        deadline = time.monotonic() + wait
        while time.monotonic() < deadline and any(  # noqa: ASYNC110 - some wake-ups cost less than an event a packet
            packet.answer is None and packet.ttl <= self._end for packet in self._packets
        ):
            await asyncio.sleep(_TICK)

    def _quotes(self, tos: int) -> list[Quote]:
        return [
            Quote(packet.ttl, answer.address, answer.tos, target=answer.reached)
            for packet in self._packets
            if packet.flow.tos == tos and packet.ttl <= self._end
            # What refuses a packet on its way to a later hop doesn't say at which hop it stands.
            if (answer := packet.answer) and answer.tos is not None and (answer.reached or answer.kind is Kind.EXPIRED)
        ]
