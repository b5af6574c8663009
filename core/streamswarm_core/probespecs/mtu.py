from typing import Final, Literal, Self

from pydantic import Field, model_validator

from streamswarm_core.catalogue.path import MTU
from streamswarm_core.probespecs.demand import RAW_SOCKET, Lane, RunCost
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec

_LEAST_IPV6: Final = 1280


class MtuParams(ProbeParams):
    """Options of the `mtu` probe."""

    method: Literal["icmp", "udp"] = Field(
        "icmp",
        description="Packets to send: ICMP echo, whose answers are as long, or UDP, whose answers are short but come "
        "once a second at most.",
    )
    port: int = Field(33_434, ge=1, le=65_535, description="With `udp`: a port on which the target has no service.")
    floor: int | None = Field(
        None, ge=68, le=9000, description="Smallest packet to try, bytes; 576 for IPv4 and 1280 for IPv6 if null."
    )
    tries: int = Field(3, ge=1, le=10, description="Unanswered packets of a size after which it counts as too big.")
    wait: float = Field(1.0, gt=0, le=10, description="Seconds to wait for an answer.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.family is Family.IPV6 and self.floor is not None and self.floor < _LEAST_IPV6:
            raise ValueError(f"floor {self.floor} is below {_LEAST_IPV6}, which every IPv6 path carries (RFC 8200)")
        return self


MTU_SPEC: Final = ProbeSpec(
    name="mtu",
    title="Path MTU",
    help="The largest packet that reaches a target unfragmented, and whether routers say so when one is too large.",
    params=MtuParams,
    measurements=(MTU,),
    example_target="192.0.2.1",
    headline="pmtu",
    timeout=60.0,
    lane=Lane.SHARED,
    cost=lambda params: RunCost(12 * params.tries, 12 * params.tries * 1500),
    needs=(RAW_SOCKET,),
)
