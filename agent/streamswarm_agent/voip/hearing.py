"""What people hear: two directions of a stream, through jitter buffers and codec, rated by the E-model."""

import statistics
from dataclasses import dataclass

from streamswarm_agent.voip.jitterbuffer import Playout, play_adaptive, play_fixed
from streamswarm_agent.voip.leg import Leg, burst_ratio
from streamswarm_core.probespecs import VoipParams
from streamswarm_core.voice.emodel import Connection, mean_opinion, rate

_MS = 1_000
_MOST_R = 100.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """One direction as it is heard. Seconds and ratios.

    Attributes:
        loss: share of the packets that the network lost.
        late: share of them that came too late for the jitter buffer; None where only the peer knows.
        burst_ratio: of lost and late packets together; None without any.
        jitter: mean of RFC 3550's running estimate; None from fewer than two delays.
        jitter_max: its largest value.
        buffer: what the jitter buffer adds; None where only the peer knows.
        mouth_to_ear: delay from mouth to ear.
        r: 0..100.
    """

    loss: float
    late: float | None
    burst_ratio: float | None
    jitter: float | None
    jitter_max: float | None
    buffer: float | None
    mouth_to_ear: float
    r: float

    @property
    def mos(self) -> float:
        """Mean opinion score."""
        return mean_opinion(self.r)


def hear(there: Leg, back: Leg, rtt: float, params: VoipParams) -> tuple[Heard, Heard]:
    """Rate both directions.

    Half the round trip is taken for the network's part of each direction: what is heard doesn't tell how it is divided.
    The talker's echo goes through both directions, so its delay is the mean of the two.

    Args:
        there: what became of the packets on the way there.
        back: likewise.
        rtt: mean round-trip time, seconds.
        params: codec, packets, buffer and advantage.
    """
    played = play(there, params), play(back, params)
    ends = params.coding.delay(params.interval)
    delays = [rtt / 2 + playout.delay + ends for playout in played]
    heard = [
        _rated(leg, playout, delay, sum(delays), params)
        for leg, playout, delay in zip((there, back), played, delays, strict=True)
    ]
    return heard[0], heard[1]


def play(leg: Leg, params: VoipParams) -> Playout:
    """Play a direction through the jitter buffer that was asked for."""
    if params.jitter_buffer == "fixed":
        return play_fixed(leg.delays, params.buffer)
    return play_adaptive(leg.delays, params.buffer, params.buffer_most)


def reported(loss: float, jitter: float, here: Heard, params: VoipParams) -> Heard:
    """Rate the other direction by what the peer reports: its losses are taken as random, its buffer as ours.

    Args:
        loss: share of the packets that it misses.
        jitter: seconds.
        here: the direction that was heard here.
        params: codec and advantage.
    """
    r = _r(params, here.mouth_to_ear, 2 * here.mouth_to_ear, loss, None)
    return Heard(
        loss=loss,
        late=None,
        burst_ratio=None,
        jitter=jitter,
        jitter_max=None,
        buffer=None,
        mouth_to_ear=here.mouth_to_ear,
        r=r,
    )


def _rated(leg: Leg, playout: Playout, delay: float, round_trip: float, params: VoipParams) -> Heard:
    gaps = leg.gaps(playout.late)
    packets = len(leg.entered)
    bursts = burst_ratio(gaps, packets)
    jitters = leg.jitters
    return Heard(
        loss=leg.loss,
        late=len(playout.late) / packets if packets else 0.0,
        burst_ratio=bursts,
        jitter=statistics.fmean(jitters) if jitters else None,
        jitter_max=max(jitters, default=None),
        buffer=playout.delay,
        mouth_to_ear=delay,
        r=_r(params, delay, round_trip, sum(gaps) / packets if packets else 0.0, bursts),
    )


def _r(params: VoipParams, delay: float, round_trip: float, gone: float, bursts: float | None) -> float:
    """The rating, kept on its scale.

    Args:
        params: codec and advantage.
        delay: from mouth to ear, seconds.
        round_trip: there and back again, seconds.
        gone: share of the packets that aren't heard.
        bursts: BurstR; None for random losses.
    """
    codec = params.coding
    connection = Connection(
        delay=delay * _MS,
        echo_delay=round_trip / 2 * _MS,
        round_trip=round_trip * _MS,
        ie=codec.ie,
        bpl=codec.robustness(concealed=params.concealment),
        ppl=100 * gone,
        burst_ratio=bursts or 1.0,
        advantage=params.advantage,
    )
    return min(max(rate(connection).r, 0.0), _MOST_R)
