"""What psutil says of this host, as points. A source that isn't there is absent from the points, never zero."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import psutil

from streamswarm_core.catalogue.host import (
    HOST_CPU,
    HOST_DISK,
    HOST_DISKIO,
    HOST_FAN,
    HOST_MEMORY,
    HOST_NET,
    HOST_PROCESS,
    HOST_TEMPERATURE,
)
from streamswarm_core.point import FieldValue, Point

_VIRTUAL_DISKS: Final = ("loop", "ram", "zram", "sr", "fd")
_PASSING_FILE_SYSTEMS: Final = frozenset({"tmpfs", "devtmpfs", "squashfs", "overlay", "iso9660", "autofs"})


@dataclass(frozen=True, slots=True)
class Counters:
    """Everything that only grows, read at one moment; two of them make rates.

    Attributes:
        at: monotonic time, seconds.
        cpu: seconds in each state, all processors together.
        context_switches: since boot.
        interrupts: since boot.
        disks: per block device.
        interfaces: per network interface.
    """

    at: float
    cpu: Mapping[str, float]
    context_switches: int
    interrupts: int
    disks: Mapping[str, Any] = field(default_factory=dict)
    interfaces: Mapping[str, Any] = field(default_factory=dict)


def read_counters(*, disks: bool, interfaces: bool) -> Counters:
    """Read the counters."""
    stats = psutil.cpu_stats()
    return Counters(
        at=time.monotonic(),
        cpu=psutil.cpu_times()._asdict(),
        context_switches=stats.ctx_switches,
        interrupts=stats.interrupts,
        disks=(psutil.disk_io_counters(perdisk=True) or {}) if disks else {},
        interfaces=psutil.net_io_counters(pernic=True) if interfaces else {},
    )


def rate(before: float, after: float, seconds: float) -> float | None:
    """Growth per second; None when the counter was reset or no time has passed.

    >>> rate(10, 30, 2), rate(30, 10, 2)
    (10.0, None)
    """
    return (after - before) / seconds if seconds > 0 and after >= before else None


def cpu_point(now: Counters, before: Counters | None) -> Point:
    """HOST_CPU: shares of the time since `before`; without it only what needs no rate."""
    fields: dict[str, FieldValue | None] = {
        "cores": psutil.cpu_count(),
        "uptime": max(0.0, time.time() - psutil.boot_time()),
    }
    load = psutil.getloadavg()
    fields |= {"load1": load[0], "load5": load[1], "load15": load[2]}
    frequency = psutil.cpu_freq()
    if frequency is not None and frequency.current:
        fields["frequency"] = frequency.current * 1e6
    if before is not None:
        seconds = now.at - before.at
        fields |= _cpu_shares(now.cpu, before.cpu)
        fields["context_switches"] = rate(before.context_switches, now.context_switches, seconds)
        fields["interrupts"] = rate(before.interrupts, now.interrupts, seconds)
    return HOST_CPU.point({}, time_ns=None, **fields)


def _cpu_shares(now: Mapping[str, float], before: Mapping[str, float]) -> dict[str, FieldValue | None]:
    # Linux counts guest time within user time as well.
    spent = {state: now[state] - before[state] for state in now if not state.startswith("guest")}
    total = sum(spent.values())
    if total <= 0:
        return {}
    idle = spent.get("idle", 0.0) + spent.get("iowait", 0.0)
    shares: dict[str, FieldValue | None] = {"usage": min(1.0, max(0.0, 1 - idle / total))}
    for state in ("user", "system", "iowait", "steal"):
        if state in spent:
            shares[state] = min(1.0, max(0.0, spent[state] / total))
    return shares


def memory_point() -> Point:
    """HOST_MEMORY."""
    memory, swap = psutil.virtual_memory(), psutil.swap_memory()
    return HOST_MEMORY.point(
        {},
        total=memory.total,
        available=memory.available,
        used=memory.used,
        usage=1 - memory.available / memory.total,
        cached=getattr(memory, "cached", None),
        buffers=getattr(memory, "buffers", None),
        shared=getattr(memory, "shared", None),
        swap_total=swap.total,
        swap_used=swap.used,
        swap_usage=swap.used / swap.total if swap.total else None,
    )


def disk_points() -> Iterator[Point]:
    """HOST_DISK: one for each mounted file system that holds files for good."""
    seen: set[str] = set()
    for partition in psutil.disk_partitions(all=False):
        if partition.device in seen or partition.fstype in _PASSING_FILE_SYSTEMS:
            continue
        seen.add(partition.device)
        try:
            usage = psutil.disk_usage(partition.mountpoint)
        except OSError:
            # A file system that this user may not look at, or that hangs off a dead server.
            continue
        if usage.total:
            yield HOST_DISK.point(
                {"path": partition.mountpoint, "device": partition.device},
                total=usage.total,
                used=usage.used,
                free=usage.free,
                usage=usage.used / (usage.used + usage.free) if usage.used + usage.free else None,
            )


def diskio_points(now: Counters, before: Counters | None) -> Iterator[Point]:
    """HOST_DISKIO: rates since `before`."""
    for device, after in now.disks.items():
        earlier = before.disks.get(device) if before else None
        if earlier is None or before is None or device.startswith(_VIRTUAL_DISKS):
            continue
        seconds = now.at - before.at
        busy = rate(getattr(earlier, "busy_time", 0), getattr(after, "busy_time", 0), seconds)
        fields: dict[str, FieldValue | None] = {
            "reads": rate(earlier.read_count, after.read_count, seconds),
            "writes": rate(earlier.write_count, after.write_count, seconds),
            "read": rate(earlier.read_bytes, after.read_bytes, seconds),
            "written": rate(earlier.write_bytes, after.write_bytes, seconds),
            "utilisation": min(1.0, busy / 1000) if busy is not None else None,
        }
        if any(value is not None for value in fields.values()):
            yield HOST_DISKIO.point({"device": device}, time_ns=None, **fields)


def interface_points(now: Counters, before: Counters | None) -> Iterator[Point]:
    """HOST_NET: state, and rates since `before`."""
    states = psutil.net_if_stats()
    for interface, after in now.interfaces.items():
        fields: dict[str, FieldValue | None] = {}
        if interface in states:
            fields |= {"up": int(states[interface].isup), "mtu": states[interface].mtu}
        earlier = before.interfaces.get(interface) if before else None
        if earlier is not None and before is not None:
            fields |= _interface_rates(earlier, after, now.at - before.at)
        if any(value is not None for value in fields.values()):
            yield HOST_NET.point({"interface": interface}, time_ns=None, **fields)


def _interface_rates(before: Any, after: Any, seconds: float) -> dict[str, FieldValue | None]:
    names = {
        "received": "bytes_recv",
        "sent": "bytes_sent",
        "packets_received": "packets_recv",
        "packets_sent": "packets_sent",
        "errors_in": "errin",
        "errors_out": "errout",
        "drops_in": "dropin",
        "drops_out": "dropout",
    }
    return {name: rate(getattr(before, key), getattr(after, key), seconds) for name, key in names.items()}


def process_point() -> Point:
    """HOST_PROCESS."""
    fields: dict[str, FieldValue | None] = {"processes": len(psutil.pids())}
    try:
        connections: Sequence[Any] = psutil.net_connections(kind="tcp")
    except (psutil.AccessDenied, OSError):
        connections = []
    else:
        states = [connection.status for connection in connections]
        fields["tcp_connections"] = sum(state != psutil.CONN_LISTEN for state in states)
        fields["tcp_established"] = states.count(psutil.CONN_ESTABLISHED)
    return HOST_PROCESS.point({}, time_ns=None, **fields)


def sensor_points() -> Iterator[Point]:
    """HOST_TEMPERATURE and HOST_FAN: one for each sensor that the kernel has."""
    for chip, temperatures in getattr(psutil, "sensors_temperatures", dict)().items():
        for index, sensor in enumerate(temperatures):
            tags = {"chip": chip, "sensor": sensor.label or str(index)}
            yield HOST_TEMPERATURE.point(tags, temperature=sensor.current, high=sensor.high)
    for chip, fans in getattr(psutil, "sensors_fans", dict)().items():
        for index, sensor in enumerate(fans):
            yield HOST_FAN.point({"chip": chip, "sensor": sensor.label or str(index)}, speed=sensor.current)
