"""Temperatures, fans, voltages and powers that chips measure: /sys/class/hwmon, else /sys/class/thermal."""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from streamswarm_agent.host.files import SYS, list_folder, points_of, read_int, read_text, scaled
from streamswarm_core.catalogue.host_hardware import HOST_FAN, HOST_POWER, HOST_TEMPERATURE, HOST_VOLTAGE
from streamswarm_core.point import Point

MOST_SENSORS: Final = 64
"""Of each kind and chip."""


def sensor_points(sys: Path = SYS) -> Iterator[Point]:
    """HOST_TEMPERATURE, HOST_FAN, HOST_VOLTAGE and HOST_POWER: one for each sensor that answers."""
    temperatures = 0
    for chip in list_folder(sys / "class/hwmon", "hwmon*"):
        tags = {"chip": read_text(chip / "name") or chip.name, "device": _device(chip)}
        for point in _chip_points(chip, tags):
            temperatures += point.measurement == HOST_TEMPERATURE.name
            yield point
    if not temperatures:
        yield from _zone_points(sys)


def _chip_points(chip: Path, tags: dict[str, str]) -> Iterator[Point]:
    """Documentation/hwmon/sysfs-interface.rst: millidegrees, revolutions a minute, millivolts, microwatts."""
    for sensor, label in _sensors(chip, "temp"):
        fields = {
            "temperature": scaled(_working(sensor, "input"), 1e-3),
            "high": scaled(read_int(Path(f"{sensor}_max")), 1e-3),
            "critical": scaled(read_int(Path(f"{sensor}_crit")), 1e-3),
        }
        if fields["temperature"] is not None:
            yield from points_of(HOST_TEMPERATURE, {**tags, "sensor": label}, fields)
    for sensor, label in _sensors(chip, "fan"):
        yield from points_of(HOST_FAN, {**tags, "sensor": label}, {"speed": _working(sensor, "input")})
    for sensor, label in _sensors(chip, "in"):
        voltage = scaled(_working(sensor, "input"), 1e-3)
        yield from points_of(HOST_VOLTAGE, {**tags, "sensor": label}, {"voltage": voltage})
    for sensor, label in _sensors(chip, "power"):
        watts = _working(sensor, "input")
        power = scaled(watts if watts is not None else _working(sensor, "average"), 1e-6)
        yield from points_of(HOST_POWER, {**tags, "sensor": label}, {"power": power})


def _sensors(chip: Path, kind: str) -> list[tuple[Path, str]]:
    """Paths without the part behind the underscore, such as …/temp1, and what each is called."""
    found = [*list_folder(chip, f"{kind}[0-9]*_input"), *list_folder(chip, f"{kind}[0-9]*_average")]
    names = dict.fromkeys(path.name.partition("_")[0] for path in found)
    labels = {name: read_text(chip / f"{name}_label") or name for name in names}
    times = Counter(labels.values())
    # Some chips call several sensors the same.
    return [(chip / name, label if times[label] == 1 else f"{label} {name}") for name, label in labels.items()][
        :MOST_SENSORS
    ]


def _working(sensor: Path, what: str) -> int | None:
    return None if read_int(Path(f"{sensor}_fault")) == 1 else read_int(Path(f"{sensor}_{what}"))


def _device(chip: Path) -> str:
    """What the chip sits on: the disk where it is one, so that two disks of one kind can be told apart."""
    device = chip / "device"
    blocks = list_folder(device / "block")
    if blocks:
        return blocks[0].name
    try:
        return device.resolve(strict=True).name
    except OSError:
        return ""


def _zone_points(sys: Path) -> Iterator[Point]:
    for zone in list_folder(sys / "class/thermal", "thermal_zone*")[:MOST_SENSORS]:
        tags = {"chip": "thermal", "device": zone.name, "sensor": read_text(zone / "type") or zone.name}
        yield from points_of(HOST_TEMPERATURE, tags, {"temperature": scaled(read_int(zone / "temp"), 1e-3)})
