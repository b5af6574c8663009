"""The connection below the tls, http and dns probes."""

import asyncio
import socket
import ssl

import pytest

from streamswarm_agent.net.wire import Wire


async def pair() -> tuple[Wire, socket.socket]:
    """A wire and the other end of its connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        near = socket.create_connection(listener.getsockname())
        far, _ = listener.accept()
    near.settimeout(0)
    return Wire(near), far


async def test_a_second_small_write_is_not_kept_back() -> None:
    wire, far = await pair()
    with far, wire:
        assert wire._socket.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


async def test_what_is_sent_arrives_and_the_end_is_empty() -> None:
    wire, far = await pair()
    with wire:
        await wire.send(b"question")
        assert far.recv(100) == b"question"
        far.sendall(b"answer")
        assert await wire.receive() == b"answer"
        far.close()
        assert await wire.receive() == b""


async def test_a_wait_ends_when_the_callers_does() -> None:
    wire, far = await pair()
    with far, wire:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await wire.receive()
        far.sendall(b"late")
        assert await wire.receive() == b"late"


async def test_an_end_amid_the_handshake_is_an_error() -> None:
    wire, far = await pair()
    far.close()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    with wire, pytest.raises(OSError):  # noqa: PT011 - which one depends on who is first
        await wire.start_tls(context, "localhost")
