"""How fast echo requests leave, so that they hardly queue for one another on the way."""

from typing import Final

DEFAULT_UPLINK: Final = 100e6
"""Bits per second; of an agent, five times what its budget is if nobody sets one."""

_QUEUE_SECONDS: Final = 0.0005
_SHARE: Final = 0.25
_LEAST_REST: Final = 0.002
"""A shorter rest would be a wake-up for a few requests only; in this one the queue of a burst has long gone."""


class Pace:
    """Bursts and the rests behind them.

    A burst fills the queue in front of a link for half a millisecond at most, which is then the most by which one
    round-trip time is longer for the others' sake, and all bursts together take a quarter of the link. A single request
    that is larger than a burst leaves alone.

    Args:
        uplink: bits per second of the slowest link that the targets share.

    >>> pace = Pace(10e6)
    >>> pace.burst_bytes, pace.rest(612), pace.rest(1518)
    (625.0, 0.002, 0.0048576)
    """

    def __init__(self, uplink: float = DEFAULT_UPLINK) -> None:
        bytes_per_second = uplink / 8
        self.burst_bytes = bytes_per_second * _QUEUE_SECONDS
        self._usable = bytes_per_second * _SHARE

    def rest(self, burst_bytes: float) -> float:
        """Seconds from one burst of so many bytes to the next."""
        return max(_LEAST_REST, burst_bytes / self._usable)
