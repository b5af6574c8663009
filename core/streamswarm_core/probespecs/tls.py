from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from streamswarm_core.catalogue.web import TLS
from streamswarm_core.probespecs.model import Family, FilePath, Host, ProbeParams, ProbeSpec, check_certificate, listed
from streamswarm_core.probespecs.targets import read_host_port

TlsVersion = Literal["TLS 1.2", "TLS 1.3"]
Protocol = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[\x21-\x7e]+$")]


class TlsParams(ProbeParams):
    """Options of the `tls` probe; the target is `host:port` or `[IPv6]:port`."""

    server_name: Host | None = Field(None, description="Name to ask for and to verify; the target's if not given.")
    starttls: Literal["smtp", "imap", "ldap", "postgres"] | None = Field(
        None, description="Begin in the clear and switch to TLS as this protocol does."
    )
    min_version: TlsVersion = Field("TLS 1.2", description="Oldest version to accept.")
    max_version: TlsVersion = Field("TLS 1.3", description="Newest version to offer.")
    alpn: Annotated[tuple[Protocol, ...], BeforeValidator(listed)] = Field(
        (), max_length=8, description="Protocols to offer by ALPN, such as h2."
    )
    ca_file: FilePath | None = Field(None, description="Authorities to trust, a PEM file on the agent's host.")
    certificate_file: FilePath | None = Field(
        None, description="The agent's certificate with its chain, for servers that want one: a PEM file on its host."
    )
    certificate_key_file: FilePath | None = Field(
        None, description="Private key of the agent's certificate, without a passphrase: a PEM file on its host."
    )
    verify_tls: bool = Field(True, description="Whether a certificate that can't be verified counts as down.")
    min_days: float = Field(0, ge=0, le=3650, description="Fewer days left in the chain count as down.")
    ocsp: bool = Field(False, description="See whether the server staples an OCSP response; one connection more.")
    resume: bool = Field(False, description="See whether the server resumes a session; a connection more.")
    wait: float = Field(5.0, gt=0, le=60, description="Seconds for each connection with its handshake.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        check_certificate(self.certificate_file, self.certificate_key_file)
        if self.min_version > self.max_version:
            raise ValueError(f"min_version {self.min_version} is newer than max_version {self.max_version}")
        return self


TLS_SPEC: Final = ProbeSpec(
    name="tls",
    title="TLS",
    help="Handshake time, version, certificate and its days left.",
    params=TlsParams,
    measurements=(TLS,),
    example_target="www.example.com:443",
    headline="expires_in",
    timeout=20.0,
    read_target=read_host_port,
)
