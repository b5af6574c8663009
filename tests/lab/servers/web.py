"""HTTP/1.1 and HTTP/2 from the server's side, every phase of it as slow as it is told to be."""

import asyncio
import contextlib
import itertools
import socket
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import h2.config
import h2.connection
import h2.events
import h2.exceptions

_numbers: Final = itertools.count(1)


@dataclass(frozen=True)
class Request:
    """What a client asks.

    Attributes:
        method: GET, POST …
        target: path and query.
        headers: by lower-case name.
        body: all of it.
        protocol: "HTTP/1.1" or "HTTP/2".
        connection: which of the server's connections it came on, from 1.
        number: which request of its connection it is, from 1.
    """

    method: str
    target: str
    headers: dict[str, str]
    body: bytes
    protocol: str
    connection: int
    number: int


@dataclass(frozen=True)
class Reply:
    """What it gets.

    Attributes:
        status: the code.
        headers: by lower-case name; the length is added.
        chunks: the body, in pieces.
        first_byte_ms: the wait before the headers.
        between_ms: the wait before each piece of the body.
        close: end the connection afterwards (HTTP/1.1).
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    chunks: tuple[bytes, ...] = ()
    first_byte_ms: float = 0.0
    between_ms: float = 0.0
    close: bool = False

    @property
    def all_headers(self) -> dict[str, str]:
        """With the length of the body."""
        return {**self.headers, "content-length": str(sum(map(len, self.chunks)))}


Handler = Callable[[Request], Awaitable[Reply]]


@dataclass(frozen=True)
class Website:
    """Serves one connection after another has been accepted.

    Attributes:
        handler: answers requests.
        tls: None serves in the clear.
        handshake_ms: the wait before the TLS handshake is answered.
    """

    handler: Handler
    tls: ssl.SSLContext | None = None
    handshake_ms: float = 0.0

    async def serve(self, connection: socket.socket) -> None:
        """Speak what the client chose by ALPN until it goes."""
        reader, writer = await streams(connection, self.tls, self.handshake_ms)
        try:
            tls = writer.get_extra_info("ssl_object")
            if tls is not None and tls.selected_alpn_protocol() == "h2":
                await _Http2(reader, writer, self.handler).serve()
            else:
                await _http1(reader, writer, self.handler)
        finally:
            await hang_up(writer)


async def streams(
    connection: socket.socket, tls: ssl.SSLContext | None, handshake_ms: float = 0.0
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Make streams of an accepted connection; the client's first bytes wait in the kernel until then."""
    if handshake_ms:
        await asyncio.sleep(handshake_ms / 1000)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=tls)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """Close, and wait until it is: TLS says good-bye first, and the descriptor must not be another's by then."""
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def server_context(
    certificate: Path | str,
    *,
    newest: str | None = None,
    protocols: tuple[str, ...] = (),
    clients: Path | str | None = None,
) -> ssl.SSLContext:
    """A server's TLS; `newest` is the newest version it speaks, such as "TLSv1_2", `clients` who signs its clients."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    if clients is not None:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(clients)
    if newest is not None:
        context.maximum_version = ssl.TLSVersion[newest]
    if protocols:
        context.set_alpn_protocols(list(protocols))
    return context


async def _http1(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
    connection = next(_numbers)
    for number in itertools.count(1):
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")[:-2]
        method, target, _ = first.split(" ")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        reply = await handler(Request(method, target, headers, body, "HTTP/1.1", connection, number))
        last = reply.close or headers.get("connection", "").lower() == "close"
        await asyncio.sleep(reply.first_byte_ms / 1000)
        answer = [f"HTTP/1.1 {reply.status} -", *(f"{name}: {value}" for name, value in reply.all_headers.items())]
        writer.write("\r\n".join([*answer, *(["connection: close"] if last else []), "", ""]).encode())
        for chunk in reply.chunks if method != "HEAD" else ():
            await asyncio.sleep(reply.between_ms / 1000)
            writer.write(chunk)
            await writer.drain()
        if last:
            return


class _Http2:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, handler: Handler) -> None:
        self._reader, self._writer, self._handler = reader, writer, handler
        self._http = h2.connection.H2Connection(h2.config.H2Configuration(client_side=False))
        self._connection = next(_numbers)
        self._requests = itertools.count(1)
        self._open: dict[int, tuple[dict[str, str], bytearray]] = {}
        self._window = asyncio.Event()

    async def serve(self) -> None:
        self._http.initiate_connection()
        await self._flush()
        answers: set[asyncio.Task[None]] = set()
        try:
            while received := await self._reader.read(65_536):
                for event in self._http.receive_data(received):
                    if isinstance(event, h2.events.StreamEnded):
                        answers.add(asyncio.create_task(self._respond(event.stream_id)))
                    else:
                        self._take(event)
                await self._flush()
        except h2.exceptions.ProtocolError:
            # What it has to say to the client about that is waiting to be sent.
            await self._flush()
        finally:
            for answer in answers:
                answer.cancel()

    def _take(self, event: h2.events.Event) -> None:
        if isinstance(event, h2.events.RequestReceived):
            self._open[event.stream_id] = (_text(event.headers), bytearray())
        elif isinstance(event, h2.events.DataReceived):
            self._open[event.stream_id][1].extend(event.data)
            self._http.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, h2.events.StreamReset):
            self._open.pop(event.stream_id, None)
        elif isinstance(event, h2.events.WindowUpdated | h2.events.RemoteSettingsChanged):
            self._window.set()

    async def _respond(self, stream: int) -> None:
        headers, body = self._open.pop(stream)
        request = Request(
            headers[":method"], headers[":path"], headers, bytes(body), "HTTP/2", self._connection, next(self._requests)
        )
        reply = await self._handler(request)
        # The client may have reset the stream, or gone, in the meantime.
        with contextlib.suppress(h2.exceptions.ProtocolError, OSError):
            await asyncio.sleep(reply.first_byte_ms / 1000)
            self._http.send_headers(stream, [(":status", str(reply.status)), *reply.all_headers.items()])
            await self._flush()
            for chunk in reply.chunks if request.method != "HEAD" else ():
                await asyncio.sleep(reply.between_ms / 1000)
                await self._send(stream, chunk)
            self._http.end_stream(stream)
            await self._flush()

    async def _send(self, stream: int, chunk: bytes) -> None:
        while chunk:
            room = min(self._http.local_flow_control_window(stream), self._http.max_outbound_frame_size)
            if not room:
                self._window.clear()
                await self._window.wait()
                continue
            self._http.send_data(stream, chunk[:room])
            chunk = chunk[room:]
            await self._flush()

    async def _flush(self) -> None:
        self._writer.write(self._http.data_to_send())
        await self._writer.drain()


def _text(headers: list[tuple[bytes, bytes]] | None) -> dict[str, str]:
    return {bytes(name).decode(): bytes(value).decode() for name, value in headers or []}
