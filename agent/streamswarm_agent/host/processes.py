"""Processes: /proc/PID/stat of each, read as cheaply as Python can. Command lines are never read: they hold secrets."""

import os
import resource
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from streamswarm_agent.host.files import PROC, as_int, points_of, printable, read_lines, read_text
from streamswarm_agent.host.growth import Growth, quotient
from streamswarm_core.catalogue.host import HOST_PROCESS, HOST_TOP
from streamswarm_core.point import FieldValue, Point

_STAT_BYTES: Final = 1024
_STATES: Final = {
    "R": "running",
    "S": "sleeping",
    "I": "sleeping",
    "D": "blocked",
    "Z": "zombies",
    "T": "stopped",
    "t": "stopped",
}


@dataclass(frozen=True, slots=True)
class Process:
    """One process.

    Attributes:
        pid: its number.
        name: as the kernel knows it, at most 15 bytes.
        state: one letter (proc_pid_stat(5)).
        cpu: processor time, seconds.
        threads: how many it has.
        started: clock ticks after boot; with the pid it names the process.
        memory: bytes resident.
    """

    pid: int
    name: str
    state: str
    cpu: float
    threads: int
    started: int
    memory: int


def read_processes(proc: Path = PROC) -> Iterator[Process]:
    """Every process that this user can see; one that ends meanwhile is left out."""
    ticks, page = os.sysconf("SC_CLK_TCK"), resource.getpagesize()
    try:
        entries = os.listdir(proc)  # noqa: PTH208 - as cheap as can be
    except OSError:
        return
    for entry in entries:
        if entry.isdigit():
            try:
                file = os.open(f"{proc}/{entry}/stat", os.O_RDONLY)
            except OSError:
                continue
            try:
                process = parse_stat(os.read(file, _STAT_BYTES), ticks, page)
            except OSError:
                continue
            finally:
                os.close(file)
            if process is not None:
                yield process


def parse_stat(raw: bytes, ticks: int, page: int) -> Process | None:
    """Read /proc/PID/stat; None if it isn't whole. The name may hold blanks and brackets.

    Args:
        raw: the file.
        ticks: in a second.
        page: bytes.
    """
    opening, closing = raw.find(b"("), raw.rfind(b")")
    columns = raw[closing + 1 :].split(None, 22)
    try:
        return Process(
            pid=int(raw[:opening]),
            name=printable(raw[opening + 1 : closing].decode(errors="replace")),
            state=columns[0].decode("ascii"),
            cpu=(int(columns[11]) + int(columns[12])) / ticks,
            threads=int(columns[17]),
            started=int(columns[19]),
            memory=int(columns[21]) * page,
        )
    except (ValueError, IndexError):
        return None


def process_points(
    growth: Growth, *, top: int, connections: Mapping[str, int | None], proc: Path = PROC
) -> Iterator[Point]:
    """HOST_PROCESS, and HOST_TOP for the `top` processes by processor time and by memory."""
    found = list(read_processes(proc))
    usages = [(growth.rate(("process", process.pid, process.started), process.cpu), process) for process in found]
    states: Counter[str] = Counter(dict.fromkeys(_STATES.values(), 0))
    for process in found:
        if process.state in _STATES:
            states[_STATES[process.state]] += 1
    open_files, limit = _open_files(proc)
    fields: dict[str, FieldValue | None] = {
        "processes": len(found) or None,
        **(states if found else {}),
        "threads": sum(process.threads for process in found) or None,
        "forks": growth.rate("forks", _forks(proc)),
        "tcp_connections": connections.get("connections"),
        "tcp_established": connections.get("established"),
        "open_files": open_files,
        "open_files_usage": quotient(open_files, limit),
    }
    yield from points_of(HOST_PROCESS, {}, fields)
    busiest = sorted(((cpu, process) for cpu, process in usages if cpu), key=lambda pair: pair[0], reverse=True)
    largest = sorted(usages, key=lambda pair: pair[1].memory, reverse=True)
    yield from _ranking("cpu", busiest[:top])
    yield from _ranking("memory", [pair for pair in largest[:top] if pair[1].memory])


def _ranking(order: str, usages: list[tuple[float, Process]] | list[tuple[float | None, Process]]) -> Iterator[Point]:
    """The place is the tag and the process a field, so that passing processes make no new series."""
    for rank, (cpu, process) in enumerate(usages, start=1):
        yield HOST_TOP.point(
            {"order": order, "rank": str(rank)},
            name=process.name,
            pid=process.pid,
            cpu=cpu,
            memory=process.memory,
            threads=process.threads,
        )


def _forks(proc: Path) -> int | None:
    return next((as_int(line.split()[1]) for line in read_lines(proc / "stat") if line.startswith("processes ")), None)


def _open_files(proc: Path) -> tuple[int | None, int | None]:
    columns = [as_int(column) for column in (read_text(proc / "sys/fs/file-nr") or "").split()]
    return (columns[0], columns[2]) if len(columns) == 3 else (None, None)
