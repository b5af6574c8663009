from typing import Final

from streamswarm_core.catalogue.common import host_measurement
from streamswarm_core.catalogue.host_hardware import HOST_HARDWARE
from streamswarm_core.catalogue.host_net import HOST_NETWORK
from streamswarm_core.catalogue.model import (
    BYTES,
    BYTES_PER_SECOND,
    COUNT,
    HERTZ,
    NUMBER,
    PER_SECOND,
    RATIO,
    SECONDS,
    STATE,
    TEXT,
    Field,
    Kind,
)

HOST_CPU: Final = host_measurement(
    "host_cpu",
    "Processor of the agent's host, over the time since the last run.",
    Field("usage", RATIO, "Share of time not idle, over all cores.", worse="up", feature=True),
    Field("busiest_core", RATIO, "Share of time not idle, of the core that was busiest.", worse="up"),
    Field("user", RATIO, "Share of time in user mode."),
    Field("nice", RATIO, "Share of time in user mode at a low priority."),
    Field("system", RATIO, "Share of time in the kernel."),
    Field("idle", RATIO, "Share of time with nothing to do."),
    Field("irq", RATIO, "Share of time in hardware interrupts."),
    Field("softirq", RATIO, "Share of time in deferred interrupt work, such as receiving packets.", worse="up"),
    Field("iowait", RATIO, "Share of time waiting for disk.", worse="up"),
    Field("steal", RATIO, "Share of time taken by other guests of the hypervisor.", worse="up"),
    Field("cores", COUNT, "Logical processors.", kind=Kind.INTEGER),
    Field("frequency", HERTZ, "Mean clock frequency."),
    Field("load1", COUNT, "Load average over 1 minute.", worse="up"),
    Field("load5", COUNT, "Load average over 5 minutes.", worse="up"),
    Field("load15", COUNT, "Load average over 15 minutes.", worse="up"),
    Field("context_switches", PER_SECOND, "Context switches."),
    Field("interrupts", PER_SECOND, "Hardware interrupts."),
    Field("softirqs", PER_SECOND, "Deferred interrupts, of all kinds."),
    Field("net_rx", PER_SECOND, "Deferred interrupts that receive packets."),
    Field("net_tx", PER_SECOND, "Deferred interrupts that finish sending packets."),
    Field("backlog_drops", PER_SECOND, "Packets dropped because a processor's input queue was full.", worse="up"),
    Field("backlog_squeezes", PER_SECOND, "Times that receiving stopped with packets left over.", worse="up"),
    Field("uptime", SECONDS, "Time since the host booted."),
)

HOST_MEMORY: Final = host_measurement(
    "host_memory",
    "Memory and swap of the agent's host.",
    Field("total", BYTES, "Memory installed.", kind=Kind.INTEGER),
    Field("available", BYTES, "Memory that can be had without swapping.", kind=Kind.INTEGER, worse="down"),
    Field("used", BYTES, "Memory in use, without page cache and buffers.", kind=Kind.INTEGER, worse="up"),
    Field("usage", RATIO, "Share of memory that is not available.", worse="up", feature=True),
    Field("free", BYTES, "Memory that nothing uses, not even as cache.", kind=Kind.INTEGER),
    Field("cached", BYTES, "Page cache, and kernel memory that can be reclaimed.", kind=Kind.INTEGER),
    Field("buffers", BYTES, "Block device buffers.", kind=Kind.INTEGER),
    Field("shared", BYTES, "Shared memory and tmpfs.", kind=Kind.INTEGER),
    Field("dirty", BYTES, "Waiting to be written to disk.", kind=Kind.INTEGER),
    Field("swap_total", BYTES, "Swap space.", kind=Kind.INTEGER),
    Field("swap_used", BYTES, "Swap in use.", kind=Kind.INTEGER, worse="up"),
    Field("swap_usage", RATIO, "Share of swap in use; absent without swap.", worse="up"),
    Field("swap_in", BYTES_PER_SECOND, "Read back from swap.", worse="up"),
    Field("swap_out", BYTES_PER_SECOND, "Written to swap.", worse="up"),
    Field("major_faults", PER_SECOND, "Page faults that had to read from disk.", worse="up"),
    Field("oom_kills", PER_SECOND, "Processes killed because memory ran out.", worse="up"),
)

HOST_PRESSURE: Final = host_measurement(
    "host_pressure",
    "How much of the time since the last run work stood still for want of a resource (PSI).",
    Field("some", RATIO, "Share of time in which at least one task waited.", worse="up"),
    Field("full", RATIO, "Share of time in which all tasks that had work waited.", worse="up"),
    tags=("resource",),
)

