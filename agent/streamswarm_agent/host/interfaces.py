"""Network interfaces: /sys/class/net, and what their drivers count."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Final

from streamswarm_agent.host.ethtool import read_statistics
from streamswarm_agent.host.files import SYS, list_folder, points_of, read_int, read_text
from streamswarm_agent.host.growth import Growth, quotient
from streamswarm_core.catalogue.host_net import HOST_NET
from streamswarm_core.point import FieldValue, Point

MOST_INTERFACES: Final = 64
_IFF_UP: Final = 0x1
_BYTES_PER_MEGABIT: Final = 125_000.0

_KERNEL_COUNTERS: Final = {
    "packets_received": "rx_packets",
    "packets_sent": "tx_packets",
    "errors_in": "rx_errors",
    "errors_out": "tx_errors",
    "drops_in": "rx_dropped",
    "drops_out": "tx_dropped",
    "missed": "rx_missed_errors",
    "overruns": "rx_fifo_errors",
    "crc_errors": "rx_crc_errors",
    "frame_errors": "rx_frame_errors",
    "carrier_errors": "tx_carrier_errors",
    "collisions": "collisions",
}
"""Fields by the kernel's names (Documentation/networking/statistics.rst)."""

_DRIVER_COUNTERS: Final = {
    # Each driver has names of its own, and its counters per priority or queue add up to the same; so the first counter
    # of a list that a driver has is taken, not the sum.
    "pause_received": (
        "rx_pause",
        "rx_pause_frames",
        "rx_pause_ctrl_phy",  # mlx5
        "rx_flow_control_xoff",  # igb, igc, ixgbe, e1000e
        "port.link_xoff_rx",  # i40e
        "link_xoff_rx.nic",  # ice
        "rx_xoff_pause_rcvd",  # tg3
        "rx_xoff_frames",  # bnx2
        "mmc_rx_pause_frames",  # stmmac
    ),
    "pause_sent": (
        "tx_pause",
        "tx_pause_frames",
        "tx_pause_ctrl_phy",
        "tx_flow_control_xoff",
        "port.link_xoff_tx",
        "link_xoff_tx.nic",
        "tx_xoff_sent",
        "tx_xoff_frames",
        "mmc_tx_pause_frame",
    ),
    "symbol_errors": (
        "rx_symbol_err_phy",  # mlx5
        "rx_symbol_errors",
        "rx_symbol_error",
    ),
}

DriverCounters = Callable[[str], Mapping[str, int]]


def interface_points(
    growth: Growth, skip: Sequence[str] = (), sys: Path = SYS, driver_counters: DriverCounters = read_statistics
) -> Iterator[Point]:
    """HOST_NET: state, and rates since the run before.

    Args:
        growth: the counters' gains.
        skip: patterns of names to leave out.
        sys: the kernel's /sys.
        driver_counters: asks an interface's driver.
    """
    folders = [
        folder
        for folder in list_folder(sys / "class/net")
        if (folder / "statistics").is_dir() and not any(fnmatchcase(folder.name, pattern) for pattern in skip)
    ]
    for folder in folders[:MOST_INTERFACES]:
        fields = {**_state(folder), **_rates(growth, folder, driver_counters)}
        fields["utilisation"] = _utilisation(fields)
        yield from points_of(HOST_NET, {"interface": folder.name}, fields)


def _state(folder: Path) -> dict[str, FieldValue | None]:
    try:
        flags = int(read_text(folder / "flags") or "", 16)
    except ValueError:
        flags = _IFF_UP
    operating = read_text(folder / "operstate")
    # Loopback and tunnels have no carrier to speak of and call themselves unknown.
    up = None if operating is None else int(bool(flags & _IFF_UP) and operating in {"up", "unknown"})
    speed = read_int(folder / "speed")
    duplex = read_text(folder / "duplex")
    return {
        "up": up,
        "mtu": read_int(folder / "mtu"),
        "speed": speed * _BYTES_PER_MEGABIT if speed is not None and speed > 0 else None,
        "full_duplex": int(duplex == "full") if duplex in {"full", "half"} else None,
    }


def _rates(growth: Growth, folder: Path, driver_counters: DriverCounters) -> dict[str, FieldValue | None]:
    # An interface that went and came again has a new number, and counts from nothing.
    key = (folder.name, read_text(folder / "ifindex"))

    def rate(name: str, value: int | None) -> float | None:
        return growth.rate((*key, name), value)

    counted = folder / "statistics"
    driver = driver_counters(folder.name)
    return {
        "received": rate("received", read_int(counted / "rx_bytes")),
        "sent": rate("sent", read_int(counted / "tx_bytes")),
        **{field: rate(field, read_int(counted / name)) for field, name in _KERNEL_COUNTERS.items()},
        "carrier_changes": rate("carrier_changes", read_int(folder / "carrier_changes")),
        **{
            field: rate(field, next((driver[name] for name in names if name in driver), None))
            for field, names in _DRIVER_COUNTERS.items()
        },
    }


def _utilisation(fields: Mapping[str, FieldValue | None]) -> float | None:
    """Of the busier direction; on a half-duplex link both share the medium."""
    received, sent, speed = (fields[name] for name in ("received", "sent", "speed"))
    if not isinstance(received, float) or not isinstance(sent, float) or not isinstance(speed, float):
        return None
    load = received + sent if fields["full_duplex"] == 0 else max(received, sent)
    share = quotient(load, speed)
    return None if share is None else min(1.0, share)
