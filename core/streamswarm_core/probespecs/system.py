from typing import Final

from pydantic import Field

from streamswarm_core.catalogue.host import HOST
from streamswarm_core.probespecs.demand import Lane, RunCost
from streamswarm_core.probespecs.model import ProbeParams, ProbeSpec


class SystemParams(ProbeParams):
    """Options of the `system` probe."""

    disks: bool = Field(True, description="Measure file systems and block devices.")
    interfaces: bool = Field(True, description="Measure network interfaces.")
    sensors: bool = Field(True, description="Measure temperatures and fans.")


SYSTEM_SPEC: Final = ProbeSpec(
    name="system",
    title="Host",
    help="Processor, memory, disks, interfaces and sensors of the agent's own host.",
    params=SystemParams,
    measurements=HOST,
    example_target="",
    headline="usage",
    timeout=10.0,
    lane=Lane.TOOL,
    cost=lambda _: RunCost(),
)
