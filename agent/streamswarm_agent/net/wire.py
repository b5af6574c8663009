"""A TCP connection, in the clear or with TLS, read and written without a thread or a transport in between.

asyncio's own streams say neither when the kernel had taken the request nor how long the handshake alone took, and
can't resume a TLS session.
"""

import asyncio
import contextlib
import socket
import ssl
from typing import Final

from streamswarm_agent.faults import Fault, ProbeFault
from streamswarm_agent.net.turns import Turns
from streamswarm_core.closing import Closing

_CHUNK: Final = 64 * 1024


class Wire(Closing):
    """One established connection. Its waits have no bound of their own; the caller sets one.

    Args:
        opened: a connected, non-blocking socket; closed with the wire.
    """

    def __init__(self, opened: socket.socket) -> None:
        # Else the kernel keeps a second small write back until the first is acknowledged: 40 ms of nobody's making.
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = opened
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._turns = Turns()
        self.tls: ssl.SSLObject | None = None

    async def start_tls(
        self, context: ssl.SSLContext, server_name: str, session: ssl.SSLSession | None = None
    ) -> ssl.SSLObject:
        """Shake hands as a client.

        Raises:
            OSError: also ssl.SSLError, and ssl.SSLCertVerificationError for a certificate that can't be verified.
            ProbeFault: the name can be no server's.
        """
        # Certificates know no interfaces, and no dot at the end, which keeps a resolver from trying other domains.
        name = server_name.partition("%")[0].removesuffix(".")
        try:
            tls = context.wrap_bio(self._incoming, self._outgoing, server_hostname=name, session=session)
        except ValueError as error:
            raise ProbeFault(Fault.BAD_TARGET, f"{server_name!r} can be no server's name: {error}") from None
        while True:
            try:
                tls.do_handshake()
                break
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take()
            except ssl.SSLError:
                # The alert tells the server why.
                with contextlib.suppress(OSError):
                    await self._flush()
                raise
        await self._flush()
        self.tls = tls
        return tls

    async def send(self, content: bytes) -> None:
        """Hand everything over to the kernel.

        Raises:
            OSError: the connection is gone.
        """
        if self.tls is None:
            await asyncio.get_running_loop().sock_sendall(self._socket, content)
        elif content:
            self.tls.write(content)
            await self._flush()

    async def receive(self) -> bytes:
        """What comes next; empty at the end.

        Raises:
            OSError: the connection is gone.
        """
        if self.tls is None:
            return await self._receive_some()
        while True:
            try:
                return self.tls.read(_CHUNK)
            except ssl.SSLWantReadError:
                await self._flush()
                await self._take()
            except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
                return b""

    def close(self) -> None:
        """End the connection; a TLS server is told so if the kernel takes the message at once."""
        if self.tls is not None:
            with contextlib.suppress(OSError):
                self.tls.unwrap()
            with contextlib.suppress(OSError):
                self._socket.send(self._outgoing.read())
        self._socket.close()

    async def _take(self) -> None:
        received = await self._receive_some()
        if received:
            self._incoming.write(received)
        else:
            self._incoming.write_eof()

    async def _receive_some(self) -> bytes:
        await self._turns.give()
        return await asyncio.get_running_loop().sock_recv(self._socket, _CHUNK)

    async def _flush(self) -> None:
        if self._outgoing.pending:
            await asyncio.get_running_loop().sock_sendall(self._socket, self._outgoing.read())
