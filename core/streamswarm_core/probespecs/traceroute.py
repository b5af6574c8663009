from enum import StrEnum
from typing import Final, Self

from pydantic import Field, model_validator

from streamswarm_core.catalogue.path import TRACEROUTE, TRACEROUTE_FLOW, TRACEROUTE_HOP
from streamswarm_core.probespecs.demand import RAW_SOCKET, Lane, RunCost, setting_file
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec


class TraceMethod(StrEnum):
    """What the packets of a trace are."""

    ICMP = "icmp"
    UDP = "udp"
    TCP = "tcp"


class TracerouteParams(ProbeParams):
    """Options of the `traceroute` probe."""

    method: TraceMethod = Field(TraceMethod.ICMP, description="Packets to send: ICMP echo, UDP, or TCP SYN.")
    port: int | None = Field(None, ge=1, le=65_535, description="Target's port; 33434 for UDP and 443 for TCP if null.")
    count: int = Field(3, ge=1, le=20, description="Probes to each hop.")
    spacing: float = Field(0.2, ge=0.01, le=10, description="Seconds between two probes to the same hop.")
    wait: float = Field(1.0, gt=0, le=10, description="Seconds to wait for an answer; a later one counts as lost.")
    max_hops: int = Field(30, ge=1, le=64, description="Hops after which the trace ends.")
    gap_limit: int = Field(5, ge=1, le=30, description="Silent hops in a row after which the trace ends.")
    window: int = Field(4, ge=1, le=64, description="Hops asked at the same time while the path's length is unknown.")
    multipath: bool = Field(False, description="Also vary the flow, to find every branch of load-balanced hops.")
    max_flows: int = Field(64, ge=2, le=256, description="Flows to try at most with `multipath`.")
    confidence: float = Field(
        0.95, ge=0.5, le=0.999, description="With `multipath`: the probability to have found all branches of a hop."
    )
    names: bool = Field(False, description="Look up the routers' names; needs a resolver.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.port is not None and self.method is TraceMethod.ICMP:
            raise ValueError("port is for method udp and tcp; ICMP has none")
        return self


_USUAL_HOPS: Final = 15
_PACKET_BYTES: Final = 60


def _cost(params: TracerouteParams) -> RunCost:
    packets = params.count * min(_USUAL_HOPS, params.max_hops) * (4 if params.multipath else 1)
    return RunCost(packets, packets * _PACKET_BYTES)


TRACEROUTE_SPEC: Final = ProbeSpec(
    name="traceroute",
    title="Traceroute",
    help="The path to a target: each hop's address, loss and round-trip time, branches, and what changed.",
    params=TracerouteParams,
    measurements=(TRACEROUTE, TRACEROUTE_HOP, TRACEROUTE_FLOW),
    example_target="192.0.2.1",
    headline="hops",
    timeout=45.0,
    lane=Lane.SHARED,
    cost=_cost,
    needs=(
        RAW_SOCKET,
        setting_file("geo_asn_file", "naming the networks on the path"),
        setting_file("geo_city_file", "placing the hops, and the distance along the path"),
    ),
)
