from typing import Final

from streamswarm_core.catalogue.common import host_measurement
from streamswarm_core.catalogue.model import (
    BYTES,
    BYTES_PER_SECOND,
    CELSIUS,
    COUNT,
    HERTZ,
    PER_SECOND,
    RATIO,
    RPM,
    SECONDS,
    STATE,
    Field,
    Kind,
)

HOST_CPU: Final = host_measurement(
    "host_cpu",
    "Processor of the agent's host, over the time since the last run.",
    Field("usage", RATIO, "Share of time not idle, over all cores.", worse="up", feature=True),
    Field("user", RATIO, "Share of time in user mode."),
    Field("system", RATIO, "Share of time in the kernel."),
    Field("iowait", RATIO, "Share of time waiting for disk.", worse="up"),
    Field("steal", RATIO, "Share of time taken by other guests of the hypervisor.", worse="up"),
    Field("cores", COUNT, "Logical processors.", kind=Kind.INTEGER),
    Field("frequency", HERTZ, "Mean clock frequency."),
    Field("load1", COUNT, "Load average over 1 minute.", worse="up"),
    Field("load5", COUNT, "Load average over 5 minutes.", worse="up"),
    Field("load15", COUNT, "Load average over 15 minutes.", worse="up"),
    Field("context_switches", PER_SECOND, "Context switches."),
    Field("interrupts", PER_SECOND, "Hardware interrupts."),
    Field("uptime", SECONDS, "Time since the host booted."),
)

HOST_MEMORY: Final = host_measurement(
    "host_memory",
    "Memory and swap of the agent's host.",
    Field("total", BYTES, "Memory installed.", kind=Kind.INTEGER),
    Field("available", BYTES, "Memory that can be had without swapping.", kind=Kind.INTEGER, worse="down"),
    Field("used", BYTES, "Memory in use.", kind=Kind.INTEGER, worse="up"),
    Field("usage", RATIO, "Share of memory that is not available.", worse="up", feature=True),
    Field("cached", BYTES, "Page cache.", kind=Kind.INTEGER),
    Field("buffers", BYTES, "Block device buffers.", kind=Kind.INTEGER),
    Field("shared", BYTES, "Shared memory and tmpfs.", kind=Kind.INTEGER),
    Field("swap_total", BYTES, "Swap space.", kind=Kind.INTEGER),
    Field("swap_used", BYTES, "Swap in use.", kind=Kind.INTEGER, worse="up"),
    Field("swap_usage", RATIO, "Share of swap in use; absent without swap.", worse="up"),
)

HOST_DISK: Final = host_measurement(
    "host_disk",
    "One mounted file system.",
    Field("total", BYTES, "Size.", kind=Kind.INTEGER),
    Field("used", BYTES, "Bytes in use.", kind=Kind.INTEGER, worse="up"),
    Field("free", BYTES, "Bytes an ordinary user can still write.", kind=Kind.INTEGER, worse="down"),
    Field("usage", RATIO, "Share in use of what an ordinary user can have.", worse="up"),
    tags=("path", "device"),
)

HOST_DISKIO: Final = host_measurement(
    "host_diskio",
    "One block device, over the time since the last run.",
    Field("reads", PER_SECOND, "Read operations."),
    Field("writes", PER_SECOND, "Write operations."),
    Field("read", BYTES_PER_SECOND, "Bytes read."),
    Field("written", BYTES_PER_SECOND, "Bytes written."),
    Field("utilisation", RATIO, "Share of time the device was busy.", worse="up"),
    tags=("device",),
)

HOST_NET: Final = host_measurement(
    "host_net",
    "One network interface, over the time since the last run.",
    Field("up", STATE, "1 if the interface is up.", kind=Kind.INTEGER, worse="down"),
    Field("received", BYTES_PER_SECOND, "Bytes received.", feature=True),
    Field("sent", BYTES_PER_SECOND, "Bytes sent.", feature=True),
    Field("packets_received", PER_SECOND, "Packets received."),
    Field("packets_sent", PER_SECOND, "Packets sent."),
    Field("errors_in", PER_SECOND, "Receive errors.", worse="up"),
    Field("errors_out", PER_SECOND, "Transmit errors.", worse="up"),
    Field("drops_in", PER_SECOND, "Received packets dropped.", worse="up"),
    Field("drops_out", PER_SECOND, "Outgoing packets dropped.", worse="up"),
    Field("mtu", BYTES, "Maximum transmission unit.", kind=Kind.INTEGER),
    tags=("interface",),
)

HOST_PROCESS: Final = host_measurement(
    "host_process",
    "Processes and sockets of the agent's host.",
    Field("processes", COUNT, "Processes.", kind=Kind.INTEGER),
    Field("threads", COUNT, "Threads.", kind=Kind.INTEGER),
    Field("tcp_connections", COUNT, "TCP connections in any state but LISTEN.", kind=Kind.INTEGER),
    Field("tcp_established", COUNT, "Established TCP connections.", kind=Kind.INTEGER),
    Field("open_files", COUNT, "Open file handles, host-wide.", kind=Kind.INTEGER, worse="up"),
)

HOST_TEMPERATURE: Final = host_measurement(
    "host_temperature",
    "One temperature sensor.",
    Field("temperature", CELSIUS, "Temperature.", worse="up", feature=True),
    Field("high", CELSIUS, "The sensor's own warning level."),
    tags=("chip", "sensor"),
)

HOST_FAN: Final = host_measurement(
    "host_fan",
    "One fan.",
    Field("speed", RPM, "Fan speed.", worse="down"),
    tags=("chip", "sensor"),
)

HOST: Final = (
    HOST_CPU,
    HOST_MEMORY,
    HOST_DISK,
    HOST_DISKIO,
    HOST_NET,
    HOST_PROCESS,
    HOST_TEMPERATURE,
    HOST_FAN,
)
