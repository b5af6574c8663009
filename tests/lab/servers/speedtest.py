"""A Speedtest Mini server: what its clients ask of one, over HTTP/1.1."""

import asyncio
import socket
from dataclasses import dataclass
from typing import Final

from tests.lab.servers.running import Listening, accept, be_server, listen, starter

_PICTURES: Final = {"350": 245_388, "500": 505_544, "750": 1_118_012, "1000": 1_986_284}
_CHUNK: Final = 65_536


@dataclass(frozen=True, kw_only=True)
class SpeedtestServer(Listening):
    """Options.

    Attributes:
        pictures: whether there is anything to download.
    """

    pictures: bool = True


speedtest_server = starter("speedtest", SpeedtestServer)


async def serve(options: SpeedtestServer) -> dict[str, int]:
    listener = listen(options.host, options.port)

    async def handle(connection: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=connection.dup())
        try:
            await _answer(reader, writer, options)
        finally:
            writer.close()

    serving = asyncio.create_task(accept(listener, handle))
    serving.add_done_callback(lambda _: listener.close())
    _serving.append(serving)
    return {"http": int(listener.getsockname()[1])}


_serving: Final[list[asyncio.Task[None]]] = []


async def _answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, options: SpeedtestServer) -> None:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    path = head.split()[1].partition("?")[0]
    length = next((int(line[15:]) for line in head.splitlines() if line.lower().startswith("content-length:")), 0)
    taken = 0
    while taken < length and (chunk := await reader.read(_CHUNK)):
        taken += len(chunk)
    size, body, status = 0, b"", "200 OK"
    if path.endswith("latency.txt"):
        body = b"test=test\n"
    elif path.endswith("upload.php"):
        body = f"size={taken or 500}".encode()
    elif path.endswith(".jpg") and options.pictures:
        size = _PICTURES[path.rpartition("random")[2].partition("x")[0]]
    elif path.endswith("/"):
        body = b'<script>uploadExtension: "php"</script>'
    else:
        status = "404 Not Found"
    writer.write(
        f"HTTP/1.1 {status}\r\nContent-Length: {size or len(body)}\r\nConnection: close\r\n\r\n".encode() + body
    )
    while size > 0:
        writer.write(bytes(min(_CHUNK, size)))
        await writer.drain()
        size -= _CHUNK
    await writer.drain()


if __name__ == "__main__":
    be_server(SpeedtestServer, serve)
