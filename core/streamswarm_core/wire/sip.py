"""SIP messages (RFC 3261): read and written, nothing remembered."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

VERSION: Final = "SIP/2.0"
MOST_BYTES: Final = 65_535
_TOKEN: Final = re.compile(r"[A-Za-z0-9.!%*_+`'~-]+")
_COMPACT: Final = {
    "a": "accept-contact",
    "c": "content-type",
    "e": "content-encoding",
    "f": "from",
    "i": "call-id",
    "k": "supported",
    "l": "content-length",
    "m": "contact",
    "o": "event",
    "r": "refer-to",
    "s": "subject",
    "t": "to",
    "u": "allow-events",
    "v": "via",
    "x": "session-expires",
}
_CODE: Final = re.compile(r"[1-6][0-9]{2}")
_URI: Final = re.compile(
    r"(?P<scheme>sips?):(?:(?P<user>[^@;?]*)@)?(?P<host>\[[0-9A-Fa-f:.]+\]|[^\[\]:;?@>\s]+)(?::(?P<port>\d{1,5}))?"
    r"(?P<params>(?:;[^?\s>]*)?)(?:\?.*)?",
    re.IGNORECASE,
)


class SipError(ValueError):
    """What came is no SIP message, or part of one makes no sense."""


class Headers:
    """Header fields in order; names in lower case and long form.

    >>> Headers([("v", "SIP/2.0/UDP a;branch=1, SIP/2.0/UDP b"), ("Call-ID", "x")]).all("via")
    ['SIP/2.0/UDP a;branch=1', 'SIP/2.0/UDP b']
    """

    def __init__(self, fields: Sequence[tuple[str, str]] = ()) -> None:
        self.fields = [(long_name(name), value) for name, value in fields]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Headers) and self.fields == other.fields

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"Headers({self.fields!r})"

    def get(self, name: str) -> str | None:
        """The first field of a name as it stands."""
        return next((value for key, value in self.fields if key == name), None)

    def lines(self, name: str) -> list[str]:
        """All fields of a name as they stand, for those in which commas don't separate values."""
        return [value for key, value in self.fields if key == name]

    def all(self, name: str) -> list[str]:
        """All values of a name, also those that share a line."""
        return [value for line in self.lines(name) for value in split_list(line)]


@dataclass(frozen=True, slots=True)
class Request:
    """A request."""

    method: str
    uri: str
    headers: Headers
    body: bytes = b""

    def __bytes__(self) -> bytes:
        return _write(f"{self.method} {self.uri} {VERSION}", self.headers, self.body)


@dataclass(frozen=True, slots=True)
class Response:
    """A response."""

    code: int
    reason: str
    headers: Headers
    body: bytes = b""

    def __bytes__(self) -> bytes:
        return _write(f"{VERSION} {self.code} {self.reason}", self.headers, self.body)

    def __str__(self) -> str:
        return f"{self.code} {self.reason}".rstrip()


Message = Request | Response


@dataclass(frozen=True, slots=True)
class Uri:
    """A SIP URI.

    Attributes:
        user: empty for none.
        host: name or address, without brackets.
        port: None for the default.
        params: by lower-case name; empty value for a flag.
        secure: whether it is a sips URI.
    """

    user: str
    host: str
    port: int | None
    params: dict[str, str]
    secure: bool = False


def long_name(name: str) -> str:
    """A header name in lower case, its compact form written out."""
    lower = name.strip().lower()
    return _COMPACT.get(lower, lower)


def read_message(datagram: bytes) -> Message:
    """Read a message that is all there.

    What is beyond Content-Length is left out, as RFC 3261 (18.3) asks.

    Raises:
        SipError: it is none, it lacks a field that all have, or it is cut short.
    """
    head, separator, body = datagram.lstrip(b"\r\n").partition(b"\r\n\r\n")
    if not separator:
        raise SipError("has no empty line after the header")
    try:
        start, *lines = head.decode().split("\r\n")
    except UnicodeDecodeError:
        raise SipError("has a header that is not UTF-8") from None
    headers = Headers(list(_fields(lines)))
    missing = [name for name in ("via", "from", "to", "call-id", "cseq") if headers.get(name) is None]
    if missing:
        raise SipError(f"lacks {', '.join(missing)}")
    length = content_length(headers)
    if length is not None:
        if length > len(body):
            raise SipError(f"has {len(body)} bytes of body, but announced {length}")
        body = body[:length]
    return _started(start, headers, body)


def content_length(headers: Headers) -> int | None:
    """What Content-Length says.

    Raises:
        SipError: it is no length.
    """
    written = headers.get("content-length")
    if written is None:
        return None
    if not re.fullmatch(r"[0-9]{1,9}", written):
        raise SipError(f"has Content-Length {written!r}")
    return int(written)


