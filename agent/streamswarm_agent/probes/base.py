import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar

from streamswarm_agent.net.icmp.engine import IcmpEngine
from streamswarm_core.point import Point


class Engine(Protocol):
    """What many runs share: a socket for all targets, a pool of threads, an open file."""

    def close(self) -> None:
        """Let go of everything; nothing is asked of it afterwards."""


Kind = TypeVar("Kind", bound=Engine)


class Engines:
    """The engines of one agent, one of each class.

    Args:
        ready: engines that need more to be made than their class, such as a setting; the others are made when a run
            first asks for them, so an agent that never traces opens no socket for it.
    """

    def __init__(self, *ready: Engine) -> None:
        self._made: dict[type[Engine], Engine] = {type(engine): engine for engine in ready}

    def get(self, kind: type[Kind]) -> Kind:
        """The agent's engine of a class whose constructor needs no arguments."""
        engine = self._made.get(kind)
        if engine is None:
            engine = self._made[kind] = kind()
        assert isinstance(engine, kind)  # noqa: S101 - what the keys say; for the type checker
        return engine

    def close(self) -> None:
        """Close them, the last made first."""
        while self._made:
            self._made.popitem()[1].close()


@dataclass(slots=True)
class Context:
    """What a run has to work with.

    Attributes:
        engines: what the agent's runs share.
        wall_ns: wall clock, nanoseconds since the epoch.
        monotonic: monotonic clock, seconds.
        memory: the assignment's own, kept from run to run (the last counters, for rates).
    """

    engines: Engines
    wall_ns: Callable[[], int] = time.time_ns
    monotonic: Callable[[], float] = time.monotonic
    memory: dict[str, Any] = field(default_factory=dict)

    @property
    def icmp(self) -> IcmpEngine:
        """The engine that sends ICMP echo for all."""
        return self.engines.get(IcmpEngine)


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
