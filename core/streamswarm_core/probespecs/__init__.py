"""What can be measured and with which options: the part of a probe that the control plane and the CLI must know.

The code that measures is in the agent, one file a probe.
"""

from typing import Final

from streamswarm_core.probespecs.bandwidth import BANDWIDTH_SPEC, BandwidthMethod, BandwidthParams
from streamswarm_core.probespecs.dns import DNS_SPEC, DnsParams
from streamswarm_core.probespecs.gnmi import GNMI_SPEC, GnmiLeaf, GnmiParams
from streamswarm_core.probespecs.http import HTTP_SPEC, HttpParams
from streamswarm_core.probespecs.icmp import ICMP_SPEC, IcmpParams
from streamswarm_core.probespecs.model import REVEAL, Family, ProbeParams, ProbeSpec
from streamswarm_core.probespecs.mtu import MTU_SPEC, MtuParams
from streamswarm_core.probespecs.qos import QOS_SPEC, ClassPolicy, QosParams
from streamswarm_core.probespecs.stamp import STAMP_SPEC, StampParams
from streamswarm_core.probespecs.system import SYSTEM_SPEC, SystemParams
from streamswarm_core.probespecs.tcp import TCP_SPEC, TcpParams
from streamswarm_core.probespecs.tcp_window import TCP_WINDOW_SPEC, TcpWindowParams
from streamswarm_core.probespecs.tls import TLS_SPEC, TlsParams
from streamswarm_core.probespecs.traceroute import TRACEROUTE_SPEC, TraceMethod, TracerouteParams
from streamswarm_core.probespecs.voip import VOIP_SPEC, VoipParams

SPECS: Final[dict[str, ProbeSpec]] = {
    "icmp": ICMP_SPEC,
    "dns": DNS_SPEC,
    "tcp": TCP_SPEC,
    "tcp_window": TCP_WINDOW_SPEC,
    "tls": TLS_SPEC,
    "http": HTTP_SPEC,
    "traceroute": TRACEROUTE_SPEC,
    "mtu": MTU_SPEC,
    "qos": QOS_SPEC,
    "stamp": STAMP_SPEC,
    "voip": VOIP_SPEC,
    "bandwidth": BANDWIDTH_SPEC,
    "system": SYSTEM_SPEC,
    "gnmi": GNMI_SPEC,
}

__all__ = [
    "REVEAL",
    "SPECS",
    "BandwidthMethod",
    "BandwidthParams",
    "ClassPolicy",
    "DnsParams",
    "Family",
    "GnmiLeaf",
    "GnmiParams",
    "HttpParams",
    "IcmpParams",
    "MtuParams",
    "ProbeParams",
    "ProbeSpec",
    "QosParams",
    "StampParams",
    "SystemParams",
    "TcpParams",
    "TcpWindowParams",
    "TlsParams",
    "TraceMethod",
    "TracerouteParams",
    "VoipParams",
]
