"""What a wire does to packets, in the words of a test."""

from dataclasses import dataclass
from typing import Final, Literal, TypedDict, get_args

Jitter = Literal["uniform", "normal", "exponential"]
_RATES: Final = {"bit": 1, "kbit": 1e3, "mbit": 1e6, "gbit": 1e9}


class Options(TypedDict, total=False):
    """The keywords of `path(…)` and `set(…)`; Impairment says what they mean."""

    delay_ms: float
    jitter_ms: float
    jitter: Jitter
    loss: float
    burst: float
    duplicate: float
    reorder: float
    reorder_ms: float
    rate: str | float | None
    queue_ms: float
    swallow_over: int | None


@dataclass(frozen=True)
class Impairment:
    """What happens to the packets of one direction.

    Attributes:
        delay_ms: the least time on the wire; nothing arrives earlier.
        jitter_ms: what is added to it: at most (uniform), as a half-normal's deviation (normal), or on average
            (exponential). Packets keep their order all the same, as in a queue.
        jitter: its distribution.
        loss: share of packets lost.
        burst: mean number of packets lost in a row; 1 loses independently, more follows Gilbert's two-state chain.
        duplicate: share of packets that arrive twice.
        reorder: share of packets held back by `reorder_ms`, so that those sent after them arrive before.
        rate: bits per second, of IP packets without link headers; "10mbit", a number, or None for no limit.
        queue_ms: how long a packet may wait for the rate before the queue's tail is dropped; large makes bufferbloat.
        swallow_over: IP packets of more bytes vanish without an ICMP message.
    """

    delay_ms: float = 0.0
    jitter_ms: float = 0.0
    jitter: Jitter = "uniform"
    loss: float = 0.0
    burst: float = 1.0
    duplicate: float = 0.0
    reorder: float = 0.0
    reorder_ms: float = 5.0
    rate: str | float | None = None
    queue_ms: float = 100.0
    swallow_over: int | None = None

    def __post_init__(self) -> None:
        for name in ("loss", "duplicate", "reorder"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a ratio from 0 to 1, not {getattr(self, name)}")
        for name in ("delay_ms", "jitter_ms", "reorder_ms", "queue_ms"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} can't be negative: {getattr(self, name)}")
        if self.burst < 1:
            raise ValueError(f"burst is a mean number of packets, at least 1, not {self.burst}")
        if self.burst > 1 and self.loss > self.burst / (self.burst + 1):
            raise ValueError(f"bursts of {self.burst} on average can't lose {self.loss}: too few gaps between them")
        if self.jitter not in get_args(Jitter):
            raise ValueError(f"jitter is one of {', '.join(get_args(Jitter))}, not {self.jitter!r}")
        if self.rate is not None:
            bits_per_second(self.rate)


def bits_per_second(rate: str | float) -> float:
    """Read a rate.

    Raises:
        ValueError: it is none.

    >>> bits_per_second("10mbit")
    10000000.0
    """
    if not isinstance(rate, str):
        value = float(rate)
    else:
        number = rate.rstrip("bitkmg")
        unit = rate[len(number) :]
        try:
            value = float(number) * _RATES[unit]
        except (KeyError, ValueError):
            raise ValueError(f"a rate reads like 500kbit, 10mbit or 1gbit, not {rate!r}") from None
    if value <= 0:
        raise ValueError(f"a rate is more than nothing, not {rate!r}")
    return value
