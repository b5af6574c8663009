"""Values in the words and units that people read; what is stored stays in base units."""

import math
import re
from typing import Final

from streamswarm_core.catalogue.model import (
    BITS_PER_SECOND,
    BYTES,
    BYTES_PER_SECOND,
    CELSIUS,
    DBM,
    DECIBELS,
    DEGREES,
    HERTZ,
    LINE_RATE,
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
_PLAIN_SYMBOLS: Final = {
    CELSIUS: " °C",
    DBM: " dBm",
    DECIBELS: " dB",
    RPM: " rpm",
    VOLTS: " V",
    WATTS: " W",
    DEGREES: "°",
}
_LENGTHS: Final = ((86_400, "days"), (3_600, "h"), (60, "min"))
_COMPARISONS: Final = {">": "above", ">=": "at least", "<": "below", "<=": "at most"}


def format_value(value: FieldValue, unit: Unit) -> str:
    """Write a value in base units as a person reads it.

    >>> format_value(0.0123, SECONDS), format_value(5_400.0, SECONDS)
    ('12.300 ms', '90.0 min')
    >>> format_value(0.5, RATIO), format_value(0.0004, RATIO), format_value(0.9996, RATIO)
    ('50.0 %', '0.04 %', '99.96 %')
    >>> format_value(2345.67, PER_SECOND), format_value(0.0, PER_SECOND)
    ('2,345.7/s', '0/s')
    >>> format_value(45.5, CELSIUS), format_value(120_000, RPM)
    ('45.5 °C', '120,000 rpm')
    >>> format_value(1_492, BYTES), format_value(12.0, NUMBER), format_value(0.4, METRES)
    ('1,492 B', '12', '0.4 m')
    >>> format_value(125e6, LINE_RATE), format_value(125e6, BYTES_PER_SECOND)
    ('1.00 Gbit/s', '125.00 MB/s')
    """
    if isinstance(value, str):
        return value
    if not math.isfinite(value):
        return str(value)
    if float(value).is_integer():
        value = int(value)  # what was stored as a whole number may come back as a float
    if unit == SECONDS:
        return _format_seconds(float(value))
    if unit == LINE_RATE:
        return _format_scaled(float(value) * unit.times, _SYMBOLS[BITS_PER_SECOND])
    if unit == NUMBER:
        return str(value) if isinstance(value, int) else f"{value:.6g}"
    if unit == PER_SECOND:
        return f"{value:,.1f}/s" if abs(value) >= 1 else f"{value:.3g}/s"
    if unit == RATIO:
        return f"{_percent(value * 100)} %"
    if unit == STATE:
        return "yes" if value else "no"
    if unit == BYTES and isinstance(value, int) and abs(value) < _FEW_BYTES:
        return f"{value:,} B"
    if unit in _SYMBOLS:
        return _format_scaled(float(value), _SYMBOLS[unit])
    if unit in _PLAIN_SYMBOLS:
        return f"{_plain(value)}{_PLAIN_SYMBOLS[unit]}"
    text = f"{value:,}" if isinstance(value, int) else f"{value:,.3f}" if abs(value) >= 0.01 else f"{value:.2g}"
    return f"{text} {unit.name}" if unit.suffix else text


def format_limit(limit: float, unit: Unit) -> str:
    """Write a value that somebody chose, without digits that nobody meant.

    >>> format_limit(0.05, SECONDS), format_limit(0.05, RATIO), format_limit(2e6, BITS_PER_SECOND)
    ('50 ms', '5 %', '2 Mbit/s')
    """
    return re.sub(
        r"(?<=\d)\.(\d*?)0+(?!\d)", lambda found: f".{found[1]}" if found[1] else "", format_value(limit, unit)
    )


def format_length(seconds: float) -> str:
    """Write a length of time that somebody chose.

    >>> format_length(300), format_length(90), format_length(0.5), format_length(86_400), format_length(172_800)
    ('5 min', '90 s', '0.5 s', '24 h', '2 days')
    """
    for size, word in _LENGTHS:
        if seconds >= 2 * size or (seconds == size and word in {"h", "min"}):
            return f"{round(seconds / size, 2):g} {word}"
    return f"{round(seconds, 3):g} s"


def format_condition(comparison: str, limit: float, unit: Unit) -> str:
    """Say what a value is that is beyond a limit, to be read behind "is".

    >>> format_condition(">", 0.05, SECONDS), format_condition("<=", 0.5, RATIO)
    ('above 50 ms', 'at most 50 %')
    >>> format_condition("<", 1, STATE), format_condition(">=", 1, STATE), format_condition("<=", 1, STATE)
    ('no', 'yes', 'yes or no')
    """
    if unit == STATE:
        holds = {">": (limit < 0, limit < 1), ">=": (limit <= 0, limit <= 1)}
        holds |= {"<": (limit > 0, limit > 1), "<=": (limit >= 0, limit >= 1)}
        return {(True, False): "no", (False, True): "yes"}.get(holds[comparison], "yes or no")
    return f"{_COMPARISONS[comparison]} {format_limit(limit, unit)}"


def _percent(percent: float) -> str:
    """One lost packet of 10,000 is no 0.0 %, and all but one are no 100.0 %."""
    if 0 < abs(percent) < 0.05:
        return f"{percent:.{1 - math.floor(math.log10(abs(percent)))}f}".rstrip("0")
    if 99.95 <= percent < 100:
        return str(min(99.999, math.floor(percent * 1000) / 1000))
    return f"{percent:.1f}"


def _plain(value: float) -> str:
    """Five digits, and never a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 10_000 else f"{value:.5g}"


def _format_seconds(seconds: float) -> str:
    size = abs(seconds)
    if size == 0:
        return "0 s"
    if size < 1e-3:
        return f"{seconds * 1e6:.1f} µs"
    if size < 1:
        return f"{seconds * 1e3:.3f} ms"
    for length, word in _LENGTHS:
        if size >= 2 * length:
            return f"{seconds / length:,.1f} {word}"
    return f"{seconds:.3f} s"


def _format_scaled(value: float, symbol: str) -> str:
    for prefix in ("", "k", "M", "G", "T"):
        if abs(value) < 1000 or prefix == "T":
            return f"{value:.4g} {symbol}" if not prefix else f"{value:.2f} {prefix}{symbol}"
        value /= 1000
    raise AssertionError("the last prefix always returns")
