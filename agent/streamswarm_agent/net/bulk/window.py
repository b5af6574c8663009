"""What the looks at an upload come to, in figures from which its bottleneck can be told."""

import itertools
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from streamswarm_agent.net.bulk.transfer import Look

_REDUCING: Final = 2
"""From this ca_state on (CWR, recovery, loss) the kernel answers to a sign of congestion."""
_SHARES: Final = 16
_RAMP: Final = 0.4
_FULL: Final = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowSummary:
    """An upload in figures. Seconds, bytes, ratios; None where the kernel doesn't say.

    Attributes:
        rtt_mean: of the looks with data under way; likewise rtt_max and rtt_variation.
        ssthresh_mean: of the looks at which there was one.
        congestion_events: times the kernel was seen to enter CWR, recovery or loss, or to lower ssthresh. Two within
            one interval count as one.
        spurious: share of the segments sent again that the peer had already (DSACK, RFC 2883).
        reordering_rate: reordering events over segments sent.
        delivery_rate: highest that the sending program didn't limit, bytes per second.
        busy: share of the time with data to send or under way.
        rwnd_limited: share of the busy time that the kernel books on the peer's window; `sndbuf_limited` likewise on
            the send buffer.
        receiver_bound: share of the looks at which the peer's window was smaller than ours and at least half full, or
            shut. The kernel books only the moments at which it would send at once if there were more room.
        app_limited: share of the looks at which the kernel held the delivery rate limited by the sending program.
        paced: throughput over the rate that was asked for.
        unevenness: coefficient of variation of what arrived in 16 equal parts of the last 60 % of the time.
        efficiency: see `_efficiency`.
    """

    transferred: int
    elapsed: float
    rtt_min: float | None
    rtt_mean: float | None
    rtt_max: float | None
    rtt_variation: float | None
    cwnd_min: float | None
    cwnd_mean: float | None
    cwnd_max: float | None
    ssthresh_mean: float | None
    congestion_events: int
    retransmits: int
    retransmission_rate: float | None
    spurious: float
    reorderings: int | None
    reordering_rate: float
    delivery_rate: int | None
    busy: float | None
    rwnd_limited: float
    receiver_bound: float
    sndbuf_limited: float
    app_limited: float
    paced: float | None
    unevenness: float | None
    efficiency: float | None

    @property
    def throughput(self) -> float | None:
        """Bytes per second."""
        return self.transferred / self.elapsed if self.elapsed else None

    @property
    def inflation(self) -> float:
        """Mean round-trip time over the least one: how much of it is queue."""
        return self.rtt_mean / self.rtt_min if self.rtt_mean and self.rtt_min else 1.0


def summarise(looks: Sequence[Look]) -> WindowSummary:
    """Sum up the looks at an upload.

    Raises:
        ValueError: there are fewer than two.
    """
    if len(looks) < 2:
        raise ValueError("an upload is summed up from two looks at least")
    first, last = looks[0].info, looks[-1].info
    under_way = [look.info for look in looks if look.info.unacked] or [last]
    rtts = [info.rtt for info in under_way if info.rtt is not None]
    windows = [float(look.info.cwnd * look.info.mss) for look in looks]
    thresholds = [float(look.info.ssthresh * look.info.mss) for look in looks if look.info.ssthresh is not None]
    elapsed = looks[-1].at - looks[0].at
    retransmits = last.total_retrans - first.total_retrans
    sent, again = last.bytes_sent, last.bytes_retrans
    throughput = looks[-1].transferred / elapsed if elapsed else 0.0
    return WindowSummary(
        transferred=looks[-1].transferred,
        elapsed=elapsed,
        rtt_min=last.min_rtt,
        rtt_mean=_mean(rtts),
        rtt_max=max(rtts, default=None),
        rtt_variation=_mean([info.rttvar for info in under_way if info.rttvar is not None]),
        cwnd_min=min(windows),
        cwnd_mean=_mean(windows),
        cwnd_max=max(windows),
        ssthresh_mean=_mean(thresholds),
        congestion_events=sum(itertools.starmap(_reduced, itertools.pairwise(looks))),
        retransmits=retransmits,
        retransmission_rate=_ratio(again, sent),
        spurious=min(1.0, (last.dsack_dups or 0) / retransmits) if retransmits else 0.0,
        reorderings=last.reord_seen,
        reordering_rate=_ratio(last.reord_seen, last.data_segs_out) or 0.0,
        delivery_rate=max((i.delivery_rate for i in under_way if i.delivery_rate and not i.app_limited), default=None),
        busy=min(1.0, last.busy / elapsed) if last.busy is not None and elapsed else None,
        rwnd_limited=_ratio(last.rwnd_limited, last.busy) or 0.0,
        receiver_bound=_share(
            [_bound_by_receiver(look) for look in looks if look.info.unacked or look.info.notsent_bytes]
        ),
        sndbuf_limited=_ratio(last.sndbuf_limited, last.busy) or 0.0,
        app_limited=_share([look.info.app_limited for look in looks]),
        paced=throughput / last.max_pacing_rate if last.max_pacing_rate else None,
        unevenness=_unevenness(looks),
        efficiency=_efficiency(looks),
    )


