"""Which of a reflector's times can be what happened, and how long an answer took whatever was done to clocks.

Some reflectors make up times, or have their clock set in the middle of a run; so may this host. One such answer would
be a delay of years.
"""

import statistics
from collections.abc import Sequence
from typing import Final

from streamswarm_agent.net.stamp.sender import Answer, Sent
from streamswarm_core.clock import NANOSECONDS

_COARSE_NS: Final = 2_000_000
"""Steps in which a reflector's clock may go; variation of delay is of no use in larger ones."""
_DRIFT: Final = 1e-3

Pair = tuple[Sent, Answer]


def first_answers(packets: Sequence[Sent]) -> list[Pair]:
    """Each packet that was answered, with the answer that came first."""
    return [(packet, packet.answers[0]) for packet in packets if packet.answers]


def elapsed_ns(packet: Sent, answer: Answer) -> int:
    """From sending to the answer, nanoseconds, by the kernel.

    Its clock is the realtime one. If that was set meanwhile, this process's own reading of the monotonic one counts,
    which begins earlier and ends later.
    """
    took = answer.received_ns - packet.sent_ns
    return took if answer.within_ns is None or 0 <= took <= answer.within_ns + _COARSE_NS else answer.within_ns


def dwell_ns(answer: Answer) -> int:
    """How long the reflector says that it took, nanoseconds."""
    return answer.reply.sent_ns - answer.reply.received_ns


def timed_answers(packets: Sequence[Sent]) -> list[Pair]:
    """The first answers whose times fit together with those of most others; none if there are no most.

    A packet came to the reflector after it was sent, and its answer left before it came here. So each answer says
    between which bounds the difference of the two clocks is, and that is the same for all but for their drift.
    """
    bounds = [
        ((packet, answer), answer.reply.sent_ns - answer.received_ns, answer.reply.received_ns - packet.sent_ns)
        for packet, answer in first_answers(packets)
        if -_COARSE_NS <= dwell_ns(answer) <= elapsed_ns(packet, answer) + _COARSE_NS
        and elapsed_ns(packet, answer) == answer.received_ns - packet.sent_ns
    ]
    if not bounds:
        return []
    sent = [packet.sent_ns for (packet, _), _, _ in bounds]
    slack = _COARSE_NS + int((max(sent) - min(sent)) * _DRIFT)
    difference = statistics.median_low((least + most) // 2 for _, least, most in bounds)
    timed = [pair for pair, least, most in bounds if least - slack <= difference <= most + slack]
    return timed if 2 * len(timed) > len(first_answers(packets)) else []


def round_trips(packets: Sequence[Sent]) -> list[float]:
    """Seconds on the way: from sending to the first answer, less the time in the reflector where that is known."""
    timed = {packet.sequence for packet, _ in timed_answers(packets)}
    return [
        max(0, elapsed_ns(packet, answer) - (dwell_ns(answer) if packet.sequence in timed else 0)) / NANOSECONDS
        for packet, answer in first_answers(packets)
    ]
