import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from streamswarm_agent.net.icmp import IcmpEngine
from streamswarm_core.clock import now_ns
from streamswarm_core.point import Point


@dataclass(slots=True)
class Context:
    """What a run has to work with.

    Attributes:
        icmp: the engine that all runs share.
        wall_ns: wall clock, nanoseconds since the epoch.
        monotonic: monotonic clock, seconds.
        memory: the assignment's own, kept from run to run (the last counters, for rates).
    """

    icmp: IcmpEngine
    wall_ns: Callable[[], int] = now_ns
    monotonic: Callable[[], float] = time.monotonic
    memory: dict[str, Any] = field(default_factory=dict)


class Probe(Protocol):
    """One way to measure.

    A network fault is a result: `run` returns points that say `up=0` and why, and raises for none.
    """

    async def run(self, target: str, params: Any, context: Context) -> list[Point]:
        """Measure once.

        Args:
            target: what to measure, as it was written.
            params: the probe's options model.
            context: sockets, clocks and memory.
        """
