"""What one HTTP request asks for, and what it came to; HTTP/1.1 and HTTP/2 alike."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Final, Protocol
from urllib.parse import SplitResult, quote

from streamswarm_agent.net.http.body import Body

AS_IT_IS: Final = "!$%&'()*+,/:;=?@[]^`{|}~\"<>\\"
"""What `quote` leaves alone in a path and a query, beside letters, digits and "-._~": all visible ASCII but "#"."""
_INTERFACE: Final = re.compile(r"%[^\]]*\]")


@dataclass(frozen=True, slots=True)
class Request:
    """What to ask for.

    Attributes:
        method: GET, POST …
        url: with scheme and host.
        headers: further ones, by lower-case name.
        body: empty for none.
        most_body: bytes of the answer's body to read at most.
    """

    method: str
    url: SplitResult
    headers: Sequence[tuple[str, str]] = ()
    body: bytes = b""
    most_body: int = 10_000_000

    @property
    def path(self) -> str:
        """Path and query; what may not be there as it is (RFC 3986) goes as its UTF-8 in percent, as in browsers.

        >>> from urllib.parse import urlsplit
        >>> Request("GET", urlsplit("http://h/a b/\u00fc%20?q=\u00fc#top")).path
        '/a%20b/%C3%BC%20?q=%C3%BC'
        """
        path, query = quote(self.url.path or "/", safe=AS_IT_IS), quote(self.url.query, safe=AS_IT_IS)
        return f"{path}?{query}" if query else path

    @property
    def authority(self) -> str:
        """What Host says: as in the URL, but without a link-local address's interface: no server knows it by that."""
        given = next((value for name, value in self.headers if name == "host"), "")
        if given or self.url.netloc.isascii():
            return given or _INTERFACE.sub("]", self.url.netloc.rpartition("@")[2])
        name = (self.url.hostname or "").encode("idna").decode()
        return f"{name}:{self.url.port}" if self.url.port else name

    @property
    def all_headers(self) -> list[tuple[str, str]]:
        """The headers to send, but for Host."""
        given = {name for name, _ in self.headers}
        ours = {"user-agent": "streamswarm", "accept": "*/*"}
        if self.body:
            ours["content-length"] = str(len(self.body))
        return [
            *((name, value) for name, value in ours.items() if name not in given),
            *((name, value) for name, value in self.headers if name != "host"),
        ]


@dataclass(slots=True)
class Phases:
    """Seconds; None for a phase that was not reached or not needed."""

    resolve: float | None = None
    connect: float | None = None
    tls: float | None = None
    request: float | None = None
    first_byte: float | None = None
    transfer: float | None = None

    def add(self, other: "Phases") -> None:
        """Sum up phase by phase."""
        for phase in fields(self):
            mine, theirs = getattr(self, phase.name), getattr(other, phase.name)
            if theirs is not None:
                setattr(self, phase.name, (mine or 0.0) + theirs)


@dataclass(slots=True)
class Answer:
    """What came back.

    Attributes:
        protocol: "HTTP/1.1" or "HTTP/2".
        body: what was read of it.
        status: None before it is known.
        headers: in order, by lower-case name.
    """

    protocol: str
    body: Body
    status: int | None = None
    headers: Sequence[tuple[str, str]] = ()

    def values(self, name: str) -> list[str]:
        """All values of a header."""
        return [value for have, value in self.headers if have == name.lower()]

    def header(self, name: str) -> str:
        """The first value of a header, or empty."""
        return next(iter(self.values(name)), "")

    @property
    def content_length(self) -> int | None:
        """As announced."""
        announced = self.header("content-length")
        return int(announced) if announced.isdecimal() else None


class HttpConnection(Protocol):
    """A connection that requests go over, one after another."""

    @property
    def reusable(self) -> bool:
        """Whether another request may follow."""

    async def exchange(self, request: Request, answer: Answer, phases: Phases) -> None:
        """Send a request and read its answer.

        Raises:
            ProbeFault: what came is no HTTP, or the request can't be written as such.
            OSError: the connection is gone.
        """
