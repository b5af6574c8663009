from typing import Annotated, Final, Self

from pydantic import AfterValidator, Field, model_validator

from streamswarm_core.catalogue.distribution import ICMP_RTT
from streamswarm_core.catalogue.network import ICMP
from streamswarm_core.probespecs.demand import PING_SOCKET, Lane, RunCost
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec, family_of, wait_within

_LONGEST_INTERFACE: Final = 15


def _read_source(written: str) -> str:
    if family_of(written.partition("%")[0]) is Family.ANY and (len(written) > _LONGEST_INTERFACE or ":" in written):
        raise ValueError(f"{written!r} is no address and no interface's name; takes one of them, such as eth0")
    return written


class IcmpParams(ProbeParams):
    """Options of the `icmp` probe."""

    count: int = Field(4, ge=1, le=100, description="Echo requests a run.")
    spacing: float = Field(0.2, ge=0.01, le=10, description="Seconds between two requests.")
    wait: float = Field(1.0, gt=0, le=30, description="Seconds that a reply may take; a later one counts as lost.")
    size: int = Field(56, ge=16, le=65_000, description="Bytes of payload after the ICMP header.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")
    dscp: int = Field(0, ge=0, le=63, description="Differentiated services code point, such as 46 for EF.")
    df: bool = Field(False, description="Don't fragment: a request that is too large for the path is an error.")
    ttl: int | None = Field(None, ge=1, le=255, description="TTL or hop limit; the system's unless given.")
    source: Annotated[str, AfterValidator(_read_source)] | None = Field(
        None,
        max_length=45,
        pattern=r"^[^\s/]+$",
        description="Address or interface to send from; the routing table's choice unless given.",
    )

    def within(self, seconds: float) -> Self:
        """Replies are waited for no longer than the run may take."""
        return self.model_copy(update={"wait": wait_within(seconds, (self.count - 1) * self.spacing, self.wait)})

    @model_validator(mode="after")
    def _of_one_family(self) -> Self:
        family = family_of((self.source or "").partition("%")[0])
        if Family.ANY not in {family, self.family} and family is not self.family:
            raise ValueError(f"source {self.source} is no {self.family} address, which family asks for")
        return self


_HEADERS: Final = 40 + 8
"""Bytes of the larger IP header and of ICMP's."""

ICMP_SPEC: Final = ProbeSpec(
    name="icmp",
    title="Ping",
    help="Round-trip time, loss and jitter by ICMP echo.",
    params=IcmpParams,
    measurements=(ICMP, ICMP_RTT),
    example_target="192.0.2.1",
    headline="rtt_mean",
    timeout=10.0,
    lane=Lane.SHARED,
    cost=lambda params: RunCost(params.count, params.count * (params.size + _HEADERS)),
    lasts=lambda params: (params.count - 1) * params.spacing,
    needs=(PING_SOCKET,),
)
