from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from streamswarm_core.catalogue.qos import QOS, QOS_CLASS
from streamswarm_core.dscp import dscp_name, parse_dscp
from streamswarm_core.probespecs.demand import RAW_SOCKET, Lane, RunCost
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec, listed


def _canonical(written: object) -> object:
    """The one name of a class, however it was written."""
    return dscp_name(parse_dscp(written)) if isinstance(written, str | int) else written


TrafficClass = Annotated[str, BeforeValidator(_canonical)]
"""A class by its DSCP: a name such as EF, or a number from 0 to 63."""


class ClassPolicy(ProbeParams):
    """What a class is promised; only what is given is checked."""

    max_rtt: float | None = Field(None, gt=0, le=60, description="Longest mean round-trip time, seconds.")
    max_jitter: float | None = Field(None, gt=0, le=60, description="Largest jitter, seconds.")
    max_loss: float | None = Field(None, ge=0, le=1, description="Largest loss, a ratio.")
    keep_marking: bool = Field(False, description="Whether the DSCP must arrive as it was sent.")


class QosParams(ProbeParams):
    """Options of the `qos` probe."""

    classes: Annotated[tuple[TrafficClass, ...], BeforeValidator(listed)] = Field(
        ("BE", "EF", "AF41", "CS1"),
        min_length=1,
        max_length=12,
        description="Classes to compare, by DSCP name or number; BE is always among them.",
    )
    count: int = Field(20, ge=2, le=500, description="Requests of each class.")
    spacing: float = Field(0.1, ge=0.01, le=10, description="Seconds between two requests of the same class.")
    wait: float = Field(1.0, gt=0, le=10, description="Seconds to wait for an answer; a later one counts as lost.")
    size: int = Field(100, ge=84, le=9000, description="Bytes of a request, IP header included.")
    method: Literal["icmp", "udp"] = Field(
        "icmp", description="Requests to send: ICMP echo, or UDP to a STAMP (RFC 8762) or echo reflector at `port`."
    )
    port: int = Field(862, ge=1, le=65_535, description="With `udp`: the reflector's port.")
    marking: bool = Field(True, description="Find out at which hop DSCP and ECN are changed.")
    tries: int = Field(3, ge=1, le=5, description="With `marking`: packets to a hop that doesn't answer.")
    max_hops: int = Field(30, ge=1, le=64, description="With `marking`: hops to ask at most.")
    marking_port: int = Field(
        33_434, ge=1, le=65_535, description="With `marking`: a UDP port on which the target has no service."
    )
    tcp_port: int | None = Field(None, ge=1, le=65_535, description="TCP port to negotiate ECN with; none if null.")
    budget: int = Field(
        500_000, ge=0, le=100_000_000, description="Bytes to look for policers and shapers with, per class; 0 for none."
    )
    limit_classes: Annotated[tuple[TrafficClass, ...], BeforeValidator(listed)] = Field(
        ("BE",), max_length=12, description="Classes to look for policers and shapers in."
    )
    train_size: int = Field(1_000, ge=200, le=9_000, description="Bytes of a packet of a train, IP header included.")
    min_rate: float = Field(500_000, ge=10_000, le=1e9, description="Bits per second of the slowest train.")
    max_rate: float = Field(50e6, ge=20_000, le=1e9, description="Bits per second that no train exceeds.")
    policy: dict[TrafficClass, ClassPolicy] = Field(
        default_factory=dict,
        max_length=12,
        description="What classes are promised: max_rtt, max_jitter, max_loss, keep_marking, by class.",
    )
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        known = {*self.values, 0}
        for option, names in (("limit_classes", self.limit_classes), ("policy", self.policy)):
            for name in names:
                if parse_dscp(name) not in known:
                    raise ValueError(f"{option} names {name}, which is not among classes: {', '.join(self.classes)}")
        if self.max_rate < self.min_rate:
            raise ValueError(f"max_rate {self.max_rate:g} is below min_rate {self.min_rate:g}")
        return self

    @property
    def values(self) -> tuple[int, ...]:
        """The DSCPs to compare, best effort first, each once."""
        return tuple(dict.fromkeys((0, *map(parse_dscp, self.classes))))


def _cost(params: QosParams) -> RunCost:
    requests = params.count * len(params.classes)
    searched = params.budget * len(params.limit_classes)
    return RunCost(requests + searched / 1000, requests * params.size + searched)


QOS_SPEC: Final = ProbeSpec(
    name="qos",
    title="Quality of service",
    help="Classes side by side: latency and loss by DSCP, where DSCP and ECN are changed, policers and shapers.",
    params=QosParams,
    measurements=(QOS, QOS_CLASS),
    example_target="192.0.2.1",
    headline="rtt_mean",
    timeout=90.0,
    lane=Lane.EXCLUSIVE,
    cost=_cost,
    needs=(RAW_SOCKET,),
)
