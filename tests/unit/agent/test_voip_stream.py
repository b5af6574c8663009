"""Jitter buffers, gaps and directions, on streams whose truth is known."""

import random

import pytest
from pydantic import ValidationError

from streamswarm_agent.faults import Fault
from streamswarm_agent.net.stamp.sender import Answer, Sent, StampRun
from streamswarm_agent.probes import Context
from streamswarm_agent.voip.hearing import hear
from streamswarm_agent.voip.jitterbuffer import play_adaptive, play_fixed
from streamswarm_agent.voip.leg import Leg, burst_ratio, running_jitter
from streamswarm_agent.voip.reflected import legs_of, undivided
from streamswarm_core.probespecs import SPECS, VoipParams
from streamswarm_core.reflector.stamp import StampReflector
from streamswarm_core.voice.emodel import Connection, rate
from streamswarm_core.wire.stamp import ClockError, Reply
from tests.support import find_free_port
from tests.unit.agent.running import run

CLOCK = ClockError(1.0, synchronised=False)
SSID = 77


# Jitter buffers


def test_a_fixed_buffer_gives_up_what_comes_later_than_it_waits() -> None:
    delays = {number: 0.05 + 0.03 * (number % 10 == 0) for number in range(100)}
    assert play_fixed(delays, 0.04).late == set()
    assert play_fixed(delays, 0.02).late == set(range(0, 100, 10))
    assert play_fixed({}, 0.04).delay == 0.04


def test_an_unknown_difference_of_clocks_changes_no_buffer() -> None:
    chance = random.Random(1)
    delays = {number: chance.expovariate(50) for number in range(500)}
    shifted = {number: delay - 3600 for number, delay in delays.items()}
    assert play_fixed(delays, 0.04).late == play_fixed(shifted, 0.04).late
    there, back = play_adaptive(delays, 0.02, 0.2), play_adaptive(shifted, 0.02, 0.2)
    assert there.late == back.late
    assert there.delay == pytest.approx(back.delay, abs=1e-6)


def test_an_adaptive_buffer_stays_small_on_a_calm_path_and_grows_on_a_restless_one() -> None:
    chance = random.Random(2)
    calm = play_adaptive(dict.fromkeys(range(500), 0.03), 0.02, 0.2)
    assert calm.late == frozenset()
    assert calm.delay == pytest.approx(0.02)
    restless = {number: 0.03 + chance.uniform(0, 0.06) for number in range(1_000)}
    played = play_adaptive(restless, 0.02, 0.2)
    assert 0.04 < played.delay < 0.08
    assert len(played.late) < 10 < len(play_fixed(restless, 0.02).late)


def test_an_adaptive_buffer_keeps_to_its_bounds() -> None:
    wild = {number: (number % 2) * 0.5 for number in range(500)}
    assert play_adaptive(wild, 0.02, 0.1).delay <= 0.1 + 0.02
    assert len(play_adaptive(wild, 0.02, 0.1).late) > 200


def test_packets_late_for_the_buffer_sound_like_lost_ones() -> None:
    params = VoipParams(jitter_buffer="fixed", buffer=0.02)
    numbers = list(range(1_000))
    late = Leg(numbers, frozenset(), {number: 0.05 * (number % 50 == 0) for number in numbers})
    lost = Leg(numbers, frozenset(range(0, 1_000, 50)), dict.fromkeys(range(1, 1_000), 0.0))
    clean = Leg(numbers, frozenset(), dict.fromkeys(numbers, 0.0))
    heard_late, _ = hear(late, clean, 0.1, params)
    heard_lost, _ = hear(lost, clean, 0.1, params)
    assert (heard_late.loss, heard_late.late) == (0, 0.02)
    assert (heard_lost.loss, heard_lost.late) == (0.02, 0)
    assert heard_late.r == heard_lost.r < hear(clean, clean, 0.1, params)[0].r


# Gaps


def test_losses_at_random_have_a_burst_ratio_of_one() -> None:
    chance = random.Random(3)
    for share in (0.01, 0.1, 0.4):
        numbers = range(100_000)
        leg = Leg(numbers, frozenset(number for number in numbers if chance.random() < share))
        assert burst_ratio(leg.gaps(), 100_000) == pytest.approx(1, abs=0.05)


