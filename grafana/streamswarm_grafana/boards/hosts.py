"""The machines that agents run on: what a fault of the network is not."""

from typing import Final

from streamswarm_core.catalogue.host import (
    HOST_CLOCK,
    HOST_CPU,
    HOST_DISK,
    HOST_DISKIO,
    HOST_MEMORY,
    HOST_PRESSURE,
    HOST_PROCESS,
    HOST_TOP,
)
from streamswarm_core.catalogue.host_hardware import HOST_POWER, HOST_SMART, HOST_TEMPERATURE
from streamswarm_core.catalogue.host_net import HOST_NET, HOST_TCP, HOST_UDP
from streamswarm_core.catalogue.model import Measurement
from streamswarm_grafana.ask import Ask, Column, How, over_time, table
from streamswarm_grafana.panel import DOWN_UP, Board, Kind, Panel, Row

_BY: Final = ("agent",)


def _one(title: str, measurement: Measurement, field: str, *further: str, how: How = How.MEAN) -> Panel:
    by = (*_BY, *further)
    legend = " ".join(f"{{{tag}}}" for tag in by)
    return Panel(
        kind=Kind.LINES, title=title, asks=(over_time(measurement, field, how, by=by, legend=legend),), width=8
    )


def _several(
    title: str, measurement: Measurement, *fields: str, by: tuple[str, ...] = _BY, stacked: bool = False
) -> Panel:
    legend = " ".join(f"{{{tag}}}" for tag in by)
    asks = (Ask(measurement, tuple(Column(field) for field in fields), by, legend),)
    return Panel(kind=Kind.LINES, title=title, asks=asks, width=8, stacked=stacked)


HOSTS: Final = Board(
    key="hosts",
    title="Hosts",
    about="Processor, memory, disks, interfaces, TCP, clock and hardware of the agents' hosts.",
    about_measurements=(HOST_CPU,),
    variables=("site", "agent"),
    rows=(
        Row(
            "All hosts",
            (
                Panel(
                    kind=Kind.TABLE,
                    title="Processor and load",
                    asks=(
                        table(
                            HOST_CPU,
                            Column("usage"),
                            Column("busiest_core", How.MAX, "busiest core"),
                            Column("load1", How.LAST, "load"),
                            Column("cores", How.LAST),
                            Column("steal", How.MAX),
                            Column("uptime", How.LAST),
                            by=("site", "agent"),
                        ),
                    ),
                    worst="usage",
                    most=50,
                    width=14,
                ),
                Panel(
                    kind=Kind.TABLE,
                    title="Fullest file systems",
                    asks=(
                        table(
                            HOST_DISK,
                            Column("usage", How.LAST),
                            Column("free", How.LAST),
                            Column("total", How.LAST),
                            by=("agent", "path"),
                        ),
                    ),
                    worst="usage",
                    most=50,
                    width=10,
                ),
            ),
        ),
        Row(
            "Processor",
            (
                _one("Usage", HOST_CPU, "usage"),
                _several(
                    "Where time goes",
                    HOST_CPU,
                    "user",
                    "system",
                    "iowait",
                    "irq",
                    "softirq",
                    "steal",
                    by=(),
                    stacked=True,
                ),
                _several("Load", HOST_CPU, "load1", "load5", "load15"),
                _one("Waiting for a resource", HOST_PRESSURE, "some", "resource", how=How.MAX),
                _several("Context switches and interrupts", HOST_CPU, "context_switches", "interrupts"),
                _several("Processes", HOST_PROCESS, "running", "blocked", "zombies"),
                Panel(
                    kind=Kind.TABLE,
                    title="Busiest and largest processes",
                    asks=(
                        table(
                            HOST_TOP,
                            Column("name", How.LAST),
                            Column("cpu", How.LAST),
                            Column("memory", How.LAST),
                            by=("agent", "order", "rank"),
                        ),
                    ),
                    worst="cpu",
                    width=24,
                ),
            ),
        ),
        Row(
            "Memory and disks",
            (
                _one("Memory", HOST_MEMORY, "usage"),
                _several("Swapping", HOST_MEMORY, "swap_in", "swap_out"),
                _several("Page faults and killed processes", HOST_MEMORY, "major_faults", "oom_kills"),
                _one("File systems", HOST_DISK, "usage", "path", how=How.MAX),
                _one("Inodes", HOST_DISK, "inode_usage", "path", how=How.MAX),
                _one("Disk busy", HOST_DISKIO, "utilisation", "device", how=How.MAX),
                _several("Read and written", HOST_DISKIO, "read", "written", by=("agent", "device")),
                _several("Operations", HOST_DISKIO, "reads", "writes", by=("agent", "device")),
                _several("Latency", HOST_DISKIO, "read_latency", "write_latency", by=("agent", "device")),
            ),
        ),
        Row(
            "Network",
            (
                _several("Received and sent", HOST_NET, "received", "sent", by=("agent", "interface")),
                _one("Utilisation", HOST_NET, "utilisation", "interface", how=How.MAX),
                _several(
                    "Errors and drops",
                    HOST_NET,
                    "errors_in",
                    "errors_out",
                    "drops_in",
                    "drops_out",
                    by=("agent", "interface"),
                ),
                _one("TCP sent again", HOST_TCP, "retransmission"),
                _several("TCP connections", HOST_TCP, "established", "time_wait", "close_wait"),
                _several("TCP listen queues", HOST_TCP, "listen_overflows", "listen_drops"),
                _several("UDP errors", HOST_UDP, "receive_errors", "receive_buffer_errors", "checksum_errors"),
                Panel(
                    kind=Kind.STATES,
                    title="Link up",
                    asks=(over_time(HOST_NET, "up", How.MIN, by=("agent", "interface")),),
                    states=DOWN_UP,
                    width=8,
                ),
                _one("Physical errors", HOST_NET, "crc_errors", "interface", how=How.MAX),
            ),
        ),
        Row(
            "Clock and hardware",
            (
                _one("Clock: largest error", HOST_CLOCK, "maximum_error", how=How.MAX),
                _one("Temperature", HOST_TEMPERATURE, "temperature", "chip", "sensor", how=How.MAX),
                _one("Power", HOST_POWER, "power", "chip", "sensor"),
                Panel(
                    kind=Kind.TABLE,
                    title="Disks by their own account",
                    asks=(
                        table(
                            HOST_SMART,
                            Column("healthy", How.LAST),
                            Column("temperature", How.LAST),
                            Column("wear", How.LAST, unit="percentunit"),
                            Column("reallocated", How.LAST),
                            Column("pending", How.LAST),
                            Column("media_errors", How.LAST),
                            Column("model", How.LAST),
                            by=("agent", "device"),
                        ),
                    ),
                    worst="wear",
                    width=24,
                ),
            ),
        ),
    ),
)
