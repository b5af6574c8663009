"""The far end of bandwidth tests: takes and sends bytes for those who know the key, few at a time, each bounded."""

import asyncio
import contextlib
import secrets
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from streamswarm_core.reflector.borrowed import keep_little_unsent, tcp_info_of
from streamswarm_core.reflector.limits import Peers
from streamswarm_core.wire.bandwidth import (
    LONGEST_LINE,
    MOST_STREAMS,
    VERSION,
    MessageError,
    Meter,
    is_signed,
    pack,
    unpack,
)

REFUSALS: Final = ("peer", "connections", "signature", "busy", "test", "protocol")
"""Why a connection is refused: `test` names one that isn't there, or whose streams are all taken."""
_HELLO_SECONDS: Final = 5.0
_GRACE_SECONDS: Final = 20.0
_CHUNK: Final = 65_536
_LEAST_BYTES: Final = 1_000


class _RefusedError(Exception):
    def __init__(self, reason: str, detail: str) -> None:
        self.reason, self.detail = reason, detail
        super().__init__(detail)


@dataclass(slots=True)
class _Test:
    """One test that was granted.

    Attributes:
        seconds: of each direction.
        bytes_left: of each direction.
        streams: connections that may still join, by direction.
        meter: what was uploaded.
        retransmits: of finished downloads.
    """

    seconds: float
    bytes_left: dict[str, int]
    streams: Counter[str]
    meter: Meter
    retransmits: int = 0


