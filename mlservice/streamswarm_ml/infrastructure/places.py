"""Where a bad result can come from, and which metrics of the agent's host speak of it."""

import math
from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from streamswarm_core.catalogue import CATALOGUE
from streamswarm_core.catalogue.model import DBM, DECIBELS, RATIO, STATE


class Place(StrEnum):
    """Where a bad result comes from."""

    HOST = "host"
    WIFI = "wifi"
    NIC = "nic"
    UPLINK = "uplink"
    REMOTE = "remote"


PLACES: Final = tuple(Place)
OWN: Final = (Place.HOST, Place.WIFI, Place.NIC)
"""The agent's own host and link."""

METRICS: Final[Mapping[Place, Mapping[str, tuple[str, ...]]]] = {
    Place.HOST: {
        "host_cpu": ("usage", "busiest_core", "softirq", "iowait", "steal", "backlog_drops", "backlog_squeezes"),
        "host_memory": ("usage", "swap_in", "swap_out", "major_faults"),
        "host_pressure": ("some", "full"),
        "host_udp": ("receive_buffer_errors", "send_buffer_errors"),
    },
    Place.WIFI: {
        "host_wifi": ("signal", "snr", "retries", "retry_share", "failures", "beacon_losses", "channel_busy"),
    },
    Place.NIC: {
        "host_net": (
            "errors_in",
            "errors_out",
            "drops_in",
            "drops_out",
            "missed",
            "overruns",
            "crc_errors",
            "carrier_errors",
            "carrier_changes",
            "collisions",
        ),
    },
}
TRAFFIC: Final = ("host_net", ("received", "sent"))
"""What raises both the load of a host and the delay of a line, without one causing the other."""

PLACE_OF: Final[Mapping[tuple[str, str], Place]] = {
    (measurement, name): place
    for place, measurements in METRICS.items()
    for measurement, names in measurements.items()
    for name in names
}


def badness(measurement: str, name: str, value: float) -> float:
    """A metric so that more is worse and its usual spread is well above 0.02, whatever its unit.

    >>> badness("host_cpu", "usage", 0.5), badness("host_wifi", "signal", -60.0)
    (0.5, 6.0)
    """
    declared = CATALOGUE[measurement][name]
    if declared.unit in {RATIO, STATE}:
        scaled = value
    elif declared.unit in {DBM, DECIBELS}:
        scaled = value / 10
    else:
        scaled = math.log1p(max(value, 0.0))
    return -scaled if declared.worse == "down" else scaled
