from enum import StrEnum
from typing import Final, Self

from pydantic import Field, model_validator

from streamswarm_core.catalogue.bandwidth import BANDWIDTH, BANDWIDTH_SECOND
from streamswarm_core.probespecs.demand import Lane, RunCost, program
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec
from streamswarm_core.wire.bandwidth import MOST_STREAMS
from streamswarm_core.wire.stamp import DEFAULT_PORT


class BandwidthMethod(StrEnum):
    """What is at the other side."""

    REFLECTOR = "reflector"
    IPERF3 = "iperf3"
    SPEEDTEST = "speedtest"


class BandwidthParams(ProbeParams):
    """Options of the `bandwidth` probe."""

    method: BandwidthMethod = Field(
        BandwidthMethod.REFLECTOR,
        description="What is at the other side: a collector's or agent's reflector, an iperf3 server, or a Speedtest "
        "Mini server, whose URL is the target.",
    )
    port: int | None = Field(
        None, ge=1, le=65_535, description=f"TCP port; if null {DEFAULT_PORT} for a reflector, 5201 for iperf3."
    )
    download: bool = Field(True, description="Whether to measure towards the agent.")
    upload: bool = Field(True, description="Whether to measure from the agent.")
    seconds: float = Field(5.0, ge=0.5, le=60, description="Longest time of each direction.")
    budget: int = Field(
        50_000_000,
        ge=100_000,
        le=100_000_000_000,
        description="Bytes a run may transfer, all directions together; a fast link ends earlier.",
    )
    streams: int = Field(4, ge=1, le=MOST_STREAMS, description="Connections at the same time.")
    udp_rate: float | None = Field(
        None,
        ge=8_000,
        le=10_000_000_000,
        description="Bits per second sent each way by UDP, to tell loss and jitter at that rate; iperf3 only. If "
        "null, TCP tells what the path carries.",
    )
    warm_up: float = Field(
        0.5, ge=0, le=10, description="Seconds of each direction that don't count; at most half of it."
    )
    latency: bool = Field(
        True, description="Whether to measure the delay under load, with stamp packets to the same reflector."
    )
    key: str = Field(
        "", max_length=63, description="Name of the agent's key (its setting keys) for a reflector; empty for none."
    )
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")

    @model_validator(mode="after")
    def _some_direction(self) -> Self:
        if not self.download and not self.upload:
            raise ValueError("download and upload can't both be false")
        return self

    @model_validator(mode="after")
    def _udp_by_iperf3(self) -> Self:
        if self.udp_rate is not None and self.method is not BandwidthMethod.IPERF3:
            raise ValueError("udp_rate needs method=iperf3; a reflector is measured by stamp for loss and jitter")
        return self

    @model_validator(mode="after")
    def _as_the_method_has_it(self) -> Self:
        if self.port is not None and self.method is BandwidthMethod.SPEEDTEST:
            raise ValueError("port is for method reflector and iperf3; a Speedtest Mini server's is in its URL")
        return self


_SEGMENT: Final = 1_448

_QUIET_SECONDS: Final = 5.0
"""What it takes until other runs have ended, and around a direction."""

BANDWIDTH_SPEC: Final = ProbeSpec(
    name="bandwidth",
    title="Bandwidth",
    help="Bits per second each way, and the delay under load: to a reflector, iperf3 or Speedtest Mini.",
    params=BandwidthParams,
    measurements=(BANDWIDTH, BANDWIDTH_SECOND),
    example_target="192.0.2.1",
    headline="download",
    timeout=180.0,
    lane=Lane.EXCLUSIVE,
    cost=lambda params: RunCost(params.budget / _SEGMENT, params.budget),
    lasts=lambda params: _QUIET_SECONDS + (params.download + params.upload) * params.seconds,
    needs=(program("iperf3", "iperf3", "measuring with method=iperf3", optional=True),),
)
