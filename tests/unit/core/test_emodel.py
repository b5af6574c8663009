"""The E-model against vectors of a full implementation, and against the same model written another way."""

import math
import random
from typing import Final

import numpy as np
import pytest

from streamswarm_core.voice.codecs import CODECS, Codec
from streamswarm_core.voice.emodel import Connection, effective_impairment, mean_opinion, quality, rate

# Ta in ms, Ppl in percent, Ie, Bpl, BurstR, and what R and MOS have to be.
VECTORS: Final = [
    (0, 0, 0, 4.3, 1, 93.21, 4.409),
    (100, 0, 0, 4.3, 1, 90.66, 4.355),
    (150, 0, 0, 4.3, 1, 89.54, 4.328),
    (200, 0, 0, 4.3, 1, 85.80, 4.223),
    (300, 0, 0, 4.3, 1, 72.67, 3.719),
    (400, 0, 0, 4.3, 1, 62.25, 3.216),
    (0, 1, 0, 4.3, 1, 75.28, 3.834),
    (0, 1, 0, 25.1, 1, 89.57, 4.328),
    (0, 3, 0, 25.1, 1, 83.06, 4.134),
    (0, 0, 11, 19, 1, 82.21, 4.105),
    (0, 2, 11, 19, 1, 74.21, 3.788),
    (150, 2, 11, 19, 1, 70.54, 3.622),
    (150, 2, 0, 4.3, 2, 53.69, 2.769),
]


def rated(ta: float, ppl: float, ie: float, bpl: float, burst: float) -> float:
    return rate(Connection(delay=ta, echo_delay=ta, round_trip=2 * ta, ppl=ppl, ie=ie, bpl=bpl, burst_ratio=burst)).r


def positive_root(half: float, constant: float) -> float:
    """Of x² − 2·half·x − constant: what the model's terms of the form h + √(h² + c) are."""
    return float(max(np.roots([1, -2 * half, -constant]).real))


def with_defaults(ta: float, ppl: float, ie: float, bpl: float, burst: float) -> float:
    """R for T = Ta and Tr = 2·Ta by formulas in which all other parameters have their defaults already.

    Ro = 94.7688 and Is = 1.4136 are what G.107 has for its defaults; Roe is then the same as Ro.
    """
    ro, simultaneous = 94.7688, 1.4136
    re = 207.5 - 100 * math.log10((1 + ta / 10) / (1 + ta / 150)) + 15 * math.exp(-0.3 * ta * ta)
    talker = (positive_root((ro - re) / 2, 100) - 1) * -math.expm1(-ta)
    listener = positive_root((ro - 1228.5 / math.sqrt(math.sqrt(1 + 2 * ta))) / 2, 169)
    doublings = max(0.0, math.log2(max(ta, 1e-9) / 100))
    long = 25 * float(np.linalg.norm([1, doublings], 6) - np.linalg.norm([3, doublings], 6) + 2)
    share = ppl / (ppl / burst + bpl)
    return ro - simultaneous - talker - listener - long - (ie * (1 - share) + 95 * share)


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_a_vector_comes_out_to_a_hundredth_of_r_and_a_thousandth_of_mos(vector: tuple[float, ...]) -> None:
    *given, r, mos = vector
    found = rated(*given)
    assert found == pytest.approx(r, abs=0.0051)
    assert mean_opinion(found) == pytest.approx(mos, abs=0.00051)


def test_the_model_written_another_way_agrees_everywhere() -> None:
    chance = random.Random(107)
    for _ in range(500):
        given = (
            chance.uniform(0, 800),
            chance.uniform(0, 20),
            chance.uniform(0, 30),
            chance.uniform(4.3, 40),
            chance.uniform(1, 8),
        )
        assert rated(*given) == pytest.approx(with_defaults(*given), abs=0.001), given


@pytest.mark.parametrize("delay", range(0, 401, 25))
def test_the_well_known_straight_lines_for_delay_are_near(delay: int) -> None:
    # Cole and Rosenbluth, Voice over IP performance monitoring (2001): a bend at 177.3 ms.
    lines = 94.2 - 0.024 * delay - 0.11 * max(0.0, delay - 177.3)
    assert rated(delay, 0, 0, 4.3, 1) == pytest.approx(lines, abs=2.5)


def test_the_terms_of_the_defaults_are_the_published_ones() -> None:
    rating = rate(Connection())
    assert (round(rating.ro, 2), round(rating.is_, 2), round(rating.r, 1)) == (94.77, 1.41, 93.2)


def test_more_delay_loss_or_burstiness_never_sounds_better() -> None:
    for low, high in [((0, 1, 0, 4.3, 1), (0, 2, 0, 4.3, 1)), ((150, 1, 0, 4.3, 1), (180, 1, 0, 4.3, 1))]:
        assert rated(*low) > rated(*high)
    assert rated(0, 5, 0, 4.3, 1) > rated(0, 5, 0, 4.3, 3) > rated(0, 5, 0, 4.3, 8)


def test_sidetone_at_either_end_of_its_range_counts_as_the_recommendation_says() -> None:
    usual = rate(Connection(echo_delay=50))
    little = rate(Connection(echo_delay=50, stmr=25))
    much = rate(Connection(echo_delay=50, stmr=5))
    assert little.idte > usual.idte > 0
    # Below 9 dB the speaker's own voice covers the echo (7-24: half of Ist is added to TERV), and disturbs by itself.
    assert much.idte < usual.idte
    assert much.r < usual.r
    assert little.r < usual.r


def test_a_burst_ratio_out_of_range_counts_as_the_end_of_the_range() -> None:
    assert effective_impairment(0, 4.3, 5, 0.5) == effective_impairment(0, 4.3, 5, 1)
    assert effective_impairment(0, 4.3, 5, 100) == effective_impairment(0, 4.3, 5, 8)


def test_scores_stay_on_the_scale_and_never_fall_with_r() -> None:
    scores = [mean_opinion(r / 10) for r in range(-100, 1101)]
    assert min(scores) == 1
    assert max(scores) == 4.5
    assert scores == sorted(scores)


@pytest.mark.parametrize(
    ("score", "word"),
    [(4.5, "excellent"), (4.0, "excellent"), (3.999, "good"), (3.0, "good"), (2.0, "fair"), (1.999, "poor")],
)
def test_a_score_has_a_word(score: float, word: str) -> None:
    assert quality(score) == word


@pytest.mark.parametrize("codec", CODECS.values(), ids=str)
def test_a_codecs_packets_hold_whole_frames(codec: Codec) -> None:
    assert len(codec.payload(codec.packet_time)) == codec.frames(codec.packet_time) * codec.frame_bytes
    assert codec.delay(codec.packet_time) > codec.packet_time
    with pytest.raises(ValueError, match="whole ones"):
        codec.frames(codec.frame / 2)


@pytest.mark.parametrize(
    ("name", "bytes_", "delay"),
    [("PCMU", 160, 0.020125), ("G729", 20, 0.035), ("G723", 24, 0.0675), ("GSM-EFR", 31, 0.04)],
)
def test_size_and_delay_are_those_of_the_recommendations(name: str, bytes_: int, delay: float) -> None:
    codec = CODECS[name]
    assert len(codec.payload(codec.packet_time)) == bytes_
    assert codec.delay(codec.packet_time) == pytest.approx(delay)
