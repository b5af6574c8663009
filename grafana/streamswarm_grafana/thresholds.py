"""From where on a value is suspicious, and from where on bad: for colours and for alerts alike.

Which direction is bad is the catalogue's `worse`; these are the numbers, in the field's base unit.
"""

from dataclasses import dataclass
from typing import Final

from streamswarm_core.catalogue import Field

DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Limits:
    """Two steps away from good.

    Attributes:
        warn: suspicious from here on.
        bad: bad from here on.
        falling: whether smaller is worse.
        best: better than good from here on, where smaller is worse.
    """

    warn: float
    bad: float
    falling: bool = False
    best: float | None = None


_BEST: Final = {"voip.mos": 4.0, "voip.mos_there": 4.0, "voip.mos_back": 4.0}
_NUMBERS: Final[dict[str, tuple[float, float]]] = {
    "icmp.loss": (0.01, 0.05),
    "icmp.rtt_mean": (0.15, 0.3),
    "icmp.jitter": (0.03, 0.06),  # 60 ms: what voice bears
    "traceroute.loss": (0.01, 0.05),
    "traceroute_hop.loss": (0.05, 0.5),
    "stamp.loss": (0.01, 0.05),
    "stamp.loss_there": (0.01, 0.05),
    "stamp.loss_back": (0.01, 0.05),
    "qos_class.loss": (0.01, 0.05),
    "voip.mos": (3.0, 2.0),
    "voip.mos_there": (3.0, 2.0),
    "voip.mos_back": (3.0, 2.0),
    "voip.r": (80, 60),  # ITU-T G.109: satisfied above, nearly all dissatisfied below
    "voip.loss": (0.01, 0.02),
    "voip.loss_there": (0.01, 0.02),
    "voip.loss_back": (0.01, 0.02),
    "voip.late_there": (0.01, 0.02),
    "voip.late_back": (0.01, 0.02),
    "voip.jitter_there": (0.03, 0.06),
    "voip.jitter_back": (0.03, 0.06),
    "voip.mouth_to_ear_there": (0.15, 0.4),  # ITU-T G.114
    "voip.mouth_to_ear_back": (0.15, 0.4),
    "voip.post_dial_delay": (3, 8),  # ITU-T E.721: mean for local and for international calls
    "dns.lookup": (0.1, 0.5),
    "http.total": (1.0, 3.0),
    "http.status": (400, 500),
    "http.first_byte": (0.5, 2.0),
    "http.certificate_expires_in": (30 * DAY, 14 * DAY),
    "tls.expires_in": (30 * DAY, 14 * DAY),
    "tls.chain_expires_in": (30 * DAY, 14 * DAY),
    "tcp.connect": (0.2, 0.5),
    "tcp_window.retransmission_rate": (0.005, 0.02),
    "bandwidth.bufferbloat": (0.06, 0.2),
    "mtu.pmtu": (1500, 1280),
    "host_cpu.usage": (0.8, 0.95),
    "host_memory.usage": (0.85, 0.95),
    "host_memory.swap_usage": (0.25, 0.75),
    "host_disk.usage": (0.8, 0.9),
    "host_disk.inode_usage": (0.8, 0.9),
    "host_diskio.utilisation": (0.7, 0.95),
    "host_net.utilisation": (0.7, 0.9),
    "host_pressure.some": (0.1, 0.4),
    "host_temperature.temperature": (75, 90),
    "host_wifi.signal": (-67, -75),
    "host_wifi.snr": (25, 15),
    "host_clock.maximum_error": (0.05, 0.5),
    "host_tcp.retransmission": (0.01, 0.05),
    "host_smart.wear": (0.8, 0.95),
    "device_interface.in_utilisation": (0.7, 0.9),
    "device_interface.out_utilisation": (0.7, 0.9),
    "device.cpu": (0.8, 0.95),
    "device.memory": (0.85, 0.95),
    "anomaly.score": (0.7, 0.9),
    "agent.oldest_queued": (60, 600),
    "agent.lag": (1, 5),
    "agent.clock_offset": (0.5, 5),
}


def limits_of(measurement: str, field: Field) -> Limits | None:
    """The limits of a field; None where it has none.

    >>> from streamswarm_core.catalogue import CATALOGUE
    >>> limits_of("tls", CATALOGUE["tls"]["expires_in"])
    Limits(warn=2592000.0, bad=1209600.0, falling=True, best=None)
    """
    name = f"{measurement}.{field.name}"
    numbers = _NUMBERS.get(name)
    return None if numbers is None else Limits(*numbers, falling=field.worse == "down", best=_BEST.get(name))


def limited() -> list[tuple[str, str]]:
    """Every measurement and field with limits."""
    return [(name, field) for name, _, field in (key.partition(".") for key in _NUMBERS)]
