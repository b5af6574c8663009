"""Values in the words and units that people read; what is stored stays in base units."""

from typing import Final

from streamswarm_core.catalogue.model import (
    BITS_PER_SECOND,
    BYTES,
    BYTES_PER_SECOND,
    CELSIUS,
    DBM,
    DECIBELS,
    HERTZ,
    METRES,
    NUMBER,
    PER_SECOND,
    RATIO,
    RPM,
    SECONDS,
    STATE,
    VOLTS,
    WATTS,
    Unit,
)
from streamswarm_core.point import FieldValue

_FEW_BYTES: Final = 100_000
_SYMBOLS: Final = {BYTES: "B", BYTES_PER_SECOND: "B/s", BITS_PER_SECOND: "bit/s", METRES: "m", HERTZ: "Hz"}
_PLAIN_SYMBOLS: Final = {CELSIUS: "°C", DBM: "dBm", DECIBELS: "dB", RPM: "rpm", VOLTS: "V", WATTS: "W"}
_DAY: Final = 86_400
_MANY_SECONDS: Final = 2 * _DAY


def format_value(value: FieldValue, unit: Unit) -> str:
    """Write a value in base units as a person reads it.

    >>> format_value(0.0123, SECONDS)
    '12.300 ms'
    >>> format_value(0.5, RATIO)
    '50.0 %'
    >>> format_value(2345.67, PER_SECOND), format_value(0.0, PER_SECOND)
    ('2,345.7/s', '0/s')
    >>> format_value(45.5, CELSIUS)
    '45.5 °C'
    >>> format_value(1_492, BYTES)
    '1,492 B'
    """
    if isinstance(value, str):
        return value
    if unit == SECONDS:
        return _format_seconds(float(value))
    if unit == NUMBER:
        return str(value) if isinstance(value, int) else f"{value:.6g}"
    if unit == PER_SECOND:
        return f"{value:,.1f}/s" if value >= 1 else f"{value:.3g}/s"
    if unit == RATIO:
        return f"{value * 100:.1f} %"
    if unit == STATE:
        return "yes" if value else "no"
    if unit == BYTES and isinstance(value, int) and abs(value) < _FEW_BYTES:
        return f"{value:,} B"
    if unit in _SYMBOLS:
        return _format_scaled(float(value), _SYMBOLS[unit])
    if unit in _PLAIN_SYMBOLS:
        return f"{value:.5g} {_PLAIN_SYMBOLS[unit]}"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.3f}"
    return f"{text} {unit.name}" if unit.suffix else text


def _format_seconds(seconds: float) -> str:
    if abs(seconds) >= _MANY_SECONDS:
        return f"{seconds / _DAY:,.1f} days"
    if abs(seconds) < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    return f"{seconds * 1e3:.3f} ms" if abs(seconds) < 1 else f"{seconds:,.3f} s"


def _format_scaled(value: float, symbol: str) -> str:
    for prefix in ("", "k", "M", "G", "T"):
        if abs(value) < 1000 or prefix == "T":
            return f"{value:.0f} {symbol}" if not prefix else f"{value:.2f} {prefix}{symbol}"
        value /= 1000
    raise AssertionError("the last prefix always returns")
