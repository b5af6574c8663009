"""Who may use a reflector, and how much."""

import ipaddress
import time
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

_MOST_SOURCES: Final = 4096
_BURST_SECONDS: Final = 1.0


class Peers:
    """The networks that may ask; none means whoever reaches the address.

    >>> peers = Peers(["192.0.2.0/24"])
    >>> "192.0.2.7" in peers, "198.51.100.1" in peers, "fe80::1%eth0" in peers
    (True, False, False)
    """

    def __init__(self, networks: Sequence[str]) -> None:
        self._networks = [ipaddress.ip_network(network, strict=False) for network in networks]

    def __contains__(self, host: object) -> bool:
        if not self._networks:
            return True
        address = ipaddress.ip_address(str(host).partition("%")[0])
        return any(address in network for network in self._networks)


class _Bucket:
    """A token bucket that holds a second's worth."""

    __slots__ = ("_rate", "_tokens", "_when")

    def __init__(self, rate: float, now: float) -> None:
        self._rate = rate
        self._tokens = rate * _BURST_SECONDS
        self._when = now

    def take(self, now: float) -> bool:
        self._tokens = min(self._rate * _BURST_SECONDS, self._tokens + (now - self._when) * self._rate)
        self._when = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True


class RateLimit:
    """Packets a second, of one source and of all together.

    Args:
        each: of one address.
        total: of all; what `each` refuses doesn't count.
        clock: monotonic seconds.
    """

    def __init__(self, *, each: float, total: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._each = each
        self._clock = clock
        self._total = _Bucket(total, clock())
        self._sources: OrderedDict[str, _Bucket] = OrderedDict()

    def refuses(self, source: str) -> str | None:
        """Which limit a packet would exceed: "source_rate", "rate", or None; the packet is counted if it is taken."""
        now = self._clock()
        bucket = self._sources.get(source)
        if bucket is None:
            # The least recently seen goes; a flood from made-up addresses meets the limit for all.
            if len(self._sources) >= _MOST_SOURCES:
                self._sources.popitem(last=False)
            bucket = self._sources[source] = _Bucket(self._each, now)
        self._sources.move_to_end(source)
        if not bucket.take(now):
            return "source_rate"
        return None if self._total.take(now) else "rate"
