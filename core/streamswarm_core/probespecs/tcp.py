from typing import Final

from pydantic import Field

from streamswarm_core.catalogue.network import TCP
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec


class TcpParams(ProbeParams):
    """Options of the `tcp` probe; the target is `host:port` or `[IPv6]:port`."""

    wait: float = Field(3.0, gt=0, le=60, description="Seconds to wait for the connection.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")


TCP_SPEC: Final = ProbeSpec(
    name="tcp",
    title="TCP connect",
    help="Time to set up a TCP connection.",
    params=TcpParams,
    measurements=(TCP,),
    example_target="www.example.com:443",
    headline="connect",
    timeout=10.0,
)
