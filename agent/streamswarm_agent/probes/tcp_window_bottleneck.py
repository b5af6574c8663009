"""What held an upload back: one pure decision from the figures of `WindowSummary`, with its reasons.

Asked in this order, the first that holds decides; the numbers were chosen on one set of paths in the lab and tried on
others (docs/accuracy.md).

1. The receiver: its window was the smaller one and full, or shut. (First, because a slow reader also delays its
   acknowledgements, which looks like a queue, and lets the sender idle.)
2. The sender: the kernel was kept to a pace, had no data, or no room in the send buffer, for a good part of the time.
3. The round trips were longer than the path's least, so packets stood somewhere. If they arrived evenly all the same,
   a link was working at its capacity with a queue before it: congestion, whether packets were dropped or not. If they
   came in bursts, the path's delay itself was changing: instability.
4. Many packets overtook others: instability. What was sent again then was mostly not lost.
5. Packets were sent again although nothing queued: loss of another cause than our load (radio, errors, a policer).
6. Else nothing did; the window would have grown further.
"""

from dataclasses import dataclass
from typing import Final

from streamswarm_agent.net.bulk.window import WindowSummary
from streamswarm_core.catalogue.tcp import Bottleneck

_PACED: Final = 0.8
_SENDER_SHARE: Final = 0.3
_APP_SHARE: Final = 0.5
_RECEIVER_SHARE: Final = 0.7
_QUEUE: Final = 1.2
_SMALL_QUEUE: Final = 1.05
_EVEN: Final = 0.2
_VERY_EVEN: Final = 0.15
_OVERTAKING: Final = 0.005
_LOSS: Final = 0.001


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """The bottleneck, and what it rests on for a person to read."""

    bottleneck: Bottleneck
    analysis: str


def diagnose(upload: WindowSummary) -> Diagnosis:
    """Decide what held an upload back."""
    idle = 1 - upload.busy if upload.busy is not None else 0.0
    lost = (upload.retransmission_rate or 0.0) * (1 - upload.spurious)
    unevenness = upload.unevenness if upload.unevenness is not None else 0.0
    if max(upload.receiver_bound, upload.rwnd_limited) >= _RECEIVER_SHARE:
        return Diagnosis(
            Bottleneck.RECEIVER_LIMITED,
            f"the receiver's window was the smaller one and full in {upload.receiver_bound:.0%} of the looks; "
            f"{upload.rwnd_limited:.0%} of the busy time there was no room at all",
        )
    if upload.paced is not None and upload.paced >= _PACED:
        return Diagnosis(Bottleneck.SENDER_LIMITED, f"it ran at {upload.paced:.0%} of the pace that was asked for")
    if max(idle, upload.sndbuf_limited) >= _SENDER_SHARE or upload.app_limited >= _APP_SHARE:
        return Diagnosis(
            Bottleneck.SENDER_LIMITED,
            f"the sending program was the limit: {idle:.0%} of the time there was nothing to send, "
            f"{upload.sndbuf_limited:.0%} the send buffer was too small, "
            f"{upload.app_limited:.0%} of the looks were limited by it",
        )
    queue = f"round trips took {upload.inflation:.2f} times the least ({_milliseconds(upload.rtt_min)})"
    loss = f"{upload.retransmission_rate or 0.0:.2%} of the bytes were sent again"
    small_queue = upload.inflation >= _SMALL_QUEUE and lost >= _LOSS and unevenness <= _VERY_EVEN
    if small_queue or (upload.inflation >= _QUEUE and unevenness <= _EVEN):
        return Diagnosis(
            Bottleneck.NETWORK_CONGESTION,
            f"{queue} and packets arrived evenly (± {unevenness:.0%}): a link at its capacity, with a queue; {loss}",
        )
    if upload.inflation >= _QUEUE:
        return Diagnosis(
            Bottleneck.INSTABILITY,
            f"{queue}, but packets arrived in bursts (± {unevenness:.0%}): the path's own delay is changing; {loss}",
        )
    if upload.reordering_rate >= _OVERTAKING:
        return Diagnosis(
            Bottleneck.INSTABILITY,
            f"packets overtook others {upload.reorderings} times; {loss}, {upload.spurious:.0%} of that for nothing",
        )
    if lost >= _LOSS:
        return Diagnosis(Bottleneck.PACKET_LOSS, f"{loss} although nothing queued: {queue}")
    return Diagnosis(Bottleneck.OPTIMAL, f"no limit was met: {queue}, {loss}")


def _milliseconds(seconds: float | None) -> str:
    return "unknown" if seconds is None else f"{seconds * 1e3:.1f} ms"