class BandwidthServer:
    """Serves tests on one or several addresses of this host.

    Args:
        key: the secret; without one everybody is served whom `peers` lets in, so only a loopback address should be.
        peers: networks that may ask.
        tests: how many may be under way; 0 refuses all.
        most_bytes: of a test, both directions together.
        most_seconds: of each direction.
    """

    def __init__(
        self,
        *,
        key: bytes = b"",
        peers: Peers | None = None,
        tests: int = 1,
        most_bytes: int = 500_000_000,
        most_seconds: float = 30.0,
    ) -> None:
        self._key = key
        self._peers = peers or Peers(())
        self._most_tests = tests
        self._most_bytes = most_bytes
        self._most_seconds = most_seconds
        self._most_connections = (tests + 1) * (2 * MOST_STREAMS + 1)
        self._tests: dict[str, _Test] = {}
        self._connections: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._closing = False
        self.granted = 0
        self.transferred: Counter[str] = Counter()
        self.refused: Counter[str] = Counter()

    @property
    def under_way(self) -> int:
        """Tests that hold a place."""
        return len(self._tests)

    async def listen(self, hosts: Sequence[str], port: int) -> int:
        """Begin to serve; returns the port, which all addresses share.

        Raises:
            OSError: an address can't be used.
        """
        try:
            for host in hosts:
                server = await asyncio.start_server(self._connected, host, port, limit=LONGEST_LINE)
                port = port or int(server.sockets[0].getsockname()[1])
                self._servers.append(server)
        except OSError:
            await self.close()
            raise
        return port

    async def close(self) -> None:
        """Stop serving; tests under way end at once."""
        self._closing = True
        for server in self._servers:
            server.close()
        self._servers.clear()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a server's callback runs in one
        self._connections.add(task)
        try:
            await self._serve(reader, writer)
        except _RefusedError as refusal:
            self.refused[refusal.reason] += 1
            with contextlib.suppress(OSError):
                writer.write(pack({"refused": refusal.reason, "detail": refusal.detail}))
        except asyncio.CancelledError:
            # Python 3.11 logs a connection's task that ends so as an error, though it was asked to.
            if not self._closing:
                raise
        except (OSError, TimeoutError, asyncio.IncompleteReadError, ValueError):
            # The other side went away, or stopped in the middle of a line; there is nobody to tell.
            pass
        finally:
            self._connections.discard(task)
            writer.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if writer.get_extra_info("peername")[0] not in self._peers:
            raise _RefusedError("peer", "this address may not ask; see the reflector's setting reflector_peers")
        if len(self._connections) > self._most_connections:
            raise _RefusedError("connections", "too many connections")
        async with asyncio.timeout(_HELLO_SECONDS):
            nonce = secrets.token_hex(16)
            writer.write(pack({"streamswarm": "bandwidth", "version": VERSION, "nonce": nonce}))
            message = _read(await reader.readline())
        if self._key and not is_signed(message, nonce=nonce, key=self._key):
            raise _RefusedError("signature", "the key is not the reflector's, or none was given")
        match message.get("role"):
            case "control":
                await self._control(message, reader, writer)
            case "data":
                await self._transfer(message, reader, writer)
            case other:
                raise _RefusedError("protocol", f"role is control or data, not {other!r}")

    async def _control(
        self, message: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        if len(self._tests) >= self._most_tests:
            raise _RefusedError("busy", f"{len(self._tests)} tests are under way, more are not allowed")
        streams = int(_number(message, "streams", 1, MOST_STREAMS))
        size = int(min(_number(message, "bytes", _LEAST_BYTES, 1e15), self._most_bytes / 2))
        seconds = min(_number(message, "seconds", 0.1, 1e6), self._most_seconds)
        both = Counter(upload=streams, download=streams)
        test = _Test(seconds, {"upload": size, "download": size}, both, Meter(limit=seconds))
        name = secrets.token_hex(16)
        self._tests[name] = test
        self.granted += 1
        try:
            writer.write(pack({"test": name, "bytes": size, "seconds": seconds}))
            async with asyncio.timeout(2 * (seconds + _GRACE_SECONDS)):
                while await reader.readline():
                    writer.write(pack(_report(test)))
                    await writer.drain()
        finally:
            del self._tests[name]

    async def _transfer(
        self, message: Mapping[str, Any], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        test = self._tests.get(str(message.get("test")))
        direction = str(message.get("direction"))
        if test is None or test.streams[direction] < 1:
            raise _RefusedError("test", "no such test, or no more streams for it")
        test.streams[direction] -= 1
        descriptor = writer.get_extra_info("socket").fileno()
        keep_little_unsent(descriptor)
        writer.write(pack({"ok": True}))
        try:
            async with asyncio.timeout(test.seconds + _GRACE_SECONDS if direction == "upload" else test.seconds):
                await (self._take(test, reader) if direction == "upload" else self._give(test, writer))
        except TimeoutError:
            pass
        finally:
            info = tcp_info_of(descriptor)
            if info and direction == "download":
                test.retransmits += info.total_retrans

    async def _take(self, test: _Test, reader: asyncio.StreamReader) -> None:
        while chunk := await reader.read(4 * _CHUNK):
            test.meter.add(len(chunk), time.monotonic())
            test.bytes_left["upload"] -= len(chunk)
            self.transferred["upload"] += len(chunk)
            if test.bytes_left["upload"] < 0:
                return  # more than was granted

    async def _give(self, test: _Test, writer: asyncio.StreamWriter) -> None:
        chunk = secrets.token_bytes(_CHUNK)  # nothing on the way can compress it
        while test.bytes_left["download"] > 0:
            size = min(_CHUNK, test.bytes_left["download"])
            test.bytes_left["download"] -= size
            self.transferred["download"] += size
            writer.write(chunk[:size])
            await writer.drain()


def _read(line: bytes) -> dict[str, Any]:
    try:
        return unpack(line)
    except MessageError as error:
        raise _RefusedError("protocol", str(error)) from None


def _number(message: Mapping[str, Any], name: str, least: float, most: float) -> float:
    value = message.get(name)
    if not isinstance(value, int | float) or not least <= value <= most:
        raise _RefusedError("protocol", f"{name} is a number from {least:g} to {most:g}, not {value!r}")
    return value


def _report(test: _Test) -> dict[str, Any]:
    meter = test.meter
    return {"steps": meter.steps, "seconds": meter.seconds, "late": meter.late, "retransmits": test.retransmits}
