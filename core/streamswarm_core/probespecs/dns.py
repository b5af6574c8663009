from typing import Final, Literal

from pydantic import Field

from streamswarm_core.catalogue.network import DNS
from streamswarm_core.probespecs.demand import RunCost
from streamswarm_core.probespecs.model import Host, ProbeParams, ProbeSpec


class DnsParams(ProbeParams):
    """Options of the `dns` probe; the target is the name to look up."""

    server: Host | None = Field(None, description="Server to ask; the host's own resolver if not given.")
    port: int = Field(53, ge=1, le=65_535, description="The server's port.")
    record_type: str = Field("A", pattern=r"^[A-Z][A-Z0-9]{0,15}$", description="Record type, such as A, AAAA or MX.")
    transport: Literal["udp", "tcp"] = Field("udp", description="How to ask; UDP falls back to TCP when truncated.")
    recursive: bool = Field(True, description="Whether to ask the server to recurse.")
    wait: float = Field(3.0, gt=0, le=30, description="Seconds to wait for the answer.")
    expect_rcodes: tuple[str, ...] = Field(("NOERROR",), min_length=1, description="Response codes that count as up.")


DNS_SPEC: Final = ProbeSpec(
    name="dns",
    title="DNS",
    help="Look-up time and answer of one DNS query.",
    params=DnsParams,
    measurements=(DNS,),
    example_target="www.example.com",
    headline="lookup",
    timeout=10.0,
    cost=lambda params: RunCost(1, 512) if params.transport == "udp" else RunCost(6, 1000),
)
