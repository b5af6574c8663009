import asyncio
from typing import Final

from streamswarm_agent.host import readings
from streamswarm_agent.probes.base import Context
from streamswarm_core.point import Point
from streamswarm_core.probespecs import SystemParams

_COUNTERS: Final = "counters"
_FIRST_WINDOW_SECONDS: Final = 0.2


class SystemProbe:
    """The agent's own host. Rates cover the time since the assignment's last run."""

    async def run(self, target: str, params: SystemParams, context: Context) -> list[Point]:  # noqa: ARG002 - it has no target
        """Read everything; psutil's calls block, so they run in a thread."""
        if _COUNTERS not in context.memory:
            # The first run has nothing to compare with; a short window gives it rates, too.
            context.memory[_COUNTERS] = readings.read_counters(disks=params.disks, interfaces=params.interfaces)
            await asyncio.sleep(_FIRST_WINDOW_SECONDS)
        stamp = context.wall_ns()
        before: readings.Counters = context.memory[_COUNTERS]
        points, now = await asyncio.to_thread(_read, params, before)
        context.memory[_COUNTERS] = now
        return [point.at(stamp) for point in points]


def _read(params: SystemParams, before: readings.Counters) -> tuple[list[Point], readings.Counters]:
    now = readings.read_counters(disks=params.disks, interfaces=params.interfaces)
    points = [readings.cpu_point(now, before), readings.memory_point(), readings.process_point()]
    if params.disks:
        points += [*readings.disk_points(), *readings.diskio_points(now, before)]
    if params.interfaces:
        points += readings.interface_points(now, before)
    if params.sensors:
        points += readings.sensor_points()
    return points, now
