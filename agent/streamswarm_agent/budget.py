"""What an agent may put on its link: packets and bits per second."""

import time
from collections.abc import Callable, Iterable, Mapping

from streamswarm_core.probespecs.demand import RunCost


class Budget:
    """Two allowances, each of which refills steadily and holds one second's worth.

    Args:
        packets_per_second: that the agent sends.
        bits_per_second: in the busier direction.
        clock: monotonic seconds.
    """

    def __init__(
        self, packets_per_second: float, bits_per_second: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._rate = RunCost(packets_per_second, bits_per_second / 8)
        self._packets = self._rate.packets
        self._bytes = self._rate.bytes
        self._clock = clock
        self._filled_at = clock()

    def refuse(self, demands: Iterable[tuple[str, RunCost]]) -> Mapping[str, str]:
        """Choose what can never run: what no longer fits, in the order given; each with a sentence that says why.

        Args:
            demands: keys, and what each asks per second.
        """
        refused: dict[str, str] = {}
        total = RunCost()
        for key, demand in demands:
            wanted = total + demand
            if wanted.packets > self._rate.packets:
                refused[key] = (
                    f"its {demand.packets:g} packets/s would make {wanted.packets:.0f}, and the agent's budget is "
                    f"{self._rate.packets:.0f}"
                )
            elif wanted.bytes > self._rate.bytes:
                refused[key] = (
                    f"its {demand.bytes * 8:,.0f} bit/s would make {wanted.bytes * 8:,.0f}, and the agent's budget is "
                    f"{self._rate.bytes * 8:,.0f}"
                )
            else:
                total = wanted
        return refused

    def refill(self) -> None:
        """Take account of the time that has passed; to be called now and then, it need not be for each run."""
        now = self._clock()
        elapsed, self._filled_at = now - self._filled_at, now
        self._packets = min(self._rate.packets, self._packets + elapsed * self._rate.packets)
        self._bytes = min(self._rate.bytes, self._bytes + elapsed * self._rate.bytes)

    def take(self, cost: RunCost) -> bool:
        """Take a run's cost if there is something left of both; a run larger than what is left makes a debt."""
        if self._packets <= 0 or self._bytes <= 0:
            return False
        self._packets -= cost.packets
        self._bytes -= cost.bytes
        return True
