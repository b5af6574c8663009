import asyncio


class HeadTimer:
    """Ends a connection on which no whole head arrives in time; for a uvicorn protocol to inherit from."""

    head_seconds = 10.0
    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    _head_timer: asyncio.TimerHandle | None = None

    def expect_head(self) -> None:
        """Begin to wait, unless that has begun."""
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_seconds, self.transport.close)

    def forget_head(self) -> None:
        """The head is there, or none is expected."""
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None