def _started(start: str, headers: Headers, body: bytes) -> Message:
    first, _, rest = start.partition(" ")
    second, _, third = rest.partition(" ")
    if first == VERSION:
        if not _CODE.fullmatch(second):
            raise SipError(f"has no status code: {start!r}")
        return Response(int(second), third, headers, body)
    if third != VERSION or not _TOKEN.fullmatch(first) or not second:
        raise SipError(f"begins with neither a request nor a status line: {start[:80]!r}")
    return Request(first, second, headers, body)


def _fields(lines: Sequence[str]) -> Iterator[tuple[str, str]]:
    unfolded: list[str] = []
    for line in lines:
        if line[:1] in {" ", "\t"} and unfolded:
            unfolded[-1] += " " + line.strip()
        else:
            unfolded.append(line)
    for line in unfolded:
        name, colon, value = line.partition(":")
        if not colon or not _TOKEN.fullmatch(name.strip()):
            raise SipError(f"has a header line that is none: {line[:80]!r}")
        yield name, value.strip()


def _write(start: str, headers: Headers, body: bytes) -> bytes:
    kept = [(name, value) for name, value in headers.fields if name != "content-length"]
    lines = [start, *(f"{_spelled(name)}: {value}" for name, value in kept), f"Content-Length: {len(body)}", "", ""]
    return "\r\n".join(lines).encode() + body


def _spelled(name: str) -> str:
    """As RFC 3261 spells it, for people and for the few who don't ignore case."""
    special = {"call-id": "Call-ID", "cseq": "CSeq", "www-authenticate": "WWW-Authenticate"}
    return special.get(name) or "-".join(part.capitalize() for part in name.split("-"))


def split_list(line: str) -> list[str]:
    """Values that are separated by commas, but for those in quotes and angle brackets.

    >>> split_list('"A, B" <sip:a@b;x=1,2>;q=1, <sip:c>')
    ['"A, B" <sip:a@b;x=1,2>;q=1', '<sip:c>']
    """
    return [part.strip() for part in _cut(line, ",") if part.strip()]


def _cut(line: str, at: str) -> list[str]:
    """Cut at a character outside quotes and angle brackets."""
    parts, begin, quoted, depth, skip = [], 0, False, 0, False
    for place, one in enumerate(line):
        if skip:
            skip = False
        elif quoted:
            skip, quoted = one == "\\", one != '"'
        elif one == '"':
            quoted = True
        elif one == "<":
            depth += 1
        elif one == ">":
            depth = max(0, depth - 1)
        elif one == at and not depth:
            parts.append(line[begin:place])
            begin = place + 1
    return [*parts, line[begin:]]


def params_of(value: str) -> dict[str, str]:
    """The parameters of a value, by lower-case name, unquoted; of an address those outside its angle brackets.

    >>> params_of('"x;y" <sip:a@b;lr>;tag=7;flag')
    {'tag': '7', 'flag': ''}
    """
    found: dict[str, str] = {}
    for part in _cut(value, ";")[1:]:
        name, _, text = part.partition("=")
        found.setdefault(name.strip().lower(), unquote(text.strip()))
    return found


def unquote(text: str) -> str:
    """Without the quotes around it, if there are any."""
    if len(text) >= 2 and text[0] == text[-1] == '"':
        return re.sub(r"\\(.)", r"\1", text[1:-1])
    return text


def uri_of(value: str) -> str:
    """The URI in an address, with or without angle brackets around it.

    Raises:
        SipError: there is none.
    """
    named = re.search(r"<([^<>]*)>", re.sub(r'"(?:\\.|[^"\\])*"', "", value))
    uri = named[1].strip() if named else _cut(value, ";")[0].strip()
    if not uri:
        raise SipError(f"has an address without a URI: {value[:80]!r}")
    return uri


def read_uri(text: str) -> Uri:
    """Read a SIP URI.

    Raises:
        SipError: it is none, or one of another scheme.

    >>> read_uri("sip:echo@[2001:db8::1]:5070;transport=tcp")
    Uri(user='echo', host='2001:db8::1', port=5070, params={'transport': 'tcp'}, secure=False)
    """
    found = _URI.fullmatch(text)
    port = int(found["port"]) if found and found["port"] else None
    if not found or (port is not None and not 0 < port < 65_536):
        raise SipError(f"{text[:80]!r} is no SIP URI")
    params = params_of(f"{found['params']}")
    secure = found["scheme"].lower() == "sips"
    return Uri(found["user"] or "", found["host"].strip("[]"), port, params, secure)
