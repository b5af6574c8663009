from typing import Final, Literal, Self

from pydantic import Field, model_validator

from streamswarm_core.catalogue.tcp import TCP_WINDOW, TCP_WINDOW_SAMPLE
from streamswarm_core.probespecs.demand import Lane, RunCost
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec
from streamswarm_core.probespecs.targets import read_upload_target


class TcpWindowParams(ProbeParams):
    """Options of the `tcp_window` probe.

    The target is `host:port` of a server that takes data and throws them away, or an `http://` URL.
    """

    method: Literal["GET", "PUT", "POST"] = Field(
        "GET", description="For a URL: GET downloads; PUT and POST upload, and can say what the bottleneck is."
    )
    max_bytes: int = Field(2_000_000, ge=10_000, le=1_000_000_000, description="Bytes to transfer at most.")
    max_seconds: float = Field(10.0, ge=0.1, le=120, description="Seconds to transfer at most.")
    rate: int | None = Field(
        None,
        ge=1_000,
        description="Bytes per second to send at most, paced by the kernel; as fast as goes if not given.",
    )
    congestion_control: str | None = Field(
        None, pattern=r"^[a-z0-9_]{1,15}$", description="Such as `cubic` or `bbr`; this host's own choice if not given."
    )
    sample_interval: float = Field(0.01, ge=0.001, le=10, description="Seconds between two looks at the connection.")
    keep_samples: int = Field(50, ge=0, le=500, description="Looks that are written as `tcp_window_sample`, at most.")
    wait: float = Field(3.0, gt=0, le=60, description="Seconds to wait for the connection.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")

    @model_validator(mode="after")
    def _has_time_for_samples(self) -> Self:
        if self.sample_interval >= self.max_seconds:
            least, most = f"{self.sample_interval:g} s", f"{self.max_seconds:g} s"
            raise ValueError(f"sample_interval {least} is not below max_seconds {most}: nothing would be seen")
        return self


TCP_WINDOW_SPEC: Final = ProbeSpec(
    name="tcp_window",
    title="TCP window",
    help="A bounded bulk transfer, and what held it back by the kernel's accounting.",
    params=TcpWindowParams,
    measurements=(TCP_WINDOW, TCP_WINDOW_SAMPLE),
    example_target="www.example.com:9",
    headline="throughput",
    timeout=20.0,
    read_target=read_upload_target,
    lane=Lane.EXCLUSIVE,
    cost=lambda params: RunCost(params.max_bytes / 1448, params.max_bytes * 1.05),
)
