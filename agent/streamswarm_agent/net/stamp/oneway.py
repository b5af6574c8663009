"""What a run of STAMP packets says about each direction.

Delays of one direction contain the unknown difference of two clocks, but their differences don't, as long as the clocks
run equally fast: 50 ppm apart they add 50 µs in a second. So delay variation needs no synchronised clocks, while a
one-way delay is given only together with what both clocks admit to be wrong by.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from streamswarm_agent.net.jitter import interarrival_jitter
from streamswarm_agent.net.stamp.credible import timed_answers
from streamswarm_agent.net.stamp.sender import StampRun
from streamswarm_core.clock import NANOSECONDS


@dataclass(frozen=True, slots=True)
class LossByWay:
    """Where packets were lost.

    Attributes:
        there: surely on the way there.
        back: surely on the way back.
        unknown: lost, but nobody knows where.
        stateful: whether the reflector counts by itself; None if the run doesn't tell.
    """

    there: int
    back: int
    unknown: int
    stateful: bool | None


def attribute_loss(run: StampRun) -> LossByWay:
    """Tell the directions apart by the reflector's own count of what reached it.

    The numbers missing among its answers are answers lost on the way back; what is lost besides never reached it. That
    is exact up to the last packet that was answered. After it come the closing packets, of which some may be lost too;
    what could have been either they or the run's own is unknown. A copy made on the way there whose answer is lost
    counts as lost on the way back.
    """
    lost = [packet for packet in run.packets if not packet.answers]
    if not lost:
        return LossByWay(0, 0, 0, None)
    base = _first_number(run)
    if base is None:
        return LossByWay(0, 0, len(lost), None)
    numbers = {
        id(packet): {answer.reply.sequence - base for answer in packet.answers}
        for packet in (*run.packets, *run.closing)
    }
    answered_closing = [packet for packet in run.closing if packet.answers]
    stateful = any(
        answer.reply.sequence != packet.sequence for packet in (*run.packets, *run.closing) for answer in packet.answers
    )
    if not stateful:
        # Without a closing answer a reflector that counts looks the same when everything was lost on the way back.
        return LossByWay(0, 0, len(lost), False if answered_closing else None)
    seen = set().union(*(numbers[id(packet)] for packet in run.packets))
    newest = max(seen)
    if min(seen) < 0 or newest >= 2 * (len(run.packets) + len(run.closing)):
        # More than one copy of every packet: what counts like that counts something else.
        return LossByWay(0, 0, len(lost), None)
    last = max(packet.sequence for packet in run.packets if newest in numbers[id(packet)])
    before = sum(packet.sequence < last for packet in lost)
    back = min(before, newest + 1 - len(seen))
    there, tail = before - back, len(lost) - before
    if not tail or not answered_closing:
        return LossByWay(there, back, tail, stateful)
    seen_late = {number for packet in answered_closing for number in numbers[id(packet)]}
    lost_closing = sum(not packet.answers for packet in run.closing)
    missing = min(tail + lost_closing, max(seen_late) - newest - len(seen_late))
    sure_there = max(0, tail + lost_closing - missing - lost_closing)
    sure_back = max(0, missing - lost_closing)
    return LossByWay(there + sure_there, back + sure_back, tail - sure_there - sure_back, stateful)


def _first_number(run: StampRun) -> int | None:
    """The reflector's number of the run's first packet.

    It is 0 where the reflector knows sessions; else it is known only if that packet was answered, and of use only if
    the reflector counted no other run meanwhile.
    """
    for packet in run.packets:
        for answer in packet.answers:
            if answer.reply.ssid == run.ssid:
                return 0
    first = run.packets[0].answers if run.alone else []
    return min(answer.reply.sequence for answer in first) if first else None


@dataclass(frozen=True, slots=True)
class OneWay:
    """Delays of one direction, by sequence number, seconds; they contain the clocks' difference."""

    delays: dict[int, float]

    @property
    def jitter(self) -> float | None:
        """Interarrival jitter, seconds (RFC 3550, 6.4.1)."""
        return interarrival_jitter(self.delays.values())

    @property
    def ipdv(self) -> float | None:
        """Mean size of the delay variation between packets that were sent one after the other (RFC 3393, RFC 5481)."""
        steps = [
            abs(delay - self.delays[number - 1]) for number, delay in self.delays.items() if number - 1 in self.delays
        ]
        return statistics.fmean(steps) if steps else None

    @property
    def pdv(self) -> float | None:
        """95th percentile of the delay above the shortest (RFC 5481)."""
        if len(self.delays) < 2:
            return None
        ordered = sorted(self.delays.values())
        return ordered[math.ceil(0.95 * len(ordered)) - 1] - ordered[0]


def delays_of(run: StampRun) -> tuple[OneWay, OneWay]:
    """Delays there and back, of the first answer to each packet, as far as the reflector's times can be right."""
    there: dict[int, float] = {}
    back: dict[int, float] = {}
    for packet, answer in timed_answers(run.packets):
        there[packet.sequence] = (answer.reply.received_ns - packet.sent_ns) / NANOSECONDS
        back[packet.sequence] = (answer.received_ns - answer.reply.sent_ns) / NANOSECONDS
    return OneWay(there), OneWay(back)


def overtaken(run: StampRun) -> tuple[int, int]:
    """Packets that came after one that was sent later, there and back (RFC 4737, type-P-reordered)."""
    pairs = timed_answers(run.packets)
    arrivals = sorted(pairs, key=lambda pair: (pair[1].reply.received_ns, pair[1].reply.sequence))
    there = _late([packet.sequence for packet, _ in arrivals])
    returns = sorted(pairs, key=lambda pair: pair[1].received_ns)
    back = _late([answer.reply.sent_ns for _, answer in returns])
    return there, back


def copies(run: StampRun) -> tuple[int, int]:
    """Copies made there and back: a copy of a request is received again, a copy of an answer is not."""
    there = back = 0
    for packet in run.packets:
        received = {(answer.reply.received_ns, answer.reply.sent_ns) for answer in packet.answers}
        there += max(0, len(received) - 1)
        back += len(packet.answers) - len(received)
    return there, back


def _late(numbers: Sequence[int]) -> int:
    late, newest = 0, -1
    for number in numbers:
        late += number < newest
        newest = max(newest, number)
    return late
