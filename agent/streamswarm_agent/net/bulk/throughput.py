from collections.abc import Sequence
from dataclasses import dataclass

from streamswarm_core.wire.bandwidth import Direction, Meter


@dataclass(frozen=True, slots=True)
class Throughput:
    """What one direction carried.

    Attributes:
        direction: as seen from the agent.
        began_ns: when it began, wall clock.
        rate: bits per second after the warm-up; None if it was over too soon to tell.
        size: bytes received.
        seconds: from the first byte to the last; None where the tool doesn't say.
        per_second: bits per second of each full second.
        retransmits: segments sent again; None where nobody says.
        loss: share of the datagrams that didn't arrive; None by TCP.
        jitter: interarrival jitter of the datagrams, seconds (RFC 3550, 6.4.1); None by TCP.
    """

    direction: Direction
    began_ns: int
    rate: float | None
    size: int
    seconds: float | None = None
    per_second: Sequence[float] = ()
    retransmits: int | None = None
    loss: float | None = None
    jitter: float | None = None

    @classmethod
    def of(
        cls, direction: Direction, meter: Meter, *, began_ns: int, warm_up: float, retransmits: int | None
    ) -> "Throughput":
        """From what a meter counted at the receiving side."""
        rate, per_second = meter.rate(warm_up), meter.per_second()
        return cls(direction, began_ns, rate, meter.bytes, meter.seconds, per_second, retransmits)
