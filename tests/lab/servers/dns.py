"""A name server that is right, wrong, slow or silent, over UDP, TCP, TLS (RFC 7858) and HTTPS (RFC 8484).

Names of `zone` get the records listed there. Otherwise the first label says what happens:

    nxdomain, servfail, refused   that answer code
    truncated                     over UDP an empty answer with TC; over TCP the full one
    silent                        no answer at all
    wrong                         an address that isn't the right one
    forged                        first a reply with another ID and a wrong address, then the right one
    anything else                 192.0.2.7 and 2001:db8::7
"""

import asyncio
import base64
import socket
import ssl
import struct
import urllib.parse
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdatatype
import dns.rrset

from tests.lab.servers.running import Listening, accept, be_server, listen, starter
from tests.lab.servers.web import Reply, Request, Website, hang_up, server_context, streams

RIGHT: Final = {"A": "192.0.2.7", "AAAA": "2001:db8::7"}
WRONG: Final = {"A": "203.0.113.66", "AAAA": "2001:db8:bad::66"}
TTL: Final = 300
_CODES: Final = {"nxdomain": dns.rcode.NXDOMAIN, "servfail": dns.rcode.SERVFAIL, "refused": dns.rcode.REFUSED}
_LENGTH: Final = struct.Struct("!H")
_background: Final[set[asyncio.Task[None]]] = set()

Send = Callable[[bytes], Awaitable[None]]


@dataclass(frozen=True, kw_only=True)
class DnsOptions(Listening):
    """How the server behaves.

    Attributes:
        certificate: a file with key and chain; with it DNS over TLS and over HTTPS are served too.
        tls_port: for DNS over TLS.
        https_port: for DNS over HTTPS, on /dns-query.
        latency_ms: the wait before every answer.
        cold_ms: the additional wait when a name is asked for the first time, as a cache fetches it.
        authoritative: set AA; a cache (False) sets RA and counts the TTL down instead.
        authentic: set AD for clients that understand DNSSEC, as a validating resolver does.
        zone: names to records: {"www.lab.test": ["A 192.0.2.1", "TXT hello"]}.
    """

    certificate: Path | str | None = None
    tls_port: int = 0
    https_port: int = 0
    latency_ms: float = 0.0
    cold_ms: float = 0.0
    authoritative: bool = True
    authentic: bool = False
    zone: dict[str, list[str]] = field(default_factory=dict)


dns_server: Final = starter("dns", DnsOptions)


class NameServer:
    """Decides what to answer; the transports only carry."""

    def __init__(self, options: DnsOptions) -> None:
        self._options = options
        self._first_asked: dict[str, float] = {}

    async def answer(self, wire: bytes, send: Send, *, datagram: bool = False) -> None:
        """Answer one query, with no, one or several messages."""
        try:
            query = dns.message.from_wire(wire)
        except dns.exception.DNSException:
            return
        name = query.question[0].name
        label = name.labels[0].decode().lower()
        if label == "silent":
            return
        age = await self._wait_for(str(name))
        reply = self._reply(query, age)
        if label == "forged":
            forged = self._reply(query, age, WRONG)
            forged.id = query.id ^ 0xFFFF
            await send(forged.to_wire())
        if label == "truncated" and datagram:
            reply.answer.clear()
            reply.flags |= dns.flags.TC
        await send(reply.to_wire())

    async def _wait_for(self, name: str) -> float:
        """Take the time that the answer takes; gives the seconds since the name was first asked for."""
        options, now = self._options, asyncio.get_running_loop().time()
        first = name not in self._first_asked
        since = now - self._first_asked.setdefault(name, now)
        await asyncio.sleep((options.latency_ms + (options.cold_ms if first else 0)) / 1000)
        return since

    def _reply(
        self, query: dns.message.Message, age: float, addresses: dict[str, str] | None = None
    ) -> dns.message.Message:
        options, asked = self._options, query.question[0]
        reply = dns.message.make_response(query, recursion_available=not options.authoritative)
        if options.authoritative:
            reply.flags |= dns.flags.AA
        if options.authentic and (query.flags & dns.flags.AD or query.ednsflags & dns.flags.DO):
            reply.flags |= dns.flags.AD
        label = asked.name.labels[0].decode().lower()
        if label in _CODES:
            reply.set_rcode(_CODES[label])
            return reply
        ttl = TTL if options.authoritative else max(0, TTL - int(age))
        kind = dns.rdatatype.to_text(asked.rdtype)
        values = self._values(asked.name, kind, addresses or (WRONG if label == "wrong" else RIGHT))
        if values:
            reply.answer.append(dns.rrset.from_text_list(asked.name, ttl, "IN", kind, values))
        return reply

    def _values(self, name: dns.name.Name, kind: str, addresses: dict[str, str]) -> list[str]:
        records = self._options.zone.get(name.to_text(omit_final_dot=True).lower())
        if records is None:
            return [addresses[kind]] if kind in addresses else []
        return [value for have, _, value in (record.partition(" ") for record in records) if have == kind]


