"""Power: RAPL energy counters in /sys/class/powercap, batteries and mains in /sys/class/power_supply."""

from collections.abc import Iterator
from pathlib import Path

from streamswarm_agent.host.files import SYS, list_folder, points_of, read_int, read_text, scaled
from streamswarm_agent.host.growth import Growth, quotient
from streamswarm_core.catalogue.host_hardware import HOST_POWER, HOST_POWER_SUPPLY
from streamswarm_core.point import Point


def rapl_points(growth: Growth, sys: Path = SYS) -> Iterator[Point]:
    """HOST_POWER: what processors and memory drew since the run before; since Linux 5.10 only root may read it.

    The counters wrap, on a busy server every few minutes to hours; over such an interval nothing is reported, because
    how often they wrapped isn't known.
    """
    for zone in list_folder(sys / "class/powercap", "intel-rapl*:*"):
        tags = {"chip": "rapl", "device": zone.name.rpartition("rapl:")[2], "sensor": read_text(zone / "name") or ""}
        joules = scaled(read_int(zone / "energy_uj"), 1e-6)
        yield from points_of(HOST_POWER, tags, {"power": growth.rate(("rapl", zone.name), joules)})


def supply_points(sys: Path = SYS) -> Iterator[Point]:
    """HOST_POWER_SUPPLY (Documentation/ABI/testing/sysfs-class-power): micro-units; not the batteries of mice."""
    for supply in list_folder(sys / "class/power_supply"):
        if read_text(supply / "scope") == "Device":
            continue
        kind = read_text(supply / "type") or ""
        voltage = scaled(read_int(supply / "voltage_now"), 1e-6)
        fields = {
            "online": read_int(supply / "online"),
            "charge": scaled(read_int(supply / "capacity"), 0.01),
            "status": read_text(supply / "status"),
            "power": _power(supply, voltage),
            "voltage": voltage,
            "health": _health(supply),
            # Batteries that don't count their cycles say 0.
            "cycles": read_int(supply / "cycle_count") or None,
        }
        yield from points_of(HOST_POWER_SUPPLY, {"supply": supply.name, "kind": kind.lower()}, fields)


def _power(supply: Path, voltage: float | None) -> float | None:
    """Watts into or out of the battery; some report a current instead. The sign is the driver's whim."""
    power = scaled(read_int(supply / "power_now"), 1e-6)
    current = scaled(read_int(supply / "current_now"), 1e-6)
    if power is None and current is not None and voltage is not None:
        power = current * voltage
    return None if power is None else abs(power)


def _health(supply: Path) -> float | None:
    for kind in ("energy", "charge"):
        share = quotient(read_int(supply / f"{kind}_full"), read_int(supply / f"{kind}_full_design"))
        if share is not None:
            return share
    return None
