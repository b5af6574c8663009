import ctypes
import struct
import time
from typing import Final

from streamswarm_core.wire.stamp import ClockError

_TIMEX: Final = struct.Struct("@Illlli")
"""The beginning of the kernel's struct timex: modes, offset, freq, maxerror, esterror, status."""
_TIMEX_BYTES: Final = 256
_STA_UNSYNC: Final = 0x40
_TIME_ERROR: Final = 5
_UNKNOWN_SECONDS: Final = 16.0
"""What the kernel itself calls the error of a clock that nobody keeps."""
_KEPT_SECONDS: Final = 1.0

_libc: Final = ctypes.CDLL(None, use_errno=True)


def kernel_clock_error() -> ClockError:
    """What the kernel knows of its clock: `maxerror`, kept up to date by chrony, ntpd or systemd-timesyncd."""
    timex = ctypes.create_string_buffer(_TIMEX_BYTES)
    try:
        state = _libc.adjtimex(timex)
    except AttributeError:
        return ClockError(_UNKNOWN_SECONDS, synchronised=False)
    _, _, _, most, _, status = _TIMEX.unpack_from(timex)
    synchronised = 0 <= state != _TIME_ERROR and not status & _STA_UNSYNC
    return ClockError(most / 1e6 if state >= 0 else _UNKNOWN_SECONDS, synchronised)


class RememberedClockError:
    """`kernel_clock_error`, asked for once a second at most."""

    def __init__(self) -> None:
        self._until = 0.0
        self._last = ClockError(_UNKNOWN_SECONDS, synchronised=False)

    def __call__(self) -> ClockError:
        """The clock's error, at most a second old."""
        now = time.monotonic()
        if now >= self._until:
            self._last, self._until = kernel_clock_error(), now + _KEPT_SECONDS
        return self._last