HOST_DISK: Final = host_measurement(
    "host_disk",
    "One mounted file system.",
    Field("total", BYTES, "Size.", kind=Kind.INTEGER),
    Field("used", BYTES, "Bytes in use.", kind=Kind.INTEGER, worse="up"),
    Field("free", BYTES, "Bytes an ordinary user can still write.", kind=Kind.INTEGER, worse="down"),
    Field("usage", RATIO, "Share in use of what an ordinary user can have.", worse="up"),
    Field("inode_usage", RATIO, "Share of inodes in use; absent where there is no fixed number.", worse="up"),
    Field("read_only", STATE, "1 if it is mounted read-only, as after an error.", kind=Kind.INTEGER, worse="up"),
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
    Field("read_latency", SECONDS, "Mean time of a read, waiting included; absent without reads.", worse="up"),
    Field("write_latency", SECONDS, "Mean time of a write, waiting included; absent without writes.", worse="up"),
    Field("queue", NUMBER, "Mean number of operations under way or waiting.", worse="up"),
    tags=("device",),
)

HOST_PROCESS: Final = host_measurement(
    "host_process",
    "Processes and sockets of the agent's host.",
    Field("processes", COUNT, "Processes.", kind=Kind.INTEGER),
    Field("running", COUNT, "Processes that run or could.", kind=Kind.INTEGER),
    Field("sleeping", COUNT, "Processes that wait for something.", kind=Kind.INTEGER),
    Field("blocked", COUNT, "Processes that wait for a disk and can't be interrupted.", kind=Kind.INTEGER, worse="up"),
    Field("zombies", COUNT, "Processes that have ended and were not waited for.", kind=Kind.INTEGER, worse="up"),
    Field("stopped", COUNT, "Processes that were stopped or are traced.", kind=Kind.INTEGER),
    Field("threads", COUNT, "Threads.", kind=Kind.INTEGER),
    Field("forks", PER_SECOND, "Processes and threads started."),
    Field("tcp_connections", COUNT, "TCP connections in any state but LISTEN.", kind=Kind.INTEGER),
    Field("tcp_established", COUNT, "Established TCP connections.", kind=Kind.INTEGER),
    Field("open_files", COUNT, "Open file handles, host-wide.", kind=Kind.INTEGER, worse="up"),
    Field("open_files_usage", RATIO, "Share of the file handles that the kernel allows.", worse="up"),
)

HOST_TOP: Final = host_measurement(
    "host_top",
    "The busiest and the largest processes by rank; which process has a rank changes from run to run.",
    Field("name", TEXT, "The program's name as the kernel knows it, at most 15 bytes.", kind=Kind.STRING),
    Field("pid", NUMBER, "Process number.", kind=Kind.INTEGER),
    Field("cpu", NUMBER, "Processors it kept busy since the last run; 1 is one of them all the time.", worse="up"),
    Field("memory", BYTES, "Resident memory.", kind=Kind.INTEGER, worse="up"),
    Field("threads", COUNT, "Threads.", kind=Kind.INTEGER),
    tags=("order", "rank"),
)

HOST_CLOCK: Final = host_measurement(
    "host_clock",
    "How well the host's clock is kept, by the kernel's account; errors are absent when nothing keeps it.",
    Field("synchronised", STATE, "1 if something, such as NTP, keeps the clock.", kind=Kind.INTEGER, worse="down"),
    Field("estimated_error", SECONDS, "What the clock is probably off by.", worse="up"),
    Field("maximum_error", SECONDS, "What the clock is off by at most.", worse="up"),
    Field("offset", SECONDS, "Correction that the kernel still has to make."),
    Field("frequency_correction", NUMBER, "By how much the clock is made to run faster; 1e-6 is one part per million."),
)

HOST_FACTS: Final = host_measurement(
    "host_facts",
    "What the host is; written by the first run, when it changes, and every hour.",
    Field("boot_id", TEXT, "A random text that changes with each boot.", kind=Kind.STRING),
    Field("hostname", TEXT, "Its name.", kind=Kind.STRING),
    Field("system", TEXT, "Operating system and its version.", kind=Kind.STRING),
    Field("kernel", TEXT, "Version of the kernel.", kind=Kind.STRING),
    Field("machine", TEXT, "Processor architecture.", kind=Kind.STRING),
    Field("processor", TEXT, "Processor model.", kind=Kind.STRING),
    Field("vendor", TEXT, "Who made the machine, or the hypervisor.", kind=Kind.STRING),
    Field("product", TEXT, "What the machine is called.", kind=Kind.STRING),
)

HOST: Final = (
    HOST_CPU,
    HOST_MEMORY,
    HOST_PRESSURE,
    HOST_DISK,
    HOST_DISKIO,
    *HOST_NETWORK,
    HOST_PROCESS,
    HOST_TOP,
    HOST_CLOCK,
    HOST_FACTS,
    *HOST_HARDWARE,
)
