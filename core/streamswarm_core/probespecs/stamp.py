from typing import Final, Self

from pydantic import Field

from streamswarm_core.catalogue.stamp import STAMP
from streamswarm_core.probespecs.demand import Lane, RunCost
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec, wait_within
from streamswarm_core.wire.stamp import AUTHENTICATED_SIZE, COS_TLV_SIZE, DEFAULT_PORT, HMAC_TLV_SIZE, OPEN_SIZE


class StampParams(ProbeParams):
    """Options of the `stamp` probe."""

    port: int = Field(DEFAULT_PORT, ge=1, le=65_535, description="UDP port of the reflector; standard devices use 862.")
    count: int = Field(20, ge=1, le=10_000, description="Packets a run.")
    spacing: float = Field(0.05, ge=0.001, le=10, description="Seconds between two packets.")
    wait: float = Field(
        1.0,
        gt=0,
        le=30,
        description="Seconds to wait for the last answer; one that comes after the run counts as lost.",
    )
    size: int = Field(
        0, ge=0, le=9_000, description="Bytes of UDP payload, padded to; 0 is the shortest packet that does."
    )
    dscp: int = Field(0, ge=0, le=63, description="DSCP of the packets, and wanted of the answers.")
    ask_dscp: bool = Field(
        True, description="Whether to ask the reflector which DSCP it sees (RFC 8972); one that can't tell ignores it."
    )
    key: str = Field(
        "",
        max_length=63,
        description="Name of the agent's key (its setting keys) to sign packets with; empty for unauthenticated mode.",
    )
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")

    def within(self, seconds: float) -> Self:
        """Answers are waited for no longer than the run may take."""
        return self.model_copy(update={"wait": wait_within(seconds, (self.count - 1) * self.spacing, self.wait)})


_HEADERS: Final = 40 + 8
"""Bytes of the larger IP header and of UDP's."""


def _cost(params: StampParams) -> RunCost:
    smallest = AUTHENTICATED_SIZE + HMAC_TLV_SIZE if params.key else OPEN_SIZE
    size = max(params.size, smallest + COS_TLV_SIZE)
    return RunCost(params.count, params.count * (size + _HEADERS))


STAMP_SPEC: Final = ProbeSpec(
    name="stamp",
    title="STAMP",
    help="Round trip, and loss and delay variation of each direction, to a reflector (RFC 8762, TWAMP-Light).",
    params=StampParams,
    measurements=(STAMP,),
    example_target="192.0.2.1",
    headline="rtt_mean",
    timeout=30.0,
    lane=Lane.SHARED,
    cost=_cost,
    lasts=lambda params: (params.count - 1) * params.spacing,
)
