"""blackbox_exporter's configuration file, as far as it is understood; what isn't is refused by its name.

The keys are described in blackbox_exporter's CONFIGURATION.md, for version 0.23.
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, SecretStr, model_validator

from streamswarm_core.patterns import check_pattern

_UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800, "y": 31_536_000}
# As blackbox_exporter counts, with or without the i.
_SIZES: Final = {"": 1, "B": 1, "KB": 2**10, "MB": 2**20, "GB": 2**30, "KiB": 2**10, "MiB": 2**20, "GiB": 2**30}


def seconds(text: object) -> float:
    """Read a duration such as `5s` or `1m30s`.

    Raises:
        ValueError: it is none.

    >>> seconds("1m30s")
    90.0
    """
    if isinstance(text, str) and re.fullmatch(r"(\d+(ms|[smhdwy]))+", text):
        return float(sum(int(number) * _UNITS[unit] for number, unit in re.findall(r"(\d+)(ms|[smhdwy])", text)))
    raise ValueError(f"takes a duration such as 5s, not {text!r}")


def size(text: object) -> int:
    """Read a size such as `10MB`.

    Raises:
        ValueError: it is none.

    >>> size("10MB"), size(512)
    (10485760, 512)
    """
    found = re.fullmatch(r"(\d+)([KMG]?i?B?)", str(text))
    if not found or found[2] not in _SIZES:
        raise ValueError(f"takes a size such as 10MB, not {text!r}")
    return int(found[1]) * _SIZES[found[2]]


Seconds = Annotated[float, BeforeValidator(seconds)]
Size = Annotated[int, BeforeValidator(size)]
Regexp = Annotated[str, AfterValidator(check_pattern)]
Protocol = Literal["ip4", "ip6"]


class Part(BaseModel):
    """Base of everything in the file: closed."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class TlsConfig(Part):
    """`tls_config`."""

    insecure_skip_verify: bool = False
    ca_file: Path | None = None
    cert_file: Path | None = None
    key_file: Path | None = None
    server_name: str = ""
    min_version: Literal["TLS12", "TLS13"] = "TLS12"

    @model_validator(mode="after")
    def _both_files(self) -> Self:
        if (self.cert_file is None) != (self.key_file is None):
            raise ValueError("cert_file and key_file go together")
        return self


class BasicAuth(Part):
    """`basic_auth`."""

    username: str = ""
    password: SecretStr = SecretStr("")
    password_file: Path | None = None


class HeaderMatch(Part):
    """One of `fail_if_header_matches` or `fail_if_header_not_matches`."""

    header: str
    regexp: Regexp
    allow_missing: bool = False


class Prober(Part):
    """What all probers have."""

    preferred_ip_protocol: Protocol = "ip6"
    ip_protocol_fallback: bool = True


class HttpProber(Prober):
    """`http`."""

    valid_status_codes: tuple[int, ...] = ()
    valid_http_versions: tuple[Literal["HTTP/1.0", "HTTP/1.1", "HTTP/2", "HTTP/2.0"], ...] = ()
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = "GET"
    headers: dict[str, str] = Field(default_factory=dict)
    body_size_limit: Size = 0
    compression: Literal["", "identity", "gzip", "deflate", "br"] = ""
    follow_redirects: bool = True
    no_follow_redirects: bool = False
    fail_if_ssl: bool = False
    fail_if_not_ssl: bool = False
    fail_if_body_matches_regexp: tuple[Regexp, ...] = ()
    fail_if_body_not_matches_regexp: tuple[Regexp, ...] = ()
    fail_if_header_matches: tuple[HeaderMatch, ...] = ()
    fail_if_header_not_matches: tuple[HeaderMatch, ...] = ()
    tls_config: TlsConfig = TlsConfig()
    basic_auth: BasicAuth | None = None
    bearer_token: SecretStr = SecretStr("")
    bearer_token_file: Path | None = None
    enable_http2: bool = True
    body: str = ""


class QueryResponse(Part):
    """One step of `query_response`."""

    expect: Regexp | None = None
    send: str | None = None
    starttls: bool = False


class TcpProber(Prober):
    """`tcp`."""

    query_response: tuple[QueryResponse, ...] = ()
    tls: bool = False
    tls_config: TlsConfig = TlsConfig()


class Records(Part):
    """`validate_answer_rrs` and its like."""

    fail_if_matches_regexp: tuple[Regexp, ...] = ()
    fail_if_all_match_regexp: tuple[Regexp, ...] = ()
    fail_if_not_matches_regexp: tuple[Regexp, ...] = ()
    fail_if_none_matches_regexp: tuple[Regexp, ...] = ()


class DnsProber(Prober):
    """`dns`."""

    transport_protocol: Literal["udp", "tcp"] = "udp"
    dns_over_tls: bool = False
    tls_config: TlsConfig = TlsConfig()
    query_name: str = Field(min_length=1)
    query_type: str = "ANY"
    query_class: Literal["IN"] = "IN"
    recursion_desired: bool = True
    valid_rcodes: tuple[str, ...] = ("NOERROR",)
    validate_answer_rrs: Records = Records()
    validate_authority_rrs: Records = Records()
    validate_additional_rrs: Records = Records()

    @model_validator(mode="after")
    def _tls_is_over_tcp(self) -> Self:
        if self.dns_over_tls and self.transport_protocol != "tcp":
            raise ValueError("dns_over_tls needs transport_protocol: tcp")
        if self.tls_config.cert_file is not None:
            raise ValueError("tls_config.cert_file isn't known here for the prober dns")
        return self


class IcmpProber(Prober):
    """`icmp`."""

    dont_fragment: bool = False
    payload_size: int | None = Field(None, ge=0, le=65_000)
    source_ip_address: str = ""
    ttl: int | None = Field(None, ge=0, le=255)


class ModuleConfig(Part):
    """One module."""

    prober: Literal["http", "tcp", "dns", "icmp"]
    timeout: Seconds = timedelta(minutes=2).total_seconds()
    http: HttpProber = HttpProber()
    tcp: TcpProber = TcpProber()
    dns: DnsProber | None = None
    icmp: IcmpProber = IcmpProber()

    @model_validator(mode="before")
    @classmethod
    def _says_what_it_is(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("prober") == "dns" and not given.get("dns"):
            raise ValueError("the prober dns needs dns.query_name")
        return given