async def serve(options: DnsOptions) -> dict[str, int]:
    """Listen on all transports, and answer in the background."""
    server = NameServer(options)
    stream = listen(options.host, options.port)
    port = stream.getsockname()[1]
    await _serve_datagrams(server, options.host, port)
    ports = {"udp": port, "tcp": port}
    _in_background(accept(stream, lambda connection: _serve_stream(server, connection, None)))
    if options.certificate is None:
        return ports

    tls = listen(options.host, options.tls_port)
    context = server_context(options.certificate, protocols=("dot",))
    _in_background(accept(tls, lambda connection: _serve_stream(server, connection, context)))

    https = listen(options.host, options.https_port)
    website = Website(
        lambda request: _serve_https(server, request),
        server_context(options.certificate, protocols=("h2", "http/1.1")),
    )
    _in_background(accept(https, website.serve))
    return {**ports, "tls": tls.getsockname()[1], "https": https.getsockname()[1]}


async def _serve_datagrams(server: NameServer, host: str, port: int) -> None:
    class Datagrams(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            # asyncio's own datagram transport is no asyncio.DatagramTransport before Python 3.12.
            self.transport: asyncio.DatagramTransport = transport  # type: ignore[assignment]

        def datagram_received(self, content: bytes, sender: tuple[str, int]) -> None:
            async def send(message: bytes) -> None:
                self.transport.sendto(message, sender)

            _in_background(server.answer(content, send, datagram=True))

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family, socket.SOCK_DGRAM)
    if host == "::":
        opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
    opened.bind((host, port))
    await asyncio.get_running_loop().create_datagram_endpoint(Datagrams, sock=opened)


async def _serve_stream(server: NameServer, connection: socket.socket, tls: ssl.SSLContext | None) -> None:
    reader, writer = await streams(connection, tls)

    async def send(message: bytes) -> None:
        writer.write(_LENGTH.pack(len(message)) + message)
        await writer.drain()

    try:
        while True:
            (length,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            await server.answer(await reader.readexactly(length), send)
    finally:
        await hang_up(writer)


async def _serve_https(server: NameServer, request: Request) -> Reply:
    address = urllib.parse.urlsplit(request.target)
    if address.path != "/dns-query":
        return Reply(404)
    encoded = dict(urllib.parse.parse_qsl(address.query)).get("dns", "")
    query = request.body or base64.urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4))
    messages: list[bytes] = []

    async def send(message: bytes) -> None:
        messages.append(message)

    await server.answer(query, send)
    if not messages:
        # HTTP can't stay silent; a resolver that gets no answer says so.
        return Reply(504)
    return Reply(headers={"content-type": "application/dns-message"}, chunks=(messages[-1],))


def _in_background(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.get_running_loop().create_task(work)
    _background.add(task)
    task.add_done_callback(_background.discard)


if __name__ == "__main__":
    be_server(DnsOptions, serve)
