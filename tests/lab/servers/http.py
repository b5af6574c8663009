"""A web server whose every phase can be slow, and whose address says what it answers.

    /                                   a few words
    /status/503                         that status
    /redirect/3                         a redirect to /redirect/2, and so on to /
    /bytes/100000                       so many bytes
    /text/100000                        so many bytes that compress well; gzip if the client takes it
    /unfinished                         a gzip body without its end, otherwise in order
    /slow?first_byte_ms=50&between_ms=10&chunks=5
    /close                              ends the connection (HTTP/1.1)

Every answer carries x-connection and x-request: which connection of the server it came on, and which request of it.
"""

import asyncio
import gzip
import urllib.parse
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.lab.servers.running import Listening, accept, be_server, listen, starter
from tests.lab.servers.web import Reply, Request, Website, server_context

_CHUNK: Final = 16_384
_background: Final[set[asyncio.Task[None]]] = set()


@dataclass(frozen=True, kw_only=True)
class HttpOptions(Listening):
    """How the server behaves.

    Attributes:
        certificate: a file with key and chain; None serves in the clear.
        newest_tls: the newest version, such as "TLSv1_2"; None for all.
        clients: the authority whose clients are served; everybody is if None.
        http2: offer it by ALPN.
        accept_ms: how long connections wait in the kernel's backlog.
        handshake_ms: how long the TLS handshake waits for the server.
    """

    certificate: Path | str | None = None
    newest_tls: str | None = None
    clients: Path | str | None = None
    http2: bool = True
    accept_ms: float = 0.0
    handshake_ms: float = 0.0


http_server: Final = starter("http", HttpOptions)


async def answer(request: Request) -> Reply:
    """What the address says."""
    address = urllib.parse.urlsplit(request.target)
    query = {name: float(value) for name, value in urllib.parse.parse_qsl(address.query)}
    marks = {"x-connection": str(request.connection), "x-request": str(request.number), "content-type": "text/plain"}
    match address.path.split("/")[1:]:
        case [""]:
            return Reply(headers=marks, chunks=(b"hello from the lab\n",))
        case ["status", status]:
            return Reply(int(status), marks, (b"as you asked\n",))
        case ["redirect", left]:
            onward = f"/redirect/{int(left) - 1}" if int(left) > 1 else "/"
            return Reply(302, {**marks, "location": onward})
        case ["bytes", size]:
            return Reply(headers=marks, chunks=_pieces(bytes(range(256)) * (int(size) // 256 + 1), int(size)))
        case ["text", size]:
            text = (b"all work and no play " * (int(size) // 21 + 1))[: int(size)]
            if "gzip" not in request.headers.get("accept-encoding", ""):
                return Reply(headers=marks, chunks=_pieces(text, len(text)))
            packed = gzip.compress(text, mtime=0)
            return Reply(headers={**marks, "content-encoding": "gzip"}, chunks=_pieces(packed, len(packed)))
        case ["unfinished"]:
            packed = gzip.compress(b"hello from the lab\n", mtime=0)[:-9]
            return Reply(headers={**marks, "content-encoding": "gzip"}, chunks=(packed,))
        case ["slow"]:
            pieces = (b"slowly\n",) * int(query.get("chunks", 1))
            return Reply(
                headers=marks,
                chunks=pieces,
                first_byte_ms=query.get("first_byte_ms", 0),
                between_ms=query.get("between_ms", 0),
            )
        case ["close"]:
            return Reply(headers=marks, chunks=(b"good-bye\n",), close=True)
        case _:
            return Reply(404, marks, (b"there is nothing here\n",))


async def serve(options: HttpOptions) -> dict[str, int]:
    """Listen, and answer in the background."""
    protocols = ("h2", "http/1.1") if options.http2 else ("http/1.1",)
    tls = (
        server_context(options.certificate, newest=options.newest_tls, protocols=protocols, clients=options.clients)
        if options.certificate
        else None
    )
    listener = listen(options.host, options.port)
    website = Website(answer, tls, options.handshake_ms)
    _background.add(asyncio.create_task(accept(listener, website.serve, accept_ms=options.accept_ms)))
    return {"tcp": listener.getsockname()[1]}


def _pieces(content: bytes, size: int) -> tuple[bytes, ...]:
    return tuple(content[begin : min(begin + _CHUNK, size)] for begin in range(0, size, _CHUNK))


if __name__ == "__main__":
    be_server(HttpOptions, serve)
