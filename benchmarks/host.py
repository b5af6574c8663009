"""What a run of the `system` probe costs, by source, and the process table next to psutil: median CPU of many reads.

.venv/bin/python -m benchmarks.host [EXTRA_PROCESSES]
"""

import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import psutil

from streamswarm_agent.host.cpu import cpu_points
from streamswarm_agent.host.disks import disk_points, diskio_points
from streamswarm_agent.host.edac import ecc_points
from streamswarm_agent.host.facts import read_facts
from streamswarm_agent.host.growth import Growth
from streamswarm_agent.host.interfaces import interface_points
from streamswarm_agent.host.memory import memory_points, pressure_points
from streamswarm_agent.host.processes import process_points, read_processes
from streamswarm_agent.host.sensors import sensor_points
from streamswarm_agent.host.sockets import socket_points, tcp_states
from streamswarm_agent.host.timekeeping import clock_points

ROUNDS = 30


def psutil_processes() -> list[dict[str, Any]]:
    return [
        process.info for process in psutil.process_iter(["name", "status", "cpu_times", "memory_info", "num_threads"])
    ]


def sources() -> Mapping[str, Callable[[], Iterable[object]]]:
    growth = Growth(0)
    return {
        "processor": lambda: cpu_points(growth),
        "memory, pressure": lambda: [*memory_points(growth), *pressure_points(growth)],
        "disks": lambda: [*disk_points(), *diskio_points(growth)],
        "interfaces": lambda: interface_points(growth),
        "sockets": lambda: socket_points(growth, tcp_states()),
        "processes": lambda: process_points(growth, top=5, connections={}),
        "sensors, ECC, clock, facts": lambda: [*sensor_points(), *ecc_points(growth), *clock_points(), *read_facts()],
        "process table: ours": read_processes,
        "process table: psutil": psutil_processes,
    }


def main() -> None:
    extra = int(sys.argv[1]) if len(sys.argv) > 1 else 0
    sleepers = [subprocess.Popen(["/bin/sleep", "600"]) for _ in range(extra)]
    try:
        spent: dict[str, list[float]] = {name: [] for name in sources()}
        for _ in range(ROUNDS):
            for name, read in sources().items():
                started = time.process_time()
                list(read())
                spent[name].append((time.process_time() - started) * 1e3)
    finally:
        for sleeper in sleepers:
            sleeper.kill()
            sleeper.wait()
    print(f"{len(psutil.pids())} processes after, {extra} more while measuring; CPU ms, median (quartiles)")
    for name, times in spent.items():
        low, _, high = statistics.quantiles(times, n=4)
        print(f"{name:28} {statistics.median(times):8.2f}  ({low:.2f} to {high:.2f})")


if __name__ == "__main__":
    main()