def test_the_burst_ratio_of_a_two_state_chain_is_what_its_probabilities_say() -> None:
    # Good to bad with p, bad to good with q: gaps of 1/q, loss of p/(p + q), so BurstR = 1/(p + q).
    chance, p, q = random.Random(4), 0.01, 0.25
    bad, lost = False, set()
    for number in range(200_000):
        bad = chance.random() < p if not bad else chance.random() >= q
        if bad:
            lost.add(number)
    leg = Leg(range(200_000), frozenset(lost))
    assert burst_ratio(leg.gaps(), 200_000) == pytest.approx(1 / (p + q), rel=0.05)


def test_without_a_gap_and_without_a_packet_there_is_no_burst_ratio() -> None:
    assert burst_ratio([], 100) is None
    assert burst_ratio([100], 100) is None


def test_jitter_is_that_of_the_rfc() -> None:
    # RFC 3550, A.8: J += (|D| − J)/16, for a stream that alternates by 16 ms it nears 16 ms.
    course = running_jitter([0.016 * (number % 2) for number in range(400)])
    assert course[0] == pytest.approx(0.001)
    assert course == sorted(course)
    assert course[-1] == pytest.approx(0.016, rel=1e-6)


# Directions


def reply_to(packet: Sent, number: int, there: float, back: float) -> Answer:
    reached = packet.sent_ns + round(there * 1e9)
    reply = Reply(number, reached + 1_000, reached, CLOCK, SSID, packet.sequence, 0, 60, None)
    return Answer(reply, reached + 1_000 + round(back * 1e9), 60, 0)


def simulate(there: set[int], back: set[int], count: int = 60, *, stateful: bool = True) -> StampRun:
    """A run that lost these on the way there, and the answers to these on the way back; the closing packet comes."""
    packets: list[Sent] = []
    closing: list[Sent] = []
    number = 0
    for sequence in [*range(count), count + 1]:
        packet = Sent(sequence, sequence * 20_000_000)
        (packets if sequence < count else closing).append(packet)
        if sequence in there:
            continue
        if sequence not in back:
            packet.answers.append(reply_to(packet, number if stateful else sequence, 0.01, 0.02))
        number += 1
    return StampRun(packets, closing, SSID, CLOCK, bad=0)


@pytest.mark.parametrize(
    ("there", "back"),
    [
        (set(), set()),
        ({0, 1, 5}, set()),
        (set(), {0, 1, 5}),
        ({3, 4}, {10, 11, 12}),
        ({7}, {8, 30}),
        ({58, 59}, {20}),
        ({20}, {58, 59}),
    ],
    ids=str,
)
def test_each_lost_packet_is_found_in_its_direction(there: set[int], back: set[int]) -> None:
    legs = legs_of(simulate(there, back))
    assert legs is not None
    assert legs[0].lost == there
    assert legs[1].lost == back
    assert list(legs[1].entered) == [number for number in range(60) if number not in there]
    assert (legs[0].loss, legs[1].loss) == (len(there) / 60, len(back) / (60 - len(there)))


def test_however_losses_are_mixed_their_counts_are_right() -> None:
    for seed in range(200):
        chance = random.Random(seed)
        there = {number for number in range(60) if chance.random() < 0.2}
        back = {number for number in range(60) if chance.random() < 0.2} - there
        legs = legs_of(simulate(there, back))
        assert legs is not None
        assert (len(legs[0].lost), len(legs[1].lost)) == (len(there), len(back))
        assert legs[0].lost | legs[1].lost == there | back


def test_a_reflector_that_only_copies_gives_the_worst_case() -> None:
    lossy = simulate({3}, {9}, stateful=False)
    assert legs_of(lossy) is None
    there, back = undivided(lossy)
    assert there.lost == back.lost == {3, 9}


# Rating


