"""What a host gives to every service: its clock, and open files."""

import contextlib
import ctypes
from typing import Final

from streamswarm_core.doctor.finding import Finding, note, ok, warning
from streamswarm_core.doctor.listeners import Process

_STA_UNSYNC: Final = 0x40
_TIMEX_BYTES: Final = 256


def kept_in_step() -> Finding:
    """The kernel knows whether something keeps its clock in step (adjtimex(2), STA_UNSYNC)."""
    # struct timex begins with the modes (none: nothing is changed); the status is its fifth member.
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(timex)
    except AttributeError:
        state = -1
    if state < 0:
        return note("clock", "the kernel doesn't say whether something keeps its clock in step", "timedatectl may know")
    status = ctypes.c_int.from_buffer(timex, 5 * ctypes.sizeof(ctypes.c_long)).value
    if status & _STA_UNSYNC:
        found = "nothing keeps the clock in step: times of points, and one-way delays, are off by as much as it is"
        return warning("clock", found, "apt install chrony")
    return ok("clock", "the clock is kept in step")


def open_files(wanted: int, remedy: str = "", process: Process | None = None, *, claims: bool = False) -> Finding:
    """Whether a service may open as many files and sockets as it may need.

    Args:
        wanted: how many.
        remedy: what else can be done than to raise the limit.
        process: the service, if it runs; what starts next has this process's limit.
        claims: whether the service raises its limit by itself, as far as it may.
    """
    import resource  # noqa: PLC0415 - Windows has none, and an admin's `--help` there imports this

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if process is not None:
        with contextlib.suppress(OSError):
            soft, hard = resource.prlimit(process.pid, resource.RLIMIT_NOFILE)
    limit = hard if claims else soft
    if resource.RLIM_INFINITY != limit < wanted:
        raising = f"LimitNOFILE={wanted} in the unit, ulimit -n {wanted} in a shell; then restart it"
        return warning("open files", f"{limit} may be open, {wanted} may be needed", f"{raising}{remedy}")
    return ok("open files", f"{'any number' if limit == resource.RLIM_INFINITY else limit} may be open")
