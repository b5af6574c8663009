"""The E-model of ITU-T G.107 (06/2015): the rating R of a narrow-band connection, and its mean opinion score.

The equations keep the numbers that the Recommendation gives them. Levels are in dB or dBm0p, times in milliseconds and
loss in percent here, as in the Recommendation; everywhere else in this project they are seconds and ratios.
"""

import math
from dataclasses import dataclass
from typing import Final

MOST_BURST_RATIO: Final = 8.0
"""The permitted range of BurstR is 1 to 8 (G.107, table 2)."""

_QUALITY: Final = ((4.0, "excellent"), (3.0, "good"), (2.0, "fair"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Connection:
    """A connection's parameters, each with its default of G.107 (table 2).

    Attributes:
        slr: send loudness rating, dB.
        rlr: receive loudness rating, dB.
        stmr: sidetone masking rating, dB.
        lstr: listener sidetone rating, dB.
        ds: D-value of the telephone at the send side.
        telr: talker echo loudness rating, dB.
        wepl: weighted echo path loss, dB.
        echo_delay: T, mean one-way delay of the echo path, ms.
        round_trip: Tr, round-trip delay in a four-wire loop, ms.
        delay: Ta, absolute delay in echo-free connections, ms.
        qdu: number of quantisation distortion units.
        ie: equipment impairment factor of the codec.
        bpl: packet-loss robustness factor of the codec.
        ppl: random packet-loss probability, percent.
        burst_ratio: BurstR, mean length of bursts of loss over that of random loss.
        nc: circuit noise at the 0 dBr point, dBm0p.
        nfor: noise floor at the receive side, dBmp.
        ps: room noise at the send side, dB(A).
        pr: room noise at the receive side, dB(A).
        advantage: A, what people forgive, such as for being mobile.
        sensitivity: sT, how sensitive the use is to delay.
        least_delay: mT, delay up to which it isn't perceived, ms.
    """

    slr: float = 8.0
    rlr: float = 2.0
    stmr: float = 15.0
    lstr: float = 18.0
    ds: float = 3.0
    telr: float = 65.0
    wepl: float = 110.0
    echo_delay: float = 0.0
    round_trip: float = 0.0
    delay: float = 0.0
    qdu: float = 1.0
    ie: float = 0.0
    bpl: float = 4.3
    ppl: float = 0.0
    burst_ratio: float = 1.0
    nc: float = -70.0
    nfor: float = -64.0
    ps: float = 35.0
    pr: float = 35.0
    advantage: float = 0.0
    sensitivity: float = 1.0
    least_delay: float = 100.0

    @property
    def olr(self) -> float:
        """Overall loudness rating, dB."""
        return self.slr + self.rlr


@dataclass(frozen=True, slots=True)
class Rating:
    """The terms of equation 7-1.

    Attributes:
        ro: basic signal-to-noise ratio.
        is_: impairments that occur with the voice signal.
        idte: by talker echo.
        idle: by listener echo.
        idd: by a delay that is too long even without echo.
        ie_eff: by codec and lost packets.
        advantage: what people forgive.
    """

    ro: float
    is_: float
    idte: float
    idle: float
    idd: float
    ie_eff: float
    advantage: float

    @property
    def id_(self) -> float:
        """Impairments by delay, equation 7-17."""
        return self.idte + self.idle + self.idd

    @property
    def r(self) -> float:
        """The transmission rating factor; below 0 where nothing is understood."""
        return self.ro - self.is_ - self.id_ - self.ie_eff + self.advantage


def rate(connection: Connection) -> Rating:
    """Rate a connection."""
    noise = _noise(connection)
    ro = 15 - 1.5 * (connection.slr + noise)  # 7-2
    return Rating(
        ro,
        _simultaneous(connection, ro, noise),
        _talker_echo(connection, noise),
        _listener_echo(connection, ro),
        _delay(connection),
        effective_impairment(connection.ie, connection.bpl, connection.ppl, connection.burst_ratio),
        connection.advantage,
    )


def mean_opinion(r: float) -> float:
    """The estimated conversational mean opinion score of a rating, 1 to 4.5 (G.107, equation B-4).

    The cubic dips to 0.99 between R = 0 and R = 6.5; no opinion is below 1.

    >>> round(mean_opinion(93.2), 2), mean_opinion(-20), mean_opinion(120)
    (4.41, 1.0, 4.5)
    """
    if r < 0:
        return 1.0
    if r > 100:
        return 4.5
    return max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6)


def quality(score: float) -> str:
    """A mean opinion score in a word: excellent from 4.0 on, good from 3.0, fair from 2.0, else poor.

    >>> quality(4.1), quality(3.99), quality(1.0)
    ('excellent', 'good', 'poor')
    """
    return next((word for least, word in _QUALITY if score >= least), "poor")


def effective_impairment(ie: float, bpl: float, ppl: float, burst_ratio: float = 1.0) -> float:
    """What codec and loss take from R, equation 7-29.

    Args:
        ie: of the codec without loss.
        bpl: how well it bears loss.
        ppl: loss, percent.
        burst_ratio: taken as 1 or 8 where it is less or more, which is what the formula is made for.
    """
    bursts = min(max(burst_ratio, 1.0), MOST_BURST_RATIO)
    return ie + (95 - ie) * ppl / (ppl / bursts + bpl)


def _noise(c: Connection) -> float:
    """No, the power of all noise at the 0 dBr point, dBm0p (7-3 to 7-7)."""
    send = c.ps - c.slr - c.ds - 100 + 0.004 * (c.ps - c.olr - c.ds - 14) ** 2
    effective = c.pr + 10 * math.log10(1 + 10 ** ((10 - c.lstr) / 10))
    receive = c.rlr - 121 + effective + 0.008 * (effective - 35) ** 2
    return 10 * math.log10(sum(10 ** (level / 10) for level in (c.nc, send, receive, c.nfor + c.rlr)))


def _simultaneous(c: Connection, ro: float, noise: float) -> float:
    """Is: too loud, too much or too little sidetone, quantisation (7-8 to 7-16)."""
    excess = c.olr + 0.2 * (64 + noise - c.rlr)
    too_loud = 20 * (math.pow(1 + (excess / 8) ** 8, 1 / 8) - excess / 8)
    quantised = 37 - 15 * math.log10(c.qdu)
    g = 1.07 + 0.258 * quantised + 0.0602 * quantised**2
    y = (ro - 100) / 15 + 46 / 8.4 - g / 9
    z = 46 / 30 - g / 40
    return too_loud + _sidetone(c) + 15 * math.log10(1 + math.pow(10, y) + math.pow(10, z))


def _sidetone(c: Connection) -> float:
    """Ist, with the echo that sounds like sidetone (7-10, 7-11)."""
    level = -10 * math.log10(10 ** (-c.stmr / 10) + math.exp(-c.echo_delay / 4) * 10 ** (-c.telr / 10))
    return (
        12 * math.pow(1 + ((level - 13) / 6) ** 8, 1 / 8)
        - 28 * math.pow(1 + ((level + 1) / 19.4) ** 35, 1 / 35)
        - 13 * math.pow(1 + ((level - 3) / 33) ** 13, 1 / 13)
        + 29
    )


def _talker_echo(c: Connection, noise: float) -> float:
    """Idte (7-18 to 7-24)."""
    t = c.echo_delay
    loudness = c.telr - 40 * math.log10((1 + t / 10) / (1 + t / 150)) + 6 * math.exp(-0.3 * t**2)
    if c.stmr < 9:
        loudness += _sidetone(c) / 2
    roe = -1.5 * (noise - c.rlr)
    half = (roe - (80 + 2.5 * (loudness - 14))) / 2
    impairment = (half + math.sqrt(half**2 + 100) - 1) * (1 - math.exp(-t))
    return math.hypot(impairment, _sidetone(c)) if c.stmr > 20 else impairment


def _listener_echo(c: Connection, ro: float) -> float:
    """Idle (7-25, 7-26)."""
    half = (ro - 10.5 * (c.wepl + 7) * math.pow(c.round_trip + 1, -0.25)) / 2
    return half + math.sqrt(half**2 + 169)


def _delay(c: Connection) -> float:
    """Idd (7-27, 7-28)."""
    if c.delay <= c.least_delay:
        return 0.0
    x = math.log2(c.delay / c.least_delay)
    power = 6 * c.sensitivity
    return 25 * (math.pow(1 + math.pow(x, power), 1 / power) - 3 * math.pow(1 + math.pow(x / 3, power), 1 / power) + 2)
