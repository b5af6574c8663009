import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from streamswarm_core.heads.timer import HeadTimer

_MOST_HEAD_BYTES: Final = 64 * 1024


class BoundedHttptools(HeadTimer, HttpToolsProtocol):
    """Ends a connection on which no whole head arrives in time, or one that is too long."""

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._head_whole = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self.expect_head()

    def data_received(self, data: bytes) -> None:
        """Count what comes as long as the head isn't whole; most heads come in one piece and need no timer."""
        waiting = not self._head_whole
        super().data_received(data)
        if self._head_whole:
            return
        if waiting:  # else the piece may also hold the end of another request's body
            self._head_bytes += len(data)
        if self._head_bytes > _MOST_HEAD_BYTES:
            self.transport.close()
        else:
            self.expect_head()

    def on_message_begin(self) -> None:
        """Wait for the head of another request on the same connection."""
        super().on_message_begin()
        self._head_whole = False
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_whole = True
        self.forget_head()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self.forget_head()
        super().connection_lost(exc)
