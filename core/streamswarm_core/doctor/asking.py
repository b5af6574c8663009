"""One question to another service by HTTP, and what its answer says beside its body: clock, certificate."""

import re
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, Final

import httpx

from streamswarm_core.outbound import patience, trusted

ANSWER_SECONDS: Final = 5.0
_NUMBER: Final = re.compile(r"^\[(?:Errno -?\d+|SSL[^\]]*)\] | \(_ssl\.c:\d+\)")
_DATE_SECONDS: Final = 1.0
"""Between nothing and twice so old is what a Date header tells: whole seconds, and uvicorn writes it once a second."""


class UnansweredError(Exception):
    """Nobody answered; says why, in words."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back.

    Attributes:
        status: HTTP's.
        text: the body.
        body: the body as JSON, if it is an object.
        ahead: seconds that the other clock is ahead of ours; None if it doesn't say.
        unsure: seconds by which that may be wrong.
        expires: end of the certificate, with TLS.
    """

    status: int
    text: str = ""
    body: Mapping[str, Any] = field(default_factory=dict)
    ahead: float | None = None
    unsure: float = 0.0
    expires: datetime | None = None

    @property
    def good(self) -> bool:
        """Whether it is a 2xx."""
        return httpx.codes.is_success(self.status)

    @property
    def complaint(self) -> str:
        """What it says against the request, in its own words, or its status."""
        said = next((str(self.body[key]) for key in ("detail", "message", "error") if self.body.get(key)), "")
        return f"HTTP {self.status}: {said}" if said else f"HTTP {self.status}"


def ask(url: str, method: str = "GET", **request: Any) -> Answer:
    """Send a request.

    Raises:
        UnansweredError: nobody answered.
    """
    sent = time.time()
    try:
        with httpx.stream(
            method, url, **{"timeout": patience(ANSWER_SECONDS), "verify": trusted(), **request}
        ) as response:
            # Before the body, whose end is later than the moment that the header tells.
            took = time.time() - sent
            expires = _end_of_certificate(response)
            response.read()
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise UnansweredError(reason_of(error)) from None
    try:
        body = response.json()
    except ValueError:
        body = None
    return Answer(
        response.status_code,
        response.text,
        body if isinstance(body, dict) else {},
        _ahead(response.headers.get("Date", ""), sent + took / 2),
        _DATE_SECONDS + took / 2,
        expires,
    )


def reason_of(error: Exception) -> str:
    """What a library says went wrong, without the operating system's and OpenSSL's marks.

    >>> reason_of(httpx.ConnectError("[Errno 111] Connection refused"))
    'Connection refused'
    """
    if isinstance(error, httpx.TimeoutException):
        return f"no answer within {ANSWER_SECONDS:g} s"
    return reason_in(str(error)) or type(error).__name__


def reason_in(message: str) -> str:
    """A library's message without these marks."""
    return _NUMBER.sub("", message)


def _ahead(date: str, here: float) -> float | None:
    try:
        return parsedate_to_datetime(date).timestamp() + _DATE_SECONDS - here
    except ValueError:
        return None


def _end_of_certificate(response: httpx.Response) -> datetime | None:
    stream = response.extensions.get("network_stream")
    layer = stream.get_extra_info("ssl_object") if stream is not None else None
    certificate = layer.getpeercert() if layer is not None else None
    if not certificate or "notAfter" not in certificate:
        return None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(certificate["notAfter"])), UTC)
