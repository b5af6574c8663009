from typing import Final, Literal, Self

from pydantic import Field, model_validator

from streamswarm_core.catalogue.tcp import TCP
from streamswarm_core.probespecs.demand import RunCost
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec
from streamswarm_core.probespecs.targets import read_host_port


class TcpParams(ProbeParams):
    """Options of the `tcp` probe; the target is `host:port` or `[IPv6]:port`."""

    wait: float = Field(3.0, gt=0, le=60, description="Seconds to wait for the connection.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")
    count: int = Field(
        3,
        ge=1,
        le=20,
        description="Handshakes, one after the other; those after the first show how network delay varies.",
    )
    response: Literal["auto", "banner", "close", "off"] = Field(
        "auto",
        description=(
            "The sign of the server program to wait for: its banner, or that it closes when the agent does. `auto` "
            "takes the banner on ports where the server speaks first."
        ),
    )
    send: str | None = Field(
        None, min_length=1, max_length=4096, description="Text to send once connected; the answer is the sign then."
    )
    response_wait: float = Field(1.0, gt=0, le=60, description="Seconds to wait for that sign.")
    slow_network: float = Field(0.2, gt=0, le=60, description="Network delay in seconds from which it counts as slow.")
    slow_server: float = Field(
        0.2, gt=0, le=60, description="Server processing in seconds from which it counts as slow."
    )

    @model_validator(mode="after")
    def _one_sign(self) -> Self:
        if self.send is not None and self.response != "auto":
            raise ValueError(f"takes send, whose answer is the sign to wait for, or response {self.response}, not both")
        return self


TCP_SPEC: Final = ProbeSpec(
    name="tcp",
    title="TCP handshake",
    help="Phases of a TCP handshake, and the network's delay apart from the server's.",
    params=TcpParams,
    measurements=(TCP,),
    example_target="www.example.com:443",
    headline="connect",
    timeout=10.0,
    read_target=read_host_port,
    cost=lambda params: RunCost(params.count * 5, params.count * 300),
)
