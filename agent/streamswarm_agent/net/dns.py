"""DNS queries over UDP (RFC 1035), TCP (RFC 7766), TLS (RFC 7858) and HTTPS (RFC 8484)."""

import asyncio
import contextlib
import socket
import struct
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final
from urllib.parse import urlsplit

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rdatatype

from streamswarm_agent.faults import Fault, ProbeFault, from_os_error
from streamswarm_agent.net.http.client import Connecting, HttpClient
from streamswarm_agent.net.http.exchange import Phases, Request
from streamswarm_agent.net.targets import Address
from streamswarm_agent.net.tcp import connect
from streamswarm_agent.net.tls.connection import Terms, Timings, certificate_refused, secure
from streamswarm_agent.net.wire import Wire
from streamswarm_core.closing import Closing
from streamswarm_core.hostport import bracketed
from streamswarm_core.probespecs import DnsParams

_SO_TIMESTAMPNS: Final = 35
_TIMESPEC: Final = struct.Struct("@ll")
_LENGTH: Final = struct.Struct("!H")
_MOST_BYTES: Final = 65_535
# In the first byte of the flags (RFC 1035, section 4.1.1).
_FLAGS: Final = 2
_TRUNCATED: Final = 0x02
_MEDIA_TYPE: Final = "application/dns-message"
# What a server may say without EDNS (RFC 1035, section 4.2.1).
_PLAIN_SIZE: Final = 512


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer.

    Attributes:
        message: what it says.
        size: bytes of the message.
        lookup: seconds from the query sent to the answer received.
        truncated: it didn't fit UDP, and was asked for over TCP.
        retries: queries before it that had no answer.
    """

    message: dns.message.Message
    size: int
    lookup: float
    truncated: bool = False
    retries: int = 0


def make_query(name: str, params: DnsParams) -> dns.message.QueryMessage:
    """Write the query.

    Raises:
        ProbeFault: no such name or record type can be.
    """
    edns = 0 if params.edns_size else -1
    try:
        query = dns.message.make_query(
            dns.name.from_text(name),
            params.record_type,
            use_edns=edns,
            payload=params.edns_size or _PLAIN_SIZE,
            want_dnssec=params.dnssec,
        )
    except (dns.exception.DNSException, UnicodeError, ValueError) as error:
        raise ProbeFault(Fault.BAD_TARGET, f"{name!r} {params.record_type}: {error}") from None
    if not params.recursive:
        query.flags &= ~dns.flags.RD
    if params.transport == "https":
        # So that HTTP caches know equal queries (RFC 8484, section 4.1).
        query.id = 0
    return query


@dataclass(slots=True)
class NameServer(Closing):
    """One server, asked one way; a connection is kept for the next query.

    Attributes:
        address: where it is.
        params: how to ask.
        phases: `connect` and `tls` are written here.
        truncated: whether the last answer by UDP was cut, and TCP had to be asked.
    """

    address: Address
    params: DnsParams
    phases: Phases = field(default_factory=Phases)
    truncated: bool = False
    _wire: Wire | None = None
    _http: HttpClient | None = None

    def close(self) -> None:
        """Close the connections that are kept."""
        if self._wire is not None:
            self._wire.close()
        if self._http is not None:
            self._http.close()

    async def ask(self, query: dns.message.QueryMessage) -> Reply:
        """Ask once, with the retries that are allowed.

        Raises:
            ProbeFault: there is no answer, or it is none.
        """
        attempt = 0
        while True:
            try:
                async with asyncio.timeout(self.params.wait):
                    reply = await self._ask(query)
            except TimeoutError:
                if self.truncated:
                    detail = f"the answer didn't fit UDP, and over TCP there was none within {self.params.wait:g} s"
                    raise ProbeFault(Fault.TIMEOUT, detail) from None
                if attempt < self.params.retries:
                    attempt += 1
                    continue
                tries = f" to {attempt + 1} queries" if attempt else ""
                detail = f"no answer{tries} from {self.address.host} within {self.params.wait:g} s"
                raise ProbeFault(Fault.TIMEOUT, detail) from None
            except OSError as error:
                raise from_os_error(error) from None
            return Reply(reply.message, reply.size, reply.lookup, reply.truncated, attempt)

    async def _ask(self, query: dns.message.QueryMessage) -> Reply:
        match self.params.transport:
            case "udp":
                return await self._ask_udp(query)
            case "https":
                return await self._ask_https(query)
            case _:
                wire = self._wire = self._wire or await self._open()
                return await _ask_stream(wire, query)

    async def _ask_udp(self, query: dns.message.QueryMessage) -> Reply:
        started = time.monotonic()
        with socket.socket(self.address.family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as opened:
            opened.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
            # Connected, so that only the server is heard, and a closed port is an error and no silence.
            opened.connect(self.address.sockaddr)
            reply = await _exchange_datagrams(opened, query)
        self.truncated = bool(reply.message.flags & dns.flags.TC)
        if not self.truncated:
            return reply
        with _saying_why_tcp():
            opened, self.phases.connect = await connect(self.address, self.params.wait)
            with Wire(opened) as wire:
                whole = await _ask_stream(wire, query)
        return Reply(whole.message, whole.size, time.monotonic() - started, truncated=True)

    async def _open(self) -> Wire:
        if self.params.transport == "tcp":
            opened, self.phases.connect = await connect(self.address, self.params.wait)
            return Wire(opened)
        timings = Timings()
        terms = Terms(
            self.params.server_name or self.params.server or "",
            verify=self.params.verify_tls,
            ca_file=self.params.ca_file or "",
            alpn=("dot",),
        )
        try:
            secured = await secure(self.address, terms, self.params.wait, timings=timings)
        finally:
            self.phases.connect, self.phases.tls = timings.connect, timings.handshake
        if secured.peer.fault is not None:
            secured.wire.close()
            raise certificate_refused(secured.peer)
        return secured.wire

    async def _ask_https(self, query: dns.message.QueryMessage) -> Reply:
        params = self.params
        if self._http is None:
            self._http = HttpClient(
                Connecting(
                    wait=params.wait,
                    family=params.family,
                    verify_tls=params.verify_tls,
                    ca_file=params.ca_file or "",
                    server_name=params.server_name or "",
                )
            )
        server = bracketed(params.server or "")
        authority = params.server_name or server
        request = Request(
            "POST",
            urlsplit(f"https://{server}:{params.port_to_ask}{params.path}"),
            [
                ("host", f"{authority}:{params.port_to_ask}" if params.port_to_ask != 443 else str(authority)),
                ("content-type", _MEDIA_TYPE),
                ("accept", _MEDIA_TYPE),
            ],
            query.to_wire(),
            most_body=_MOST_BYTES,
        )
        phases = Phases()
        try:
            answer, _ = await self._http.fetch(request, phases)
        finally:
            if phases.connect is not None:
                self.phases.connect, self.phases.tls = phases.connect, phases.tls
        if answer.status != 200:
            raise ProbeFault(Fault.UNEXPECTED_ANSWER, f"HTTP status {answer.status} instead of 200")
        if answer.header("content-type").partition(";")[0].strip().lower() != _MEDIA_TYPE:
            raise ProbeFault(Fault.PROTOCOL, f"{answer.header('content-type') or 'nothing'} instead of {_MEDIA_TYPE}")
        seconds = sum(filter(None, (phases.request, phases.first_byte, phases.transfer)))
        return Reply(_read(answer.body.start, query), answer.body.decoded, seconds)


@contextlib.contextmanager
def _saying_why_tcp() -> Iterator[None]:
    try:
        yield
    except (ProbeFault, OSError) as error:
        fault = error if isinstance(error, ProbeFault) else from_os_error(error)
        raise ProbeFault(fault.fault, f"over TCP, as the answer didn't fit UDP: {fault.detail}") from None


async def _exchange_datagrams(opened: socket.socket, query: dns.message.QueryMessage) -> Reply:
    loop = asyncio.get_running_loop()
    content = query.to_wire()
    started, sent_ns = time.monotonic(), time.time_ns()
    opened.send(content)
    while True:
        readable = asyncio.Event()
        loop.add_reader(opened, readable.set)
        try:
            await readable.wait()
        finally:
            loop.remove_reader(opened)
        received, ancillary, _, _ = opened.recvmsg(_MOST_BYTES, socket.CMSG_SPACE(_TIMESPEC.size))
        waited = time.monotonic() - started
        if received[:2] != query.id.to_bytes(2):
            continue
        message = _read(received, query)
        lookup = _kernel_seconds(ancillary, sent_ns)
        # The kernel stamps with the wall clock, which may have been set in the meantime.
        return Reply(message, len(received), lookup if lookup is not None and 0 <= lookup <= waited else waited)


def _kernel_seconds(ancillary: list[tuple[int, int, bytes]], sent_ns: int) -> float | None:
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(content) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(content)
            return float(seconds * 1_000_000_000 + nanoseconds - sent_ns) / 1e9
    return None


async def _ask_stream(wire: Wire, query: dns.message.QueryMessage) -> Reply:
    content = query.to_wire()
    started = time.monotonic()
    await wire.send(_LENGTH.pack(len(content)) + content)
    received = b""
    while len(received) < _LENGTH.size or len(received) < _LENGTH.size + _LENGTH.unpack_from(received)[0]:
        more = await wire.receive()
        if not more:
            raise ProbeFault(Fault.RESET, "the server closed the connection before its answer was complete")
        received += more
    lookup = time.monotonic() - started
    return Reply(_read(received[_LENGTH.size :], query), len(received) - _LENGTH.size, lookup)


def _read(content: bytes, query: dns.message.QueryMessage) -> dns.message.Message:
    message: dns.message.Message | None = None
    detail = "the answer is to another question"
    with contextlib.suppress(dns.exception.DNSException):
        # What is truncated may be cut in the middle of a record; TCP has the whole (RFC 2181, section 9).
        cut = len(content) > _FLAGS and bool(content[_FLAGS] & _TRUNCATED)
        message = dns.message.from_wire(content, ignore_trailing=True, continue_on_error=cut)
    if message is None:
        detail = "the answer is no DNS message"
    if message is None or not query.is_response(message):
        raise ProbeFault(Fault.PROTOCOL, detail)
    return message
