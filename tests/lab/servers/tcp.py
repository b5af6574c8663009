"""A TCP server that accepts late, reads slowly, speaks late, sends at its own pace or hangs up."""

import asyncio
import socket
import struct
from dataclasses import dataclass
from typing import Final

from tests.lab.servers.running import Listening, accept, be_server, listen, starter

_TURNS_PER_SECOND: Final = 20
_RESET_ON_CLOSE: Final = struct.pack("@ii", 1, 0)
_background: Final[set[asyncio.Task[None]]] = set()


@dataclass(frozen=True, kw_only=True)
class TcpOptions(Listening):
    """How the server behaves.

    Attributes:
        accept_ms: how long a connection waits in the backlog; the kernel has shaken hands by then.
        backlog: how many may wait there; the kernel drops SYNs beyond it.
        read_bytes_per_s: the pace of reading; None for as fast as it goes.
        receive_buffer: bytes that the kernel keeps for a connection, which bound the window; None for its own choice.
        banner: what is sent first.
        speak_ms: the wait before that.
        send_bytes_per_s: then bytes are sent without end at this pace, while what comes is read; None for nothing.
        reset: hang up with RST after the banner.
    """

    accept_ms: float = 0.0
    backlog: int = 128
    read_bytes_per_s: float | None = None
    receive_buffer: int | None = None
    banner: str = ""
    speak_ms: float = 0.0
    send_bytes_per_s: float | None = None
    reset: bool = False


tcp_server: Final = starter("tcp", TcpOptions)


async def serve(options: TcpOptions) -> dict[str, int]:
    """Listen, and serve in the background."""
    listener = listen(options.host, options.port, backlog=options.backlog)
    if options.receive_buffer is not None:
        # On the listener, because the window's scale is settled while hands are shaken.
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, options.receive_buffer)
    work = accept(listener, lambda connection: _talk(connection, options), accept_ms=options.accept_ms)
    _background.add(asyncio.create_task(work))
    return {"tcp": listener.getsockname()[1]}


async def _talk(connection: socket.socket, options: TcpOptions) -> None:
    loop = asyncio.get_running_loop()
    if options.banner or options.reset:
        await asyncio.sleep(options.speak_ms / 1000)
        await loop.sock_sendall(connection, options.banner.encode())
    if options.reset:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        return
    sending = asyncio.create_task(_send(connection, options.send_bytes_per_s)) if options.send_bytes_per_s else None
    try:
        await _read(connection, options.read_bytes_per_s)
    finally:
        if sending is not None:
            sending.cancel()


async def _read(connection: socket.socket, bytes_per_s: float | None) -> None:
    loop = asyncio.get_running_loop()
    size = 1 << 18 if bytes_per_s is None else max(1, round(bytes_per_s / _TURNS_PER_SECOND))
    while await loop.sock_recv(connection, size):
        if bytes_per_s is not None:
            await asyncio.sleep(1 / _TURNS_PER_SECOND)


async def _send(connection: socket.socket, bytes_per_s: float) -> None:
    loop = asyncio.get_running_loop()
    piece = bytes(max(1, round(bytes_per_s / _TURNS_PER_SECOND)))
    while True:
        await loop.sock_sendall(connection, piece)
        await asyncio.sleep(1 / _TURNS_PER_SECOND)


if __name__ == "__main__":
    be_server(TcpOptions, serve)
