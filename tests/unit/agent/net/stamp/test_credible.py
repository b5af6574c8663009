"""Answers with times that can't be right, among others or all of them; the truth is simulated."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from streamswarm_agent.net.stamp.credible import round_trips, timed_answers
from streamswarm_agent.net.stamp.sender import Answer, Sent
from streamswarm_core.clock import NANOSECONDS
from streamswarm_core.wire.stamp import ClockError, Reply

MS = 1_000_000
AHEAD_NS = 3600 * NANOSECONDS
CLOCK = ClockError(1.0, synchronised=False)


def packets_of(count: int = 20, *, spacing_ms: int = 50) -> list[Sent]:
    """On the way for 7 ms, there for 2 ms, and back for 5 ms; the clock there is an hour ahead."""
    packets = []
    for number in range(count):
        sent_ns = 10**18 + number * spacing_ms * MS
        far_ns = sent_ns + 7 * MS + AHEAD_NS
        reply = Reply(number, far_ns + 2 * MS, far_ns, CLOCK, 1, number, 0, 60, None)
        answer = Answer(reply, sent_ns + 14 * MS, 60, 0, within_ns=15 * MS)
        packets.append(Sent(number, sent_ns, [answer]))
    return packets


def say(packet: Sent, *, received_ns: int | None = None, sent_ns: int | None = None) -> None:
    """Let the reflector have said something else."""
    reply = packet.answers[0].reply
    if received_ns is not None:
        reply = replace(reply, received_ns=received_ns)
    if sent_ns is not None:
        reply = replace(reply, sent_ns=sent_ns)
    packet.answers[0] = replace(packet.answers[0], reply=reply)


def numbers(packets: Sequence[Sent]) -> list[int]:
    return [packet.sequence for packet, _ in timed_answers(packets)]


def test_times_that_fit_together_count_whatever_the_clocks_difference() -> None:
    packets = packets_of()
    assert numbers(packets) == list(range(20))
    assert set(round_trips(packets)) == {0.012}


@pytest.mark.parametrize(
    "times_ns",
    [{"received_ns": 0}, {"sent_ns": 0}, {"received_ns": 0, "sent_ns": 0}, {"sent_ns": 2 * 10**18}],
    ids=str,
)
def test_an_answer_with_an_impossible_time_takes_as_long_as_it_took_here(times_ns: dict[str, int]) -> None:
    packets = packets_of()
    say(packets[4], **times_ns)
    assert numbers(packets) == [number for number in range(20) if number != 4]
    assert round_trips(packets)[4] == 0.014
    assert set(round_trips(packets)) == {0.012, 0.014}


def test_of_a_clock_that_was_set_during_the_run_the_longer_part_counts() -> None:
    packets = packets_of()
    for packet in packets[:8]:
        reply = packet.answers[0].reply
        say(packet, received_ns=reply.received_ns - NANOSECONDS, sent_ns=reply.sent_ns - NANOSECONDS)
    assert numbers(packets) == list(range(8, 20))


def test_of_a_reflector_that_makes_its_times_up_none_counts() -> None:
    packets = packets_of()
    for packet in packets:
        say(packet, received_ns=10**18, sent_ns=10**18)
    assert numbers(packets) == []
    assert set(round_trips(packets)) == {0.014}


def test_a_clock_that_drifts_is_no_clock_that_was_set() -> None:
    packets = packets_of(400)
    for packet in packets:
        drift_ns = packet.sequence * 50 * MS // 2000
        reply = packet.answers[0].reply
        say(packet, received_ns=reply.received_ns + drift_ns, sent_ns=reply.sent_ns + drift_ns)
    assert len(numbers(packets)) == 400


@pytest.mark.parametrize("step_s", [-30, 30])
def test_a_step_of_this_hosts_clock_is_no_round_trip(step_s: int) -> None:
    packets = packets_of()
    for packet in packets[5:]:
        answer = packet.answers[0]
        packet.answers[0] = replace(answer, received_ns=answer.received_ns + step_s * NANOSECONDS)
        if packet.sequence > 5:
            packet.sent_ns += step_s * NANOSECONDS
    assert max(round_trips(packets)) == 0.015
    assert numbers(packets) == list(range(6, 20))
