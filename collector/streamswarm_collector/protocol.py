"""HTTP/1.1 as uvicorn speaks it, with bounds on the head of a request, for which uvicorn has none."""

import asyncio
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_MOST_HEAD_BYTES: Final = 64 * 1024


class BoundedHttp(HttpToolsProtocol):
    """Ends a connection on which no whole head arrives in time, or one that is too long."""

    head_seconds = 10.0

    def __init__(self, *arguments: Any, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_whole = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._expect_head()

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
        elif self._head_timer is None:
            self._expect_head()

    def on_message_begin(self) -> None:
        """Wait for the head of another request on the same connection."""
        super().on_message_begin()
        self._head_whole = False
        self._head_bytes = 0

    def on_headers_complete(self) -> None:
        """The head is there."""
        self._head_whole = True
        self._forget_head()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more will come."""
        self._forget_head()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        self._head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def _forget_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
