"""Loss attributed by the reflector's count, on simulated runs whose truth is known; the lab does the same for real."""

import random
from dataclasses import replace

import pytest

from streamswarm_agent.net.stamp.oneway import LossByWay, attribute_loss, copies, delays_of, overtaken
from streamswarm_agent.net.stamp.sender import Answer, Sent, StampRun
from streamswarm_core.wire.stamp import ClockError, Reply

CLOCK = ClockError(1.0, synchronised=False)
SSID = 77


def reply_to(packet: Sent, number: int, ssid: int = SSID, far_ns: int = 0, near_ns: int | None = None) -> Answer:
    """An answer by a clock over there, which came back when it shows 20 ns more unless this host's says otherwise."""
    reply = Reply(number, far_ns + 10, far_ns, CLOCK, ssid, packet.sequence, 0, 60, None)
    return Answer(reply, far_ns + 20 if near_ns is None else near_ns, 60, 0)


def simulate(
    there: float, back: float, seed: int, *, count: int = 40, stateful: bool = True, ssid: int = SSID, first: int = 0
) -> tuple[StampRun, int, int]:
    """A run over a path with such losses, and how many packets were lost in each direction."""
    chance = random.Random(seed)
    number, lost_there, lost_back = first, 0, 0
    packets: list[Sent] = []
    closing: list[Sent] = []
    for sequence in [*range(count), *range(count + 1, count + 7)]:
        packet = Sent(sequence, sequence * 1000)
        if sequence < count:
            packets.append(packet)
        elif all(one.answers for one in packets) or any(one.answers for one in closing):
            break
        else:
            closing.append(packet)
        if chance.random() < there:
            lost_there += sequence < count
            continue
        mine, number = (number if stateful else sequence), number + 1
        if chance.random() < back:
            lost_back += sequence < count
        else:
            packet.answers.append(reply_to(packet, mine, ssid, sequence * 1000 + 500))
    return StampRun(packets, closing, SSID, CLOCK, bad=0), lost_there, lost_back


@pytest.mark.parametrize(("there", "back"), [(0.1, 0), (0, 0.1), (0.1, 0.1), (0.5, 0.3), (0.02, 0.02)])
@pytest.mark.parametrize(("ssid", "first"), [(SSID, 0), (0, 1234)], ids=["knows sessions", "counts on"])
def test_every_loss_is_attributed_to_its_direction_or_to_none(there: float, back: float, ssid: int, first: int) -> None:
    exact = 0
    for seed in range(300):
        run, lost_there, lost_back = simulate(there, back, seed, ssid=ssid, first=first)
        found = attribute_loss(run)
        if not any(packet.answers for packet in run.packets):
            continue
        assert found.there + found.back + found.unknown == lost_there + lost_back
        assert found.there <= lost_there
        assert found.back <= lost_back
        exact += not found.unknown
    if ssid == SSID and max(there, back) <= 0.1:
        assert exact >= 285


def test_a_reflector_that_only_copies_is_found_out_and_blames_nobody() -> None:
    for seed in range(100):
        run, lost_there, lost_back = simulate(0.1, 0.1, seed, stateful=False)
        found = attribute_loss(run)
        assert (found.there, found.back, found.unknown) == (0, 0, lost_there + lost_back)
        if lost_there + lost_back and any(packet.answers for packet in run.closing):
            assert found.stateful is False


def test_numbers_that_other_runs_share_blame_nobody() -> None:
    run, there, back = simulate(0.2, 0.2, 3, ssid=0)
    shared = replace(run, alone=False)
    assert attribute_loss(shared) == LossByWay(0, 0, there + back, None)


def test_without_loss_nothing_has_to_be_attributed() -> None:
    assert attribute_loss(simulate(0, 0, 1)[0]) == LossByWay(0, 0, 0, None)


def test_a_wrong_clock_changes_no_delay_variation() -> None:
    def run(offset: int) -> StampRun:
        packets = [Sent(number, number * 1000) for number in range(10)]
        for packet in packets:
            late = packet.sent_ns + 100 * (packet.sequence % 3)
            packet.answers.append(reply_to(packet, packet.sequence, far_ns=late + offset, near_ns=late + 20))
        return StampRun(packets, [], SSID, CLOCK, bad=0)

    right, wrong = delays_of(run(0))[0], delays_of(run(7_200_000_000_000))[0]
    assert (right.ipdv, right.pdv, right.jitter) == pytest.approx((wrong.ipdv, wrong.pdv, wrong.jitter), abs=1e-9)
    assert right.pdv == pytest.approx(200e-9)


def test_a_count_that_can_not_be_blames_nobody() -> None:
    run, there, back = simulate(0.2, 0.2, 3)
    odd = next(packet for packet in run.packets if packet.answers)
    odd.answers[0] = reply_to(odd, 2**31, SSID, 500)
    assert attribute_loss(run) == LossByWay(0, 0, there + back, None)


def test_copies_and_overtaking_belong_to_a_direction() -> None:
    packets = [Sent(number, number * 1000) for number in range(4)]
    packets[0].answers = [reply_to(packets[0], 0, far_ns=500)] * 2  # the answer was copied
    packets[1].answers = [reply_to(packets[1], 2, far_ns=3_000), reply_to(packets[1], 3, far_ns=3_100)]  # the request
    packets[2].answers = [reply_to(packets[2], 1, far_ns=2_500)]
    packets[3].answers = [reply_to(packets[3], 4, far_ns=3_500)]
    run = StampRun(packets, [], SSID, CLOCK, bad=0)
    assert copies(run) == (1, 1)
    assert overtaken(run) == (1, 0)
