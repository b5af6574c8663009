from typing import Final

from pydantic import Field

from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec


class IcmpParams(ProbeParams):
    """Options of the `icmp` probe."""

    count: int = Field(4, ge=1, le=100, description="Echo requests a run.")
    spacing: float = Field(0.2, ge=0.01, le=10, description="Seconds between two requests.")
    wait: float = Field(1.0, gt=0, le=30, description="Seconds to wait for the last reply; a later one counts as lost.")
    size: int = Field(56, ge=16, le=65_000, description="Bytes of payload after the ICMP header.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")


ICMP_SPEC: Final = ProbeSpec(
    name="icmp",
    title="Ping",
    help="Round-trip time, loss and jitter by ICMP echo.",
    params=IcmpParams,
    measurements=(ICMP,),
    example_target="192.0.2.1",
    headline="rtt_mean",
    timeout=10.0,
)
