"""Memory, swap and pressure: /proc/meminfo, /proc/vmstat, /proc/pressure."""

import resource
from collections.abc import Iterator
from pathlib import Path

from streamswarm_agent.host.files import PROC, as_int, points_of, read_lines, scaled
from streamswarm_agent.host.growth import Growth, quotient
from streamswarm_core.catalogue.host import HOST_MEMORY, HOST_PRESSURE
from streamswarm_core.point import Point


def memory_points(growth: Growth, proc: Path = PROC) -> Iterator[Point]:
    """HOST_MEMORY."""
    sizes = _sizes(proc)
    paging = {row[0]: as_int(row[1]) for line in read_lines(proc / "vmstat") if len(row := line.split()) == 2}
    total, available = sizes.get("MemTotal"), sizes.get("MemAvailable")
    cached = _sum(sizes.get("Cached"), sizes.get("SReclaimable"))
    swap_total = sizes.get("SwapTotal")
    swap_used = _less(swap_total, sizes.get("SwapFree"))
    page = resource.getpagesize()
    fields = {
        "total": total,
        "available": available,
        "used": _less(total, sizes.get("MemFree"), sizes.get("Buffers"), cached),
        "usage": quotient(_less(total, available), total),
        "free": sizes.get("MemFree"),
        "cached": cached,
        "buffers": sizes.get("Buffers"),
        "shared": sizes.get("Shmem"),
        "dirty": sizes.get("Dirty"),
        "swap_total": swap_total,
        "swap_used": swap_used,
        "swap_usage": quotient(swap_used, swap_total),
        "swap_in": scaled(growth.rate("pswpin", paging.get("pswpin")), page),
        "swap_out": scaled(growth.rate("pswpout", paging.get("pswpout")), page),
        "major_faults": growth.rate("pgmajfault", paging.get("pgmajfault")),
        "oom_kills": growth.rate("oom_kill", paging.get("oom_kill")),
    }
    yield from points_of(HOST_MEMORY, {}, fields)


def pressure_points(growth: Growth, proc: Path = PROC) -> Iterator[Point]:
    """HOST_PRESSURE: shares of the time since the run before, from the kernel's totals in microseconds (PSI)."""
    for resource_name in ("cpu", "memory", "io", "irq"):
        fields = {}
        for line in read_lines(proc / "pressure" / resource_name):
            kind, _, rest = line.partition(" ")
            stalled = scaled(as_int(rest.rpartition("total=")[2]), 1e-6)
            if kind in {"some", "full"}:
                fields[kind] = growth.share(("pressure", resource_name, kind), stalled)
        yield from points_of(HOST_PRESSURE, {"resource": resource_name}, fields)


def _sizes(proc: Path) -> dict[str, int]:
    """/proc/meminfo in bytes; the kernel writes kibibytes and calls them kB."""
    rows = (line.partition(":") for line in read_lines(proc / "meminfo"))
    sizes = {name: as_int(value.removesuffix("kB").strip()) for name, _, value in rows if value.endswith("kB")}
    return {name: size * 1024 for name, size in sizes.items() if size is not None}


def _sum(first: int | None, second: int | None) -> int | None:
    return None if first is None else first + (second or 0)


def _less(whole: int | None, *parts: int | None) -> int | None:
    """What is left of the whole; None when a part isn't known or the figures, read one by one, don't fit."""
    if whole is None or None in parts:
        return None
    left = whole - sum(part for part in parts if part is not None)
    return left if left >= 0 else None
