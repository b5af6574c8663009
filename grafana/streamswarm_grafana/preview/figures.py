"""Numbers and colours as a panel shows them."""

from collections.abc import Mapping
from typing import Any, Final

BACKGROUND: Final = "#111217"
PANEL: Final = "#181b1f"
TEXT: Final = "#d0d0da"
FAINT: Final = "#7b7c8a"
GRID: Final = "#2a2d33"
COLOURS: Final = {"blue": "#5794f2", "green": "#73bf69", "orange": "#ff9830", "red": "#f2495c"}
PALETTE: Final = (
    "#73bf69",
    "#f2cc0c",
    "#5794f2",
    "#ff9830",
    "#f2495c",
    "#b877d9",
    "#8ab8ff",
    "#fade2a",
    "#37a2a2",
    "#c4162a",
    "#96d98d",
    "#ca95e5",
)

_SECONDS: Final = ((86400.0, "d"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms"), (1e-6, "µs"))
_METRIC: Final = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))
_BINARY: Final = ((2.0**40, "TiB"), (2.0**30, "GiB"), (2.0**20, "MiB"), (2.0**10, "KiB"))
_PLAIN: Final = {
    "count:/s": "/s",
    "dBm": " dBm",
    "dB": " dB",
    "celsius": " °C",
    "watt": " W",
    "degree": "°",
    "rotrpm": " rpm",
}


def shown(value: Any, unit: str) -> str:
    """A value with its unit, about as Grafana writes it.

    >>> shown(0.0123, "s"), shown(0.05, "percentunit"), shown(9e6, "Bps"), shown(1500, "suffix: B")
    ('12.3 ms', '5 %', '9 MB/s', '1500 B')
    """
    if value is None or isinstance(value, str):
        return value or ""
    if unit.startswith("suffix: "):
        return f"{value:.6g} {unit.removeprefix('suffix: ')}"
    match unit:
        case "s":
            return _scaled(value, _SECONDS, " ")
        case "percentunit":
            return f"{value * 100:.3g} %"
        case "bytes":
            return _scaled(value, _BINARY, " ") if abs(value) >= 1024 else f"{value:.3g} B"
        case "none":
            return f"{value:.0f}" if value == int(value) else f"{value:.3g}"
        case "Bps" | "bps":
            return f"{_scaled(value, _METRIC, ' ')}{'B/s' if unit == 'Bps' else 'b/s'}"
        case "hertz":
            return f"{_scaled(value, _METRIC, ' ')}Hz"
        case "lengthm":
            return f"{value / 1000:.3g} km"
        case "bool_yes_no":
            return "Yes" if value else "No"
        case _:
            return f"{_scaled(value, _METRIC, ' ')}{_PLAIN.get(unit, '')}".replace("  ", " ")


def _scaled(value: float, steps: tuple[tuple[float, str], ...], space: str) -> str:
    if value == 0 and steps is _SECONDS:
        return "0 s"
    for size, name in steps:
        if abs(value) >= size * 0.9995:
            return f"{value / size:.3g}{space}{name}"
    smallest = steps[-1] if steps is _SECONDS else (1.0, "")
    return f"{value / smallest[0]:.3g}{space if smallest[1] else ''}{smallest[1]}" + (" " if steps is _METRIC else "")


def colour_of(value: float, thresholds: Mapping[str, Any]) -> str:
    """The colour of the highest step that the value reaches."""
    found = "green"
    for step in thresholds["steps"]:
        if step["value"] is None or value >= step["value"]:
            found = step["color"]
    return COLOURS.get(found, TEXT)
