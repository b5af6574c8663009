from typing import Annotated, Final

from pydantic import BeforeValidator, Field

from streamswarm_core.catalogue.host import HOST
from streamswarm_core.probespecs.demand import Lane, RunCost, program
from streamswarm_core.probespecs.model import InterfacePattern, ProbeParams, ProbeSpec, listed


class SystemParams(ProbeParams):
    """Options of the `system` probe."""

    disks: bool = Field(True, description="Measure file systems and block devices.")
    interfaces: bool = Field(True, description="Measure network interfaces.")
    skip_interfaces: Annotated[tuple[InterfacePattern, ...], BeforeValidator(listed)] = Field(
        ("veth*", "cali*", "lxc*", "vnet*", "tap*", "ifb*", "dummy*"),
        max_length=50,
        description="Interfaces to leave out, as patterns; containers make many that don't last.",
    )
    sockets: bool = Field(True, description="Measure TCP and UDP.")
    processes: bool = Field(True, description="Count processes by state.")
    top: int = Field(5, ge=0, le=20, description="How many of the busiest and of the largest processes to name.")
    sensors: bool = Field(True, description="Measure temperatures, fans, voltages, power and memory errors.")
    smart: bool = Field(True, description="Ask disks for their health, if smartctl is installed and allowed to.")
    smart_interval: float = Field(600.0, ge=60, le=86_400, description="Seconds between two such questions.")
    wifi: bool = Field(True, description="Measure WiFi links.")
    wifi_samples: int = Field(5, ge=1, le=20, description="How often to read the signal in a run, 0.1 s apart.")
    wifi_scan: bool = Field(
        False, description="Count the WiFi networks around; needs CAP_NET_ADMIN and interrupts the link each time."
    )


SYSTEM_SPEC: Final = ProbeSpec(
    name="system",
    title="Host",
    help="Processor, memory, disks, interfaces, sockets, processes and hardware of the agent's own host.",
    params=SystemParams,
    measurements=HOST,
    example_target="",
    headline="usage",
    timeout=15.0,
    lane=Lane.TOOL,
    cost=lambda _: RunCost(),
    needs=(
        program(
            "smartctl",
            "smartmontools",
            "the health of disks, which also takes root or CAP_SYS_RAWIO (NVMe: CAP_SYS_ADMIN)",
            optional=True,
        ),
        program("iw", "iw", "rates, retries and noise of WiFi links", optional=True),
    ),
)
