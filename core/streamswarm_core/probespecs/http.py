import re
from typing import Annotated, Final, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, StringConstraints, model_validator

from streamswarm_core.catalogue.network import HTTP
from streamswarm_core.probespecs.demand import RunCost
from streamswarm_core.probespecs.model import (
    Family,
    FilePath,
    Host,
    Pattern,
    ProbeParams,
    ProbeSpec,
    Secret,
    check_certificate,
    listed,
)
from streamswarm_core.probespecs.targets import read_url

HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}$")]
HeaderValue = Annotated[
    str, StringConstraints(strip_whitespace=True, max_length=8192, pattern=r"^[\x20-\x7e\t\u0080-\u00ff]*$")
]
Status = Annotated[int, Field(ge=200, le=999)]
"""A status that an answer can have at the end; one below 200 is always followed by another."""
REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
"""Statuses that lead elsewhere, if there is a Location."""
# What follows from the connection and the body, and is written by us.
_OURS: Final = re.compile("connection|content-length|transfer-encoding|keep-alive|upgrade|te", re.IGNORECASE)


class HttpParams(ProbeParams):
    """Options of the `http` probe; the target is an `http://` or `https://` URL."""

    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] = Field(
        "GET", description="Request method."
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict, max_length=32, description="Further request headers; Host replaces the URL's."
    )
    body: str = Field("", max_length=1_000_000, description="Request body; sent as UTF-8.")
    username: str = Field("", max_length=255, pattern="^[^:]*$", description="For basic authentication.")
    password: Secret = Field(SecretStr(""), max_length=1024, description="For basic authentication.")
    bearer_token: Secret = Field(SecretStr(""), max_length=8192, description="For `Authorization: Bearer`.")
    http2: bool = Field(True, description="Whether to offer HTTP/2 by ALPN; plain http:// is always HTTP/1.1.")
    compression: bool = Field(True, description="Whether to accept gzip, deflate and br.")
    requests: int = Field(1, ge=1, le=100, description="Requests a run, one after another over kept connections.")
    follow_redirects: int = Field(5, ge=0, le=20, description="Redirects to follow; 0 takes the first answer.")
    verify_tls: bool = Field(True, description="Whether a certificate that can't be verified counts as down.")
    ca_file: FilePath | None = Field(None, description="Authorities to trust, a PEM file on the agent's host.")
    certificate_file: FilePath | None = Field(
        None, description="The agent's certificate with its chain, for servers that want one: a PEM file on its host."
    )
    certificate_key_file: FilePath | None = Field(
        None, description="Private key of the agent's certificate, without a passphrase: a PEM file on its host."
    )
    server_name: Host | None = Field(None, description="Name for TLS and, unless set, Host; the URL's if not given.")
    max_body: int = Field(
        10_000_000, ge=0, le=1_000_000_000, description="Bytes of the body to read at most, as sent and unpacked."
    )
    expect_status: Annotated[tuple[Status, ...], BeforeValidator(listed)] = Field(
        (),
        max_length=100,
        description="Status codes that count as up; any 2xx if none is given.",
        examples=[[200, 204]],
    )
    expect_protocols: Annotated[tuple[Literal["HTTP/1.0", "HTTP/1.1", "HTTP/2"], ...], BeforeValidator(listed)] = Field(
        (), max_length=3, description="Versions of HTTP that count as up; any if none is given."
    )
    expect_tls: bool | None = Field(None, description="Whether the last answer has to come over TLS, or must not.")
    body_matches: tuple[Pattern, ...] = Field(
        (),
        max_length=32,
        description="Regular expressions that each have to be found in the body; without one, a login page is up, too.",
    )
    body_lacks: tuple[Pattern, ...] = Field(
        (), max_length=32, description="Regular expressions that must not be found in the body."
    )
    header_matches: dict[HeaderName, Pattern] = Field(
        default_factory=dict, max_length=32, description="Headers of the answer, each with what has to be found in it."
    )
    header_lacks: dict[HeaderName, Pattern] = Field(
        default_factory=dict,
        max_length=32,
        description="Headers of the answer, each with what must not be in it.",
    )
    wait: float = Field(10.0, gt=0, le=60, description="Seconds for everything together.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")

    @model_validator(mode="after")
    def _go_together(self) -> Self:
        if self.bearer_token.get_secret_value() and self.username:
            raise ValueError("takes a bearer_token or username and password, not both")
        if self.password.get_secret_value() and not self.username:
            raise ValueError("a password needs a username")
        if not re.fullmatch("[!-~]*", self.bearer_token.get_secret_value()):
            raise ValueError("a bearer_token is made of printable ASCII without spaces (RFC 6750)")
        check_certificate(self.certificate_file, self.certificate_key_file)
        if self.body and self.method in {"GET", "HEAD"}:
            raise ValueError(f"{self.method} has no body; set method to POST or PUT")
        ours = next((name for name in self.headers if _OURS.fullmatch(name)), None)
        if ours:
            raise ValueError(f"the header {ours} follows from the request and can't be set")
        self._refuse_headers_given_twice()
        return self

    def _refuse_headers_given_twice(self) -> None:
        names = [name.lower() for name in self.headers]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"headers has {twice} twice; upper and lower case are the same, so give it once")

    @model_validator(mode="after")
    def _can_be_met(self) -> Self:
        """Refuse what no answer can ever be."""
        redirects = [status for status in self.expect_status if status in REDIRECTS]
        if self.follow_redirects and redirects and len(redirects) == len(self.expect_status):
            raise ValueError(
                f"expect_status {redirects[0]} is a redirect, and redirects are followed: set follow_redirects to 0 to "
                "judge the redirect itself"
            )
        if self.expect_protocols == ("HTTP/2",) and not self.http2:
            raise ValueError("expect_protocols HTTP/2 needs http2, or it is not offered")
        if self.body_matches and (self.method == "HEAD" or not self.max_body):
            reason = "the answer to HEAD has no body" if self.method == "HEAD" else "max_body 0 reads none"
            raise ValueError(f"body_matches can't be found: {reason}")
        return self


_TYPICAL_PAGE: Final = 100_000
"""Bytes that are reckoned with where the limit allows them."""

HTTP_SPEC: Final = ProbeSpec(
    name="http",
    title="HTTP",
    help="Phases, status, body and certificate of HTTP requests.",
    params=HttpParams,
    measurements=(HTTP,),
    example_target="https://www.example.com/",
    headline="total",
    timeout=15.0,
    read_target=read_url,
    cost=lambda params: RunCost(20, 5_000 + min(params.max_body, _TYPICAL_PAGE)),
)
