"""Whether the host's link is busy, from the interfaces' counters."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

import psutil

_WINDOW_SECONDS: Final = 1.0


class LinkWatch:
    """Looks at the traffic of one second.

    Args:
        busy_share: of an interface's speed, from which it counts as busy.
        busy_bits_per_second: the same for an interface that states no speed.
        counters: psutil's counters by interface.
        interfaces: psutil's interfaces by name.
        sleep: waits the second.
    """

    def __init__(
        self,
        busy_share: float,
        busy_bits_per_second: float,
        *,
        counters: Callable[[], Mapping[str, Any]] = lambda: psutil.net_io_counters(pernic=True),
        interfaces: Callable[[], Mapping[str, Any]] = psutil.net_if_stats,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._busy_share = busy_share
        self._busy_bits = busy_bits_per_second
        self._counters = counters
        self._interfaces = interfaces
        self._sleep = sleep

    async def busy(self) -> str | None:
        """A sentence that names the interface that is busy, or None if none is."""
        before = self._counters()
        await self._sleep(_WINDOW_SECONDS)
        after = self._counters()
        for name, interface in self._interfaces().items():
            if not interface.isup or "loopback" in interface.flags or name not in before or name not in after:
                continue
            # A link carries as much in either direction; the busier one counts.
            octets = max(
                after[name].bytes_sent - before[name].bytes_sent, after[name].bytes_recv - before[name].bytes_recv
            )
            bits = octets * 8 / _WINDOW_SECONDS
            limit = interface.speed * 1e6 * self._busy_share if interface.speed else self._busy_bits
            if bits >= limit:
                return f"{name} carries {bits / 1e6:.1f} Mbit/s; a bandwidth test waits for less than {limit / 1e6:.1f}"
        return None
