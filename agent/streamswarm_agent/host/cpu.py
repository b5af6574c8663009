"""Processor: /proc/stat, /proc/loadavg, /proc/softirqs, /proc/net/softnet_stat, cpufreq."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

from streamswarm_agent.host.files import (
    PROC,
    SYS,
    as_float,
    as_int,
    list_folder,
    points_of,
    read_int,
    read_lines,
    read_text,
)
from streamswarm_agent.host.growth import Growth
from streamswarm_core.catalogue.host import HOST_CPU
from streamswarm_core.point import FieldValue, Point

_STATES: Final = ("user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal")
"""The first columns of a cpu line; guest time, which follows, is within user and nice (proc_stat(5))."""
_IDLE: Final = ("idle", "iowait")

Fields = dict[str, FieldValue | None]


def cpu_points(growth: Growth, proc: Path = PROC, sys: Path = SYS) -> Iterator[Point]:
    """HOST_CPU: shares and rates since the run before, and what needs no rate."""
    stat = {line.split()[0]: line.split()[1:] for line in read_lines(proc / "stat") if line.strip()}
    usages = [
        _shares(growth, name, columns).get("usage")
        for name, columns in stat.items()
        if name.startswith("cpu") and name != "cpu"
    ]
    known = [float(usage) for usage in usages if usage is not None]
    fields: Fields = {
        **_shares(growth, "cpu", stat.get("cpu", [])),
        "busiest_core": max(known, default=None),
        "cores": len(usages) or None,
        "frequency": _frequency(proc, sys),
        **_load(proc),
        "uptime": as_float((read_text(proc / "uptime") or "").partition(" ")[0]),
        "context_switches": growth.rate("ctxt", _first(stat.get("ctxt"))),
        "interrupts": growth.rate("intr", _first(stat.get("intr"))),
        "softirqs": growth.rate("softirq", _first(stat.get("softirq"))),
        **_softirqs(growth, proc),
        **_backlog(growth, proc),
    }
    yield from points_of(HOST_CPU, {}, fields)


def _shares(growth: Growth, name: str, columns: list[str]) -> Fields:
    # The kernel's idle and iowait may go back a little (proc_stat(5)); such a state had no time.
    gained = {state: growth.of((name, state), as_int(column)) for state, column in zip(_STATES, columns, strict=False)}
    spent = {state: ticks or 0.0 for state, ticks in gained.items()}
    total = sum(spent.values())
    if not total:
        return {}
    idle = sum(spent.get(state, 0.0) for state in _IDLE)
    return {"usage": 1 - idle / total, **{state: ticks / total for state, ticks in spent.items()}}


def _first(columns: list[str] | None) -> int | None:
    return as_int(columns[0]) if columns else None


def _load(proc: Path) -> Fields:
    columns = (read_text(proc / "loadavg") or "").split()
    return {name: as_float(column) for name, column in zip(("load1", "load5", "load15"), columns, strict=False)}


def _frequency(proc: Path, sys: Path) -> float | None:
    """The mean over the processors, hertz: what cpufreq says, else what /proc/cpuinfo does."""
    policies = list_folder(sys / "devices/system/cpu/cpufreq", "policy*")
    kilohertz = [frequency for policy in policies if (frequency := read_int(policy / "scaling_cur_freq"))]
    if kilohertz:
        return sum(kilohertz) / len(kilohertz) * 1e3
    rows = [line.partition(":") for line in read_lines(proc / "cpuinfo") if line.startswith("cpu MHz")]
    megahertz = [mhz for _, _, value in rows if (mhz := as_float(value))]
    return sum(megahertz) / len(megahertz) * 1e6 if megahertz else None


def _softirqs(growth: Growth, proc: Path) -> Fields:
    rows = {
        name.strip(): counts.split()
        for name, _, counts in (line.partition(":") for line in read_lines(proc / "softirqs"))
    }
    return {
        field: growth.rate(("softirqs", row), sum(as_int(count) or 0 for count in rows[row]))
        for field, row in (("net_rx", "NET_RX"), ("net_tx", "NET_TX"))
        if row in rows
    }


def _backlog(growth: Growth, proc: Path) -> Fields:
    """Packets lost between the driver and the protocols; hexadecimal columns, one row a processor."""
    rows = [line.split() for line in read_lines(proc / "net/softnet_stat")]
    try:
        columns = [[int(column, 16) for column in row[:3]] for row in rows]
    except ValueError:
        return {}
    if not columns or any(len(row) < 3 for row in columns):
        return {}
    _, dropped, squeezed = (sum(column) for column in zip(*columns, strict=True))
    return {
        "backlog_drops": growth.rate("softnet dropped", dropped),
        "backlog_squeezes": growth.rate("softnet squeezed", squeezed),
    }
