"""NTP's 64-bit time stamps (RFC 5905), as STAMP and RTCP carry them."""

from typing import Final

from streamswarm_core.clock import NANOSECONDS

_ERA: Final = 1 << 32
"""Seconds after which stamps begin anew; as many units are in a second."""
_EPOCH: Final = 2_208_988_800
"""Seconds from 1900, where the first era begins, to 1970."""


def to_ntp(time_ns: int) -> int:
    """NTP's 64 bits, in units of 2⁻³² seconds.

    >>> hex(to_ntp(500_000_000))
    '0x83aa7e8080000000'
    """
    seconds, rest = divmod(time_ns, NANOSECONDS)
    return (seconds + _EPOCH) % _ERA << 32 | (rest << 32) // NANOSECONDS


def from_ntp(stamp: int) -> int:
    """Nanoseconds since the Unix epoch, between 1968 and 2104 (RFC 4330, section 3).

    >>> from_ntp(0x83AA7E8080000000)
    500000000
    """
    seconds, fraction = stamp >> 32, stamp & 0xFFFFFFFF
    era = 0 if seconds & 0x80000000 else _ERA
    return (seconds + era - _EPOCH) * NANOSECONDS + (fraction * NANOSECONDS + _ERA // 2 >> 32)
