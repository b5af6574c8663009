"""What every service does to be scraped by Prometheus."""

import gzip
import hmac
import re
from typing import Final

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from pydantic import SecretStr
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

_LEVEL: Final = 1
"""Metrics are so repetitive that the quickest level does: 15 times smaller, where the slowest does 18 times."""
_NOT_AT_ALL: Final = re.compile(r"q=0(\.0{0,3})?")


def has_token(request: Request, token: SecretStr) -> bool:
    """Whether a request brings a token that is set, as `Authorization: Bearer …`."""
    _, _, given = request.headers.get("Authorization", "").partition(" ")
    return hmac.compare_digest(given.strip().encode(), token.get_secret_value().encode())


def barred(request: Request, token: SecretStr) -> Response | None:
    """What a scraper is answered that lacks the token; None for one that has it, or if none is set."""
    if not token.get_secret_value() or has_token(request, token):
        return None
    return PlainTextResponse(
        "/metrics needs the header Authorization: Bearer … with STREAMSWARM_METRICS_TOKEN\n",
        401,
        {"WWW-Authenticate": "Bearer"},
    )


def expose(registry: CollectorRegistry, request: Request) -> Response:
    """A registry's metrics in the format that the scraper asks for: OpenMetrics, or Prometheus's own text.

    Packed with gzip where that is accepted, as Prometheus does.
    """
    encode, content_type = choose_encoder(request.headers.get("Accept", ""))
    headers = {"Content-Type": content_type, "Vary": "Accept, Accept-Encoding"}
    page = encode(registry)
    if takes_gzip(request.headers.get("Accept-Encoding", "")):
        headers["Content-Encoding"] = "gzip"
        page = gzip.compress(page, _LEVEL, mtime=0)
    return Response(page, headers=headers)


def takes_gzip(accepted: str) -> bool:
    """Whether an Accept-Encoding header names gzip (RFC 9110, section 12.5.3).

    >>> takes_gzip("br;q=1.0, GZIP;q=0.5"), takes_gzip("gzip;q=0, identity"), takes_gzip("*"), takes_gzip("")
    (True, False, True, False)
    """
    wanted: dict[str, bool] = {}
    for part in accepted.lower().split(","):
        coding, *details = (one.strip() for one in part.split(";"))
        wanted[coding] = not any(_NOT_AT_ALL.fullmatch(one) for one in details)
    return wanted.get("gzip", wanted.get("x-gzip", wanted.get("*", False)))
