from typing import Final, Literal

from pydantic import Field

from streamswarm_core.catalogue.network import HTTP
from streamswarm_core.probespecs.demand import RunCost
from streamswarm_core.probespecs.model import Family, ProbeParams, ProbeSpec


class HttpParams(ProbeParams):
    """Options of the `http` probe; the target is an `http://` or `https://` URL."""

    method: Literal["GET", "HEAD"] = Field("GET", description="Request method.")
    headers: dict[str, str] = Field(default_factory=dict, max_length=32, description="Further request headers.")
    expect_status: tuple[int, ...] = Field((), description="Status codes that count as up; any 2xx if none is given.")
    follow_redirects: int = Field(5, ge=0, le=20, description="Redirects to follow; 0 takes the first answer.")
    verify_tls: bool = Field(True, description="Whether a certificate that can't be verified counts as down.")
    max_body: int = Field(10_000_000, ge=0, le=1_000_000_000, description="Bytes of the body to read at most.")
    wait: float = Field(10.0, gt=0, le=60, description="Seconds for the whole request.")
    family: Family = Field(Family.ANY, description="IP version; `any` takes the resolver's first answer.")


_TYPICAL_PAGE: Final = 100_000
"""Bytes that are reckoned with where the limit allows them."""

HTTP_SPEC: Final = ProbeSpec(
    name="http",
    title="HTTP",
    help="Phases, status and certificate of one HTTP request.",
    params=HttpParams,
    measurements=(HTTP,),
    example_target="https://www.example.com/",
    headline="total",
    timeout=15.0,
    cost=lambda params: RunCost(20, 5_000 + min(params.max_body, _TYPICAL_PAGE)),
)