def _reduced(before: Look, after: Look) -> bool:
    entered = before.info.ca_state < _REDUCING <= after.info.ca_state
    lowered = (
        before.info.ssthresh is not None
        and after.info.ssthresh is not None
        and after.info.ssthresh < before.info.ssthresh
        and before.info.ca_state < _REDUCING
    )
    return entered or lowered


def _bound_by_receiver(look: Look) -> bool:
    info = look.info
    if info.snd_wnd is None:
        return False
    if not info.unacked:
        return bool(info.notsent_bytes) and info.snd_wnd < info.mss
    return info.snd_wnd < info.cwnd * info.mss and info.unacked * info.mss >= _FULL * info.snd_wnd


def _unevenness(looks: Sequence[Look]) -> float | None:
    """How unevenly segments arrived: a link at its capacity delivers like a clock, a path of changing delay doesn't."""
    begun, ended = looks[0].at, looks[-1].at
    start = begun + (ended - begun) * _RAMP
    edges = [start + (ended - start) * number / _SHARES for number in range(_SHARES + 1)]
    arrived = [_delivered_until(looks, edge) for edge in edges]
    parts = [after - before for before, after in itertools.pairwise(arrived)]
    mean = statistics.fmean(parts)
    return statistics.pstdev(parts) / mean if mean else None


def _delivered_until(looks: Sequence[Look], at: float) -> float:
    """Segments delivered by a moment, on the straight line between the looks around it."""
    for before, after in itertools.pairwise(looks):
        if at <= after.at and after.at > before.at:
            share = max(0.0, (at - before.at) / (after.at - before.at))
            return _delivered(before) + (_delivered(after) - _delivered(before)) * share
    return _delivered(looks[-1])


def _delivered(look: Look) -> float:
    return float(look.transferred / look.info.mss if look.info.delivered is None else look.info.delivered)


def _efficiency(looks: Sequence[Look]) -> float | None:
    """Bytes delivered over what the window would have let through had no round trip been longer than the least.

    A window W on an empty path of round-trip time R lets W/R through (the bandwidth-delay product of RFC 6349, section
    3.3, read the other way round). So with W(t) = min(cwnd, the peer's window) the most is the integral of W(t)/R from
    the start to R before the end, for what is let through later can't have come back. 1 says that the whole window was
    used and stood nowhere in a queue; what is missing was not used, waited in a queue, or was sent again.
    """
    least = looks[-1].info.min_rtt
    if not least:
        return None
    until = looks[-1].at - least
    let_through = 0.0
    for before, after in itertools.pairwise(looks):
        seconds = min(after.at, until) - before.at
        window = before.info.cwnd * before.info.mss
        if before.info.snd_wnd is not None:
            window = min(window, before.info.snd_wnd)
        let_through += window / least * max(0.0, seconds)
    return min(1.0, looks[-1].transferred / let_through) if let_through else None


def _ratio(part: float | None, whole: float | None) -> float | None:
    return None if part is None or not whole else min(1.0, part / whole)


def _share(flags: Sequence[bool]) -> float:
    return sum(flags) / len(flags) if flags else 0.0


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
