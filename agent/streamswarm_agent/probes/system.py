import asyncio
import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from streamswarm_agent.faults import ProbeFault
from streamswarm_agent.host.cpu import cpu_points
from streamswarm_agent.host.disks import disk_points, diskio_points
from streamswarm_agent.host.edac import ecc_points
from streamswarm_agent.host.facts import read_boot_id, read_facts
from streamswarm_agent.host.files import points_of
from streamswarm_agent.host.growth import Growth
from streamswarm_agent.host.interfaces import interface_points
from streamswarm_agent.host.memory import memory_points, pressure_points
from streamswarm_agent.host.power import rapl_points, supply_points
from streamswarm_agent.host.processes import process_points
from streamswarm_agent.host.sensors import sensor_points
from streamswarm_agent.host.smart import SmartMemory, smart_points
from streamswarm_agent.host.sockets import socket_points, tcp_states
from streamswarm_agent.host.timekeeping import clock_points
from streamswarm_agent.host.wifi import wifi_points, wireless_interfaces
from streamswarm_agent.net.tools import run_blocking
from streamswarm_agent.probes.base import Context
from streamswarm_core.catalogue.host import HOST_FACTS
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SystemParams

log = logging.getLogger(__name__)

_MEMORY: Final = "host"
_FIRST_WINDOW_SECONDS: Final = 1.0
_READING_SECONDS: Final = 8.0
_WIFI_SECONDS: Final = 8.0
_FACTS_SECONDS: Final = 3600.0


@dataclass(slots=True)
class _Memory:
    """What is kept from run to run."""

    growth: Growth | None = None
    smart: SmartMemory = field(default_factory=SmartMemory)
    facts: Mapping[str, str] = field(default_factory=dict)
    facts_at: float = 0.0
    wireless: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Reading:
    """What the kernel's files said."""

    points: list[Point]
    growth: Growth
    facts: Mapping[str, str]
    wireless: list[str]


class SystemProbe:
    """The agent's own host. Rates cover the time since the assignment's last run."""

    async def run(self, target: str, params: SystemParams, context: Context) -> list[Point]:  # noqa: ARG002 - it has no target
        """Read everything; what can't be read in time is left out and comes with a later run."""
        memory: _Memory = context.memory.setdefault(_MEMORY, _Memory())
        if memory.growth is None:
            # The first run has nothing to compare with; a short window gives it rates, too.
            await _read_files(params, context, memory)
            memory.facts = {}
            await asyncio.sleep(_FIRST_WINDOW_SECONDS)
        stamp = context.wall_ns()
        async with asyncio.TaskGroup() as readers:
            files = readers.create_task(_read_files(params, context, memory))
            smart = readers.create_task(
                smart_points(memory.smart, context.monotonic(), params.smart_interval) if params.smart else _nothing()
            )
        points = [*files.result(), *smart.result()]
        if params.wifi and memory.growth is not None:
            points += await _read_wifi(params, memory.growth, memory.wireless)
        return [point.at(stamp) for point in points]


async def _nothing() -> list[Point]:
    return []


async def _read_files(params: SystemParams, context: Context, memory: _Memory) -> list[Point]:
    before, now = memory.growth, context.monotonic()
    try:
        reading = await run_blocking(_read, params, before, now, timeout=_READING_SECONDS)
    except ProbeFault as fault:
        log.warning("the host was not measured: %s", fault.detail)
        return []
    memory.growth, memory.wireless = reading.growth, reading.wireless
    points, facts = reading.points, reading.facts
    if facts != memory.facts or now - memory.facts_at >= _FACTS_SECONDS:
        memory.facts, memory.facts_at = facts, now
        points += points_of(HOST_FACTS, {}, facts)
    return points


def _read(params: SystemParams, before: Growth | None, now: float) -> _Reading:
    growth = Growth(now, read_boot_id(), before)
    return _Reading(list(_observe(params, growth)), growth, read_facts(), wireless_interfaces())


def _observe(params: SystemParams, growth: Growth) -> Iterator[Point]:
    yield from cpu_points(growth)
    yield from memory_points(growth)
    yield from pressure_points(growth)
    if params.disks:
        yield from disk_points()
        yield from diskio_points(growth)
    if params.interfaces:
        yield from interface_points(growth, params.skip_interfaces)
    connections = tcp_states() if params.sockets else {}
    if params.sockets:
        yield from socket_points(growth, connections)
    if params.processes:
        yield from process_points(growth, top=params.top, connections=connections)
    yield from clock_points()
    if params.sensors:
        yield from sensor_points()
        yield from rapl_points(growth)
        yield from supply_points()
        yield from ecc_points(growth)


async def _read_wifi(params: SystemParams, growth: Growth, interfaces: list[str]) -> list[Point]:
    try:
        async with asyncio.timeout(_WIFI_SECONDS):
            return await wifi_points(growth, interfaces, samples=params.wifi_samples, scan=params.wifi_scan)
    except (TimeoutError, ProbeFault) as error:
        log.warning("WiFi was not measured: %s", error or "it took too long")
        return []
