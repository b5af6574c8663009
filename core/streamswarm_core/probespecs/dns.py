from typing import Annotated, Final, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from streamswarm_core.catalogue.network import DNS
from streamswarm_core.dnsnames import USUAL_RECORD_TYPES, Rcode, read_rcode, read_record_type
from streamswarm_core.probespecs.demand import RunCost
from streamswarm_core.probespecs.model import Family, FilePath, Host, Pattern, ProbeParams, ProbeSpec, family_of, listed

_PORTS: Final = {"udp": 53, "tcp": 53, "tls": 853, "https": 443}
_FOR_TLS_ONLY: Final = ("server_name", "ca_file")


class DnsParams(ProbeParams):
    """Options of the `dns` probe; the target is the name to look up."""

    server: Host | None = Field(None, description="Server to ask; the host's own resolver if not given.")
    port: int | None = Field(None, ge=1, le=65_535, description="The server's port; the transport's own if not given.")
    record_type: Annotated[str, AfterValidator(read_record_type)] = Field(
        "A",
        max_length=16,
        description="Record type: a name such as A, AAAA or MX, or TYPE and its number (RFC 3597).",
        examples=list(USUAL_RECORD_TYPES),
    )
    transport: Literal["udp", "tcp", "tls", "https"] = Field(
        "udp",
        description="How to ask: UDP (TCP when truncated), TCP, DNS over TLS (RFC 7858) or over HTTPS (RFC 8484).",
    )
    path: str = Field("/dns-query", pattern=r"^/\S*$", max_length=1024, description="Path for DNS over HTTPS.")
    server_name: Host | None = Field(None, description="Name in the server's certificate; the server's if not given.")
    ca_file: FilePath | None = Field(None, description="Authorities to trust, a PEM file on the agent's host.")
    verify_tls: bool = Field(True, description="Whether a certificate that can't be verified counts as down.")
    recursive: bool = Field(True, description="Whether to ask the server to recurse.")
    dnssec: bool = Field(False, description="Set DO, so that a validating server tells by AD what it has validated.")
    expect_authenticated: bool = Field(False, description="Whether an answer without AD counts as down; needs dnssec.")
    edns_size: int = Field(1232, ge=0, le=65_535, description="UDP answer size to offer by EDNS, from 512; 0: no EDNS.")
    retries: int = Field(0, ge=0, le=5, description="Further tries over UDP when no answer comes.")
    wait: float = Field(3.0, gt=0, le=30, description="Seconds to wait for the answer, for each try.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")
    ask_twice: bool = Field(
        False, description="Ask again at once: what a cache then takes, and whether the first answer came from one."
    )
    expect_rcodes: Annotated[tuple[Annotated[Rcode, BeforeValidator(read_rcode)], ...], BeforeValidator(listed)] = (
        Field(
            ("NOERROR",),
            min_length=1,
            max_length=32,
            description="Response codes that count as up, such as NOERROR or NXDOMAIN.",
            examples=[["NOERROR"], ["NXDOMAIN"], ["NOERROR", "NXDOMAIN"]],
        )
    )
    min_answers: int = Field(0, ge=0, le=1000, description="Fewer records in the answer section count as down.")
    expect_values: tuple[str, ...] = Field(
        (), max_length=32, description="Values that have to be among the answers, such as an address."
    )
    answer_matches: tuple[Pattern, ...] = Field(
        (), max_length=32, description="Regular expressions that each have to be found in some record of the answer."
    )
    answer_lacks: tuple[Pattern, ...] = Field(
        (), max_length=32, description="Regular expressions that may be found in no record of the answer."
    )

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        encrypted = self.transport in {"tls", "https"}
        for name in _FOR_TLS_ONLY:
            if getattr(self, name) is not None and not encrypted:
                raise ValueError(f"{name} is for transport tls and https, not {self.transport}")
        if encrypted and self.server is None:
            raise ValueError(f"transport {self.transport} needs a server; the host's resolver is asked in the clear")
        if self.family is not Family.ANY and family_of(self.server or "") not in {Family.ANY, self.family}:
            raise ValueError(f"server {self.server} is no {self.family} address, which family asks for")
        if "path" in self.model_fields_set and self.transport != "https":
            raise ValueError(f"path is for transport https, not {self.transport}")
        if self.retries and self.transport != "udp":
            raise ValueError(f"retries is for transport udp; {self.transport} repeats lost packets by itself")
        if 0 < self.edns_size < 512:
            raise ValueError("edns_size is 0 or from 512 to 65535 (RFC 6891)")
        if self.dnssec and not self.edns_size:
            raise ValueError("dnssec needs EDNS: edns_size can't be 0")
        if self.expect_authenticated and not self.dnssec:
            raise ValueError("expect_authenticated needs dnssec, or the server does not say")
        return self

    @property
    def port_to_ask(self) -> int:
        """The port, given or the transport's own."""
        return self.port or _PORTS[self.transport]


DNS_SPEC: Final = ProbeSpec(
    name="dns",
    title="DNS",
    help="Look-up time and answer of one DNS query, over UDP, TCP, TLS or HTTPS.",
    params=DnsParams,
    measurements=(DNS,),
    example_target="www.example.com",
    headline="lookup",
    timeout=10.0,
    cost=lambda params: RunCost(1, 512) if params.transport == "udp" else RunCost(6, 1000),
)
