"""How well the host's clock is kept, as the kernel knows it: adjtimex(2). One-way delays are no better than this."""

import ctypes
from collections.abc import Callable, Iterator
from typing import Final

from streamswarm_agent.host.files import points_of
from streamswarm_core.catalogue.host import HOST_CLOCK
from streamswarm_core.point import Point

_STA_UNSYNC: Final = 0x0040
_STA_NANO: Final = 0x2000
_PPM_SCALE: Final = 1 << 16
"""Frequencies are parts per million with 16 binary places."""


class Timex(ctypes.Structure):
    """struct timex of linux/timex.h, as far as it is read; the rest is room for the kernel."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        *((name, ctypes.c_long) for name in ("offset", "freq", "maxerror", "esterror")),
        ("status", ctypes.c_int),
        *((name, ctypes.c_long) for name in ("constant", "precision", "tolerance")),
        ("rest", ctypes.c_char * 160),
    )


def read_timex() -> Timex | None:
    """Ask the kernel, changing nothing; None where it doesn't tell (a sandbox, another system)."""
    timex = Timex(modes=0)
    try:
        state = ctypes.CDLL(None, use_errno=True).adjtimex(ctypes.byref(timex))
    except AttributeError:
        return None
    return timex if state >= 0 else None


def clock_points(read: Callable[[], Timex | None] = read_timex) -> Iterator[Point]:
    """HOST_CLOCK; errors are only told when something keeps the clock, else they mean nothing."""
    timex = read()
    if timex is None:
        return
    kept = not timex.status & _STA_UNSYNC
    unit = 1e-9 if timex.status & _STA_NANO else 1e-6
    fields = {
        "synchronised": int(kept),
        "estimated_error": timex.esterror * 1e-6 if kept else None,
        "maximum_error": timex.maxerror * 1e-6 if kept else None,
        "offset": timex.offset * unit if kept else None,
        "frequency_correction": timex.freq / _PPM_SCALE * 1e-6,
    }
    yield from points_of(HOST_CLOCK, {}, fields)
