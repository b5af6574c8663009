from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from streamswarm_core.catalogue.voip import VOIP
from streamswarm_core.dscp import parse_dscp
from streamswarm_core.probespecs.demand import RunCost
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec
from streamswarm_core.probespecs.qos import TrafficClass
from streamswarm_core.voice.codecs import CODECS, IP_HEADER, RTP_HEADER, UDP_HEADER, Codec
from streamswarm_core.wire.stamp import AUTHENTICATED_SIZE, COS_TLV_SIZE, DEFAULT_PORT, HMAC_TLV_SIZE, OPEN_SIZE

SIP_PORT: Final = 5060
_FOR_CALLS_ONLY: Final = ("dial", "user", "domain", "register_first", "transport", "answer_wait")


def _written(number: object) -> object:
    """Digits as text, also where they came as a number, as they do after `-o dial=`."""
    return str(number) if isinstance(number, int) and not isinstance(number, bool) else number


User = Annotated[str, BeforeValidator(_written)]
"""The user part of a SIP URI: a name or a telephone number."""


class VoipParams(ProbeParams):
    """Options of the `voip` probe."""

    mode: Literal["stream", "call"] = Field(
        "stream",
        description="`stream`: speech packets to a reflector (STAMP, RFC 8762), each direction by itself; `call`: a "
        "SIP call to `dial` at the target.",
    )
    port: int | None = Field(
        None,
        ge=1,
        le=65_535,
        description=f"Port of the reflector or of the SIP server; {DEFAULT_PORT} or {SIP_PORT} if null.",
    )
    codec: Literal["PCMA", "PCMU", "G729", "G723", "GSM-EFR"] = Field(
        "PCMA", description="Codec to send as and to rate by: G.711 A-law or µ-law, G.729A, G.723.1 (6.3), GSM-EFR."
    )
    packet_time: float | None = Field(
        None, ge=0.005, le=0.12, description="Seconds of speech in a packet; the codec's usual if null (0.02 or 0.03)."
    )
    concealment: bool = Field(
        True, description="Whether the receiver conceals losses; G.711 only (its appendix I), the others always do."
    )
    seconds: float = Field(10.0, ge=0.5, le=120, description="How long to send speech.")
    wait: float = Field(1.0, gt=0, le=10, description="Seconds to wait for the last packet after that.")
    jitter_buffer: Literal["adaptive", "fixed"] = Field(
        "adaptive", description="The receiver's jitter buffer; packets that come too late for it count as lost."
    )
    buffer: float = Field(
        0.04, ge=0, le=0.5, description="Seconds that a fixed buffer adds; the least that an adaptive one does."
    )
    buffer_most: float = Field(0.2, ge=0, le=2, description="Most seconds that an adaptive buffer adds.")
    advantage: float = Field(
        0.0, ge=0, le=20, description="Advantage factor A of G.107: 0 wired, 5 in a building, 10 mobile, 20 satellite."
    )
    dscp: TrafficClass = Field("EF", description="DSCP of the speech packets, by name or number.")
    key: str = Field(
        "",
        max_length=63,
        description="Name of the agent's key (its setting keys): the reflector's, or the password of `user`.",
    )
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")
    dial: User = Field(
        "",
        max_length=128,
        pattern=r'^[^\s@<>:;"]*$',
        description="With `call`: number or user to call, one that answers by itself, such as an echo service.",
    )
    user: User = Field(
        "streamswarm",
        min_length=1,
        max_length=128,
        pattern=r'^[^\s@<>:;"]+$',
        description="With `call`: the caller; with `key` also the name to authenticate with.",
    )
    domain: str = Field(
        "",
        max_length=253,
        pattern=r'^[^\s@<>;"]*$',
        description="With `call`: SIP domain, where it isn't the target's name.",
    )
    register_first: bool = Field(
        False, description="With `call`: register `user` before the call, and take it back after."
    )
    transport: Literal["udp", "tcp"] = Field("udp", description="With `call`: what SIP travels over; speech is UDP.")
    answer_wait: float = Field(10.0, gt=0, le=120, description="With `call`: seconds to wait for the peer to answer.")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        CODECS[self.codec].frames(self.interval)
        idle = next((name for name in _FOR_CALLS_ONLY if name in self.model_fields_set), None)
        if idle is not None and self.mode != "call" and getattr(self, idle) != type(self).model_fields[idle].default:
            raise ValueError(f"{idle} is for a SIP call: set mode to call, or leave it out")
        if self.mode == "call" and not self.dial:
            raise ValueError("mode call needs dial, the number or user to call")
        if self.buffer > self.buffer_most and self.jitter_buffer == "adaptive":
            raise ValueError(f"buffer {self.buffer:g} is above buffer_most {self.buffer_most:g}")
        return self

    @property
    def coding(self) -> Codec:
        """The codec."""
        return CODECS[self.codec]

    @property
    def interval(self) -> float:
        """Seconds of speech in a packet."""
        return self.packet_time or self.coding.packet_time

    @property
    def count(self) -> int:
        """Speech packets to send."""
        return max(1, round(self.seconds / self.interval))

    @property
    def dscp_value(self) -> int:
        """DSCP as a number."""
        return parse_dscp(self.dscp)

    @property
    def size(self) -> int:
        """Bytes of UDP payload of a speech packet."""
        return RTP_HEADER + len(self.coding.payload(self.interval))


_SIP_PACKETS, _SIP_BYTES = 10, 8_000
"""About what REGISTER, INVITE, ACK and BYE take."""


def _cost(params: VoipParams) -> RunCost:
    least = 0
    if params.mode == "stream":
        least = (AUTHENTICATED_SIZE + HMAC_TLV_SIZE if params.key else OPEN_SIZE) + COS_TLV_SIZE
    packet = max(params.size, least) + UDP_HEADER + IP_HEADER["ipv6"]
    speech = RunCost(params.count, params.count * packet)
    return speech + RunCost(_SIP_PACKETS, _SIP_BYTES) if params.mode == "call" else speech


VOIP_SPEC: Final = ProbeSpec(
    name="voip",
    title="VoIP",
    help="What a call would sound like (R and MOS, ITU-T G.107), by a stream of speech packets or by a SIP call.",
    params=VoipParams,
    measurements=(VOIP,),
    example_target="192.0.2.1",
    headline="mos",
    timeout=60.0,
    cost=_cost,
    lasts=lambda params: params.seconds,
)
