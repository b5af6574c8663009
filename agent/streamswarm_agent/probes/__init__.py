"""The probes, one file each. A third party adds its own through the entry-point group `streamswarm.probes`."""

from functools import cache
from importlib.metadata import entry_points
from typing import Final

from streamswarm_agent.probes.bandwidth import BandwidthProbe
from streamswarm_agent.probes.base import Context, Engine, Engines, Probe
from streamswarm_agent.probes.dns import DnsProbe
from streamswarm_agent.probes.gnmi import GnmiProbe
from streamswarm_agent.probes.http import HttpProbe
from streamswarm_agent.probes.icmp import IcmpProbe
from streamswarm_agent.probes.mtu import MtuProbe
from streamswarm_agent.probes.qos import QosProbe
from streamswarm_agent.probes.stamp import StampProbe
from streamswarm_agent.probes.system import SystemProbe
from streamswarm_agent.probes.tcp import TcpProbe
from streamswarm_agent.probes.tcp_window import TcpWindowProbe
from streamswarm_agent.probes.tls import TlsProbe
from streamswarm_agent.probes.traceroute import TracerouteProbe
from streamswarm_agent.probes.voip import VoipProbe

PROBES: Final[dict[str, Probe]] = {
    "icmp": IcmpProbe(),
    "dns": DnsProbe(),
    "tcp": TcpProbe(),
    "tcp_window": TcpWindowProbe(),
    "tls": TlsProbe(),
    "http": HttpProbe(),
    "traceroute": TracerouteProbe(),
    "mtu": MtuProbe(),
    "qos": QosProbe(),
    "stamp": StampProbe(),
    "voip": VoipProbe(),
    "bandwidth": BandwidthProbe(),
    "system": SystemProbe(),
    "gnmi": GnmiProbe(),
}


@cache
def third_party_probes() -> dict[str, Probe]:
    """Probes that other installed distributions offer; none can take the name of one of ours."""
    return {
        entry.name: entry.load()() for entry in entry_points(group="streamswarm.probes") if entry.name not in PROBES
    }


def find_probe(name: str) -> Probe | None:
    """The probe of a name, or None."""
    return PROBES.get(name) or third_party_probes().get(name)


__all__ = ["PROBES", "Context", "Engine", "Engines", "Probe", "find_probe"]