def test_the_rating_is_that_of_the_e_model_for_what_was_measured() -> None:
    numbers = list(range(500))
    lost = frozenset(range(10, 20))
    there = Leg(numbers, lost, {number: 0.0 for number in numbers if number not in lost})
    back = Leg(numbers, frozenset(), dict.fromkeys(numbers, 0.0))
    params = VoipParams(codec="G729", jitter_buffer="fixed", buffer=0.06)
    heard, clean = hear(there, back, 0.2, params)
    delay = 100 + 60 + 35  # half the round trip, buffer, and the codec's two frames, one more, and look-ahead
    assert heard.mouth_to_ear == pytest.approx(delay / 1_000)
    assert heard.burst_ratio == pytest.approx(10 * 0.98)
    loss = {"ie": 11.0, "bpl": 19.0, "ppl": 2.0, "burst_ratio": 9.8}
    times = {"delay": delay, "echo_delay": delay, "round_trip": 2 * delay}
    assert heard.r == pytest.approx(rate(Connection(**times, **loss)).r)
    assert clean.r == pytest.approx(rate(Connection(**times, ie=11, bpl=19)).r)


def test_nothing_that_came_through_is_at_the_end_of_the_scale() -> None:
    numbers = list(range(100))
    nothing = Leg(numbers, frozenset(numbers[1:]), {0: 0.0})
    heard, _ = hear(nothing, nothing, 0.1, VoipParams(concealment=False))
    assert (heard.r, heard.mos) == (0, 1)


# The probe


async def test_a_stream_to_a_reflector_is_rated(context: Context) -> None:
    reflector = StampReflector()
    port = reflector.listen(["127.0.0.1", "::1"], 0)
    for host, family in (("127.0.0.1", "ipv4"), ("::1", "ipv6")):
        point = await run("voip", host, context, port=port, seconds=0.5, codec="G729")
        fields = point.fields
        assert (fields["up"], fields["status"], fields["sent"], fields["loss"]) == (1, "completed", 25, 0)
        assert (fields["dscp_sent"], fields["dscp_there"], fields["dscp_back"]) == (46, 46, 46)
        assert point.tags["family"] == family
        assert 4 > float(fields["mos"]) > 1 or fields["quality"] == "excellent"
        # Loopback loses nothing, so what is left is the codec's Ie of 11 and some delay.
        assert 70 < float(fields["r"]) < 82.3
        assert float(fields["mouth_to_ear_there"]) >= 0.075
    reflector.close()


async def test_where_nobody_reflects_there_is_no_score(context: Context) -> None:
    point = await run("voip", "127.0.0.1", context, port=find_free_port(), seconds=0.5, wait=0.2)
    assert (point.fields["up"], point.fields["status"], point.fields["loss"]) == (0, "no_media", 1)
    assert point.fields["error"] == Fault.REFUSED
    assert "mos" not in point.fields


async def test_a_missing_key_is_said(context: Context) -> None:
    point = await run("voip", "127.0.0.1", context, key="office")
    assert (point.fields["up"], point.fields["error"], point.fields["status"]) == (0, "permission", "failed")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"codec": "OPUS"}, "PCMA"),
        ({"codec": "G723", "packet_time": 0.02}, "whole ones"),
        ({"mode": "call"}, "needs dial"),
        ({"mode": "call", "dial": "echo@elsewhere"}, "pattern"),
        ({"buffer": 0.3}, "buffer_most"),
        ({"seconds": 1000}, "120"),
        ({"dscp": "XX"}, "no DSCP"),
    ],
    ids=str,
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        SPECS["voip"].params.model_validate(options)


def test_a_number_to_dial_may_come_as_a_number() -> None:
    assert VoipParams.model_validate({"mode": "call", "dial": 600}).dial == "600"


def test_the_cost_is_that_of_the_codecs_packets() -> None:
    cost = SPECS["voip"].cost(VoipParams(seconds=10))
    assert (cost.packets, cost.bytes) == (500, 500 * (160 + 12 + 8 + 40))
    short = SPECS["voip"].cost(VoipParams(seconds=10, codec="G729"))
    assert short.bytes == 500 * (52 + 8 + 40)  # STAMP has no shorter ones
    assert SPECS["voip"].cost(VoipParams(seconds=10, mode="call", dial="echo")).packets > 500
